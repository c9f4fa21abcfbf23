// Objects [{score, box, points: [{name, x, y, score}, ...]}, ...] in an image, the surest first; a box
// has the edges [x0, y0, x1, y1].
export async function predict(model, pixels) {
  const { ort, about, session } = model;
  const [width, height] = about.framing.size;
  const edges = region(about, pixels.width, pixels.height, null);
  const input = look(about, pixels, edges);
  const shape = [1, about.input.shape[1], height, width];
  const found = await session.run({ images: new ort.Tensor("uint8", input, shape) });
  const scale = [(edges[2] - edges[0]) / width, (edges[3] - edges[1]) / height];
  const back = (value, axis) => (value + 0.5) * scale[axis] + edges[axis];
  const count = about.names.length;
  const objects = [];
  found.box_scores.data.forEach((score, n) => {
    if (!(score > 0)) return;
    objects.push({
      score,
      box: [0, 1, 2, 3].map((i) => back(found.boxes.data[4 * n + i], i % 2)),
      points: about.names.map((name, k) => ({
        name,
        x: back(found.points.data[2 * (n * count + k)], 0),
        y: back(found.points.data[2 * (n * count + k) + 1], 1),
        score: found.scores.data[n * count + k],
      })),
    });
  });
  return objects;
}
