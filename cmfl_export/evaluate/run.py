"""Evaluates models and score files on a protocol, and writes scores, figures and report (`cmfl evaluate`)."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Unpack

from protocols import Sample, read_split
from protocols.reading import split_file

from ..base.errors import InputError, UsageError, need
from ..base.files import refuse_overwriting, sha256_of, write_whole
from ..base.locks import one_writer
from ..base.options import DetectorOptions, DetectorSettings
from ..base.progress import bar
from ..detector import Detector
from ..images import Degradation, parse_degradations
from ..metrics import Interval, bootstrap, paired_differences
from ..runtime import ModelCard
from .assessment import LEVEL, SAMPLES, arrays, assess, may_be_uncertain
from .calibration import refuse_overlap
from .labelled_scores import Scored, read_scores, write_scores
from .outcome import Candidate, Condition, Evaluation, Split
from .score_split import one_face, score

# Each sorts all scores; more would take days and change no digit that is shown.
_MOST_SAMPLES = 1_000_000

# A degradation (None for the images as they are) and the scores under it.
Run = tuple[Degradation | None, list[Scored]]


@dataclass(frozen=True)
class _Scores:
    """A model or a score file with all of its scores."""

    name: str
    file: str
    sha256: str
    threshold: float
    threshold_source: str
    runs: list[Run]
    card: ModelCard | None = None
    provider: str = ""
    band: tuple[float, float] | None = None
    silent: bool = False  # whether a decision of its rows may be uncertain


@one_writer("out", folder=True)
def evaluate(
    models: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    protocol: str | os.PathLike[str] | None = None,
    data_root: str | os.PathLike[str] | None = None,
    split: str = "eval",
    scores: Sequence[str | os.PathLike[str]] = (),
    degradations: Sequence[str] = (),
    samples: int = SAMPLES,
    seed: int = 0,
    progress: bool | None = None,
    options: DetectorOptions | None = None,
    **settings: Unpack[DetectorSettings],
) -> Evaluation:
    """Evaluates models and score files on one split, and writes the results into a folder.

    The folder gets `scores.csv` (one file per model and degradation if there are several), `metrics.json`,
    `report.html` (a single file that loads nothing) and the plots as PNG and SVG.

    Args:
        models: exported ONNX files, or names of the zoo.
        out: the folder; files of an earlier evaluation in it are replaced.
        protocol: a CSV file, or a folder with `<split>.csv`; needed for models.
        data_root: what its file names are relative to, see `cmfl_export.images.DataRoot`; needed for models.
        split: which file of a protocol folder.
        scores: score files to evaluate beside or instead of models, see `read_scores`.
        degradations: as for `parse_degradations`; every model scores the split once per degradation.
        samples: number of resamples of the bootstrap.
        seed: of the bootstrap and of the noise degradation.
        progress: whether to show a progress bar on standard error; None shows it on a terminal.
        options, settings: of the detectors, see `DetectorOptions`. `threshold` also applies to score files,
            whose default is 0.5; without it, `uncertain` in a score file counts as it stands. `align` takes
            the largest face of each image; an image without a face has no score and counts in APNRR or BPNRR.

    Raises:
        UsageError: nothing to evaluate, or an option or the output cannot be used.
        ModelError, ProviderError: a model cannot be used.
        ProtocolError: the protocol cannot be used, or a model was calibrated on its subjects.
        InputError: a score file cannot be used, or a class has no score.
        PackageError: matplotlib is missing.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise need("evaluate", "drawing the plots of an evaluation (matplotlib)")
    options = one_face(DetectorOptions.of(options, settings))
    threshold = options.threshold
    _check(models, scores, protocol, data_root, degradations, samples)
    if seed < 0:
        raise UsageError(f"the seed must be at least 0, not {seed}")
    damages = parse_degradations(degradations, seed)
    file = None if protocol is None else split_file(Path(protocol), split)
    listed = None if file is None else read_split(file)
    # Before the models run, so that a faulty row is not found only after hours.
    read = [(read_scores(path, listed, data_root), sha256_of(Path(path))) for path in scores]

    detectors = [Detector(model, options) for model in models]
    warnings = [
        warning
        for detector in detectors
        for warning in refuse_overlap(detector.card, listed or [], chosen=threshold is None)
    ]
    names = _names([detector.card.name for detector in detectors] + [Path(path).stem for path in scores])
    out = Path(out)
    root = Path(data_root or ".")
    refuse_overwriting(
        _files_written(out, names, damages),
        [
            *(("a model", detector.path) for detector in detectors),
            *(("a score file", path) for path in map(Path, scores)),
            *(("the protocol", path) for path in ([] if file is None else [file])),
            *(("an image", root / sample.filename) for sample in (listed or ())),
        ],
    )
    given = "given for this evaluation"
    found: list[_Scores] = []
    total = len(listed or ()) * len(detectors) * (1 + len(damages))
    with bar(lambda: total, shown=progress if total else False) as advance:
        for name, detector in zip(names, detectors, strict=False):
            runs: list[Run] = []
            for damage in (None, *damages):
                rows = list(score(detector, listed or [], data_root or ".", damage, advance))
                # Scores may have taken hours, so they are written before anything else can fail.
                write_scores(rows, out / _scores_name(name, damage, alone=len(names) == 1))
                runs.append((damage, rows))
            source = given if threshold is not None else detector.card.threshold_source
            found.append(
                _Scores(
                    name,
                    str(detector.path),
                    detector.sha256,
                    detector.threshold,
                    source,
                    runs,
                    detector.card,
                    detector.provider,
                    detector.band,
                    detector.band is not None,
                )
            )
    for name, path, (rows, digest) in zip(names[len(detectors) :], scores, read, strict=True):
        write_scores(rows, out / _scores_name(name, None, alone=len(names) == 1))
        at, source = (0.5, "default 0.5") if threshold is None else (threshold, given)
        # A threshold that is given leaves two decisions, as for a model.
        silent = threshold is None and may_be_uncertain(rows)
        found.append(_Scores(name, str(path), digest, at, source, [(None, rows)], silent=silent))
    _refuse_other_images(found)

    made_with = {
        "samples": samples,
        "level": LEVEL,
        "seed": seed,
        "degradations": list(degradations),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["cmfl", *sys.argv[1:]]),
    }
    candidates = [_candidate(scores, samples, seed) for scores in found]
    evaluation = Evaluation(
        _split_of(file, found[0].runs[0][1]),
        [candidates[0], *(_compared(candidates[0], other, samples, seed) for other in candidates[1:])],
        made_with,
        warnings,
        out,
    )
    _write(evaluation, data_root)
    return evaluation


