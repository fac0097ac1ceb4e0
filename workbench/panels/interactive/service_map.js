// Service map on one canvas. Names are painted or set as textContent, never parsed.
const LIGHT = { bg: "#ffffff", node: "#ffffff", text: "#1d2530", muted: "#5f6b7a", line: "#e2e6ec", edge: "#a3adba", ok: "#2b8a64", bad: "#cf3b47", warn: "#b7700f", accent: "#5457c8" };
const DARK = { bg: "#14181e", node: "#1b2129", text: "#e3e8ef", muted: "#9aa6b5", line: "#2c343f", edge: "#566170", ok: "#4fbf92", bad: "#f0727b", warn: "#e3a449", accent: "#9b9ef5" };

const isDark = () => {
  const host = document.body.dataset.jpThemeLight;
  return host ? host === "false" : matchMedia("(prefers-color-scheme: dark)").matches;
};
const make = (tag, css, text) => {
  const node = document.createElement(tag);
  node.style.cssText = css;
  if (text !== undefined) node.textContent = text;
  return node;
};

const pathOf = (edge) => {
  const path = new Path2D();
  const [first, ...rest] = edge.points;
  if (!rest.length) {
    path.ellipse(first[0], first[1] - edge.loop - 10, 8, 14, 0, 0, 2 * Math.PI);
    return path;
  }
  path.moveTo(...first);
  let [x, y] = first;
  for (const [nx, ny] of rest) {
    const bend = (nx - x) * 0.45;
    path.bezierCurveTo(x + bend, y, nx - bend, ny, nx, ny);
    [x, y] = [nx, ny];
  }
  return path;
};

const tip = (ink, edge) => {
  const n = edge.points.length;
  if (n < 2) return;
  const [x, y] = edge.points[n - 1];
  const way = x >= edge.points[n - 2][0] ? 1 : -1;
  ink.beginPath();
  ink.moveTo(x + way * 6, y);
  ink.lineTo(x - way * 2, y - 4.5);
  ink.lineTo(x - way * 2, y + 4.5);
  ink.fill();
};

const shape = (ink, node) => {
  ink.beginPath();
  if (node.kind === "database") ink.roundRect(node.x - node.r * 0.9, node.y - node.r, node.r * 1.8, node.r * 2, node.r * 0.45);
  else if (node.kind === "messaging") ink.roundRect(node.x - node.r * 1.1, node.y - node.r * 0.72, node.r * 2.2, node.r * 1.44, node.r * 0.72);
  else ink.arc(node.x, node.y, node.r, 0, 2 * Math.PI);
};

const drawNode = (ink, node, theme, strong) => {
  ink.setLineDash(["service", "database", "messaging"].includes(node.kind) ? [] : [4, 3]);
  shape(ink, node);
  ink.fillStyle = theme.node;
  ink.fill();
  if (node.errors > 0.001) {
    const alpha = ink.globalAlpha;
    ink.globalAlpha = alpha * Math.min(0.08 + 0.5 * node.errors, 0.45);
    ink.fillStyle = theme.bad;
    ink.fill();
    ink.globalAlpha = alpha;
  }
  ink.strokeStyle = !node.middle || node.state === "less" ? theme.edge : node.state === "warn" ? theme.warn : theme.ok;
  ink.lineWidth = strong ? 4 : 3;
  ink.stroke();
  ink.setLineDash([]);
  if (node.errors > 0.001) {
    ink.beginPath();
    ink.arc(node.x, node.y, node.r, -Math.PI / 2, -Math.PI / 2 + 2 * Math.PI * Math.min(node.errors, 1));
    ink.strokeStyle = theme.bad;
    ink.lineWidth = 4;
    ink.stroke();
  }
  if (node.rank) suspect(ink, node, theme);
  const low = node.y + node.r + (node.rank ? 8 : 0);
  ink.fillStyle = theme.text;
  ink.font = "10px system-ui, sans-serif";
  if (ink.measureText(node.middle).width < 2 * node.r - 4) ink.fillText(node.middle, node.x, node.y + 3.5);
  ink.font = "600 11.5px system-ui, sans-serif";
  ink.fillText(node.name.length > 26 ? node.name.slice(0, 25) + "\u2026" : node.name, node.x, low + 15, 170);
  ink.font = "10px system-ui, sans-serif";
  ink.fillStyle = { bad: theme.bad, warn: theme.warn }[node.state] ?? theme.muted;
  node.under.forEach((line, i) => ink.fillText(line, node.x, low + 28 + 12 * i));
};

const suspect = (ink, node, theme) => {
  ink.setLineDash([5, 4]);
  ink.beginPath();
  ink.arc(node.x, node.y, node.r + 7, 0, 2 * Math.PI);
  ink.strokeStyle = theme.accent;
  ink.lineWidth = 2;
  ink.stroke();
  ink.setLineDash([]);
  ink.beginPath();
  ink.arc(node.x + node.r + 3, node.y - node.r - 3, 8.5, 0, 2 * Math.PI);
  ink.fillStyle = theme.accent;
  ink.fill();
  ink.fillStyle = theme.bg;
  ink.font = "700 10px system-ui, sans-serif";
  ink.fillText(String(node.rank), node.x + node.r + 3, node.y - node.r + 0.6);
};

