// The page: takes files, gives them to a detector, and shows the rows that come back.
//
// What it uses of a detector:
//   about            Promise of {name, version, precision, threshold, temperature, runtime, streams, outputs,
//                    aligns, card} and, if known, {band, aligned, domain, sha256}; rejects with an Error for people
//   score(files, {align: "none" | "largest" | "all"}), cancel()
//   onrow(row)       in the order of the files: the fields of a row of predict, and {crop, spectrum: ImageData or
//                    null, heatmap_rgb, heatmap_spectrum: 196 numbers or null}
//   onprogress({done, total})
// and if it has them:
//   needsToken, enter(token)   a secret to ask the user for, before `about` comes or after `onstop`
//   onstop(message), resume()  nothing more is scored until the user asks for it

const REDRAW = 200; // ms between two redraws while rows come
const SPEAK = 10_000; // ms between two announcements of the progress

/** Starts the page. `settings`: {server, endings, colours, ...}, see `cmfl_export/web/page_html.py`. */
function showPage(detector, settings) {
  new View(detector, settings).start();
}

class View {
  #detector;
  #settings;
  #about;
  #rows = []; // as they came, without pictures
  #entries = []; // as they are shown
  #pictures = new Map();
  #peaks = {};
  #last = Promise.resolve();
  #session = 0;
  #progress = { done: 0, total: 0 };
  #cleared = 0; // files that were scored before the results were cleared
  #redraw = 0;
  #spoken = 0; // when; Infinity after the end

  constructor(detector, settings) {
    this.#detector = detector;
    this.#settings = settings;
  }

  async start() {
    const detector = this.#detector;
    detector.onrow = (row) => this.#take(row, this.#session);
    detector.onprogress = (progress) => this.#showProgress(progress);
    detector.onstop = (message) => this.#stop(message);
    this.#wire();
    if (this.#settings.server) {
      element("host").textContent = location.host;
      element("plain").hidden = isSecureContext;
    }
    this.#askForToken();
    try {
      this.#about = await detector.about;
    } catch (error) {
      element("state").hidden = true;
      this.#warn(error.message);
      return;
    }
    element("state").hidden = true;
    this.#showAbout();
    this.#showRows();
    element("intake").hidden = false;
  }

  // ---- what the user does ----

