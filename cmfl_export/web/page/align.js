// Aligned face crops, as faces/crop.py and faces/aligner.py make them. Needs resample.js and mtcnn.js.
//
// Points are [x, y], also as complex numbers x + iy.

// ArcFace's template for 112 x 112, times two: left eye, right eye, nose, left and right corner of the mouth.
const ARCFACE = [
  [38.2946, 51.6963],
  [73.5318, 51.5014],
  [56.0252, 71.7366],
  [41.5493, 92.3655],
  [70.7299, 92.2041],
].map((point) => point.map((value) => 2 * value));
const FACE_SCALE = 0.8;
const CROP_SIDE = 224;
// How far bicubic interpolation reads beyond the crop, in pixels of the crop.
const CROP_MARGIN = 4;

// The faces of a picture with their crops: {status, error, faces}, where `faces` is empty unless status is "ok".
// A face is {face, faces, left, top, right, bottom, shorterSide, confidence, landmarks, crop, padding}: its number, 0
// for the largest, and the number of faces; its box and the shorter side of this, to a tenth of a pixel; see
// `findFaces` and `cropFace` for the rest.
// `align` is "largest" or "all".
async function alignFaces(nets, rgb, width, height, align, { faceScale = FACE_SCALE, ...options } = {}) {
  const found = await findFaces(nets, rgb, width, height, options);
  if (found.length === 0) return { status: 'no_face', error: 'no face found', faces: [] };
  const kept = align === 'largest' ? found.slice(0, 1) : found;
  const faces = kept.map(({ box, landmarks, confidence }, face) => {
    const [left, top, right, bottom] = box.map(toTenth);
    const shorterSide = toTenth(Math.max(Math.min(box[2] - box[0], box[3] - box[1]), 0));
    const cut = cropFace(rgb, width, height, landmarks, faceScale);
    return { face, faces: kept.length, left, top, right, bottom, shorterSide, confidence, landmarks, ...cut };
  });
  return { status: 'ok', error: '', faces };
}

// One face, upright, with its five landmarks at the places of the template: {crop, padding}. The crop is a
// Uint8Array, RGB, of 224 x 224 pixels; padding is the share of it that is outside the picture.
//
// A face that is larger in the picture than in the crop is first reduced with its surroundings; then one affine
// bicubic interpolation turns and shifts it. Parts outside the picture are filled by reflection.
function cropFace(rgb, width, height, landmarks, scale = FACE_SCALE) {
  const middle = CROP_SIDE / 2;
  const places = ARCFACE.map((point) => point.map((value) => middle + scale * (value - middle)));
  const toCrop = similarity(landmarks, places);
  const back = inverseOf(toCrop);
  const enlarging = Math.hypot(...toCrop.turn);
  const reach = CROP_MARGIN / enlarging;
  const corners = [[0, 0], [CROP_SIDE, 0], [0, CROP_SIDE], [CROP_SIDE, CROP_SIDE]].map((p) => mapped(back, p));
  // On both axes: the part of the picture that the crop shows, with a margin, and what of it there is.
  const axes = [width, height].map((size, axis) => {
    const values = corners.map((corner) => corner[axis]);
    const wanted = [Math.floor(steady(Math.min(...values) - reach)), Math.ceil(steady(Math.max(...values) + reach))];
    const there = wanted.map((value) => Math.min(Math.max(value, 0), size));
    const length = there[1] - there[0];
    const reduced = Math.max(1, Math.ceil(length * Math.min(enlarging, 1)));
    const ratio = reduced / length;
    const before = Math.ceil((there[0] - wanted[0]) * ratio);
    const after = Math.ceil((wanted[1] - there[1]) * ratio);
    return { there, reduced, ratio, before, after, start: there[0] - before / ratio };
  });
  const [x, y] = axes;
  const box = [x.there[0], y.there[0], x.there[1], y.there[1]];
  const region = resize(rgb, width, height, x.reduced, y.reduced, box, 'bicubic');
  const padded = reflected(region, x, y);
  const [re, im] = back.turn;
  const matrix = [
    [x.ratio * re, -x.ratio * im, x.ratio * (back.shift[0] - x.start)],
    [y.ratio * im, y.ratio * re, y.ratio * (back.shift[1] - y.start)],
  ];
  return { crop: affineCrop(padded, matrix.map((row) => row.map(steady))), padding: shareOutside(back, width, height) };
}

// Without the last bits, in which processors differ; see `_steady` in faces/crop.py.
const steady = (value) => Math.round(value * 2 ** 32) / 2 ** 32;

