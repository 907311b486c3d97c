// The Worker of a page with its own detector: opens the model, tests it, and scores one file after the other.
//
// Messages to it: {kind: "open", parts: {glue, wasm, model, probe}, settings}, then {kind: "score", number, file,
// align}. From it: {kind: "ready"} or {kind: "failed", message}; then for each file {kind: "rows", number, rows} or
// {kind: "stopped", number, message}.

let detector = null;

async function openDetector({ parts, settings }) {
  const { card } = settings;
  const shown = card.outputs.filter((name) => name !== 'embedding');
  const model = await Model.open(ort, parts, shown);
  const score = async (rgb) => {
    const outputs = await model.run(rgb, ort);
    return Object.fromEntries(SCORE_NAMES.filter((name) => name in outputs).map((name) => [name, outputs[name][0]]));
  };
  await selfTest(score, settings.self_test);
  return { model, settings, canvas: await probeCanvas(parts.probe) };
}

async function scoreFile({ file }, { model, settings, canvas }) {
  let rgb;
  try {
    const bytes = new Uint8Array(await readFile(file));
    const picture = await decode(bytes, file.name, settings.limits, canvas);
    rgb = fitToModel(picture.rgb, picture.width, picture.height, settings.aligned);
  } catch (error) {
    if (error instanceof ImageError) return [failedRow(error.status, error.message)];
    if (error instanceof RangeError) return [failedRow('too_large', 'not enough memory to decode it')];
    return [failedRow('unreadable', `${error.name}: ${error.message}`)];
  }
  const outputs = await model.run(rgb, ort);
  return [rowOf(outputs, rgb, { threshold: settings.threshold, temperature: settings.card.temperature })];
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
