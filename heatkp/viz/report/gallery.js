// The gallery: a card for each sample, in the chosen order.

class Gallery {
  constructor(data, state, change) {
    Object.assign(this, { data, state });
    this.root = document.getElementById("gallery");
    this.cards = data.faces.map((face, i) => {
      const stage = html("span", { class: "stage" });
      const caption = html("span", { class: "caption" });
      const button = html("button", { type: "button", class: "card", "data-face": i }, stage, caption);
      stage.style.display = "block";
      button.addEventListener("click", () => change({ face: i, open: true }));
      return { item: html("li", {}, button), button, stage, caption };
    });
    this.fill();
    this.sort();
  }

  errorText(mean) {
    if (mean === null) return "not labelled";
    return this.data.normaliser ? `${figure(100 * mean)} %` : `${figure(mean)} px`;
  }

  // Pictures, points and captions of the selected run.
  fill() {
    const { run } = this.state, [width, height] = this.data.runs[run].size;
    this.data.faces.forEach((face, i) => {
      const { stage, caption, button } = this.cards[i], found = face.runs[run];
      const dots = (points) => points.filter(Boolean).map(([x, y]) => `M${x},${y}h0`).join("");
      const picture = html("img", { alt: "", decoding: "async", src: this.data.images[found.image] });
      const marks = svg("svg", { viewBox: `-0.5 -0.5 ${width} ${height}`, "aria-hidden": true },
        svg("path", { d: dots(found.truth), stroke: "var(--truth)" }),
        svg("path", { d: dots(found.points), stroke: "var(--predicted)" }));
      stage.style.aspectRatio = `${width} / ${height}`;
      stage.replaceChildren(picture, marks);
      const turn = this.state.order === "turn" && face.turn !== null
        ? `, turned ${Math.round(face.turn)}°` : "";
      caption.replaceChildren(html("b", {}, this.errorText(found.mean) + turn),
        html("small", { title: face.id }, face.id.split("/").pop()));
      button.setAttribute("aria-label", `${face.id}, mean error ${this.errorText(found.mean)}${turn}`);
    });
  }

  sort() {
    const { order, run } = this.state, { faces } = this.data;
    const error = (i) => faces[i].runs[run].mean;
    const value = {
      worst: (i) => (error(i) === null ? null : -error(i)),
      best: error,
      name: () => 0,
      turn: (i) => (faces[i].turn === null ? null : -Math.abs(faces[i].turn)),
    }[order];
    const names = new Intl.Collator(undefined, { numeric: true });
    this.order = faces.map((_, i) => i).sort((a, b) =>
      (value(a) ?? Infinity) - (value(b) ?? Infinity) || names.compare(faces[a].id, faces[b].id));
    this.root.append(...this.order.map((i) => this.cards[i].item));
  }

  mark() {
    this.cards.forEach(({ button }, i) => {
      if (i === this.state.face) button.setAttribute("aria-current", true);
      else button.removeAttribute("aria-current");
    });
    const { button } = this.cards[this.state.face], { root } = this;
    const [card, box] = [button.getBoundingClientRect(), root.getBoundingClientRect()];
    if (card.top < box.top) root.scrollTop -= box.top - card.top;
    if (card.bottom > box.bottom) root.scrollTop += card.bottom - box.bottom;
  }
}
