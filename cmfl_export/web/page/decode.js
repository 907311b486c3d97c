// From the bytes of a file to RGB pixels, upright and at full size, as `open_rgb` of images/decoding.py does it; or
// an ImageError with the status that `cmfl predict` gives, where the browser can tell.

class ImageError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const MOST_FILE_BYTES = 2 ** 29;
// A canvas has as many rows as fit into this many pixels; a picture is read band by band.
const BAND_PIXELS = 2 ** 22;
const MOST_SIDE = 65535;

const FORMATS = [
  ['JPEG', 0, '\xff\xd8\xff'],
  ['PNG', 0, '\x89PNG\r\n\x1a\n'],
  ['GIF', 0, 'GIF87a'],
  ['GIF', 0, 'GIF89a'],
  ['BMP', 0, 'BM'],
  ['AVIF', 4, 'ftypavif'],
  ['AVIF', 4, 'ftypavis'],
  ['AVIF', 4, 'ftypmif1'],
  ['AVIF', 4, 'ftypmsf1'],
  ['TIFF', 0, 'II*\0'],
  ['TIFF', 0, 'MM\0*'],
  ['TIFF', 0, 'II+\0'],
  ['TIFF', 0, 'MM\0+'],
  ['JPEG 2000', 0, '\xff\x4f\xff\x51'],
  ['JPEG 2000', 0, '\0\0\0\x0cjP  \r\n\x87\n'],
  ...['P1', 'P2', 'P3', 'P4', 'P5', 'P6', 'Pf'].flatMap((magic) =>
    ['\n', ' ', '\r', '\t'].map((end) => ['PPM', 0, magic + end])),
];
const NOT_IN_PAGES = ['TIFF', 'JPEG 2000', 'PPM'];
// AVIF files with this in their header have an alpha channel, which browsers and Pillow apply differently.
const AVIF_ALPHA = 'urn:mpeg:mpegB:cicp:systems:auxiliary:alpha';
const AVIF_HEADER = 4096;

// {width, height, rgb} of a file's bytes; `name` is the file's, `limits` is {most_pixels, foreign}, of which the
// latter is what `foreign_table` of images/foreign.py gives, and `canvas` is what `probeCanvas` found.
async function decode(bytes, name, limits, canvas) {
  if (bytes.length === 0) throw new ImageError('empty', 'the file is empty');
  if (bytes.length > MOST_FILE_BYTES) {
    throw new ImageError('too_large', `${bytes.length} bytes, more than the limit of ${MOST_FILE_BYTES}`);
  }
  const format = formatOf(bytes, limits.foreign);
  if (!format) throw unknownFile(name, limits.foreign.names);
  if (NOT_IN_PAGES.includes(format)) {
    throw new ImageError('unsupported', `${format}, which a browser does not decode; save it as PNG`);
  }
  try {
    return await decodeFormat(format, bytes, limits, canvas);
  } catch (error) {
    if (error instanceof ImageError) throw error;
    if (endsEarly(format, bytes)) throw new ImageError('truncated', 'the file ends too early');
    throw new ImageError('unreadable', `damaged image data (${String(error.message).slice(0, 100)})`);
  }
}

async function decodeFormat(format, bytes, { most_pixels: mostPixels }, canvas) {
  const check = (width, height) => {
    if (!width || !height) {
      throw new ImageError('empty', `the picture has no pixels (${width} x ${height})`);
    }
    if (width * height > mostPixels) {
      const size = `${width} x ${height} pixels`;
      throw new ImageError('too_large', `${size}, more than the limit of ${mostPixels}`);
    }
  };
  if (format === 'PNG') {
    const picture = await decodePng(bytes, check);
    return turnUpright(picture, picture.orientation);
  }
  if (!canvas.exact) {
    throw new ImageError(
      'unsupported',
      'this browser changes the pixels that a page reads, as a protection against fingerprinting; save it as PNG',
    );
  }
  let orientation = 1;
  if (format === 'JPEG') {
    const found = surveyJpeg(bytes);
    if (found.width) check(found.width, found.height);
    if (found.scans > JPEG_MOST_SCANS) throw new ImageError('too_slow', `more than ${JPEG_MOST_SCANS} scans`);
    if (!found.whole) {
      const early = endsEarly(format, bytes) || !found.scans;
      throw new ImageError('truncated', early ? 'the file ends too early' : "a part of the picture's data is missing");
    }
    orientation = canvas.turns ? 1 : found.orientation;
  } else if (format === 'WebP') {
    const size = webpSize(bytes);
    if (size) check(...size);
    if (endsEarly(format, bytes)) throw new ImageError('truncated', 'the file ends too early');
    orientation = webpOrientation(bytes);
  } else if (format === 'AVIF') {
    if (endsEarly(format, bytes)) throw new ImageError('truncated', 'the file ends too early');
    if (String.fromCharCode(...bytes.subarray(0, AVIF_HEADER)).includes(AVIF_ALPHA)) {
      throw new ImageError('unsupported', 'AVIF with transparency, which browsers blend differently; save it as PNG');
    }
  }
  return turnUpright(await readPixels(new Blob([bytes]), check), orientation);
}

