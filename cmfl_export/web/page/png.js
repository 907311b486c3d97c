// PNG to RGB, as Pillow and images/pixel_layouts.py do it: every bit depth, transparency over white. Browsers round
// 16-bit values, blend and correct colours in ways of their own, and some change what a page reads from a canvas.

const PNG_CHANNELS = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const PNG_DEPTHS = { 0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16] };
// Adam7: the first column and row of each pass, and its steps.
const PNG_PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
];
const PNG_WHOLE = [[0, 0, 1, 1]];

// {width, height, rgb} of a PNG file. `check(width, height)` may throw before anything is decoded.
async function decodePng(bytes, check) {
  const found = pngChunks(bytes);
  const { width, height, depth, colour, interlaced } = found.header;
  check(width, height);
  if (!PNG_DEPTHS[colour]?.includes(depth)) throw new ImageError('unreadable', 'damaged image data (header)');
  const bits = depth * PNG_CHANNELS[colour];
  const passes = (interlaced ? PNG_PASSES : PNG_WHOLE)
    .map(([left, top, across, down]) => {
      const columns = Math.ceil((width - left) / across);
      const rows = Math.ceil((height - top) / down);
      return { left, top, across, down, columns, rows, stride: Math.ceil((columns * bits) / 8) };
    })
    .filter(({ columns, rows }) => columns > 0 && rows > 0);
  const size = passes.reduce((sum, { rows, stride }) => sum + rows * (stride + 1), 0);
  const data = await inflate(found.data, size);
  const convert = pngConverter(found);
  const rgb = new Uint8Array(3 * width * height);
  let place = 0;
  for (const { left, top, across, down, columns, rows, stride } of passes) {
    pngUnfilter(data.subarray(place, (place += rows * (stride + 1))), stride, Math.max(1, bits >> 3));
    for (let row = 0; row < rows; row++) {
      const from = place - (rows - row) * (stride + 1) + 1;
      const to = 3 * ((top + row * down) * width + left);
      convert(data.subarray(from, from + stride), columns, rgb, to, 3 * across);
    }
  }
  if (!found.sound) throw new ImageError('truncated', "a part of the picture's data is missing");
  return { width, height, rgb, orientation: found.orientation };
}

function pngChunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = { header: null, palette: null, transparent: null, data: [], sound: true, orientation: 1 };
  for (let start = 8; start + 8 <= bytes.length; ) {
    const size = view.getUint32(start);
    const name = String.fromCharCode(...bytes.subarray(start + 4, start + 8));
    const content = bytes.subarray(start + 8, start + 8 + size);
    const end = start + 8 + size;
    if (name === 'IEND') break;
    const whole = end + 4 <= bytes.length;
    const matches = whole && crc32(bytes.subarray(start + 4, end)) === view.getUint32(end);
    if (name !== 'IDAT' && !found.data.length && !matches) {
      if (!whole) throw new ImageError('truncated', 'the file ends too early');
      throw new Error(`bad checksum in ${name}`);
    }
    if (name === 'IHDR' && size >= 13 && content.length >= 13) {
      const [width, height] = [view.getUint32(start + 8), view.getUint32(start + 12)];
      found.header = { width, height, depth: content[8], colour: content[9], interlaced: content[12] === 1 };
    } else if (name === 'PLTE') found.palette = content;
    else if (name === 'tRNS') found.transparent = content;
    else if (name === 'eXIf') found.orientation = tiffOrientation(content);
    else if (name === 'IDAT') {
      found.data.push(content);
      found.sound &&= matches;
    }
    start = end + 4;
  }
  if (!found.header) throw new Error('no header');
  return found;
}

// The first `size` bytes that the pieces of a zlib stream unpack to.
async function inflate(pieces, size) {
  const reader = new Blob(pieces).stream().pipeThrough(new DecompressionStream('deflate')).getReader();
  const out = new Uint8Array(size);
  let filled = 0;
  while (filled < size) {
    const { value, done } = await reader.read(); // rejects where the stream is damaged or short
    if (done) throw new Error('too little data');
    out.set(value.subarray(0, size - filled), filled);
    filled += value.length;
  }
  reader.cancel().catch(() => {});
  return out;
}

