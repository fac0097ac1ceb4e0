// Flame graph on one canvas. Names are painted or set as textContent, never parsed.
const ROW = 20;
const LIGHT = { bg: "#ffffff", text: "#1d2530", muted: "#5f6b7a", line: "#e2e6ec", same: [213, 218, 225], up: [216, 82, 92], down: [74, 134, 197], dim: "#eef0f3", hit: "#f2c14e" };
const DARK = { bg: "#14181e", text: "#e9edf3", muted: "#9aa6b5", line: "#2c343f", same: [57, 66, 78], up: [201, 80, 90], down: [63, 120, 180], dim: "#20262e", hit: "#b98a1d" };
const PACKAGES = [[90, 103, 216], [217, 130, 43], [47, 158, 143], [194, 85, 126], [125, 155, 47], [60, 141, 196], [154, 107, 201], [139, 115, 85]];

const isDark = () => {
  const host = document.body.dataset.jpThemeLight;
  return host ? host === "false" : matchMedia("(prefers-color-scheme: dark)").matches;
};
const array = (view, Type) => {
  if (!view) return new Type(0);
  return new Type(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
};
const mix = (a, b, t) => `rgb(${a.map((v, i) => Math.round(v + (b[i] - v) * t)).join(",")})`;
const percent = (v) => (100 * v).toFixed(Math.abs(v) < 0.0995 ? 2 : 1) + " %";
const make = (tag, css, text) => {
  const node = document.createElement(tag);
  node.style.cssText = css;
  if (text !== undefined) node.textContent = text;
  return node;
};

// Rows of each level; in preorder they already run from left to right.
const byLevel = (depth) => {
  const levels = [];
  depth.forEach((d, i) => (levels[d] ??= []).push(i));
  return levels.map((rows) => Int32Array.from(rows ?? []));
};
// First position in a level whose right edge lies beyond x.
const firstBeyond = (rows, x1, x) => {
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x1[rows[middle]] <= x) low = middle + 1; else high = middle;
  }
  return low;
};

const read = (model) => ({
  x0: array(model.get("x0"), Float64Array), x1: array(model.get("x1"), Float64Array),
  depth: array(model.get("depth"), Int32Array), parent: array(model.get("parent"), Int32Array),
  name: array(model.get("name"), Int32Array), file: array(model.get("file"), Int32Array),
  share: array(model.get("share"), Float64Array), own: array(model.get("own"), Float64Array),
  delta: array(model.get("delta"), Float64Array),
  names: model.get("names"), files: model.get("files"), compared: model.get("compared"),
});

// Which rows match, and the share they cover: a match inside a match is not counted again.
const search = (g, text) => {
  const hit = new Uint8Array(g.x0.length);
  if (!text) return { hit, matched: 0 };
  let test = (name) => name.toLowerCase().includes(text.toLowerCase());
  if (text.length > 2 && text.startsWith("/") && text.endsWith("/")) {
    try {
      const pattern = new RegExp(text.slice(1, -1), "i");
      test = (name) => pattern.test(name);
    } catch { /* an unfinished expression is searched as plain text */ }
  }
  const named = g.names.map(test);
  const under = new Uint8Array(g.x0.length);
  let matched = 0;
  for (let i = 0; i < hit.length; i++) {
    const p = g.parent[i];
    hit[i] = named[g.name[i]] ? 1 : 0;
    under[i] = p >= 0 && (under[p] || hit[p]) ? 1 : 0;
    if (hit[i] && !under[i]) matched += g.x1[i] - g.x0[i];
  }
  return { hit, matched };
};

const hash = (text) => {
  let h = 0;
  for (let i = 0; i < text.length; i++) h = (h * 31 + text.charCodeAt(i)) | 0;
  return Math.abs(h);
};

const colourOf = (g, theme) => {
  if (g.compared) {
    return (i) => {
      const d = g.delta[i];
      return Math.abs(d) < 0.005 ? mix(theme.same, theme.same, 0) : mix(theme.same, d > 0 ? theme.up : theme.down, Math.min(1, 0.25 + Math.abs(d) / 0.1));
    };
  }
  const ground = isDark() ? [20, 24, 30] : [255, 255, 255];
  const table = g.files.map((f) => mix(ground, PACKAGES[hash(f.replace(/\/[^/]*$/, "")) % 8], 0.42));
  return (i) => table[g.file[i]];
};

const draw = (canvas, g, levels, view, found) => {
  const theme = isDark() ? DARK : LIGHT;
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth || 900;
  const top = g.depth[view.root] ?? 0;
  canvas.width = width * ratio;
  canvas.height = levels.length * ROW * ratio;
  canvas.style.height = levels.length * ROW + "px";
  const ink = canvas.getContext("2d");
  ink.scale(ratio, ratio);
  ink.font = "11px system-ui, sans-serif";
  ink.textBaseline = "middle";
  const colour = colourOf(g, theme);
  const scale = width / (view.to - view.from);
  let drawn = 0;
  levels.forEach((rows, d) => {
    let last = -1;
    for (let k = firstBeyond(rows, g.x1, view.from); k < rows.length && g.x0[rows[k]] < view.to; k++) {
      const i = rows[k];
      const a = Math.max(0, (g.x0[i] - view.from) * scale), b = Math.min(width, (g.x1[i] - view.from) * scale);
      if (b - last < 0.5) continue;  // merged into the column drawn before it
      last = b;
      drawn++;
      const above = d < top;
      ink.globalAlpha = above ? 0.45 : 1;
      ink.fillStyle = found.active ? (found.hit[i] ? theme.hit : theme.dim) : colour(i);
      ink.fillRect(a, d * ROW, Math.max(b - a - (b - a > 3 ? 1 : 0), 0.5), ROW - 1);
      if (b - a > 28) {
        ink.fillStyle = theme.text;
        label(ink, g.names[g.name[i]], a + 5, d * ROW + ROW / 2, b - a - 9);
      }
      if (i === view.hover) {
        ink.globalAlpha = 1;
        ink.strokeStyle = theme.text;
        ink.strokeRect(a + 0.5, d * ROW + 0.5, Math.max(b - a - 2, 1), ROW - 2);
      }
    }
  });
  canvas.dataset.drawn = drawn;
};

