// From a model's outputs to the row of an image, as `Detector.row_of` makes it.

const SCORE_NAMES = ['p_real', 'p_real_rgb', 'p_real_spectrum'];

// sigmoid(logit(p) / temperature), the rule of the model card.
function temper(p, temperature) {
  if (temperature === 1 || !(p > 0 && p < 1)) return p;
  const opposite = (Math.log1p(-p) - Math.log(p)) / temperature;
  return 1 / (1 + Math.exp(Math.min(opposite, 700)));
}

// The fields of a row with scores, and its pictures. `rgb` is the model's input; `band` is null where the model has
// none.
function rowOf(outputs, rgb, { threshold, band, temperature }) {
  const row = { ...failedRow('ok', '') };
  for (const name of SCORE_NAMES.filter((each) => each in outputs)) {
    const [score] = outputs[name];
    if (!(score >= 0 && score <= 1)) {
      return failedRow('unreadable', `the model's ${name} is ${score}, not a finite number within 0 and 1`);
    }
    row[name] = name === 'p_real' ? temper(score, temperature) : score;
  }
  const [low, high] = band ?? [threshold, threshold];
  row.decision = row.p_real >= high ? 'real' : row.p_real < low ? 'synthetic' : 'uncertain';
  row.crop = imageOf((i, c) => rgb[3 * i + c]);
  row.heatmap_rgb = outputs.heatmap_rgb ?? null;
  row.heatmap_spectrum = outputs.heatmap_spectrum ?? null;
  row.spectrum = outputs.spectrum ? spectrumImage(outputs.spectrum) : null;
  return row;
}

// The row of a face with `size` pixels on the shorter side of its box, where it needs `least`.
function withResolution(row, size, least) {
  if (!row.decision || size >= least) return row;
  const error = `the face has ${size} pixels in the picture, fewer than ${least}`;
  return { ...row, status: 'low_resolution', error };
}

function failedRow(status, error) {
  const scores = Object.fromEntries(SCORE_NAMES.map((name) => [name, null]));
  const pictures = { crop: null, heatmap_rgb: null, heatmap_spectrum: null, spectrum: null };
  return { ...scores, decision: null, status, error, ...pictures };
}

// The mean of the colour channels' spectra, from [3, 224, 224] in [-1, 1], as grey.
function spectrumImage(values) {
  const size = values.length / 3;
  const mean = (i) => (values[i] + values[i + size] + values[i + 2 * size]) / 3;
  return imageOf((i) => (mean(i) + 1) * 127.5);
}

// `value(i, c)` is that of a pixel in one of the colours; what is not a number counts as 0.
function imageOf(value) {
  const image = new ImageData(224, 224);
  for (let i = 0, to = 0; to < image.data.length; i++, to += 4) {
    for (let c = 0; c < 3; c++) image.data[to + c] = value(i, c);
    image.data[to + 3] = 255;
  }
  return image;
}
