// Optional: hover details, readings of charts, zoom of flame graphs. The page is complete without it.
// Text from telemetry is only ever set as textContent; nothing is evaluated, built from markup, or loaded.
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const tip = document.createElement("div");
  tip.className = "wb-hover";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");

  const show = (event, text) => {
    tip.textContent = text;
    tip.hidden = false;
    const right = document.documentElement.clientWidth - tip.offsetWidth - 12;
    tip.style.left = window.scrollX + Math.max(4, Math.min(event.clientX + 14, right)) + "px";
    const below = event.clientY + 18;
    const fits = below + tip.offsetHeight < document.documentElement.clientHeight;
    tip.style.top = window.scrollY + (fits ? below : event.clientY - tip.offsetHeight - 12) + "px";
  };
  const hide = () => { tip.hidden = true; };

  // The browser's own slow tooltip gives way to ours: its text moves to a property.
  const titleOf = (node) => {
    for (let at = node; at && at.nodeType === 1; at = at.parentNode) {
      if (at.wbTip) return at.wbTip;
      const title = at.localName !== "svg" && [...at.children].find((c) => c.localName === "title");
      if (title) {
        at.wbTip = title.textContent;
        at.setAttribute("aria-label", at.wbTip);
        title.remove();
        return at.wbTip;
      }
      if (at.localName === "svg") return "";
    }
    return "";
  };

  const prepareChart = (svg) => {
    const line = document.createElementNS(SVG, "line");
    line.setAttribute("class", "wb-cross");
    line.setAttribute("y1", svg.dataset.top);
    line.setAttribute("y2", svg.dataset.bottom);
    line.style.display = "none";
    line.style.pointerEvents = "none";
    svg.append(line);
    const chart = {
      line,
      left: svg.dataset.left.split(",").map(Number),
      times: svg.dataset.times.split(","),
      values: svg.dataset.values.split(",").map((v) => v.split("|")),
      labels: svg.dataset.labels.split("|"),
    };
    svg.addEventListener("mousemove", (event) => readChart(svg, chart, event));
    svg.addEventListener("mouseleave", () => { line.style.display = "none"; hide(); });
  };

  const readChart = (svg, chart, event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    let best = 0;
    chart.left.forEach((at, i) => { if (Math.abs(at - x) < Math.abs(chart.left[best] - x)) best = i; });
    chart.line.setAttribute("x1", chart.left[best]);
    chart.line.setAttribute("x2", chart.left[best]);
    chart.line.style.display = "";
    const rows = chart.values[best].map((v, k) => (chart.labels[k] ? chart.labels[k] + "  " : "") + v);
    show(event, [chart.times[best], ...rows].join("\n"));
  };

  const measure = document.createElement("canvas").getContext("2d");
  const fitText = (name, room) => {
    if (room < 18) return "";
    if (measure.measureText(name).width <= room) return name;
    let low = 0, high = name.length;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (measure.measureText(name.slice(0, middle) + "\u2026").width <= room) low = middle; else high = middle - 1;
    }
    return low >= 2 ? name.slice(0, low) + "\u2026" : "";
  };

  const prepareFlame = (svg) => {
    const frames = [...svg.querySelectorAll(".wb-frame")].map((node) => ({
      node, box: node.querySelector("rect"), x0: Number(node.dataset.x0), x1: Number(node.dataset.x1),
    }));
    const width = Number(svg.dataset.zoom);
    measure.font = "11px " + getComputedStyle(svg).fontFamily;
    let now = [0, 1];
    const zoom = (from, to) => {
      now = [from, to];
      for (const f of frames) {
        const a = Math.max((f.x0 - from) / (to - from), 0), b = Math.min((f.x1 - from) / (to - from), 1);
        const wide = (b - a) * width;
        f.node.style.display = wide > 0.3 ? "" : "none";
        if (wide <= 0.3) continue;
        f.box.setAttribute("x", a * width);
        f.box.setAttribute("width", wide);
        let label = f.node.querySelector("text");
        const text = fitText(f.node.dataset.name, wide - 9);
        if (!label && text) {
          label = document.createElementNS(SVG, "text");
          label.setAttribute("y", Number(f.box.getAttribute("y")) + 12.6);
          f.node.append(label);
        }
        if (label) {
          label.setAttribute("x", a * width + 5);
          label.textContent = text;
        }
      }
    };
    svg.style.cursor = "pointer";
    svg.addEventListener("click", (event) => {
      const hit = event.target.closest(".wb-frame");
      const frame = hit && frames.find((f) => f.node === hit);
      if (!frame || (now[0] === frame.x0 && now[1] === frame.x1)) zoom(0, 1); else zoom(frame.x0, frame.x1);
    });
  };

  const start = () => {
    document.body.append(tip);
    for (const svg of document.querySelectorAll(".wb svg[data-left]")) prepareChart(svg);
    for (const svg of document.querySelectorAll(".wb svg[data-zoom]")) prepareFlame(svg);
    for (const svg of document.querySelectorAll(".wb svg:not([data-left])")) {
      svg.addEventListener("mousemove", (event) => {
        const text = titleOf(event.target);
        if (text) show(event, text); else hide();
      });
      svg.addEventListener("mouseleave", hide);
    }
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