function render({ model, el }) {
  const theme = isDark() ? DARK : LIGHT;
  const lift = model.get("lift");
  const nodes = model.get("nodes").map((n) => ({ ...n, y: n.y + lift }));
  const edges = model.get("edges").map((e) => ({ ...e, loop: nodes[e.from].r, points: e.points.map(([x, y]) => [x, y + lift]) }));
  edges.forEach((e) => { e.path = pathOf(e); });
  const width = model.get("width"), height = model.get("height");
  let hover = null;

  const box = make("div", `font:13px/1.45 system-ui,sans-serif;color:${theme.text};background:${theme.bg};border:1px solid ${theme.line};border-radius:10px;padding:12px 14px;overflow-x:auto`);
  box.className = "wb-live-map";
  const canvas = make("canvas", "display:block;max-width:100%;cursor:pointer");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${model.get("title")}, ${nodes.length} services`);
  const detail = make("div", `color:${theme.muted};font-size:12px;min-height:1.45em;margin-top:6px;overflow-wrap:anywhere`, model.get("note"));
  box.append(make("b", "font-size:15px", model.get("title")), canvas, detail);
  el.append(box);
  const ratio = devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  canvas.style.width = width + "px";
  canvas.style.aspectRatio = `${width} / ${height}`;

  const near = (index) => {
    const focus = hover?.node ?? nodes.findIndex((n) => n.name === model.get("selected"));
    if (hover?.edge !== undefined) return index === edges[hover.edge].from || index === edges[hover.edge].to;
    return focus < 0 || index === focus || edges.some((e) => (e.from === focus && e.to === index) || (e.to === focus && e.from === index));
  };
  const lit = (k) => {
    const focus = hover?.node ?? nodes.findIndex((n) => n.name === model.get("selected"));
    if (hover?.edge !== undefined) return k === hover.edge;
    return focus < 0 || edges[k].from === focus || edges[k].to === focus;
  };
  const paint = () => {
    const ink = canvas.getContext("2d");
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    ink.clearRect(0, 0, width, height);
    ink.textAlign = "center";
    edges.forEach((edge, k) => {
      ink.globalAlpha = lit(k) ? 0.9 : 0.18;
      ink.strokeStyle = ink.fillStyle = { bad: theme.bad, warn: theme.warn }[edge.state] ?? theme.edge;
      ink.lineWidth = edge.width;
      ink.setLineDash(edge.silent ? [4, 4] : []);
      ink.stroke(edge.path);
      ink.setLineDash([]);
      tip(ink, edge);
    });
    nodes.forEach((node, i) => {
      ink.globalAlpha = near(i) ? 1 : 0.3;
      drawNode(ink, node, theme, node.name === model.get("selected"));
    });
    ink.globalAlpha = 1;
    canvas.dataset.drawn = nodes.length + edges.length;
  };
  const at = (event) => {
    const edge = canvas.getBoundingClientRect();
    const x = ((event.clientX - edge.left) / edge.width) * width, y = ((event.clientY - edge.top) / edge.height) * height;
    const node = nodes.findIndex((n) => Math.hypot(n.x - x, n.y - y) <= n.r + 6);
    if (node >= 0) return { node };
    const ink = canvas.getContext("2d");
    ink.setTransform(1, 0, 0, 1, 0, 0);
    ink.lineWidth = 10;
    const k = edges.findIndex((e) => ink.isPointInStroke(e.path, x, y));
    return k >= 0 ? { edge: k } : null;
  };
  const tell = () => {
    if (hover?.node !== undefined) detail.textContent = `${nodes[hover.node].name}: ${nodes[hover.node].says}`;
    else if (hover?.edge !== undefined) {
      const e = edges[hover.edge];
      detail.textContent = `${nodes[e.from].name} \u2192 ${nodes[e.to].name}: ${e.says}`;
    } else detail.textContent = model.get("note");
  };
  canvas.addEventListener("mousemove", (event) => {
    const now = at(event);
    if (now?.node === hover?.node && now?.edge === hover?.edge) return;
    hover = now;
    tell();
    paint();
  });
  canvas.addEventListener("mouseleave", () => { hover = null; tell(); paint(); });
  canvas.addEventListener("click", (event) => {
    const name = nodes[at(event)?.node]?.name ?? "";
    model.set("selected", name === model.get("selected") ? "" : name);
    model.save_changes();
    paint();
  });
  canvas.addEventListener("keydown", (event) => {
    if (!["ArrowRight", "ArrowLeft", "Escape"].includes(event.key) || !nodes.length) return;
    event.preventDefault();
    const now = nodes.findIndex((n) => n.name === model.get("selected"));
    const next = event.key === "Escape" ? -1 : (now + (event.key === "ArrowRight" ? 1 : nodes.length - 1) + nodes.length) % nodes.length;
    model.set("selected", nodes[next]?.name ?? "");
    model.save_changes();
    hover = next >= 0 ? { node: next } : null;
    tell();
    hover = null;
    paint();
  });
  model.on("change:selected", paint);
  paint();
}

export default { render };
