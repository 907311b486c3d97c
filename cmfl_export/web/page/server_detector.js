// ServerDetector: scores files with `POST /v1/predict` of the server that the page came from.

const FILES_IN_REQUEST = 8;
const REQUESTS_AT_ONCE = 2;
const MOST_WAITS = 30; // in a row, for a server that has no room

/** Why no further file is scored until `resume`. `token`: a right token would help. */
class Stopped extends Error {
  constructor(message, token = false) {
    super(message);
    this.token = token;
  }
}

/** See `view.js` for what the page uses of it. `settings`: see `serve/page.py`. */
class ServerDetector {
  #settings;
  #token = "";
  #opened;
  #kinds = "image";
  #values = "";
  #queue = []; // {file, path, align, rows: null until it is scored, sent: bool}, in order
  #sending = 0;
  #waits = 0;
  #total = 0;
  #done = 0;
  #stopped = false;
  #ending = new AbortController();

  constructor(settings) {
    this.#settings = settings;
    this.needsToken = settings.token;
    this.onrow = this.onprogress = this.onstop = () => {};
    this.about = new Promise((open, fail) => {
      this.#opened = open;
      if (!settings.token) this.#load().then(open, fail);
    });
  }

  /** Takes the token, which stays in memory; rejects if the server refuses it. */
  async enter(token) {
    this.#token = token;
    this.#opened(await this.#load());
  }

  score(files, { align = "none" } = {}) {
    for (const file of files) {
      const path = file.webkitRelativePath || file.name;
      this.#queue.push({ file, path, align, rows: null, sent: false });
    }
    this.#total += files.length;
    this.#say();
    this.#pump();
  }

  cancel() {
    this.#ending.abort();
    this.#ending = new AbortController();
    this.#queue = [];
    this.#sending = this.#waits = 0;
    this.#stopped = false;
    this.#total = this.#done;
    this.#say();
  }

  resume() {
    this.#stopped = false;
    this.#waits = 0;
    this.#pump();
  }

  #say() {
    this.onprogress({ done: this.#done, total: this.#total });
  }

  async #load() {
    const answer = await this.#fetch("v1/model");
    const { card, ...running } = await answer.json();
    const has = (kind) => card.outputs.some((name) => name.startsWith(kind));
    if (has("spectrum")) this.#kinds += ",spectrum";
    if (has("heatmap")) this.#values = "&values=heatmap";
    return {
      name: card.name,
      version: running.version,
      precision: card.precision,
      threshold: running.threshold,
      band: running.band,
      temperature: card.temperature,
      runtime: running.provider,
      streams: card.architecture === "two_stream" ? 2 : 1,
      outputs: card.outputs,
      aligns: running.aligns,
      domain: card.outputs.includes("embedding") && Object.keys(card.domain).length > 0,
      aligned: running.aligned,
      sha256: running.sha256,
      card,
    };
  }