const label = (ink, text, x, y, room) => {
  let shown = text;
  if (ink.measureText(shown).width > room) {
    shown = text.slice(0, Math.max(1, Math.floor((text.length * room) / ink.measureText(text).width) - 1)) + "\u2026";
  }
  if (shown.length > 2 || shown === text) ink.fillText(shown, x, y, room);
};

const says = (g, i) => {
  const where = g.files[g.file[i]];
  const change = g.compared ? `, share ${g.delta[i] >= 0 ? "+" : ""}${(100 * g.delta[i]).toFixed(1)} points` : "";
  return `${g.names[g.name[i]]}${where ? "  " + where : ""}  total ${percent(g.share[i])}, self ${percent(g.own[i])}${change}`;
};

function render({ model, el }) {
  const theme = isDark() ? DARK : LIGHT;
  const g = read(model);
  const levels = byLevel(g.depth);
  const view = { root: -1, from: 0, to: 1, hover: -1 };
  let found = { hit: new Uint8Array(g.x0.length), matched: 0, active: false };

  const box = make("div", `font:13px/1.45 system-ui,sans-serif;color:${theme.text};background:${theme.bg};border:1px solid ${theme.line};border-radius:10px;padding:12px 14px`);
  box.className = "wb-live-flame";
  const bar = make("div", "display:flex;gap:10px;align-items:center;flex-wrap:wrap;margin-bottom:6px");
  const field = make("input", `flex:0 1 220px;padding:3px 8px;border:1px solid ${theme.line};border-radius:6px;background:transparent;color:inherit;font:inherit`);
  field.type = "search";
  field.placeholder = "search, or /expression/";
  field.setAttribute("aria-label", "search functions");
  const reset = make("button", `padding:3px 10px;border:1px solid ${theme.line};border-radius:6px;background:transparent;color:inherit;font:inherit;cursor:pointer`, "whole graph");
  const share = make("span", `color:${theme.muted}`);
  bar.append(make("b", "font-size:15px;margin-right:auto", model.get("title")), share, field, reset);
  const sub = make("div", `color:${theme.muted};font-size:12px;margin-bottom:6px`, model.get("subtitle"));
  const canvas = make("canvas", "display:block;width:100%;cursor:pointer;outline-offset:2px");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${model.get("title")}, ${g.x0.length} frames`);
  const detail = make("div", `color:${theme.muted};font-size:12px;min-height:1.45em;margin-top:6px;overflow-wrap:anywhere`);
  box.append(bar, sub, canvas, detail);
  el.append(box);

  const paint = () => draw(canvas, g, levels, view, found);
  const zoom = (i) => {
    const whole = i < 0 || i === view.root;
    view.root = whole ? -1 : i;
    view.from = whole ? 0 : g.x0[i];
    view.to = whole ? 1 : g.x1[i];
    model.set("selected", view.root);
    model.save_changes();
    paint();
  };
  const at = (event) => {
    const edge = canvas.getBoundingClientRect();
    const x = view.from + ((event.clientX - edge.left) / edge.width) * (view.to - view.from);
    const rows = levels[Math.floor((event.clientY - edge.top) / ROW)];
    if (!rows) return -1;
    const i = rows[firstBeyond(rows, g.x1, x)];
    return i !== undefined && g.x0[i] <= x ? i : -1;
  };
  const look = () => {
    const text = model.get("query");
    found = { ...search(g, text), active: Boolean(text) };
    share.textContent = text ? `${percent(found.matched)} matched` : "";
    model.set("matched", found.matched);
    model.save_changes();
    paint();
  };
  canvas.addEventListener("click", (event) => zoom(at(event)));
  canvas.addEventListener("mousemove", (event) => {
    const i = at(event);
    if (i === view.hover) return;
    view.hover = i;
    detail.textContent = i < 0 ? "" : says(g, i);
    paint();
  });
  canvas.addEventListener("mouseleave", () => { view.hover = -1; paint(); });
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Escape") zoom(-1);
    if (event.key === "ArrowUp" && view.root >= 0) { event.preventDefault(); zoom(g.parent[view.root]); }
    if (event.key === "ArrowDown") {
      event.preventDefault();
      const next = view.root + 1;
      if (next < g.x0.length && (view.root < 0 || g.parent[next] === view.root)) zoom(next);
    }
  });
  reset.addEventListener("click", () => zoom(-1));
  field.addEventListener("input", () => { model.set("query", field.value); look(); });
  model.on("change:query", () => { if (field.value !== model.get("query")) { field.value = model.get("query"); look(); } });
  const resized = new ResizeObserver(paint);
  resized.observe(canvas);
  if (model.get("query")) { field.value = model.get("query"); look(); } else paint();
  return () => resized.disconnect();
}

export default { render };
