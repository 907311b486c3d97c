"""`make demo`: the whole job on data that comes with the installation, in a few minutes on two cores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from models_zoo import registry
from protocols import read_protocol
from training.config import TrainConfig
from training.demo_data import make_demo_data
from training.fit import train

from ..base.errors import UsageError
from ..base.locks import exclusive_folder
from ..export import export, verify
from ..metrics import d_eer
from ..predict import predict_to, read_rows
from ..runtime import Prediction
from ..zoo import STARTER

SHOWN = 6  # rows of each class in the table


def demo(out: Path, *, progress: bool | None = None) -> Iterator[str]:
    """Makes data, trains, exports, verifies, and predicts on a held-out folder.

    Args:
        out: folder to write; must be new or empty.
        progress: a bar for the training; None shows it on a terminal.

    Yields:
        What to tell the user, a line at a time, as it happens: at the end the D-EER, and what the starter
        model of the zoo, where there is one, makes of the same images.

    Raises:
        CmflError: `out` is not empty, or a stage failed.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder; give another with -o")
    with exclusive_folder(out):
        yield from _whole_job(out, progress)


def _whole_job(out: Path, progress: bool | None) -> Iterator[str]:
    data, model, scores = out / "data", out / "detector.onnx", out / "scores.csv"

    protocol = make_demo_data(data)
    splits = read_protocol(protocol)
    counts = [f"{name} {len(part)}" for name, part in (("train", splits.train), ("dev", splits.dev))]
    yield f"[1/5] data in {data}: {', '.join(counts)}, held out {len(splits.eval)}"

    yield "[2/5] training"
    config = TrainConfig(
        protocol=str(protocol),
        data_root=str(data),
        epochs=2,
        batch_size=4,  # more steps from few images
        lr=1e-3,
        optimizer="adamw",
        schedule="one_cycle",
        augment=0.0,  # blur and JPEG would hide traces that two epochs can learn
        workers=0,  # loader processes take longer to start than to decode these images
    )
    run = train(config, out / "run", progress=progress)
    yield from run.lines()

    yield "[3/5] export"
    card = export(
        run.folder, model, name="demo", data="crops of scikit-image's photographs, simulated up-sampling"
    )
    yield f"{model}: outputs {', '.join(card.outputs)}"

    yield "[4/5] verify"
    held_out = [str(data / sample.filename) for sample in splits.eval]
    report = verify(model, run.folder, held_out[:: len(held_out) // 8])
    yield from report.lines()
    if not report.ok:
        raise UsageError(f"{model} does not compute what PyTorch computes; please report it")

    yield f"[5/5] predict {data / 'eval'}"
    summary = predict_to(model, [str(data / "eval")], scores, progress=False, align=None)
    yield from summary.lines()
    labels = {str(data / sample.filename): sample.is_real for sample in splits.eval}
    rows = list(read_rows(scores))
    yield from table(rows, labels)
    yield f"all {len(rows)} scores: {scores}"
    rate = d_eer([row.p_real or 0.0 for row in rows], [labels[row.path] for row in rows]).rate
    yield f"D-EER on the held-out images: {100 * rate:.1f} %"
    yield from starter(data / "eval", out / "starter.csv", labels)


def starter(images: Path, scores: Path, labels: dict[str, bool]) -> Iterator[str]:
    """The same images scored with the starter model, where it is on this machine.

    Args:
        images: the folder to score.
        scores: the file to write.
        labels: whether an image is real, by its path.
    """
    model = registry.find(STARTER)
    if model is None:
        yield "no starter model is packaged with this version, so nothing else scores these images"
        return
    if model.path_of(model.manifest.weights_of(None)) is None:
        yield f"the starter model's weights are not here; get them with: cmfl zoo pull {STARTER}"
        return
    summary = predict_to(None, [str(images)], scores, progress=False, align=None)
    yield from summary.lines()
    rows = list(read_rows(scores))
    rate = d_eer([row.p_real or 0.0 for row in rows], [labels[row.path] for row in rows]).rate
    yield (
        f"D-EER of the starter on them: {100 * rate:.1f} % (it was trained on faces; these are not): {scores}"
    )


def table(rows: list[Prediction], labels: dict[str, bool]) -> Iterator[str]:
    """The first rows of each class with what they really are."""
    yield f"{'image':<18} {'truth':<10} {'p_real':>7} {'rgb':>7} {'spectrum':>8}  decision"
    for truth in (True, False):
        for row in [row for row in rows if labels[row.path] is truth][:SHOWN]:
            name = "/".join(Path(row.path).parts[-2:])
            kind = "real" if truth else "synthetic"
            heads = (row.p_real or 0.0, row.p_real_rgb or 0.0, row.p_real_spectrum or 0.0)
            yield f"{name:<18} {kind:<10} {heads[0]:>7.3f} {heads[1]:>7.3f} {heads[2]:>8.3f}  {row.decision}"