def _check(
    models: Sequence[str | os.PathLike[str]],
    scores: Sequence[str | os.PathLike[str]],
    protocol: str | os.PathLike[str] | None,
    data_root: str | os.PathLike[str] | None,
    degradations: Sequence[str],
    samples: int,
) -> None:
    if not models and not scores:
        raise UsageError("nothing to evaluate; give a model, or a score file with --scores")
    if models and (protocol is None or data_root is None):
        raise UsageError("a model needs images: give --protocol and --data-root")
    if degradations and not models:
        raise UsageError("score files hold no images to degrade; give a model")
    if samples < 1:
        raise UsageError(f"the bootstrap needs at least 1 resample, not {samples}")
    if samples > _MOST_SAMPLES:
        raise UsageError(f"the bootstrap takes {_MOST_SAMPLES:,} resamples at most, not {samples}")


def _refuse_other_images(found: Sequence[_Scores]) -> None:
    """Refuses to compare scores of different images."""
    first = [scored.sample.filename for scored in found[0].runs[0][1]]
    for other in found[1:]:
        if [scored.sample.filename for scored in other.runs[0][1]] != first:
            raise InputError(
                f"{other.file} and {found[0].file} are not scores of the same images; give their --protocol"
            )


def _candidate(scores: _Scores, samples: int, seed: int) -> Candidate:
    rows = scores.runs[0][1]
    assessment = assess(
        scores.name,
        rows,
        scores.threshold,
        scores.threshold_source,
        band=scores.band,
        silent=scores.silent,
        samples=samples,
        seed=seed,
    )
    return Candidate(
        scores.file,
        scores.sha256,
        scores.card,
        scores.provider,
        rows,
        assessment,
        [
            _condition(None, assessment.heads["p_real"], rows),
            *(_condition_under(run, scores, samples, seed) for run in scores.runs[1:]),
        ],
    )