  async #fetch(address, options = {}) {
    const headers = this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
    let answer;
    try {
      answer = await fetch(address, { headers, ...options });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Stopped("The server cannot be reached.");
    }
    if (answer.status === 401) throw new Stopped("The server refuses this token.", true);
    if (address === "v1/model" && !answer.ok) throw new Stopped(await reasonOf(answer));
    return answer;
  }

  #pump() {
    while (!this.#stopped && this.#sending < REQUESTS_AT_ONCE) {
      const batch = this.#next();
      if (!batch.length) break;
      this.#sending += 1;
      const ending = this.#ending;
      this.#send(batch, ending.signal).catch((error) => this.#fail(batch, error, ending)).finally(() => {
        if (ending !== this.#ending) return;
        this.#sending -= 1;
        this.#emit();
        this.#pump();
      });
    }
  }

  /** The next files that fit into a request, alike in `align`. */
  #next() {
    const most = Math.min(FILES_IN_REQUEST, this.#settings.most_files);
    const start = this.#queue.findIndex((item) => !item.sent);
    const batch = [];
    let bytes = 0;
    for (const item of start < 0 ? [] : this.#queue.slice(start, start + most)) {
      bytes += item.file.size + 1000;
      const fits = bytes <= this.#settings.most_bytes && item.align === batch[0]?.align;
      if (item.sent || (batch.length && !fits)) break;
      item.sent = true;
      batch.push(item);
    }
    return batch;
  }

  async #send(batch, signal) {
    const form = new FormData();
    const sent = [];
    for (const item of batch) {
      if (item.file.size > this.#settings.most_bytes) {
        item.rows = [failureOf(item, "too_large", `the server takes no more than ${this.#settings.most_bytes} bytes`)];
        continue;
      }
      let bytes;
      try {
        bytes = await item.file.arrayBuffer();
      } catch {
        item.rows = [failureOf(item, "unreadable", "the file cannot be read")];
        continue;
      }
      form.append("files", new Blob([bytes]), "image");
      sent.push(item);
    }
    if (!sent.length) return;
    const address = `v1/predict?pictures=${this.#kinds}${this.#values}&align=${batch[0].align}`;
    const answer = await this.#fetch(address, { method: "POST", body: form, signal });
    if (answer.ok) {
      this.#waits = 0;
      const { results } = await answer.json();
      await takeRows(sent, results);
    } else if (answer.status === 429 && this.#waits < MOST_WAITS) {
      this.#waits += 1;
      await new Promise((wake) => setTimeout(wake, 1000 * (Number(answer.headers.get("Retry-After")) || 1)));
      await this.#again(sent, signal);
    } else if ([408, 413, 503].includes(answer.status)) {
      await this.#halve(sent, answer, signal);
    } else {
      throw new Stopped(`The server says: ${await reasonOf(answer)}.`);
    }
  }

  async #again(batch, signal) {
    if (!signal.aborted) await this.#send(batch, signal);
  }

  /** Too much at once: in halves, down to one file that the server cannot score. */
  async #halve(batch, answer, signal) {
    if (batch.length === 1) {
      const status = answer.status === 413 ? "too_large" : "too_slow";
      batch[0].rows = [failureOf(batch[0], status, await reasonOf(answer))];
      return;
    }
    const half = Math.ceil(batch.length / 2);
    await this.#again(batch.slice(0, half), signal);
    await this.#again(batch.slice(half), signal);
  }

  #fail(batch, error, ending) {
    if (ending !== this.#ending) return;
    for (const item of batch) item.sent = item.rows !== null;
    if (this.#stopped) return;
    this.#stopped = true;
    this.needsToken = error.token ?? false;
    this.onstop(error instanceof Stopped ? error.message : `The page failed: ${error.message}`);
  }

  /** Gives the rows of the first files that have them. */
  #emit() {
    while (this.#queue.length && this.#queue[0].rows) {
      const { rows } = this.#queue.shift();
      rows.forEach((row) => this.onrow(row));
      this.#done += 1;
    }
    this.#say();
  }
}

function failureOf(item, status, error) {
  const none = { p_real: null, p_real_rgb: null, p_real_spectrum: null, decision: null };
  const face = item.align === "none" ? {} : { face: null, faces: null, left: null, top: null, right: null, bottom: null };
  return { path: item.path, ...none, status, error, ...face, file: item.file, crop: null };
}

async function reasonOf(answer) {
  try {
    return (await answer.json()).error;
  } catch {
    return `code ${answer.status}`;
  }
}

/** Hands the rows of an answer to their files, of which one may have several, one for each face. */
async function takeRows(items, rows) {
  let at = 0;
  for (const item of items) {
    const mine = [];
    do {
      const { pictures = {}, values = {}, ...row } = rows[at++];
      const { file, path } = item;
      mine.push({
        ...row,
        path,
        file,
        crop: await pixelsOf(pictures.image),
        spectrum: await pixelsOf(pictures.spectrum),
        heatmap_rgb: flat(values.heatmap_rgb),
        heatmap_spectrum: flat(values.heatmap_spectrum),
      });
    } while ((mine.at(-1).face ?? 0) + 1 < (mine.at(-1).faces ?? 1));
    item.rows = mine;
  }
}

const flat = (values) => (values ? Float32Array.from(values.flat()) : null);

async function pixelsOf(file) {
  if (!file) return null;
  const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes]), { colorSpaceConversion: "none" });
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}
