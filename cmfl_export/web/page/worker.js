// The Worker of a page with its own detector: opens the model, tests it, and scores one file after the other.
//
// Messages to it: {kind: "open", parts: {glue, wasm, model, probe, and pnet, rnet, onet if it finds faces}, settings},
// then {kind: "score", number, file, align}. From it: {kind: "ready"} or {kind: "failed", message}; then for each file {kind: "rows", number, rows} or
// {kind: "stopped", number, message}.

let detector = null;

async function openDetector({ parts, settings }) {
  const { card } = settings;
  const shown = card.outputs.filter((name) => name !== 'embedding');
  const model = await Model.open(ort, parts, shown).catch((error) => {
    throw new Error(`The model does not start in this browser: ${error.message ?? error}`);
  });
  const score = async (rgb) => {
    const outputs = await model.run(rgb, ort);
    return Object.fromEntries(SCORE_NAMES.filter((name) => name in outputs).map((name) => [name, outputs[name][0]]));
  };
  await selfTest(score, settings.self_test);
  const networks = settings.aligns ? await openFaceNetworks(ort, bytesOf(parts, ['pnet', 'rnet', 'onet'])) : null;
  return { model, networks, settings, canvas: await probeCanvas(parts.probe) };
}

const bytesOf = (parts, names) => Object.fromEntries(names.map((name) => [name, new Uint8Array(parts[name])]));

// The rows of a file; with `align` one for each face.
async function scoreFile({ file, align }, detector) {
  const { model, settings } = detector;
  const rule = { threshold: settings.threshold, temperature: settings.card.temperature };
  let inputs;
  try {
    inputs = await inputsOf(file, align, detector);
  } catch (error) {
    return [{ ...failureOf(error), ...faceOf({}, align) }];
  }
  const rows = [];
  for (const { crop, ...face } of inputs) {
    rows.push({ ...rowOf(await model.run(crop, ort), crop, rule), ...faceOf(face, align) });
  }
  return rows;
}

// The model's inputs for a file, {crop} and with `align` the face that each is of.
async function inputsOf(file, align, { networks, settings, canvas }) {
  const bytes = new Uint8Array(await readFile(file));
  const { rgb, width, height } = await decode(bytes, file.name, settings.limits, canvas);
  if (align === 'none') return [{ crop: fitToModel(rgb, width, height, settings.aligned) }];
  const { status, error, faces } = await alignFaces(networks, rgb, width, height, align);
  if (status !== 'ok') throw new ImageError(status, error);
  return faces;
}

function faceOf({ face, faces, left, top, right, bottom }, align) {
  if (align === 'none') return {};
  const found = { face, faces, left, top, right, bottom };
  return Object.fromEntries(Object.entries(found).map(([name, value]) => [name, value ?? null]));
}

function failureOf(error) {
  if (error instanceof ImageError) return failedRow(error.status, error.message);
  if (error instanceof RangeError) return failedRow('too_large', 'not enough memory to decode it');
  return failedRow('unreadable', `${error.name}: ${error.message}`);
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