  #wire() {
    for (const id of ["files", "folder"]) {
      element(`choose-${id}`).addEventListener("click", () => element(id).click());
    }
    element("choose-folder").hidden = !("webkitdirectory" in element("folder"));
    element("files").addEventListener("change", (event) => this.#give(Array.from(event.target.files), event.target));
    element("folder").addEventListener("change", (event) => this.#give(
      filesOfFolder(event.target.files, this.#settings.endings), event.target));
    // On all of the page: a file that is dropped beside the zone would be opened instead of the page.
    for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
      addEventListener(kind, (event) => {
        if (!event.dataTransfer?.types.includes("Files")) return;
        event.preventDefault();
        element("drop").classList.toggle("over", kind === "dragover" || kind === "dragenter");
        if (kind === "drop" && this.#about) this.#drop(event.dataTransfer);
      });
    }
    element("cancel").addEventListener("click", () => this.#cancel());
    element("save").addEventListener("click", () => this.#save());
    element("clear").addEventListener("click", () => this.#clear());
    element("again").addEventListener("click", () => {
      element("trouble").hidden = true;
      this.#detector.resume();
    });
  }

  async #drop(transfer) {
    this.#give(await filesOfDrop(transfer, this.#settings.endings));
  }

  #give(files, input = null) {
    if (input) input.value = ""; // so that the same file can be chosen again
    if (!files.length) {
      this.#say("There is no image among these files.");
      return;
    }
    this.#spoken = 0;
    this.#detector.score(files, { align: this.#about.aligns ? element("align").value : "none" });
  }

  #cancel() {
    this.#detector.cancel();
    element("trouble").hidden = true;
    const { done } = this.#progress;
    this.#showProgress({ done, total: done });
    this.#spoken = Infinity;
    this.#say(`Cancelled. ${this.#summary()}`);
  }

  #clear() {
    this.#detector.cancel();
    this.#cleared = this.#progress.done;
    element("trouble").hidden = true;
    this.#session += 1;
    this.#pictures.forEach(dropPictures);
    this.#pictures.clear();
    [this.#rows, this.#entries, this.#peaks] = [[], [], {}];
    this.#showRows();
    element("found").hidden = true;
    element("choose-files").focus();
    this.#say("The results are cleared.");
  }

  #save() {
    const address = URL.createObjectURL(new Blob([csvOf(this.#rows)], { type: "text/csv;charset=utf-8" }));
    make("a", { href: address, download: "cmfl-scores.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }

  #askForToken() {
    const form = element("sign-in");
    form.hidden = !this.#detector.needsToken;
    element("state").hidden = !form.hidden || Boolean(this.#about);
    form.onsubmit = async (event) => {
      event.preventDefault();
      const field = element("token");
      element("token-error").textContent = "";
      try {
        await this.#detector.enter(field.value.trim());
      } catch (error) {
        element("token-error").textContent = error.message;
        field.setAttribute("aria-invalid", "true");
        field.focus();
        return;
      }
      field.value = "";
      field.removeAttribute("aria-invalid");
      form.hidden = true;
      if (!element("trouble").hidden) element("again").click();
      element("intake").hidden = false;
      element("choose-files").focus();
    };
  }

  // ---- rows ----

  /** Rows are shown in their order, each when its picture is ready. */
  #take({ file, crop, spectrum, heatmap_rgb, heatmap_spectrum, ...row }, session) {
    const kept = keepPictures({ crop, spectrum, heatmap_rgb, heatmap_spectrum });
    this.#last = this.#last.then(async () => {
      const pictures = await kept.catch(() => null);
      if (session !== this.#session) {
        dropPictures(pictures);
        return;
      }
      const entry = entryOf(row, this.#entries.length + 1, this.#ends());
      for (const [branch, peak] of Object.entries(pictures?.peaks ?? {})) {
        this.#peaks[branch] = Math.max(peak, this.#peaks[branch] ?? 0);
      }
      this.#pictures.set(entry.number, pictures);
      this.#rows.push(row);
      this.#entries.push(entry);
      this.#redraw ||= setTimeout(() => this.#showAdded(), REDRAW);
    });
  }

  /** The ends of the band; without one both are the threshold. */
  #ends() {
    const { band, threshold } = this.#about;
    return band ?? [threshold, threshold];
  }

  #showRows() {
    showResults({
      threshold: this.#about.threshold,
      band: this.#about.band ?? null,
      branches: this.#about.streams === 2,
      domain: Boolean(this.#about.domain),
      colours: Uint8Array.from(atob(this.#settings.colours), (letter) => letter.charCodeAt(0)),
      peaks: this.#peaks,
      rows: this.#entries,
      picture: (row) => this.#pictures.get(row.number) ?? null,
      whyNoPicture: () => "There is no picture of this image.",
    });
  }

  #showAdded() {
    clearTimeout(this.#redraw);
    this.#redraw = 0;
    if (!this.#entries.length) return;
    element("found").hidden = false;
    showAdded();
    const counts = countsOf(this.#entries);
    for (const [name, value] of Object.entries(counts)) element(`count-${name}`).textContent = whole.format(value);
  }

  // ---- progress ----

  #showProgress({ done, total }) {
    this.#progress = { done, total };
    const running = done < total;
    const box = element("progress");
    if (running && box.hidden) this.#say(`${whole.format(total - done)} to score.`);
    if (!running && box.contains(document.activeElement)) {
      element(element("found").hidden ? "choose-files" : "results").focus({ preventScroll: true });
    }
    box.hidden = !running;
    const [now, all] = [done - this.#cleared, total - this.#cleared];
    element("bar").max = Math.max(all, 1);
    element("bar").value = now;
    element("done").textContent = `${whole.format(now)} of ${whole.format(all)} scored`;
    if (running && Date.now() - this.#spoken > SPEAK) {
      if (done) this.#say(element("done").textContent);
      this.#spoken = Date.now();
    }
    if (!running && done) this.#last = this.#last.then(() => this.#finish());
  }

  /** Comes after the last row was taken. */
  #finish() {
    if (this.#spoken === Infinity || this.#progress.done < this.#progress.total) return;
    this.#spoken = Infinity;
    this.#showAdded();
    this.#say(`Done. ${this.#summary()}`);
  }

  #summary() {
    const { images, synthetic, uncertain, real, failed } = countsOf(this.#entries);
    const between = this.#about.band ? ` ${uncertain} uncertain,` : "";
    return `${whole.format(images)} ${images === 1 ? "result" : "results"}: ${synthetic} synthetic,${between} ${real} real, ${failed} failed.`;
  }

  /** For screen readers, which the bar and the changing counts would flood. */
  #say(text) {
    element("said").textContent = text;
  }

  #stop(message) {
    this.#warn(message, Boolean(this.#detector.resume));
    if (this.#detector.needsToken) {
      this.#askForToken();
      element("token").focus();
    }
  }

  #warn(message, again = false) {
    element("trouble").hidden = false;
    element("trouble-text").textContent = message;
    element("again").hidden = !again;
  }

  // ---- the model ----

  #showAbout() {
    const about = this.#about;
    const { card } = about;
    const where = this.#settings.server ? `run by ${location.host}` : "run in this page";
    element("running").textContent = visible(`Model ${about.name} (${about.precision}), ${where} on ${about.runtime}`);
    element("intended").textContent = card.intended_use ?? "";
    element("intended").hidden = !card.intended_use;
    element("align-box").hidden = !about.aligns;
    element("no-align").hidden = about.aligns;
    if (about.aligned === false) element("no-align").textContent = "Images are resized, and cropped to their centre.";
    const [low, high] = this.#ends();
    for (const [kind, value] of Object.entries({ threshold: about.threshold, low, high })) {
      for (const place of document.querySelectorAll(`.${kind}-text`)) place.textContent = String(+value.toPrecision(4));
    }
    const missing = ["heatmap", "spectrum"].filter((kind) => !about.outputs.some((name) => name.startsWith(kind)));
    const hide = (kind, hidden) => document.querySelectorAll(kind).forEach((place) => { place.hidden = hidden; });
    hide(".of-branches", about.streams !== 2);
    hide(".of-threshold", Boolean(about.band));
    hide(".of-band", !about.band);
    hide(".of-domain", !about.domain);
    hide(".if-calibrated", about.temperature === 1);
    for (const kind of ["heatmap", "spectrum"]) hide(`.of-${kind}`, missing.includes(kind));
    const isOwn = about.threshold === card.threshold && Boolean(about.band) === Boolean(card.band);
    const source = isOwn ? card.threshold_source : `the page's; the card says ${card.threshold}`;
    const facts = [
      ["Model", about.name],
      ["Precision", about.precision],
      ["Threshold", String(+about.threshold.toPrecision(6))],
      ["Band of uncertain scores", about.band && about.band.map((end) => +end.toPrecision(6)).join(" to ")],
      ["Its source", source],
      ["Temperature", String(+about.temperature.toPrecision(4))],
      ["Architecture", [card.architecture, card.spectra].filter(Boolean).join(", ")],
      ["Training data", card.data || "not stated"],
      ["Runs on", about.runtime],
      ["SHA-256 of the file", about.sha256],
      ["Licence", card.licence],
      ["Tool", about.version && `cmfl-export ${about.version}`],
    ];
    element("facts").replaceChildren(...facts.filter(([, value]) => value).map(([name, value]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, visible(value)))));
    element("card-rows").replaceChildren(...cardItems(card).map(([name, value]) =>
      make("tr", {}, make("th", { scope: "row" }, visible(name)), make("td", {}, visible(value)))));
    element("model-section").hidden = false;
    element("lacking").hidden = !missing.length;
    element("lacking").textContent = `This model has no ${missing.join(" and no ")} output. To see them here, export it `
      + `with: cmfl export WEIGHTS -o MODEL.onnx --outputs ${missing.join(",")}`;
  }
}
