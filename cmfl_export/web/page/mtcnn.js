// Finds the faces in a photograph by the three stages of MTCNN (Zhang et al., IEEE SPL 2016), as faces/find.py
// does. Needs resample.js.
//
// The networks are `nets`: {p, r, o}, functions (data, dims) => Promise of the outputs in the network's order, each
// with `data` (Float32Array) and `dims`. Boxes are [left, top, right, bottom].

const SMALLEST_FACE = 20;
// A picture whose longer side is above this is searched in a copy of this size.
const LONGEST_SIDE = 1600;
// Sides of the input windows of the three networks.
const P_SIDE = 12;
const R_SIDE = 24;
const O_SIDE = 48;
const P_STRIDE = 2;
// The factor between two levels of the pyramid; the least probability of a face after each network, in single
// precision as the outputs; the largest overlap of two candidates, within a level and after each network.
const PYRAMID_STEP = 0.709;
const [FACE_P, FACE_R, FACE_O] = [0.6, 0.7, 0.7].map(Math.fround);
const [OVERLAP_LEVEL, OVERLAP_P, OVERLAP_R, OVERLAP_O] = [0.5, 0.7, 0.7, 0.7];
// Crops in one run, to bound the memory.
const MOST_CROPS = 128;

// What the networks read for each value of a pixel.
const NORMALISED = Float32Array.from({ length: 256 }, (_, value) => (value - 127.5) / 128);

// Loads the networks from their ONNX files, {pnet, rnet, onet}: ArrayBuffer or Uint8Array; `ort` is
// onnxruntime-web.
async function openFaceNetworks(ort, files) {
  const options = { executionProviders: ['wasm'], logSeverityLevel: 4 };
  const open = async (file) => {
    const session = await ort.InferenceSession.create(new Uint8Array(file), options);
    return async (data, dims) => {
      const input = new ort.Tensor('float32', data, dims);
      const found = await session.run({ [session.inputNames[0]]: input });
      return session.outputNames.map((name) => found[name]);
    };
  };
  return { p: await open(files.pnet), r: await open(files.rnet), o: await open(files.onet) };
}

// The faces in a picture, the largest first; of equally large faces, the leftmost first. A face is {box, landmarks,
// confidence}: landmarks are five [x, y], the eyes, the nose and the corners of the mouth, left ones first.
// `minimum` is the side of the smallest face to look for, at least 12.
async function findFaces(nets, rgb, width, height, { minimum = SMALLEST_FACE } = {}) {
  const picture = atMost(rgb, width, height, LONGEST_SIDE);
  let boxes = await proposed(nets.p, picture, minimum);
  if (boxes.length) boxes = await refined(nets.r, picture, boxes);
  const faces = boxes.length ? await located(nets.o, picture, boxes, width / picture.width) : [];
  return faces.sort((a, b) => sizeOf(b.box) - sizeOf(a.box) || a.box[0] - b.box[0]);
}

// In whole pixels, so that rounding errors do not decide the order.
function sizeOf([left, top, right, bottom]) {
  return roundToEven(Math.sqrt(Math.max(right - left, 0) * Math.max(bottom - top, 0)));
}

function atMost(rgb, width, height, longest) {
  const scale = longest / Math.max(width, height);
  if (scale >= 1) return { rgb, width, height };
  const [w, h] = [width, height].map((side) => Math.max(1, roundToEven(side * scale)));
  return { rgb: resize(rgb, width, height, w, h, null, 'box'), width: w, height: h };
}

// First stage: P-Net on ever smaller copies of the picture, down to its window.
async function proposed(net, { rgb, width, height }, minimum) {
  const found = [];
  for (let scale = P_SIDE / minimum; Math.min(width, height) * scale >= P_SIDE; scale *= PYRAMID_STEP) {
    const [w, h] = [width, height].map((side) => Math.trunc(side * scale + 1));
    const input = new Float32Array(3 * w * h);
    transpose(resize(rgb, width, height, w, h, null, 'box'), w, h, input, 0);
    const [offsets, verdicts] = await net(input, [1, w, h, 3]);
    found.push(...suppress(candidates(offsets.data, verdicts, scale), OVERLAP_LEVEL));
  }
  return suppress(found, OVERLAP_P).map(moved).map(squared);
}

// The windows of one level that P-Net takes for a face, as {box, face, offsets}.
function candidates(offsets, { data, dims: [, columns, rows] }, scale) {
  const found = [];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const at = column * rows + row;
      const face = data[2 * at + 1];
      if (!(face >= FACE_P)) continue;
      // From the window's first to its last pixel, counted from 1 and rounded down.
      const corner = [column * P_STRIDE, row * P_STRIDE];
      const first = corner.map((place) => Math.floor((place + 1) / scale) - 1);
      const last = corner.map((place) => Math.floor((place + P_SIDE) / scale));
      found.push({ box: [...first, ...last], face, offsets: offsets.subarray(4 * at, 4 * at + 4) });
    }
  }
  return found;
}

