// EXIF orientation: where a file says it, and turning pixels upright.

// The orientation in EXIF data (a TIFF header and its first directory); 1 where it says none or is broken.
function tiffOrientation(bytes) {
  try {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const little = view.getUint16(0) === 0x4949;
    if (!little && view.getUint16(0) !== 0x4d4d) return 1;
    const start = view.getUint32(4, little);
    for (let i = 0; i < view.getUint16(start, little); i++) {
      const entry = start + 2 + 12 * i;
      if (view.getUint16(entry, little) !== 0x0112) continue;
      const long = view.getUint16(entry + 2, little) === 4;
      const value = long ? view.getUint32(entry + 8, little) : view.getUint16(entry + 8, little);
      return value >= 1 && value <= 8 ? value : 1;
    }
  } catch {
    // Broken metadata is no reason to refuse sound pixels.
  }
  return 1;
}

// Of a WebP file.
function webpOrientation(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let start = 12; start + 8 <= bytes.length; ) {
    const size = view.getUint32(start + 4, true);
    if (hasBytes(bytes, start, 'EXIF')) {
      const content = bytes.subarray(start + 8, start + 8 + size);
      return tiffOrientation(hasBytes(content, 0, 'Exif\0\0') ? content.subarray(6) : content);
    }
    start += 8 + size + (size % 2);
  }
  return 1;
}

// The picture upright: {width, height, rgb}.
function turnUpright({ width, height, rgb }, orientation) {
  if (orientation === 1) return { width, height, rgb };
  const swaps = orientation >= 5;
  const [outWidth, outHeight] = swaps ? [height, width] : [width, height];
  // From the upright place (x, y) to the stored one.
  const mirrorsX = [2, 3, 7, 8].includes(orientation);
  const mirrorsY = [3, 4, 6, 7].includes(orientation);
  const out = new Uint8Array(rgb.length);
  for (let y = 0, to = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++, to += 3) {
      let [column, row] = swaps ? [y, x] : [x, y];
      if (mirrorsX) column = width - 1 - column;
      if (mirrorsY) row = height - 1 - row;
      const from = 3 * (row * width + column);
      out[to] = rgb[from];
      out[to + 1] = rgb[from + 1];
      out[to + 2] = rgb[from + 2];
    }
  }
  return { width: outWidth, height: outHeight, rgb: out };
}
