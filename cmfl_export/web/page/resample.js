// Resizing as the Python side does it: Pillow's antialiased filters, to the last bit, and the geometry of
// images/decoding.py. Pictures are Uint8Array, RGB, three bytes for each pixel, row by row.

// Each filter: its half width in pixels of the smaller of the two grids, and its weight at a distance.
const FILTERS = {
  box: { reach: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { reach: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { reach: 2, weight: keysCubic },
};
// Weights are whole multiples of 2^-22, so that a sum of 8-bit values fits into 32 bits.
const WEIGHT_BITS = 22;
const WEIGHT_ONE = 1 << WEIGHT_BITS;

const MODEL_SIDE = 224;
// The shorter side of a picture that is not aligned, before the crop.
const UNALIGNED_SIDE = 256;
// Beyond this ratio of the sides only the part inside the crop is resized.
const EXTREME_RATIO = 8;

// The cubic convolution of Keys (1981) with a = -1/2.
function keysCubic(x) {
  const d = Math.abs(x);
  if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
  if (d < 2) return (((d - 5) * d + 8) * d - 4) * -0.5;
  return 0;
}

// The picture in another size, Uint8Array. `box` is the part that is taken, [left, top, right, bottom] within
// the picture, or null for all of it; `filter` is a key of FILTERS.
function resize(rgb, width, height, outWidth, outHeight, box = null, filter = 'bilinear') {
  // Pillow keeps the corners in single precision.
  const [left, top, right, bottom] = (box ?? [0, 0, width, height]).map(Math.fround);
  const across = left !== 0 || right !== width || outWidth !== width;
  const down = top !== 0 || bottom !== height || outHeight !== height;
  if (!across && !down) return rgb.slice();
  const columns = across ? resizeWeights(width, left, right, outWidth, FILTERS[filter]) : null;
  if (!down) return resizeAcross(rgb, width, height, outWidth, columns);
  const rows = resizeWeights(height, top, bottom, outHeight, FILTERS[filter]);
  if (!across) return resizeDown(rgb, width, 0, outHeight, rows);
  // The order of the two passes decides how values are rounded between them. Since release 13, Pillow begins
  // with the height where that shrinks by much more than the width.
  if (height > outHeight && height - outHeight > 2 * (width - outWidth)) {
    const low = resizeDown(rgb, width, 0, outHeight, rows);
    return resizeAcross(low, width, outHeight, outWidth, columns);
  }
  // Only the rows that the second pass reads.
  const first = rows.start[0];
  const end = rows.start[outHeight - 1] + rows.count[outHeight - 1];
  const band = rgb.subarray(3 * width * first, 3 * width * end);
  const narrow = resizeAcross(band, width, end - first, outWidth, columns);
  return resizeDown(narrow, outWidth, first, outHeight, rows);
}

// For each of `outSize` pixels on one axis: the first source pixel that it reads, how many, and their weights,
// `most` places for each.
function resizeWeights(size, from, to, outSize, { reach, weight }) {
  const step = Math.fround(to - from) / outSize;
  const spread = Math.max(step, 1);
  const radius = reach * spread;
  const most = 2 * Math.ceil(radius) + 1;
  const start = new Int32Array(outSize);
  const count = new Int32Array(outSize);
  const weights = new Int32Array(outSize * most);
  const exact = new Float64Array(most);
  for (let i = 0; i < outSize; i++) {
    const centre = from + (i + 0.5) * step;
    start[i] = Math.max(0, Math.trunc(centre - radius + 0.5));
    count[i] = Math.min(size, Math.trunc(centre + radius + 0.5)) - start[i];
    let sum = 0;
    for (let j = 0; j < count[i]; j++) {
      exact[j] = weight((j + start[i] - centre + 0.5) * (1 / spread));
      sum += exact[j];
    }
    for (let j = 0; j < count[i]; j++) {
      const share = (sum === 0 ? exact[j] : exact[j] / sum) * WEIGHT_ONE;
      weights[i * most + j] = Math.trunc(share + (share < 0 ? -0.5 : 0.5));
    }
  }
  return { start, count, weights, most };
}

function resizeAcross(pixels, width, height, outWidth, { start, count, weights, most }) {
  const out = new Uint8ClampedArray(3 * outWidth * height);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < outWidth; x++, to += 3) {
      let red = WEIGHT_ONE >> 1;
      let green = red;
      let blue = red;
      let from = 3 * (y * width + start[x]);
      for (let k = x * most, end = k + count[x]; k < end; k++, from += 3) {
        const w = weights[k];
        red = (red + pixels[from] * w) | 0;
        green = (green + pixels[from + 1] * w) | 0;
        blue = (blue + pixels[from + 2] * w) | 0;
      }
      out[to] = red >> WEIGHT_BITS;
      out[to + 1] = green >> WEIGHT_BITS;
      out[to + 2] = blue >> WEIGHT_BITS;
    }
  }
  return new Uint8Array(out.buffer);
}

