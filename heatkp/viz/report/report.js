// What belongs to the page as a whole: state, controls, curves, tables.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const percent = (digits) => (v) => `${Number((100 * v).toFixed(digits))} %`;

function viewer() {
  const state = {
    face: 0, point: 0, run: 0, map: "predicted", blend: 0.5, order: "worst",
    beside: data.runs.length > 1 && !window.matchMedia("(max-width: 760px)").matches,
  };
  let panel, gallery;

  function change(what) {
    const before = { ...state };
    const { step = 0, open = false, ...rest } = what;
    Object.assign(state, rest);
    if (step) {
      const place = gallery.order.indexOf(state.face), count = gallery.order.length;
      state.face = gallery.order[(place + step + count) % count];
    }
    const other = (...keys) => keys.some((key) => state[key] !== before[key]);
    if (other("run", "order")) gallery.fill();
    if (other("run", "order")) gallery.sort();
    if (other("face", "beside") || (other("run") && !state.beside)) panel.build();
    else if (other("point", "run")) panel.pick();
    else if (other("map", "blend")) panel.paint();
    if (other("face", "run", "order")) {
      gallery.mark();
      title();
    }
    byId("point").value = state.point;
    for (const input of document.querySelectorAll("input[name=run]")) {
      input.checked = Number(input.value) === state.run;
    }
    if (open) {
      panel.root.focus({ preventScroll: true });
      panel.root.scrollIntoView({ block: "start" });
    }
  }

  function title() {
    const face = data.faces[state.face], place = gallery.order.indexOf(state.face) + 1;
    const facts = [
      `${place} of ${gallery.order.length}`,
      `mean error ${gallery.errorText(face.runs[state.run].mean)}`,
    ];
    if (face.turn !== null) facts.push(`head turned ${Math.round(face.turn)}°`);
    byId("face-name").replaceChildren(face.id, html("small", {}, facts.join(" · ")));
  }

  data.points.forEach((name, k) => byId("point").append(
    html("option", { value: k }, data.points.length > 1 ? `${k} ${name}` : name)));
  gallery = new Gallery(data, state, change);
  panel = new Panel(data, state, change);
  [state.face] = gallery.order;
  state.point = worstPoint(data.faces[state.face].runs[0]);
  byId("point").value = state.point;
  panel.build();
  gallery.mark();
  title();

  if (byId("beside")) byId("beside").checked = state.beside;
  const on = (id, event, action) => byId(id)?.addEventListener(event, action);
  on("previous", "click", () => change({ step: -1 }));
  on("next", "click", () => change({ step: 1 }));
  on("point", "change", (event) => change({ point: Number(event.target.value) }));
  on("order", "change", (event) => change({ order: event.target.value }));
  on("runs", "change", (event) => change({ run: Number(event.target.value) }));
  on("beside", "change", (event) => change({ beside: event.target.checked }));
  on("maps", "change", (event) => change({ map: event.target.value }));
  on("blend", "input", (event) => {
    event.target.setAttribute("aria-valuetext", `${event.target.value} % towards the map`);
    change({ blend: event.target.value / 100 });
  });
  on("marks", "change", (event) => panel.root.classList.toggle("hide-marks", !event.target.checked));
  const ramp = byId("ramp");
  if (ramp) {
    const stops = [0, 51, 102, 153, 204, 255].map((v) => `rgb(${data.ramp.slice(3 * v, 3 * v + 3)})`);
    ramp.style.background = `linear-gradient(90deg, ${stops})`;
  }
  for (const cell of document.querySelectorAll("#keypoints tbody th")) {
    const name = html("button", { type: "button" }, ...cell.childNodes);
    name.addEventListener("click", () => change({ point: Number(cell.dataset.value), open: true }));
    cell.replaceChildren(name);
  }
}

function worstPoint(found) {
  const errors = found.distance.map((e) => e ?? -1);
  return errors.indexOf(Math.max(...errors));
}

