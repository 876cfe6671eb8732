// The first half of image.onnx' resize, from a row of any width to one as narrow as the network: to the bit the same,
// but without the products with zero, which cost seconds in a photograph of 12 megapixels. What is that narrow already
// image.onnx leaves as it is, and goes on with the columns.
//
// Pillow's triangle filter: of `width` pixels to `size`, output i lies at (i + 1/2) width / size, input j at j + 1/2,
// and the triangle reaches max(width / size, 1) to each side. Weights are whole numbers, 2**22 together.

const ONE = 2 ** 22;

// { size, first, counts: [size], weights: Int32Array, one output's after the other's }
export function acrossWeights(width, size) {
  const first = new Int32Array(size);
  const counts = new Int32Array(size);
  const weights = [];
  const reach = 2 * Math.max(width, size);
  for (let i = 0; i < size; i++) {
    // Times 2 size, all of these are whole numbers.
    const middle = (2 * i + 1) * width;
    const from = Math.max(0, Math.floor((middle - reach) / (2 * size) - 0.5));
    const to = Math.min(width, Math.ceil((middle + reach) / (2 * size) + 0.5));
    const triangle = [];
    for (let j = from; j < to; j++) triangle.push(Math.max(0, reach - Math.abs((2 * j + 1) * size - middle)));
    const sum = triangle.reduce((a, b) => a + b);
    for (const height of triangle) weights.push(Math.floor((height * ONE) / sum + 0.5));
    first[i] = from;
    counts[i] = triangle.length;
  }
  return { size, first, counts, weights: Int32Array.from(weights) };
}

// row: RGBA of the whole width; out: RGB of `size` pixels, rounded to whole grey levels.
export function narrowRow(row, { size, first, counts, weights }, out) {
  for (let i = 0, at = 0, to = 0; i < size; i++) {
    let red = ONE / 2;
    let green = ONE / 2;
    let blue = ONE / 2;
    for (let j = first[i] * 4, end = at + counts[i]; at < end; at++, j += 4) {
      const weight = weights[at];
      red += weight * row[j];
      green += weight * row[j + 1];
      blue += weight * row[j + 2];
    }
    out[to++] = Math.min(255, red >> 22);
    out[to++] = Math.min(255, green >> 22);
    out[to++] = Math.min(255, blue >> 22);
  }
}
