// What a page keeps of a row's pictures: small JPEG files and the levels of heatmaps, some 15 kB an image.

const QUALITY = { image: 0.8, spectrum: 0.6 };
const SPECTRUM_SIDE = 112; // a spectrum is mostly noise, which costs bytes

/** The pictures of a row as `results.js` shows them; null if it has no crop. */
async function keepPictures(row) {
  if (!row.crop) return null;
  const kept = { image: await jpegAddress(row.crop, row.crop.width, QUALITY.image), spectrum: "", heatmaps: {}, peaks: {} };
  if (row.spectrum) kept.spectrum = await jpegAddress(row.spectrum, SPECTRUM_SIDE, QUALITY.spectrum);
  for (const branch of ["rgb", "spectrum"]) {
    const values = row[`heatmap_${branch}`];
    if (!values) continue;
    [kept.heatmaps[branch], kept.peaks[branch]] = levelsOf(values);
  }
  return kept;
}

/** Frees the files of pictures that are no longer shown. */
function dropPictures(kept) {
  for (const address of [kept?.image, kept?.spectrum]) {
    if (address) URL.revokeObjectURL(address);
  }
}

/** Values as shares of their peak from 0 to 255, and the peak; what is not finite counts as 0. */
function levelsOf(values) {
  const finite = Array.from(values, (value) => (Number.isFinite(value) ? value : 0));
  const peak = Math.max(0, ...finite);
  return [Uint8Array.from(finite, (value) => (peak ? Math.max(0, Math.round((value / peak) * 255)) : 0)), peak];
}

async function jpegAddress(image, side, quality) {
  const whole = new OffscreenCanvas(image.width, image.height);
  whole.getContext("2d").putImageData(image, 0, 0);
  let drawn = whole;
  if (side !== image.width) {
    drawn = new OffscreenCanvas(side, side);
    const context = drawn.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(whole, 0, 0, side, side);
  }
  return URL.createObjectURL(await drawn.convertToBlob({ type: "image/jpeg", quality }));
}