def _condition_under(run: Run, scores: _Scores, samples: int, seed: int) -> Condition:
    damage, rows = run
    data = arrays(rows)
    if not data.is_real.any() or data.is_real.all():
        raise InputError(f"{scores.name}, {damage and damage.label}: a class has no image with a score")
    figures = bootstrap(
        data.p_real,
        data.is_real,
        scores.threshold,
        strata=data.attack_types,
        subjects=data.subjects,
        samples=samples,
        seed=seed,
        level=LEVEL,
    )
    return _condition(damage, figures, rows)


def _condition(
    damage: Degradation | None, figures: Mapping[str, Interval], rows: Sequence[Scored]
) -> Condition:
    failed = sum(not scored.row.ok for scored in rows)
    return Condition(damage, figures["d_eer"], figures["apcer"], figures["bpcer"], failed)


def _compared(first: Candidate, other: Candidate, samples: int, seed: int) -> Candidate:
    """Returns the candidate with its differences from the first, over the images that both could score."""
    pairs = [(a, b) for a, b in zip(first.rows, other.rows, strict=True) if a.row.ok and b.row.ok]
    if {a.sample.is_real for a, _ in pairs} != {True, False}:
        raise InputError(
            f"{first.name} and {other.name} cannot be compared: of one class, no image has a score of both; "
            "evaluate each alone"
        )
    a, b = (arrays(rows) for rows in (list(side) for side in zip(*pairs, strict=True)))
    differences = paired_differences(
        a.p_real,
        b.p_real,
        a.is_real,
        (first.assessment.threshold, other.assessment.threshold),
        strata=a.attack_types,
        subjects=a.subjects,
        samples=samples,
        seed=seed,
        level=LEVEL,
    )
    return replace(other, differences=differences)


def _split_of(file: Path | None, rows: Sequence[Scored]) -> Split:
    samples: list[Sample] = [scored.sample for scored in rows]
    n_real = sum(sample.is_real for sample in samples)
    return Split(
        "the score file's images" if file is None else f"{file.resolve().parent.name}/{file.stem}",
        "" if file is None else str(file),
        "" if file is None else sha256_of(file),
        n_real,
        len(samples) - n_real,
        len({sample.subject for sample in samples}),
    )


def _write(evaluation: Evaluation, data_root: str | os.PathLike[str] | None) -> None:
    from . import plots
    from .report_page import draw, page

    out = evaluation.out
    text = json.dumps(evaluation.to_json(), indent=1, ensure_ascii=True, allow_nan=False)
    write_whole(out / "metrics.json", f"{text}\n".encode())
    figures = draw(evaluation)
    for name, figure in figures.items():
        plots.save(figure, out / name)
    write_whole(out / "report.html", page(evaluation, figures, data_root).encode("utf-8", "backslashreplace"))


def _files_written(out: Path, names: Sequence[str], damages: Sequence[Degradation]) -> Iterator[Path]:
    """Yields the files that an evaluation may write into its folder."""
    alone = len(names) == 1
    yield from (out / "metrics.json", out / "report.html")
    plotted = ["det", "roc", "risk_coverage", "reliability", "degradations", "scores"]
    plotted += [f"scores-{number}" for number in range(1, len(names) + 1)]
    yield from (out / f"{name}.{ending}" for name in plotted for ending in ("png", "svg"))
    yield from (
        out / _scores_name(name, damage, alone=alone) for name in names for damage in (None, *damages)
    )


def _names(wanted: Sequence[str]) -> list[str]:
    """Returns the names, with a number added to repeated ones."""
    seen: dict[str, int] = {}
    names = []
    for name in wanted:
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


def _scores_name(name: str, damage: Degradation | None, *, alone: bool) -> str:
    parts = [] if alone else [name]
    if damage is not None:
        parts.append(damage.label)
    return "-".join(["scores", *(re.sub(r"[^\w.]+", "-", part) for part in parts)]) + ".csv"
