// Runs one model on onnxruntime-web's WebAssembly for runtime/web.py, which starts: node web_session.mjs FOLDER
//
// FOLDER is that of the npm package. A message on standard input or output is the length of its header (uint32,
// little-endian), the header (JSON) and as many bytes as header.bytes says. The first message is the model, each
// later one a batch. Each has one answer; an answer whose header has `error` has no bytes. The end of the input
// ends the process.
import path from 'node:path';
import { pathToFileURL } from 'node:url';

// Standard output is for answers alone.
console.log = console.info = console.debug = console.error;
// Ctrl-C reaches this process too, but whether the run stops is for the parent to say.
process.on('SIGINT', () => {});
process.stdout.on('error', () => process.exit(0)); // the parent has gone

const chunks = process.stdin[Symbol.asyncIterator]();
let rest = Buffer.alloc(0);

// The next bytes of the input, or null where it ends before.
async function read(count) {
  const parts = [rest];
  let found = rest.length;
  while (found < count) {
    const { value, done } = await chunks.next();
    if (done) return null;
    parts.push(value);
    found += value.length;
  }
  const whole = Buffer.concat(parts, found);
  rest = Buffer.from(whole.subarray(count)); // a copy, so that the model can be freed
  return whole.subarray(0, count);
}

async function receive() {
  const length = await read(4);
  const header = length && (await read(length.readUInt32LE()));
  if (!header) return null;
  const fields = JSON.parse(header.toString());
  const body = await read(fields.bytes);
  return body && { ...fields, body };
}

function send(fields, parts = []) {
  const bytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
  const header = Buffer.from(JSON.stringify({ ...fields, bytes }));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  for (const part of [length, header, ...parts]) process.stdout.write(part);
}

async function load({ body }) {
  // Of the package's builds, this one is WebAssembly alone and has no dependencies.
  const build = path.join(process.argv[2], 'dist', 'ort.wasm.min.mjs');
  const ort = await import(pathToFileURL(path.resolve(build)));
  ort.env.logLevel = 'fatal';
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(body, {
    executionProviders: ['wasm'],
    logSeverityLevel: 4,
  });
  send({ version: ort.env.versions.web });
  return { ort, session };
}

async function run({ ort, session }, { dims, outputs, body }) {
  const image = new ort.Tensor('uint8', body, dims);
  const values = await session.run({ [session.inputNames[0]]: image }, outputs);
  const tensors = outputs.map((name) => values[name]);
  send(
    { outputs: tensors.map(({ type, dims }) => ({ type, dims })) },
    tensors.map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength)),
  );
}

let model = null;
for (let message = await receive(); message; message = await receive()) {
  try {
    if (model) await run(model, message);
    else model = await load(message);
  } catch (error) {
    send({ error: String(error?.message ?? error) });
  }
}
process.exit(0);