function curves() {
  const { edges, unit, runs } = data.distribution;
  const named = (i, text = "") => (data.runs.length > 1 ? data.runs[i].name : "") + text;
  const level = unit === "%" ? percent(2) : (v) => `${figure(v)} px`;
  const of = data.normaliser ? `mean error, share of ${data.normaliser}` : "mean error, photo px";
  lineChart(byId("cumulative"), runs.map((run, i) => ({
    name: named(i) || "this run", run: i, x: run.levels, y: run.shares,
  })), {
    title: `Share of ${data.noun[1]} below each error`, xLabel: of, xText: level, yText: percent(1),
    top: 1, where: (v) => `mean error up to ${level(v)}`,
  });
  const last = edges.length - 2;
  lineChart(byId("histogram"), runs.map((run, i) => ({
    name: named(i, run.over ? ` (${run.over} beyond, in the last bin)` : "") || "this run", run: i,
    steps: true, x: [...edges.slice(0, -1), edges[last + 1]],
    y: [...run.histogram, run.histogram[last]],
  })), {
    title: `How ${data.noun[1]} spread over errors`, xLabel: of, xText: level, yText: percent(1),
    where: (v) => {
      const bin = Math.min(edges.indexOf(v), last);
      return `${level(edges[bin])} to ${level(edges[bin + 1])}`;
    },
  });
  if (!byId("loss")) return;
  const history = (name, extra = {}) => data.histories.flatMap((own, i) =>
    (own ? [{ name: named(i, extra.suffix) || "this run", run: i, ...own[name], ...extra }] : []));
  const epochs = { xLabel: "epoch", whole: true, log: true };
  lineChart(byId("loss"), [
    ...history("train_loss", { dashed: true, suffix: " training" }),
    ...history("val_loss", { suffix: " validation" }),
  ], { ...epochs, title: "Loss" });
  lineChart(byId("validation"), history("val_mae"),
    { ...epochs, title: "Validation MAE, input pixels" });
  lineChart(byId("rate"), history("lr"), { ...epochs, title: "Learning rate at the epoch's end" });
}

function sortable(table) {
  const heads = [...table.tHead.rows].at(-1).cells;
  for (const head of heads) {
    const button = head.querySelector("button");
    button.addEventListener("click", () => {
      const first = button.dataset.kind === "text" ? "ascending" : "descending";
      const other = { ascending: "descending", descending: "ascending" };
      const next = other[head.getAttribute("aria-sort")] ?? first;
      for (const each of heads) each.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", next);
      const value = (row) => {
        const text = row.cells[head.cellIndex].dataset.value;
        return text === "" ? null : Number(text) * (next === "ascending" ? 1 : -1);
      };
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => (value(a) ?? Infinity) - (value(b) ?? Infinity));
      table.tBodies[0].append(...rows);
    });
  }
}

function settings() {
  const search = byId("search"), differences = byId("differences");
  const groups = [...document.querySelectorAll("details.group")];
  const opened = groups.map((group) => group.open);
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const filtering = words.length > 0 || differences?.checked;
    let found = 0;
    groups.forEach((group, g) => {
      let own = 0;
      for (const row of group.querySelectorAll(".setting")) {
        const text = row.dataset.text.toLowerCase();
        const shown = words.every((word) => text.includes(word))
          && (!differences?.checked || row.classList.contains("differs"));
        row.hidden = !shown;
        own += shown;
      }
      group.hidden = own === 0;
      group.open = filtering ? own > 0 : opened[g];
      found += own;
    });
    byId("search-found").textContent = filtering ? `${found} settings` : "";
  };
  search.addEventListener("input", filter);
  differences?.addEventListener("change", filter);
}

if (data.faces.length) viewer();
else byId("panel").replaceChildren(html("p", {}, "Not one sample fits into a page of 10 MB."));
curves();
document.querySelectorAll("table.sortable").forEach(sortable);
settings();
window.addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details")) each.open = true;
});