// What the browser decodes, as stored, without conversion of colours; transparent pictures over white.
async function readPixels(blob, check) {
  const bitmap = await createImageBitmap(blob, {
    colorSpaceConversion: 'none',
    imageOrientation: 'none',
    premultiplyAlpha: 'none',
  });
  try {
    const { width, height } = bitmap;
    check(width, height);
    if (width > MOST_SIDE) throw new ImageError('too_large', `${width} pixels wide, more than a browser reads`);
    const rows = Math.min(height, Math.max(1, Math.floor(BAND_PIXELS / width)));
    const context = new OffscreenCanvas(width, rows).getContext('2d', { willReadFrequently: true });
    const rgb = new Uint8Array(3 * width * height);
    for (let top = 0, to = 0; top < height; top += rows) {
      context.fillStyle = 'white';
      context.fillRect(0, 0, width, rows);
      context.drawImage(bitmap, 0, -top);
      const { data } = context.getImageData(0, 0, width, Math.min(rows, height - top));
      for (let from = 0; from < data.length; from += 4, to += 3) {
        rgb[to] = data[from];
        rgb[to + 1] = data[from + 1];
        rgb[to + 2] = data[from + 2];
      }
    }
    return { width, height, rgb };
  } finally {
    bitmap.close();
  }
}

// The name of a file's format by its first bytes, or "". Throws for formats that are known and not decoded.
function formatOf(bytes, foreign) {
  for (const [offset, magic, advice] of foreign.content) {
    if (hasBytes(bytes, offset, magic)) throw new ImageError('unsupported', advice);
  }
  const isContainer = hasBytes(bytes, 4, 'ftypmif1') || hasBytes(bytes, 4, 'ftypmsf1');
  if (isContainer && !String.fromCharCode(...bytes.subarray(0, 64)).includes('avif')) {
    throw new ImageError('unsupported', foreign.container);
  }
  if (hasBytes(bytes, 0, 'RIFF') && hasBytes(bytes, 8, 'WEBP')) return 'WebP';
  const format = FORMATS.find(([, offset, magic]) => hasBytes(bytes, offset, magic))?.[0] ?? '';
  // Its signature is two letters that a text may begin with.
  return format === 'BMP' && !isBmp(bytes) ? '' : format;
}

function isBmp(bytes) {
  const size = bytes[14];
  return [12, 40, 52, 56, 64, 108, 124].includes(size) && bytes.length >= 14 + size;
}

function unknownFile(name, names) {
  const ending = name.slice(name.lastIndexOf('.')).toLowerCase();
  if (Object.hasOwn(names, ending)) return new ImageError('unsupported', names[ending]);
  return new ImageError('not_an_image', 'not an image of a known format');
}

function hasBytes(bytes, offset, text) {
  for (let i = 0; i < text.length; i++) {
    if (bytes[offset + i] !== text.charCodeAt(i)) return false;
  }
  return true;
}

// Whether the file stops before the end that its format prescribes; see images/truncation.py.
function endsEarly(format, bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tail = String.fromCharCode(...bytes.subarray(Math.max(0, bytes.length - 1024)));
  if (format === 'JPEG') return !tail.includes('\xff\xd9');
  if (format === 'PNG') return !tail.includes('IEND');
  if (format === 'GIF') return !tail.replace(/\0+$/, '').endsWith(';');
  if (format === 'WebP') return bytes.length < 8 + view.getUint32(4, true);
  if (format === 'BMP') return bytes.length < 6 || bytes.length < view.getUint32(2, true);
  return format === 'AVIF' && boxesEndEarly(view);
}

// Whether the file stops before the end of the box that holds the picture.
function boxesEndEarly(view) {
  for (let start = 0; start < view.byteLength; ) {
    if (start + 8 > view.byteLength) return true;
    let size = view.getUint32(start);
    if (size === 1) {
      if (start + 16 > view.byteLength) return true;
      size = Number(view.getBigUint64(start + 8));
    }
    if (size === 0) return false;
    if (size < 8) return true;
    start += size;
    if (view.getUint32(start - size + 4) === 0x6d646174) return start > view.byteLength; // mdat
  }
  return true;
}

// Width and height from the first bytes of a WebP file, or null.
function webpSize(bytes) {
  if (bytes.length < 30) return null;
  const number = (at, count) => bytes.subarray(at, at + count).reduceRight((sum, byte) => sum * 256 + byte, 0);
  if (hasBytes(bytes, 12, 'VP8X')) return [number(24, 3) + 1, number(27, 3) + 1];
  if (hasBytes(bytes, 12, 'VP8L')) {
    const bits = number(21, 4);
    return [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1];
  }
  return [number(26, 2) & 0x3fff, number(28, 2) & 0x3fff];
}

// What this browser's canvas does: whether pixels are read back as they were written, and whether a JPEG file is
// turned upright although it was not asked for. `turned` is a JPEG file that is wider than high as it is stored.
async function probeCanvas(turned) {
  const context = new OffscreenCanvas(64, 64).getContext('2d', { willReadFrequently: true });
  const written = context.createImageData(64, 64);
  written.data.forEach((_, i, data) => {
    data[i] = i % 4 === 3 ? 255 : Math.imul(i, 2654435761) >>> 24;
  });
  context.putImageData(written, 0, 0);
  const { data } = context.getImageData(0, 0, 64, 64);
  const { width, height } = await readPixels(new Blob([turned]), () => {});
  return { exact: data.every((value, i) => value === written.data[i]), turns: width < height };
}
