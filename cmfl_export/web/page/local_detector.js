// LocalDetector: scores files with the model in the page. view.js says what the page uses of a detector.

class LocalDetector {
  #settings;
  #worker;
  #opened = Promise.withResolvers?.() ?? resolvers();
  #queue = []; // {number, file, align}; the first one is at work
  #number = 0;
  #working = false;
  #stopped = false;
  #done = 0;
  #total = 0;

  constructor(settings) {
    this.#settings = settings;
    this.onrow = this.onprogress = this.onstop = () => {};
    this.about = this.#opened.promise;
    this.#open().catch((error) => this.#opened.reject(error));
  }

  score(files, { align = 'none' } = {}) {
    for (const file of files) this.#queue.push({ number: ++this.#number, file, align });
    this.#total += files.length;
    this.#say();
    this.#next();
  }

  cancel() {
    this.#queue = [];
    this.#working = this.#stopped = false;
    this.#total = this.#done;
    this.#say();
  }

  resume() {
    this.#stopped = false;
    this.#next();
  }

  async #open() {
    for (const name of ['DecompressionStream', 'OffscreenCanvas', 'WebAssembly']) {
      if (!globalThis[name]) throw new Error(`This browser is too old for the page: it has no ${name}.`);
    }
    const parts = {};
    const networks = this.#settings.aligns ? ['pnet', 'rnet', 'onet'] : [];
    const domain = this.#settings.domain ? ['domain'] : [];
    for (const name of ['worker', 'glue', 'wasm', 'model', 'probe', ...networks, ...domain]) {
      parts[name] = await unpackPart(name);
    }
    const { worker, ...rest } = parts;
    const address = URL.createObjectURL(new Blob([worker], { type: 'text/javascript' }));
    this.#worker = new Worker(address);
    this.#worker.onmessage = ({ data }) => this.#take(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(event.message || 'This browser does not start a worker for the page.');
    };
    this.#worker.postMessage({ kind: 'open', parts: rest, settings: this.#settings }, Object.values(rest));
  }

  #take(message) {
    if (message.kind === 'ready') this.#opened.resolve(this.#describe());
    else if (message.kind === 'failed') this.#fail(message.message);
    else if (message.number !== this.#queue[0]?.number) this.#next(); // cancelled
    else if (message.kind === 'stopped') this.#stop(message.message);
    else this.#give(message.rows);
  }

  #give(rows) {
    const { file } = this.#queue.shift();
    const path = file.webkitRelativePath || file.name;
    for (const row of rows) this.onrow({ path, ...row, file });
    this.#done += 1;
    this.#working = false;
    this.#say();
    this.#next();
  }

  #stop(message) {
    this.#working = false;
    this.#stopped = true;
    this.onstop(`The model failed to run: ${message}`);
  }

  #fail(message) {
    this.#opened.reject(new Error(message));
    if (this.#queue.length) this.#stop(message);
  }

  #next() {
    if (this.#working || this.#stopped || !this.#queue.length) return;
    this.#working = true;
    this.#worker.postMessage({ kind: 'score', ...this.#queue[0] });
  }

  #say() {
    this.onprogress({ done: this.#done, total: this.#total });
  }

  #describe() {
    const { card, threshold, band, aligned, aligns, domain, version, sha256, runtime } = this.#settings;
    return {
      name: card.name,
      version,
      precision: card.precision,
      threshold,
      band,
      temperature: card.temperature,
      runtime,
      streams: card.architecture === 'two_stream' ? 2 : 1,
      outputs: card.outputs,
      aligns,
      aligned,
      domain: Boolean(domain),
      sha256,
      card,
    };
  }
}

function resolvers() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

// A part of the page, which stands in an element as base64 of gzip; the element is removed to free its memory.
async function unpackPart(name) {
  const place = document.getElementById(`part-${name}`);
  try {
    const stream = new Blob([fromBase64(place.textContent)]).stream();
    return await new Response(stream.pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
  } catch {
    throw new Error('This page is damaged: a part of the file is missing or wrong. Copy or make it again.');
  } finally {
    place?.remove();
  }
}

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
