// Line charts as SVG: a pointer or the arrow keys read the values off.

const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function html(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function figure(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) {
    return value.toExponential(2).replace(/\.?0+e/, "e");
  }
  return String(Number(value.toPrecision(digits)));
}

// Move a mark of a chart, or hide it.
function show(mark, place) {
  mark.setAttribute("visibility", place ? "visible" : "hidden");
  for (const [key, value] of Object.entries(place ?? {})) mark.setAttribute(key, value);
}

// Round numbers from low to high, about so many.
function ticks(low, high, about) {
  const rough = (high - low) / about || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
    found.push(Number((i * step).toPrecision(12)));
  }
  return found;
}

function logTicks(low, high, fine = false) {
  const found = [];
  for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++) {
    for (const m of fine ? [1, 1.5, 2, 3, 5, 7] : [1, 2, 5]) {
      const value = Number((m * 10 ** p).toPrecision(3));
      if (value >= low && value <= high) found.push(value);
    }
  }
  if (found.length < 4 && !fine) return logTicks(low, high, true);
  return found.length > 7 ? found.filter((v) => /^1/.test(v.toExponential())) : found;
}

// series: [{name, run, dashed, x: [...], y: [...]}]; where `values` is given, it has what to
// print for each x, else y. options: title, xLabel, xText(x), yText(y), log, top, whole.
function lineChart(holder, series, options) {
  const [width, height, left, bottom, top, right] = [480, 270, 52, 38, 10, 12];
  const pairs = series.flatMap((s) => s.x.map((x, i) => [x, s.y[i]]))
    .filter(([, y]) => y !== null);
  holder.replaceChildren(html("h3", {}, options.title));
  if (!pairs.length) {
    holder.append(html("p", { class: "fine" }, "No values."));
    return;
  }
  const xs = pairs.map(([x]) => x), ys = pairs.map(([, y]) => y);
  const log = options.log && Math.min(...ys) > 0;
  let [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  if (x0 === x1) [x0, x1] = [x0 - 0.5, x1 + 0.5];
  let [y0, y1] = log ? [Math.min(...ys) / 1.1, Math.max(...ys) * 1.1]
    : [0, options.top ?? (Math.max(...ys) * 1.05 || 1)];
  const scale = (v) => (log ? Math.log(v) : v);
  const px = (x) => left + ((x - x0) / (x1 - x0)) * (width - left - right);
  const py = (y) => height - bottom
    - ((scale(y) - scale(y0)) / (scale(y1) - scale(y0))) * (height - bottom - top);
  const yText = options.yText ?? figure, xText = options.xText ?? String;

  const chart = svg("svg", {
    class: "chart", viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "img",
    "aria-label": `${options.title}. Left and right arrow keys read values.`,
  });
  for (const tick of log ? logTicks(y0, y1) : ticks(y0, y1, 5)) {
    chart.append(
      svg("line", { class: "grid", x1: left, x2: width - right, y1: py(tick), y2: py(tick) }),
      svg("text", { x: left - 6, y: py(tick) + 4, "text-anchor": "end" }, yText(tick)),
    );
  }
  for (const tick of ticks(x0, x1, 6).filter((v) => !options.whole || Number.isInteger(v))) {
    chart.append(svg("text", {
      x: px(tick), y: height - bottom + 16, "text-anchor": "middle",
    }, xText(tick)));
  }
  chart.append(svg("text", {
    x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle",
  }, options.xLabel));
  for (const s of series) {
    const drawn = s.x.map((x, i) => [x, s.y[i]]).filter(([, y]) => y !== null && (!log || y > 0));
    let path = "";
    drawn.forEach(([x, y], i) => {
      if (s.steps && i) path += `H${px(x).toFixed(1)}`;
      path += `${i ? "L" : "M"}${px(x).toFixed(1)},${py(y).toFixed(1)}`;
    });
    chart.append(svg("path", {
      class: `series run-${s.run}${s.dashed ? " dashed" : ""}`, d: path,
    }));
    if (drawn.length === 1) {
      const [x, y] = drawn[0];
      chart.append(svg("circle", { class: `spot run-${s.run}`, cx: px(x), cy: py(y), r: 3.5 }));
    }
  }
  const cursor = svg("line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
  const spots = series.map((s) => svg("circle", { class: `spot run-${s.run}`, r: 4, visibility: "hidden" }));
  chart.append(cursor, ...spots);
  const readout = html("ul", { class: "values", "aria-live": "polite" });
  holder.append(chart, readout);

  const levels = [...new Set(series.flatMap((s) => s.x))].sort((a, b) => a - b);
  let at = null;
  function read(index) {
    at = index;
    const x = index === null ? null : levels[index];
    show(cursor, x === null ? null : { x1: px(x), x2: px(x) });
    const lines = series.map((s, i) => {
      const place = x === null ? -1 : s.x.indexOf(x);
      const y = place < 0 ? null : s.y[place];
      show(spots[i], y === null ? null : { cx: px(x), cy: py(y) });
      const swatch = html("span", { class: `swatch run-${s.run}${s.dashed ? " dashed" : ""}` });
      return html("li", {}, swatch, s.name, y === null ? "" : `: ${yText(y)}`);
    });
    const where = x === null ? "" : (options.where ?? ((v) => `${options.xLabel} ${xText(v)}`))(x);
    readout.replaceChildren(...(where ? [html("li", {}, html("b", {}, where))] : []), ...lines);
  }
  function nearest(event) {
    const box = chart.getBoundingClientRect();
    const x = x0 + (((event.clientX - box.left) / box.width * width - left)
      / (width - left - right)) * (x1 - x0);
    const gaps = levels.map((level) => Math.abs(level - x));
    read(gaps.indexOf(Math.min(...gaps)));
  }
  chart.addEventListener("pointermove", nearest);
  chart.addEventListener("pointerdown", nearest);
  chart.addEventListener("pointerleave", () => read(null));
  chart.addEventListener("blur", () => read(null));
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const start = step > 0 ? -1 : levels.length;
    read(Math.max(0, Math.min(levels.length - 1, (at ?? start) + step)));
  });
  read(null);
}
