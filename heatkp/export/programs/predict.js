// Points on an image, in a browser or in Node, with ONNX Runtime (npm install onnxruntime-web).
//
//   import * as ort from "onnxruntime-web";
//   import { load, predict } from "./predict.mjs";
//   const model = await load(ort, await (await fetch("model.json")).json(), "model.onnx");
//   const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
//   const found = await predict(model, pixels);
//
// What `predict` takes and gives is written beside it, at the end. Coordinates are pixels, (0, 0)
// the centre of the first pixel.

export async function load(ort, about, file) {
  return { ort, about, session: await ort.InferenceSession.create(file) };
}

// Edges [x0, y0, x1, y1] of the part of a width x height image that the network sees.
export function region(about, width, height, box) {
  const { size, box_scale, box_shift, keep_aspect, box_inside } = about.framing;
  const extent = [width, height];
  let edges = [-0.5, -0.5, width - 0.5, height - 0.5];
  const around = (centre, half) => [...centre.map((c, i) => c - half[i]), ...centre.map((c, i) => c + half[i])];
  const middle = (e) => [0, 1].map((i) => (e[i] + e[i + 2]) / 2);
  const span = (e) => [0, 1].map((i) => e[i + 2] - e[i]);
  if (box_scale !== null && box) {
    const centre = middle(box).map((c, i) => c + box_shift[i] * span(box)[i]);
    edges = around(centre, span(box).map((side) => (side * box_scale) / 2));
  }
  if (keep_aspect) {
    const scale = Math.max(...span(edges).map((side, i) => side / size[i]));
    edges = around(middle(edges), size.map((side) => (scale * side) / 2));
  }
  if (box_inside) edges = edges.map((e, i) => Math.min(Math.max(e, -0.5), extent[i % 2] - 0.5));
  return edges;
}

// That part as the network's input (1, C, H, W), averaged where it shrinks much. `pixels` is
// ImageData: width, height, and data as RGBA.
export function look(about, pixels, edges) {
  const [width, height] = about.framing.size;
  const grey = about.input.values === "grey";
  const out = new Uint8Array((grey ? 1 : 3) * width * height);
  const sx = (edges[2] - edges[0]) / width, sy = (edges[3] - edges[1]) / height;
  const n = Math.max(1, Math.floor(Math.sqrt(sx * sy) / 1.25)); // samples a pixel along each axis
  const clamp = (v, most) => Math.min(Math.max(v, 0), most);
  const at = (x, y, c) =>
    pixels.data[4 * (clamp(y, pixels.height - 1) * pixels.width + clamp(x, pixels.width - 1)) + c];
  for (let v = 0; v < height; v++)
    for (let u = 0; u < width; u++) {
      const rgb = [0, 0, 0];
      for (let j = 0; j < n; j++)
        for (let i = 0; i < n; i++) {
          const x = edges[0] + (u + (i + 0.5) / n) * sx, y = edges[1] + (v + (j + 0.5) / n) * sy;
          const x0 = Math.floor(x), y0 = Math.floor(y), a = x - x0, b = y - y0;
          for (let c = 0; c < 3; c++)
            rgb[c] += (1 - b) * ((1 - a) * at(x0, y0, c) + a * at(x0 + 1, y0, c)) +
              b * ((1 - a) * at(x0, y0 + 1, c) + a * at(x0 + 1, y0 + 1, c));
        }
      const seen = rgb.map((sum) => sum / (n * n)), place = v * width + u;
      if (grey) out[place] = Math.round(0.299 * seen[0] + 0.587 * seen[1] + 0.114 * seen[2]);
      else seen.forEach((value, c) => (out[c * width * height + place] = Math.round(value)));
    }
  return out;
}
