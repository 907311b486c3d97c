// A detector whose rows the test has written: `fake.give(n)` scores the next n files.

class FakeDetector {
  asked = [];
  cancelled = 0;
  resumed = 0;
  #waiting = [];
  #done = 0;
  #total = 0;

  constructor(settings) {
    globalThis.fake = this;
    this.rows = settings.rows;
    this.about = settings.refused ? Promise.reject(new Error(settings.refused)) : Promise.resolve(settings.about);
  }

  score(files, { align }) {
    this.asked.push([files.map((file) => file.webkitRelativePath || file.name), align]);
    this.#waiting.push(...files);
    this.#total += files.length;
    this.#say();
  }

  cancel() {
    this.cancelled += 1;
    this.#waiting = [];
    this.#total = this.#done;
    this.#say();
  }

  resume() {
    this.resumed += 1;
  }

  give(count) {
    for (const file of this.#waiting.splice(0, count)) {
      for (const row of this.rows[file.name] ?? [{ ...this.rows.any, path: file.name }]) {
        const picture = row.p_real === null || row.plain ? null : new ImageData(224, 224);
        picture?.data.fill(255);
        const heat = picture && Float32Array.from({ length: 196 }, (_, place) => (place === 26 ? 0.02 : 0.001));
        this.onrow({ ...row, file, crop: picture, spectrum: picture, heatmap_rgb: heat, heatmap_spectrum: heat });
      }
      this.#done += 1;
    }
    this.#say();
  }

  #say() {
    this.onprogress({ done: this.#done, total: this.#total });
  }
}
