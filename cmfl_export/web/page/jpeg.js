// The markers of a JPEG file, as images/jpeg.py reads them: its size and orientation, and whether all of the
// picture's data is there. Browsers fill what is missing and say nothing.

const JPEG_PROGRESSIVE = [0xc2, 0xc6, 0xca, 0xce];
const JPEG_NO_FRAMES = [0xc4, 0xc8, 0xcc];
const JPEG_BETWEEN = [0xc4, 0xcc, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xfe];
const JPEG_MOST_SCANS = 1000;

// {width, height, components, orientation, scans, whole}; width is 0 where no frame was found.
function surveyJpeg(bytes) {
  const found = { width: 0, height: 0, components: 0, orientation: 1, scans: 0, whole: false };
  const missing = new Map(); // component -> bits to come, for each coefficient
  let progressive = false;
  let place = 2;
  while (found.scans <= JPEG_MOST_SCANS && (place = bytes.indexOf(0xff, place)) >= 0) {
    const code = bytes[place + 1] ?? 0xff;
    if (code === 0xff) place += 1;
    else if (code <= 0x01 || code === 0xd8 || (code >= 0xd0 && code <= 0xd7)) place += 2;
    else if (code === 0xd9) {
      found.whole = found.scans > 0 && [...missing.values()].every((bits) => !bits.some(Boolean));
      break;
    } else {
      const length = (bytes[place + 2] << 8) | bytes[place + 3];
      const segment = bytes.subarray(place + 4, place + 2 + length);
      const between = JPEG_BETWEEN.includes(code) || (code >= 0xe0 && code < 0xf0);
      if (!(length >= 2) || segment.length < length - 2 || (found.scans && !between)) break;
      place += 2 + length;
      if (code >= 0xc0 && code < 0xd0 && !JPEG_NO_FRAMES.includes(code)) {
        progressive = JPEG_PROGRESSIVE.includes(code);
        found.height = (segment[1] << 8) | segment[2];
        found.width = (segment[3] << 8) | segment[4];
        found.components = segment[5];
        missing.clear();
        for (let i = 6; i < segment.length - 2; i += 3) {
          missing.set(segment[i], new Array(progressive ? 64 : 1).fill(1));
        }
      } else if (code === 0xe1 && hasBytes(segment, 0, 'Exif\0\0') && !found.scans) {
        found.orientation = tiffOrientation(segment.subarray(6));
      } else if (code === 0xda) {
        const end = jpegScanEnd(bytes, place);
        found.scans += 1;
        if (end < 0 || !jpegScan(missing, segment, progressive)) break;
        place = end;
      }
    }
  }
  return found;
}

// The place of the marker that ends a scan's data, or -1.
function jpegScanEnd(bytes, start) {
  for (let place = start; (place = bytes.indexOf(0xff, place)) >= 0; place++) {
    const next = bytes[place + 1];
    if (next !== undefined && next !== 0 && next !== 0xff && !(next >= 0xd0 && next <= 0xd7)) return place;
  }
  return -1;
}

// Notes what a scan brings. False if its header is invalid.
function jpegScan(missing, segment, progressive) {
  const count = segment[0] ?? 0;
  if (segment.length < 4 + 2 * count) return false;
  let [first, last, bits] = [segment[1 + 2 * count], segment[2 + 2 * count], segment[3 + 2 * count] & 15];
  if (!progressive) first = last = bits = 0;
  for (let i = 1; i < 1 + 2 * count; i += 2) {
    if (last < 64) missing.get(segment[i])?.fill(bits, first, last + 1);
  }
  return true;
}