// The rotation, scale and shift without reflection that maps the points of one list to those of the other with
// the least sum of squared distances (Umeyama 1991; in the plane a regression on complex numbers).
function similarity(source, target) {
  const from = meanOf(source);
  const to = meanOf(target);
  let re = 0;
  let im = 0;
  let norm = 0;
  source.forEach((point, i) => {
    const [a, b] = [point[0] - from[0], point[1] - from[1]];
    const [c, d] = [target[i][0] - to[0], target[i][1] - to[1]];
    re += a * c + b * d;
    im += a * d - b * c;
    norm += a * a + b * b;
  });
  const turn = [re / norm, im / norm];
  const [x, y] = times(turn, from);
  return { turn, shift: [to[0] - x, to[1] - y] };
}

const meanOf = (points) => [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);

const times = ([a, b], [c, d]) => [a * c - b * d, a * d + b * c];

function mapped({ turn, shift }, point) {
  const [x, y] = times(turn, point);
  return [x + shift[0], y + shift[1]];
}

function inverseOf({ turn: [a, b], shift }) {
  const norm = a * a + b * b;
  const turn = [a / norm, -b / norm];
  const [x, y] = times(turn, shift);
  return { turn, shift: [-x, -y] };
}

// The picture with margins on both axes, in which it goes on as in a mirror, again and again if need be.
function reflected(rgb, { reduced: width, before: left, after: right }, { reduced: height, before: top, after: bottom }) {
  const out = { width: left + width + right, height: top + height + bottom };
  out.rgb = new Uint8Array(3 * out.width * out.height);
  const columns = Array.from({ length: out.width }, (_, x) => 3 * mirrored(x - left, width));
  for (let y = 0, to = 0; y < out.height; y++) {
    const row = 3 * width * mirrored(y - top, height);
    for (let x = 0; x < out.width; x++) {
      const from = row + columns[x];
      out.rgb[to++] = rgb[from];
      out.rgb[to++] = rgb[from + 1];
      out.rgb[to++] = rgb[from + 2];
    }
  }
  return out;
}

function mirrored(place, size) {
  const within = ((place % (2 * size)) + 2 * size) % (2 * size);
  return within < size ? within : 2 * size - 1 - within;
}

// The crop whose pixel centres lie in the picture where the matrix says, by bicubic interpolation as Pillow's
// `transform` does it: black outside, the edge's pixels repeated, and rounded down.
function affineCrop({ rgb, width, height }, [[a, b, c], [d, e, f]]) {
  const out = new Uint8Array(3 * CROP_SIDE * CROP_SIDE);
  const columns = [0, 0, 0, 0];
  const rows = [0, 0, 0, 0];
  for (let v = 0, to = 0; v < CROP_SIDE; v++) {
    for (let u = 0; u < CROP_SIDE; u++, to += 3) {
      const x = a * (u + 0.5) + b * (v + 0.5) + c;
      const y = d * (u + 0.5) + e * (v + 0.5) + f;
      if (x < 0 || x >= width || y < 0 || y >= height) continue;
      const left = Math.floor(x - 0.5);
      const top = Math.floor(y - 0.5);
      for (let k = 0; k < 4; k++) {
        columns[k] = 3 * Math.min(Math.max(left + k - 1, 0), width - 1);
        rows[k] = 3 * width * Math.min(Math.max(top + k - 1, 0), height - 1);
      }
      const across = x - 0.5 - left;
      const down = y - 0.5 - top;
      for (let channel = 0; channel < 3; channel++) {
        const [p, q, r, s] = rows.map((row) => {
          const at = row + channel;
          return cubic(rgb[at + columns[0]], rgb[at + columns[1]], rgb[at + columns[2]], rgb[at + columns[3]], across);
        });
        out[to + channel] = Math.trunc(Math.min(Math.max(cubic(p, q, r, s, down), 0), 255));
      }
    }
  }
  return out;
}

// Between the second and the third of four values, at t from 0 to 1: cubic convolution with a = -1.
function cubic(p, q, r, s, t) {
  return q + t * (r - p + t * (2 * (p - q) + r - s + t * (q - p - r + s)));
}

// The share of the crop's pixels whose centre is outside the picture.
function shareOutside(back, width, height) {
  let outside = 0;
  for (let v = 0; v < CROP_SIDE; v++) {
    for (let u = 0; u < CROP_SIDE; u++) {
      const [x, y] = mapped(back, [u + 0.5, v + 0.5]);
      if (x < 0 || y < 0 || x > width || y > height) outside++;
    }
  }
  return outside / CROP_SIDE ** 2;
}

// To a tenth, and from the middle to the even one, as Python's round. Only quarters lie in the middle.
function toTenth(value) {
  return Number.isInteger(4 * value) ? roundToEven(10 * value) / 10 : Number(value.toFixed(1));
}

if (typeof module !== 'undefined') module.exports = { alignFaces, cropFace };
