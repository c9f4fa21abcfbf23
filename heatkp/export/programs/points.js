// Points [{name, x, y, score}, ...] of the object with the edges [x0, y0, x1, y1]; without a box the
// network sees the whole image.
export async function predict(model, pixels, box) {
  const { ort, about, session } = model;
  const [width, height] = about.framing.size;
  const edges = region(about, pixels.width, pixels.height, box);
  const input = look(about, pixels, edges);
  const shape = [1, about.input.shape[1], height, width];
  const found = await session.run({ images: new ort.Tensor("uint8", input, shape) });
  const { points, scores } = found;
  const sx = (edges[2] - edges[0]) / width, sy = (edges[3] - edges[1]) / height;
  return about.names.map((name, k) => ({
    name,
    x: (points.data[2 * k] + 0.5) * sx + edges[0],
    y: (points.data[2 * k + 1] + 0.5) * sy + edges[1],
    score: scores.data[k],
  }));
}