// Undoes the filters of the rows of a pass, in place. Each row begins with the number of its filter.
function pngUnfilter(data, stride, step) {
  const length = stride + 1;
  for (let start = 0; start < data.length; start += length) {
    const filter = data[start];
    const [from, to] = [start + 1, start + length];
    const above = start > 0;
    if (filter > 4) throw new Error('unknown filter');
    for (let i = filter ? from : to; i < to; i++) {
      const left = i - step >= from ? data[i - step] : 0;
      const up = above ? data[i - length] : 0;
      let guess = left;
      if (filter === 2) guess = up;
      else if (filter === 3) guess = (left + up) >> 1;
      else if (filter === 4) {
        const corner = above && i - step >= from ? data[i - step - length] : 0;
        const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
        guess = a <= b && a <= c ? left : b <= c ? up : corner;
      }
      data[i] += guess;
    }
  }
}

// A function that turns a row into RGB: (row, columns, rgb, place of the first pixel, step to the next).
function pngConverter({ header: { depth, colour }, palette, transparent }) {
  const wide = depth === 16;
  const channels = PNG_CHANNELS[colour];
  const bytes = channels * (wide ? 2 : 1); // a pixel of 8 or 16 bits
  const step = wide ? 2 : 1;
  const over = (value, alpha) => blend255(value * alpha + 255 * (255 - alpha));
  if (colour === 3) return pngPalette(depth, palette, transparent, over);
  if (colour === 0) {
    const most = 2 ** depth - 1;
    const key = transparent?.length >= 2 ? ((transparent[0] << 8) | transparent[1]) & most : -1;
    return (row, columns, rgb, to, next) => {
      for (let x = 0; x < columns; x++, to += next) {
        const value = pngSample(row, x, depth);
        rgb[to] = value === key ? 255 : wide ? Math.floor((value * 255 + 32767) / 65535) : (value * 255) / most;
        rgb[to + 1] = rgb[to + 2] = rgb[to];
      }
    };
  }
  const key = colour === 2 && transparent?.length >= 6 ? transparent : null;
  const isKey = (row, from) => {
    for (let c = 0; c < 3; c++) {
      if (row[from + c * step] !== key[2 * c + (wide ? 0 : 1)]) return false;
      if (wide && row[from + 2 * c + 1] !== key[2 * c + 1]) return false;
    }
    return true;
  };
  return (row, columns, rgb, to, next) => {
    for (let x = 0, from = 0; x < columns; x++, from += bytes, to += next) {
      const alpha = key ? (isKey(row, from) ? 0 : 255) : colour & 4 ? row[from + bytes - step] : 255;
      for (let c = 0; c < 3; c++) rgb[to + c] = over(row[colour & 2 ? from + c * step : from], alpha);
    }
  };
}

function pngPalette(depth, palette, transparent, over) {
  if (!palette) throw new Error('no palette');
  const colours = new Uint8Array(768);
  for (let i = 0; i < 768; i++) {
    const alpha = transparent?.[Math.floor(i / 3)] ?? 255;
    colours[i] = over(palette[i] ?? 0, alpha);
  }
  return (row, columns, rgb, to, next) => {
    for (let x = 0; x < columns; x++, to += next) {
      const place = 3 * pngSample(row, x, depth);
      for (let c = 0; c < 3; c++) rgb[to + c] = colours[place + c];
    }
  };
}

function pngSample(row, x, depth) {
  if (depth === 8) return row[x];
  if (depth === 16) return (row[2 * x] << 8) | row[2 * x + 1];
  const each = 8 / depth;
  return (row[Math.floor(x / each)] >> (8 - depth * ((x % each) + 1))) & (2 ** depth - 1);
}

// A sum of products divided by 255 and rounded, as Pillow does it.
function blend255(sum) {
  const value = sum + 128;
  return ((value >> 8) + value) >> 8;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

function crc32(bytes) {
  let crc = -1;
  for (let i = 0; i < bytes.length; i++) crc = CRC_TABLE[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}
