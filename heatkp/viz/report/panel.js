// The viewer: one sample with its points, and the maps of one of them, for one run or several.

const TRUE_COLOUR = [61, 220, 90];
const KEPT = 40; // decoded samples
// What true maps are, by head, in words that hold for each of its variants.
const ASKS = {
  softargmax: "a Gaussian of the mean and width that training asks for",
  marginal: "a Gaussian of the row and column sums that training asks for",
  nll: "a Gaussian of the mean that training asks for and the width that it learned",
  other: "what training asks for",
};

function canvasOf(width, height) {
  const made = html("canvas");
  [made.width, made.height] = [width, height];
  return made;
}

async function decode(uri) {
  const image = new Image();
  image.src = uri;
  await image.decode();
  return image;
}

function pixelsOf(image) {
  const canvas = canvasOf(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

function greyOf(image) {
  const pixels = pixelsOf(image), values = pixels.data;
  for (let i = 0; i < values.length; i += 4) {
    values.fill((values[i] + values[i + 1] + values[i + 2]) / 3, i, i + 3);
  }
  const canvas = canvasOf(pixels.width, pixels.height);
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

class Panel {
  constructor(data, state, change) {
    Object.assign(this, { data, state, change, decoded: new Map(), views: [], drawing: 0 });
    this.root = document.getElementById("panel");
    this.holder = document.getElementById("views");
    new ResizeObserver(() => this.paint()).observe(this.holder);
    this.root.addEventListener("keydown", (event) => this.key(event));
  }

  // Pictures of a sample, decoded: {picture, grey, atlas}; atlas is null without maps.
  assets(face, run) {
    const key = `${face}:${run}`, found = this.data.faces[face].runs[run];
    if (!this.decoded.has(key)) {
      this.decoded.set(key, (async () => {
        const picture = await decode(this.data.images[found.image]);
        const atlas = found.atlas ? pixelsOf(await decode(found.atlas)) : null;
        return { picture, grey: greyOf(picture), atlas };
      })());
      if (this.decoded.size > KEPT) this.decoded.delete(this.decoded.keys().next().value);
    }
    return this.decoded.get(key);
  }

  // Map of point k as a canvas of its own cells, clear at 0. channel 0: predicted, 1: true.
  map(run, atlas, k, channel, green) {
    const { width, height, columns } = this.data.runs[run].maps;
    const canvas = canvasOf(width, height), context = canvas.getContext("2d");
    const cells = context.createImageData(width, height);
    const left = (k % columns) * width, top = Math.floor(k / columns) * height;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const level = atlas.data[4 * ((top + y) * atlas.width + left + x) + channel];
        const colour = green ? TRUE_COLOUR : this.data.ramp.slice(3 * level, 3 * level + 3);
        const alpha = (green ? 170 : 230) * Math.sqrt(level / 255);
        cells.data.set([...colour, alpha], 4 * (y * width + x));
      }
    }
    context.putImageData(cells, 0, 0);
    return canvas;
  }

  // Draw a region (left, top, width, height, from the input's corner, in its pixels).
  draw(canvas, run, region, { picture, grey }, maps) {
    const box = canvas.getBoundingClientRect(), fine = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(box.width * fine));
    canvas.height = Math.max(1, Math.round(box.height * fine));
    const context = canvas.getContext("2d"), facts = this.data.runs[run];
    const [sx, sy] = [canvas.width / region[2], canvas.height / region[3]];
    context.setTransform(sx, 0, 0, sy, -region[0] * sx, -region[1] * sy);
    const blend = maps.length ? this.state.blend : 0;
    context.globalAlpha = Math.min(1, 2 * (1 - blend));
    context.drawImage(picture, 0, 0, ...facts.size);
    context.globalAlpha *= Math.min(1, 2 * blend);
    context.drawImage(grey, 0, 0, ...facts.size);
    context.globalAlpha = Math.min(1, 2 * blend);
    context.imageSmoothingEnabled = false;
    for (const map of maps) {
      const { width, height, stride } = facts.maps;
      context.drawImage(map, 0, 0, width * stride, height * stride);
    }
  }

  shownRuns() {
    const all = this.data.runs.map((_, i) => i);
    return this.state.beside ? all : [this.state.run];
  }

  // Everything anew: another sample, or other runs.
  build() {
    const { face } = this.state, sample = this.data.faces[face];
    if (this.holder.contains(document.activeElement)) this.root.focus({ preventScroll: true });
    this.views = this.shownRuns().map((run) => this.view(run, sample.runs[run]));
    for (const view of this.views) view.root.classList.toggle("single", this.views.length === 1);
    this.holder.replaceChildren(...this.views.map((view) => view.root));
    this.pick();
  }

  view(run, found) {
    const { name, size, maps } = this.data.runs[run], [width, height] = size;
    const root = html("div", { class: `view run-${run}`, "data-run": run });
    const canvas = html("canvas", { "aria-hidden": true });
    const points = svg("svg", {
      viewBox: `-0.5 -0.5 ${width} ${height}`, role: "radiogroup",
      "aria-label": `Keypoints${this.data.runs.length > 1 ? `, ${name}` : ""}`,
    });
    const stage = html("div", { class: "stage" }, canvas, points);
    stage.style.aspectRatio = `${width} / ${height}`;
    stage.style.width = `min(100%, ${(80 * width) / height}vh)`;
    const radius = Math.max(width, height) * (this.data.points.length < 6 ? 0.012 : 0.007);
    const marks = this.data.points.map((_, k) => this.keypoint(found, k, radius));
    points.append(...marks.filter(Boolean));
    const spread = svg("ellipse", { class: "ellipse" });
    points.append(spread);
    const close = maps ? ["predicted", "true"].map((kind) => this.closeup(kind)) : [
      this.closeup("picture")];
    const facts = html("dl", { class: "facts" });
    const side = html("div", {}, html("div", { class: "closeups" }, ...close.map((c) => c.root)));
    if (!maps) {
      side.append(html("p", { class: "without" }, `${name} is a regression run: it answers with `
        + "coordinates, without maps, scores or ellipses. Only its points are shown."));
    }
    side.append(facts);
    const title = this.data.runs.length > 1 ? [html("h3", {}, name)] : [];
    root.append(html("div", {}, ...title, stage), side);
    const select = (event) => {
      const k = this.nearest(points, found, size, event);
      if (k !== null) this.change({ point: k, ...(event.type === "pointerdown" ? { run } : {}) });
    };
    points.addEventListener("pointermove", select);
    points.addEventListener("pointerdown", select);
    return { run, found, root, canvas, marks, spread, close, facts };
  }

  keypoint(found, k, radius) {
    const truth = found.truth[k], point = found.points[k];
    const at = point ?? truth;
    if (!at) return null;
    const mark = svg("g", { class: "keypoint", role: "radio", "data-point": k });
    mark.setAttribute("aria-label", `${this.data.points[k]}, ${this.errorWords(found, k)}`);
    const [x, y] = at;
    mark.append(svg("circle", { class: "halo", cx: x, cy: y, r: 2.2 * radius }));
    if (truth && point) {
      mark.append(svg("line", { class: "gap", x1: truth[0], y1: truth[1], x2: x, y2: y }));
    }
    if (truth) mark.append(svg("circle", { class: "ring", cx: truth[0], cy: truth[1], r: 1.4 * radius }));
    if (point) mark.append(svg("circle", { class: "dot", cx: x, cy: y, r: radius }));
    mark.addEventListener("focus", () => this.change({ point: k }));
    return mark;
  }

  // The keypoint nearest a pointer, if one is near: true or predicted place.
  nearest(points, found, [width, height], event) {
    const box = points.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width - 0.5;
    const y = ((event.clientY - box.top) / box.height) * height - 0.5;
    let [best, least] = [null, 0.08 * Math.max(width, height)];
    this.data.points.forEach((_, k) => {
      for (const place of [found.points[k], found.truth[k]]) {
        const gap = place ? Math.hypot(place[0] - x, place[1] - y) : Infinity;
        if (gap < least) [best, least] = [k, gap];
      }
    });
    return best;
  }

  closeup(kind) {
    const canvas = html("canvas", { "aria-hidden": true });
    const marks = svg("svg", { "aria-hidden": true });
    const caption = html("figcaption");
    const root = html("figure", { class: `closeup-${kind}` },
      html("div", { class: "stage" }, canvas, marks), caption);
    return { kind, root, canvas, marks, caption };
  }

  errorWords(found, k) {
    if (!found.truth[k]) return "not labelled";
    if (found.distance[k] === null) return "no answer";
    const share = found.length
      ? `, ${figure((100 * found.distance[k]) / found.length)} % of ${this.data.normaliser}` : "";
    return `error ${figure(found.distance[k])} px of the image${share}`;
  }

  // Another keypoint of the same sample.
  pick() {
    const { point, run } = this.state;
    for (const view of this.views) {
      view.root.classList.toggle("active", this.views.length > 1 && view.run === run);
      view.marks.forEach((mark, k) => {
        if (!mark) return;
        mark.classList.toggle("chosen", k === point);
        mark.setAttribute("aria-checked", k === point);
        mark.setAttribute("tabindex", k === point ? 0 : -1);
      });
      this.tell(view);
    }
    const words = this.errorWords(this.data.faces[this.state.face].runs[run], point);
    document.getElementById("status").textContent = `${this.data.points[point]}: ${words}`;
    this.paint();
  }

  tell({ run, found, facts, spread }) {
    const { point } = this.state, rows = [];
    const add = (name, value, note = "") => rows.push(
      html("dt", {}, name), html("dd", {}, value, " ", html("small", {}, note)));
    const [truth, at] = [found.truth[point], found.points[point]];
    add("Keypoint", this.data.points[point], `number ${point}`);
    if (truth && at) {
      const gap = Math.hypot(at[0] - truth[0], at[1] - truth[1]);
      add("Error", `${figure(found.distance[point])} px`, `of the image, ${figure(gap)} px of the input`);
      if (found.length) {
        add("", `${figure((100 * found.distance[point]) / found.length)} %`,
          `of ${this.data.normaliser} (${figure(found.length)} px of the image)`);
      }
    } else add("Error", "–", truth ? "no answer" : "not labelled");
    if (found.scores) add("Score", figure(found.scores[point]), "0 unsure, 1 sure");
    const shape = found.ellipses && found.ellipses[point];
    if (found.ellipses) {
      add("2 σ ellipse", shape ? `${figure(shape[0])} × ${figure(shape[1])} px` : "–",
        shape ? `of the input, turned by ${Math.round(shape[2])}°` : "none for this map");
    }
    facts.replaceChildren(...rows);
    this.place(spread, shape, at);
  }

  place(ellipse, shape, at) {
    ellipse.setAttribute("visibility", shape && at ? "visible" : "hidden");
    if (!shape || !at) return;
    const [x, y] = at;
    for (const [key, value] of Object.entries({
      cx: x, cy: y, rx: shape[0] / 2, ry: shape[1] / 2,
      transform: `rotate(${shape[2]} ${x} ${y})`,
    })) ellipse.setAttribute(key, value);
  }

  // The canvases, once what they show is decoded; a newer call overtakes an older.
  async paint() {
    const turn = ++this.drawing, { face, point, map } = this.state;
    this.root.setAttribute("aria-busy", true);
    const ready = await Promise.all(this.views.map((view) => this.assets(face, view.run)));
    if (turn !== this.drawing) return;
    const share = Math.max(...this.views.map((view) => this.closeness(view)));
    this.views.forEach((view, i) => {
      const assets = ready[i], { run, found } = view, { size } = this.data.runs[run];
      const one = (kind, green) => this.map(run, assets.atlas, point, kind, green);
      const layers = !assets.atlas ? [] : map === "both" ? [one(0), one(1, true)]
        : [one(map === "true" ? 1 : 0)];
      this.draw(view.canvas, run, [0, 0, ...size], assets, layers);
      for (const close of view.close) {
        const shown = { predicted: () => [one(0)], true: () => [one(1)], picture: () => [] };
        this.zoom(view, close, assets, shown[close.kind](), share);
      }
    });
    this.root.setAttribute("aria-busy", false);
  }

  // What a close-up of the keypoint has to hold: left, top, right, bottom.
  ends({ run, found }) {
    const { point } = this.state, { size } = this.data.runs[run];
    const places = [found.truth[point], found.points[point]].filter(Boolean);
    const at = places.length ? places : [[size[0] / 2, size[1] / 2]];
    const [xs, ys] = [at.map((p) => p[0]), at.map((p) => p[1])];
    return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
  }

  // The share of the input's width that a close-up takes; all runs get the largest.
  closeness(view) {
    const [x0, y0, x1, y1] = this.ends(view), { size, maps } = this.data.runs[view.run];
    return (Math.max(x1 - x0, y1 - y0) + 8 * (maps ? maps.stride : size[0] / 48)) / size[0];
  }

  zoom({ run, found }, close, assets, maps, share) {
    const { point } = this.state, wide = share * this.data.runs[run].size[0];
    const [x0, y0, x1, y1] = this.ends({ run, found });
    const [left, top] = [(x0 + x1 - wide) / 2, (y0 + y1 - wide) / 2];
    this.draw(close.canvas, run, [left + 0.5, top + 0.5, wide, wide], assets, maps);
    close.marks.setAttribute("viewBox", `${left} ${top} ${wide} ${wide}`);
    const [truth, at] = [found.truth[point], found.points[point]], marks = [];
    if (truth && at) {
      marks.push(svg("line", { class: "gap", x1: truth[0], y1: truth[1], x2: at[0], y2: at[1] }));
    }
    if (truth) marks.push(svg("circle", { class: "ring", cx: truth[0], cy: truth[1], r: wide / 30 }));
    if (at) marks.push(svg("circle", { class: "dot", cx: at[0], cy: at[1], r: wide / 60 }));
    const shape = found.ellipses && found.ellipses[point];
    if (shape && close.kind === "predicted") {
      const spread = svg("ellipse", { class: "ellipse" });
      this.place(spread, shape, at);
      marks.push(spread);
    }
    close.marks.replaceChildren(...marks);
    close.caption.textContent = this.caption(close.kind, run, found, wide);
  }

  caption(kind, run, found, wide) {
    const { point } = this.state, facts = this.data.runs[run].maps;
    const region = `${figure(wide)} input pixels wide`;
    if (kind === "picture") return `Close-up, ${region}.`;
    if (kind === "predicted") {
      return `Predicted map, ${region}, cells of ${facts.stride} × ${facts.stride}. Brightest is `
        + `its own peak, ${figure(found.peaks[point])}: ${facts.white}.`;
    }
    if (!found.truth[point]) return "True map: none, the point is not labelled.";
    const peak = found.targetPeaks[point], asks = ASKS[this.data.runs[run].head] ?? ASKS.other;
    if (peak === null) return "True map: none, training asks for a mean and not for a map.";
    return peak ? `True map: ${asks}. Brightest is its own peak, ${figure(peak)}.`
      : "True map: empty, the true point is outside the input.";
  }

  key(event) {
    const native = event.target.matches("input, select, textarea");
    if (native || event.altKey || event.ctrlKey || event.metaKey) return;
    const { point, run } = this.state, count = this.data.points.length;
    const moves = {
      ArrowLeft: () => this.change({ step: -1 }), ArrowRight: () => this.change({ step: 1 }),
      ArrowUp: () => this.change({ point: (point + count - 1) % count }),
      ArrowDown: () => this.change({ point: (point + 1) % count }),
    };
    const digit = Number(event.key) - 1;
    const move = moves[event.key]
      ?? (digit >= 0 && digit < this.data.runs.length && digit !== run
        ? () => this.change({ run: digit }) : null);
    if (!move) return;
    event.preventDefault();
    const onPoint = event.target.matches(".keypoint");
    move();
    if (onPoint) this.holder.querySelector(".keypoint.chosen")?.focus();
  }
}
