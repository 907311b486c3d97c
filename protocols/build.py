"""Builds a protocol from folders of images (`cmfl protocol build --real DIR --attack NAME=DIR`)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from cmfl_export.base.errors import ProtocolError
from cmfl_export.base.files import refuse_overwriting, sha256_of
from cmfl_export.base.locks import one_writer

from .attacks import check_attacks
from .built import FILES, Built, LeftOut, refuse_existing, refuse_one_class, write
from .folders import Folder, PathLike, folder_in, images_in, root_of
from .schema import Sample
from .splitting import SALT, SPLITS, check_shares, cut, in_order, split_of
from .subjects import subjects_of

SHARES = (0.7, 0.15, 0.15)

_Splits = dict[str, list[Sample]]


@one_writer("out", folder=True)
def build(
    data_root: PathLike,
    out: PathLike,
    *,
    real: Iterable[PathLike],
    attacks: Iterable[tuple[str, PathLike]],
    subject: str | None = None,
    subject_table: PathLike | None = None,
    shares: Sequence[float] = SHARES,
    hold_out: Iterable[str] = (),
    balance: bool = True,
    salt: str = SALT,
    force: bool = False,
) -> Built:
    """Builds train.csv, dev.csv and eval.csv from folders of images; every subject is in one split only.

    The split of an image depends only on its subject, the shares and the salt: added images or folders move
    no image to another split, and neither the order of the files nor the place of the data root matters.
    Images of one subject, real or synthetic, stay together.

    Args:
        data_root: the folder that the file names in the protocol are relative to.
        out: the protocol's folder; protocol.toml in it records how it was made.
        real: folders of real images with their subfolders. These and the folders of attacks are searched in
            the working directory, then in `data_root`, and must lie inside `data_root`.
        attacks: names of attacks and their folders; a name may come more than once.
        subject: a regular expression with one group, searched in the file name relative to `data_root` (with
            `/`); the group is the subject. By default each file is its own subject.
        subject_table: instead of `subject`, a CSV file with the columns filename and subject.
        shares: shares of train, dev and eval in the subjects, so roughly in the images.
        hold_out: names of attacks that are only in eval. Their images are left out if the subject has other
            images in train or dev.
        balance: whether to cut both classes of each split to the smaller one, evenly across attack types.
        salt: another salt gives another split.
        force: replace the protocol in `out`.

    Raises:
        ProtocolError: a folder is missing, outside `data_root` or without images; a file is given as two
            kinds; the subjects cannot be used; a split lacks a class; or `out` already has a protocol.
        UsageError: names or shares cannot be used, or `out` cannot be written.
        InputError: the table of subjects cannot be read.
    """
    root, out, attacks, hold_out = root_of(data_root), Path(out), list(attacks), sorted(set(hold_out))
    refuse_existing(out, force)
    check_shares(shares)
    _check_names([name for name, _ in attacks], hold_out, salt)
    folders = sorted(
        {Folder(folder_in(root, path), "") for path in real}
        | {Folder(folder_in(root, path), name) for name, path in attacks},
        key=lambda folder: (folder.attack, folder.name),
    )
    if not folders or folders[0].attack:
        raise ProtocolError("a protocol needs real images; give at least one folder of them")

    images = images_in(root, folders)
    left_out = [
        LeftOut(len(names), f"{reason}, such as {names[0]!r}")
        for reason, names in sorted(images.unusable.items())
    ]
    table = None if subject_table is None else Path(subject_table)
    if table is not None:
        refuse_overwriting([out / name for name in FILES], [("the table of subjects", table)])
    subject_of = subjects_of(list(images.attack_of), pattern=subject, table=table)
    samples = [Sample(subject_of[name], name, attack) for name, attack in images.attack_of.items()]

    splits, dropped = _split(samples, shares, hold_out, salt)
    left_out += [
        LeftOut(count, f"{attack} is held out, and other images of these subjects are in train or dev")
        for attack, count in dropped.items()
    ]
    advice = (
        f"give more images or subjects, or other shares than {'/'.join(f'{share:g}' for share in shares)}"
    )
    refuse_one_class(splits, advice + (", or hold out fewer attacks" if hold_out else ""))
    if balance:
        splits, cuts = _balanced(splits, salt)
        left_out += cuts

    built = Built(out, splits, tuple(left_out))
    folders_of: dict[str, list[str]] = defaultdict(list)
    for folder in folders:
        folders_of[folder.attack].append(folder.name)
    # None stands for an option that was not given; TOML has no null.
    options = {
        "salt": salt,
        "shares": list(shares),
        "subject": subject,
        "subject_table": table and table.name,
        "subject_table_sha256": table and sha256_of(table),
        "hold_out": hold_out,
        "balance": balance,
        "real": folders_of.pop(""),
        "attacks": folders_of,
    }
    write(built, {key: value for key, value in options.items() if value is not None})
    return built


def _check_names(attacks: Sequence[str], hold_out: Sequence[str], salt: str) -> None:
    if not attacks:
        raise ProtocolError("a protocol needs synthetic images; give at least one attack with its folder")
    check_attacks(attacks)
    unknown = [name for name in hold_out if name not in attacks]
    if unknown:
        raise ProtocolError(
            f"no attack {unknown[0]!r} to hold out; the attacks are {', '.join(sorted(set(attacks)))}"
        )
    if not salt.isprintable():
        raise ProtocolError(f"the salt {salt!r} must be printable")


def _split(
    samples: Sequence[Sample], shares: Sequence[float], hold_out: Sequence[str], salt: str
) -> tuple[_Splits, dict[str, int]]:
    """Returns the samples of each split, and how many of each held-out attack were left out."""
    held = [sample for sample in samples if sample.attack_type in hold_out]
    splits: _Splits = {split: [] for split in SPLITS}
    for sample in samples:
        if sample.attack_type not in hold_out:
            splits[split_of(sample.subject, shares, salt)].append(sample)
    known = {sample.subject for split in ("train", "dev") for sample in splits[split]}
    splits["eval"] += [sample for sample in held if sample.subject not in known]
    dropped = Counter(sample.attack_type for sample in held if sample.subject in known)
    return {split: in_order(of) for split, of in splits.items()}, dropped


def _balanced(splits: _Splits, salt: str) -> tuple[_Splits, list[LeftOut]]:
    balanced: _Splits = {}
    left_out = []
    for split, samples in splits.items():
        real = [sample for sample in samples if sample.is_real]
        synthetic = [sample for sample in samples if not sample.is_real]
        count = min(len(real), len(synthetic))
        balanced[split] = in_order([*cut(real, count, salt), *cut(synthetic, count, salt)])
        kind = "real" if len(real) > count else "synthetic"
        if len(samples) > 2 * count:
            reason = f"{kind} in {split}, which now has {count:,} of each class"
            left_out.append(LeftOut(len(samples) - 2 * count, reason))
    return balanced, left_out
