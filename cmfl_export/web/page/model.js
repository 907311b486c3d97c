// A model on onnxruntime-web's WebAssembly, with one thread.

class Model {
  #session;
  #outputs;

  // `glue` is what onnxruntime-web's script loads, `wasm` its binary; `outputs` are the names to fetch.
  static async open(ort, { glue, wasm, model }, outputs) {
    const address = URL.createObjectURL(new Blob([glue], { type: 'text/javascript' }));
    ort.env.logLevel = 'fatal';
    ort.env.wasm.numThreads = 1; // more need cross-origin isolation, which a file has not
    ort.env.wasm.wasmBinary = wasm;
    ort.env.wasm.wasmPaths = { mjs: address };
    const opened = new Model();
    opened.#session = await ort.InferenceSession.create(new Uint8Array(model), {
      executionProviders: ['wasm'],
      logSeverityLevel: 4,
    });
    URL.revokeObjectURL(address);
    opened.#outputs = outputs;
    return opened;
  }

  // The outputs by name, Float32Array, for RGB of 224 x 224.
  async run(rgb, ort) {
    const image = new ort.Tensor('uint8', rgb, [1, 224, 224, 3]);
    const found = await this.#session.run({ [this.#session.inputNames[0]]: image }, this.#outputs);
    return Object.fromEntries(this.#outputs.map((name) => [name, found[name].data]));
  }
}
