// The Worker of a page with its own detector: opens the model, tests it, and scores one file after the other.
//
// Messages to it: {kind: "open", parts: {glue, wasm, model, probe}, settings}, then {kind: "score", number, file,
// align}. From it: {kind: "ready"} or {kind: "failed", message}; then for each file {kind: "rows", number, rows} or
// {kind: "stopped", number, message}. If settings.aligns, parts has pnet, rnet and onet too; if
// settings.domain, domain.

// The fields of a row without a face, where faces are looked for.
const NO_PLACE = { face: null, faces: null, left: null, top: null, right: null, bottom: null };
// Those of a row without a score, where the model has a domain.
const NO_DOMAIN = { domain: null, out_of_domain: null };

let detector = null;

async function openDetector({ parts, settings }) {
  const { card } = settings;
  const shown = card.outputs.filter((name) => name !== 'embedding' || settings.domain);
  const model = await Model.open(ort, parts, shown).catch((error) => {
    throw new Error(`The model does not start in this browser: ${error.message ?? error}`);
  });
  const score = async (rgb) => {
    const outputs = await model.run(rgb, ort);
    return Object.fromEntries(SCORE_NAMES.filter((name) => name in outputs).map((name) => [name, outputs[name][0]]));
  };
  await selfTest(score, settings.self_test);
  const nets = settings.aligns ? await openFaceNetworks(ort, parts) : null;
  const domain = settings.domain ? new Domain(settings.domain, parts.domain) : null;
  return { model, nets, domain, settings, canvas: await probeCanvas(parts.probe) };
}

async function scoreFile({ file, align }, { model, nets, domain, settings, canvas }) {
  const unplaced = domain ? NO_DOMAIN : {};
  const failed = (...why) => [{ ...failedRow(...why), ...(align === 'none' ? {} : NO_PLACE), ...unplaced }];
  let picture;
  let inputs;
  try {
    const bytes = new Uint8Array(await readFile(file));
    picture = await decode(bytes, file.name, settings.limits, canvas);
    if (align === 'none') {
      inputs = [{ crop: fitToModel(picture.rgb, picture.width, picture.height, settings.aligned) }];
    }
  } catch (error) {
    if (error instanceof ImageError) return failed(error.status, error.message);
    if (error instanceof RangeError) return failed('too_large', 'not enough memory to decode it');
    return failed('unreadable', `${error.name}: ${error.message}`);
  }
  if (align !== 'none') {
    const found = await alignFaces(nets, picture.rgb, picture.width, picture.height, align);
    if (found.status !== 'ok') return failed(found.status, found.error);
    inputs = found.faces;
  }
  const rule = { threshold: settings.threshold, band: settings.band, temperature: settings.card.temperature };
  const rows = [];
  for (const { crop, face, faces, left, top, right, bottom, shorterSide } of inputs) {
    const place = align === 'none' ? {} : { face, faces, left, top, right, bottom };
    const outputs = await model.run(crop, ort);
    const scored = rowOf(outputs, crop, rule);
    const row = align === 'none' ? scored : withResolution(scored, shorterSide, settings.minimum_resolution);
    rows.push({ ...row, ...place, ...(domain && row.decision ? domain.place(outputs.embedding) : unplaced) });
  }
  return rows;
}

async function readFile(file) {
  try {
    return await file.arrayBuffer();
  } catch (error) {
    if (error.name === 'NotFoundError') throw new ImageError('not_found', 'no such file');
    if (error.name === 'NotReadableError') throw new ImageError('permission_denied', 'the file cannot be read');
    throw error;
  }
}

onmessage = async ({ data }) => {
  if (data.kind === 'open') {
    try {
      detector = await openDetector(data);
      postMessage({ kind: 'ready' });
    } catch (error) {
      postMessage({ kind: 'failed', message: error.message || String(error) });
    }
    return;
  }
  try {
    postMessage({ kind: 'rows', number: data.number, rows: await scoreFile(data, detector) });
  } catch (error) {
    postMessage({ kind: 'stopped', number: data.number, message: error.message || String(error) });
  }
};