// `pixels` begins with the row of number `first`.
function resizeDown(pixels, width, first, outHeight, { start, count, weights, most }) {
  const stride = 3 * width;
  const out = new Uint8ClampedArray(stride * outHeight);
  const sums = new Int32Array(stride);
  for (let y = 0; y < outHeight; y++) {
    sums.fill(WEIGHT_ONE >> 1);
    for (let j = 0; j < count[y]; j++) {
      const w = weights[y * most + j];
      const from = (start[y] - first + j) * stride;
      for (let i = 0; i < stride; i++) sums[i] += pixels[from + i] * w;
    }
    for (let i = 0, to = y * stride; i < stride; i++, to++) out[to] = sums[i] >> WEIGHT_BITS;
  }
  return new Uint8Array(out.buffer);
}

// The picture as the model's input, Uint8Array of 224 x 224 x 3, as `decode` of images/decoding.py makes it: the
// shorter side becomes 224 (aligned) or 256 (not aligned), and the central 224 x 224 remain.
function fitToModel(rgb, width, height, aligned) {
  const shorter = aligned ? MODEL_SIDE : UNALIGNED_SIDE;
  const wide = width > height;
  const newWidth = wide ? Math.trunc((shorter * width) / height) : shorter;
  const newHeight = wide ? shorter : Math.trunc((shorter * height) / width);
  const left = roundToEven((newWidth - MODEL_SIDE) / 2);
  const top = roundToEven((newHeight - MODEL_SIDE) / 2);
  if (Math.max(newWidth, newHeight) > EXTREME_RATIO * shorter) {
    const across = width / newWidth;
    const down = height / newHeight;
    const right = (left + MODEL_SIDE) * across;
    const bottom = (top + MODEL_SIDE) * down;
    return resize(rgb, width, height, MODEL_SIDE, MODEL_SIDE, [left * across, top * down, right, bottom]);
  }
  const resized = resize(rgb, width, height, newWidth, newHeight);
  return cropPixels(resized, newWidth, newHeight, left, top, left + MODEL_SIDE, top + MODEL_SIDE);
}

// A part of the picture, from whole corners; black where it lies outside.
function cropPixels(rgb, width, height, left, top, right, bottom) {
  const outWidth = right - left;
  const out = new Uint8Array(3 * outWidth * (bottom - top));
  const from = Math.max(left, 0);
  const to = Math.min(right, width);
  if (from >= to) return out;
  for (let y = Math.max(top, 0); y < Math.min(bottom, height); y++) {
    const row = rgb.subarray(3 * (y * width + from), 3 * (y * width + to));
    out.set(row, 3 * ((y - top) * outWidth + from - left));
  }
  return out;
}

// To the nearest whole number, and from the middle to the even one, as Python's round.
function roundToEven(value) {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

if (typeof module !== 'undefined') {
  module.exports = { resize, fitToModel, cropPixels, roundToEven };
}
