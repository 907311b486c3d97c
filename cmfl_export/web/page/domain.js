// How far an image is from the model's training images, as `Domain` of runtime/domain.py says it.

class Domain {
  #settings;
  #arrays;

  // `settings`: {dimensions, used, components, noise, limit}; `data`: float64 values, see web/domain_part.py.
  constructor(settings, data) {
    const { used, components } = settings;
    const sizes = { mean: used, spread: used, variances: components, quantiles: 101, basis: used * components };
    this.#settings = settings;
    this.#arrays = {};
    let start = 0;
    for (const [name, size] of Object.entries(sizes)) {
      this.#arrays[name] = new Float64Array(data, 8 * start, size);
      start += size;
    }
  }

  // The fields of a row for the model's output `embedding`.
  place(embedding) {
    if (embedding.length !== this.#settings.dimensions) {
      throw new Error(`its domain is of another model, with embeddings of ${this.#settings.dimensions} dimensions`);
    }
    const distance = this.#distance(embedding);
    // Written so that a NaN is outside.
    return { domain: this.#percentile(distance), out_of_domain: !(distance <= this.#settings.limit) };
  }

  #distance(embedding) {
    const { mean, spread, variances, basis } = this.#arrays;
    const apart = Array.from(mean, (middle, i) => (embedding[i] - middle) / spread[i]);
    let rest = apart.reduce((sum, value) => sum + value * value, 0);
    let squared = 0;
    variances.forEach((variance, k) => {
      const along = apart.reduce((sum, value, i) => sum + value * basis[k * mean.length + i], 0);
      rest -= along * along;
      squared += (along * along) / variance;
    });
    // Rounding can make what is left a little less than nothing.
    return Math.sqrt((squared + Math.max(rest, 0) / this.#settings.noise) / mean.length);
  }

  #percentile(distance) {
    const { quantiles } = this.#arrays;
    const last = quantiles.length - 1;
    if (!Number.isFinite(distance) || distance >= quantiles[last]) return 100;
    const above = quantiles.findIndex((quantile) => distance < quantile);
    if (above === 0) return 0;
    const [low, high] = [quantiles[above - 1], quantiles[above]];
    return Number((above - 1 + (distance - low) / (high - low)).toFixed(2));
  }
}