// Second stage: R-Net on every candidate.
async function refined(net, picture, boxes) {
  const passed = [];
  for (const { outputs: [offsets, verdicts], boxes: part } of await inParts(net, picture, boxes, R_SIDE)) {
    part.forEach((box, i) => {
      const face = verdicts.data[2 * i + 1];
      if (face > FACE_R) passed.push({ box, face, offsets: offsets.data.subarray(4 * i, 4 * i + 4) });
    });
  }
  return suppress(passed, OVERLAP_R).map(moved).map(squared);
}

// Third stage: O-Net on the remaining candidates, which also finds the landmarks.
async function located(net, picture, boxes, enlarge) {
  const passed = [];
  for (const { outputs: [offsets, points, verdicts], boxes: part } of await inParts(net, picture, boxes, O_SIDE)) {
    part.forEach((box, i) => {
      const face = verdicts.data[2 * i + 1];
      if (!(face > FACE_O)) return;
      const [left, top, right, bottom] = box;
      const landmarks = Array.from({ length: 5 }, (_, k) => [
        (left + points.data[10 * i + k] * (right - left)) * enlarge,
        (top + points.data[10 * i + 5 + k] * (bottom - top)) * enlarge,
      ]);
      const corrected = moved({ box, offsets: offsets.data.subarray(4 * i, 4 * i + 4) });
      passed.push({ box: corrected, face, landmarks });
    });
  }
  // A box inside another box is the same face.
  return suppress(passed, OVERLAP_O, true).map(({ box, face, landmarks }) => (
    { box: box.map((value) => value * enlarge), landmarks, confidence: face }
  ));
}

// A network's outputs for the candidates, in parts of MOST_CROPS: {outputs, boxes}.
async function inParts(net, { rgb, width, height }, boxes, side) {
  const parts = [];
  for (let start = 0; start < boxes.length; start += MOST_CROPS) {
    const part = boxes.slice(start, start + MOST_CROPS);
    const input = new Float32Array(3 * side * side * part.length);
    part.forEach((box, i) => {
      const [left, top, right, bottom] = box.map(Math.floor);
      const crop = cropPixels(rgb, width, height, left, top, right, bottom);
      const resized = resize(crop, right - left, bottom - top, side, side, null, 'box');
      transpose(resized, side, side, input, 3 * side * side * i);
    });
    parts.push({ outputs: await net(input, [part.length, side, side, 3]), boxes: part });
  }
  return parts;
}

// Writes a picture as the networks read it: normalised, and column by column, for they come from a column-major
// framework.
function transpose(rgb, width, height, out, to) {
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      const from = 3 * (y * width + x);
      out[to++] = NORMALISED[rgb[from]];
      out[to++] = NORMALISED[rgb[from + 1]];
      out[to++] = NORMALISED[rgb[from + 2]];
    }
  }
}

// Non-maximum suppression: the candidates to keep, the most probable first. One is dropped if its overlap with a
// more probable one that is kept exceeds `overlap` of their union, or `ofSmaller` of the smaller of both.
function suppress(found, overlap, ofSmaller = false) {
  let waiting = [...found].sort((a, b) => b.face - a.face);
  const kept = [];
  while (waiting.length) {
    const best = waiting[0];
    const area = areaOf(best.box);
    kept.push(best);
    waiting = waiting.slice(1).filter(({ box }) => {
      const across = Math.min(best.box[2], box[2]) - Math.max(best.box[0], box[0]);
      const down = Math.min(best.box[3], box[3]) - Math.max(best.box[1], box[1]);
      const common = Math.max(across, 0) * Math.max(down, 0);
      const own = areaOf(box);
      return common <= overlap * (ofSmaller ? Math.min(area, own) : area + own - common);
    });
  }
  return kept;
}

const areaOf = ([left, top, right, bottom]) => (right - left) * (bottom - top);

// The box, corrected by a network's offsets.
function moved({ box, offsets }) {
  const sides = [box[2] - box[0], box[3] - box[1]];
  return box.map((value, i) => value + offsets[i] * sides[i % 2]);
}

// The square with the centre of the box and the length of its longer side.
function squared([left, top, right, bottom]) {
  const half = Math.max((right - left) / 2, (bottom - top) / 2, 0.5);
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  return [x - half, y - half, x + half, y + half];
}

if (typeof module !== 'undefined') module.exports = { openFaceNetworks, findFaces };
