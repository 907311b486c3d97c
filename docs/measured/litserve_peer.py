"""Measures `cmfl serve` beside LitServe with the same model, and beside `predict`, in alternating rounds.

LitServe is no dependency: pip install litserve, then python litserve_peer.py MODEL FOLDER OUT.json. All
is sent by the load generator of `cmfl bench --serve`. LitServe takes JSON, so its images are sent in base64,
as its documentation shows. Batches, their wait and the decoder are those of `cmfl serve`.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from typing import Any

import litserve
import numpy as np

from cmfl_export import Detector
from cmfl_export.bench.contenders import FOLDER, Contender
from cmfl_export.bench.load import Place, drive
from cmfl_export.bench.process import Worker
from cmfl_export.runtime import COLUMNS, machine, pipeline

CLIENTS, ROUNDS, SECONDS, PORT = (1, 4, 16, 64), 3, 5.0, 8397


class Api(litserve.LitAPI):
    """The model, the decoder and the batches of `cmfl serve`."""

    model = provider = ""

    def setup(self, device: str) -> None:
        self.detector = Detector(self.model, provider=self.provider)

    def decode_request(self, request: dict[str, str]) -> Any:
        return self.detector.images_of(base64.b64decode(request["image"]))[0].image

    def batch(self, inputs: list[Any]) -> Any:
        return np.stack(inputs)

    def predict(self, x: Any) -> list[dict[str, Any]]:
        found = self.detector.outputs_of(x, extras=False, low_latency=True)
        return [{name: rows[n] for name, rows in found.items()} for n in range(len(x))]

    def unbatch(self, output: Any) -> Any:
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        row = self.detector.row_of("", pipeline.Outcome(None, None, output, np.zeros(0, np.uint8)))
        return {"results": [row.record(COLUMNS)]}


def serve(model: str, provider: str) -> None:
    api = Api(max_batch_size=Detector(model, provider=provider).batch_size, batch_timeout=0.005)
    api.model, api.provider = model, provider
    server = litserve.LitServer(api, accelerator="cpu", timeout=600)
    server.run(port=PORT, host="127.0.0.1", generate_client_file=False)


def ready() -> bool:
    try:
        connection = HTTPConnection("127.0.0.1", PORT, timeout=5)
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False


def main(model: str, folder: str, out: str, provider: str = "onnxruntime") -> None:
    images = sorted(str(path) for path in Path(folder).iterdir())
    options = {"model": model, "provider": provider}
    given = {"threads": None, "images": images, "compared": len(images)}
    measures = tuple(f"{count} clients" for count in CLIENTS)
    found: dict[str, list[dict[str, float]]] = {}
    before = machine.describe()
    with ExitStack() as stack, tempfile.TemporaryDirectory() as scratch:
        bodies = []
        for image in images:
            body = Path(scratch) / f"{Path(image).name}.json"
            body.write_text(json.dumps({"image": base64.b64encode(Path(image).read_bytes()).decode()}))
            bodies.append(str(body))
        predict = stack.enter_context(Worker(Contender("predict", "model", "", (FOLDER,), options), None))
        served = stack.enter_context(Worker(Contender("served", "served", "", measures, options), None))
        scores = [worker.load(given)["scores"] for worker in (predict, served)]
        # It has processes of its own, which end as a group.
        command = [sys.executable, __file__, "--server", model, provider]
        peer = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        stack.callback(os.killpg, peer.pid, signal.SIGKILL)
        while not ready():
            time.sleep(0.2)
        place, turn = Place("127.0.0.1", PORT, "/predict", "application/json"), cycle(bodies)
        answers = sorted(drive(place, bodies, 8))
        scores.append([answer.content["results"][0]["p_real"] for answer in answers])
        for _ in range(ROUNDS):
            for count, measure in zip(CLIENTS, measures, strict=True):
                direct = predict.measure(FOLDER, SECONDS)
                ours = served.measure(measure, SECONDS)
                start = time.perf_counter()
                times = [answer.seconds for answer in drive(place, turn, count, SECONDS)]
                theirs = {"amount": len(times), "seconds": time.perf_counter() - start, "times": times}
                for name, one in (("predict", direct), ("cmfl serve", ours), ("LitServe", theirs)):
                    p50, p99 = np.percentile(one["times"], (50, 99))
                    figures = {"images_per_second": one["amount"] / one["seconds"], "p50": p50, "p99": p99}
                    found.setdefault(f"{name}, {measure}", []).append(figures)
    differences = [float(np.abs(np.subtract(scores[0], each)).max()) for each in scores[1:]]
    record = {"machine": before, "model": Path(model).name, "provider": provider, "images": len(images)}
    record |= {"max_abs_p": dict(zip(("cmfl serve", "LitServe"), differences, strict=True)), "rounds": found}
    Path(out).write_text(json.dumps(record, indent=1) + "\n")
    for measure in measures:
        rates = {
            name: [each["images_per_second"] for each in found[f"{name}, {measure}"]]
            for name in ("predict", "cmfl serve", "LitServe")
        }
        for name, each in rates.items():
            share = np.median(np.divide(each, rates["predict"]))
            print(f"{measure:11} {name:10} {np.median(each):6.1f} images/s, {share:.2f} of predict, ", end="")
            print(
                *(
                    f"{q} {1e3 * np.median([one[q] for one in found[f'{name}, {measure}']]):.0f} ms"
                    for q in ("p50", "p99")
                )
            )
    print("max |dp|", differences)


if __name__ == "__main__":
    serve(*sys.argv[2:]) if sys.argv[1] == "--server" else main(*sys.argv[1:])
