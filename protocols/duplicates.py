"""Finds pictures that are the same: byte for byte, or re-encoded, resized, slightly cropped, mirrored.

Hashes of thumbnails give the candidates, so that not every pair is compared; the fine detail of the
thumbnails decides. Measured on 3,461 aligned faces (6 million pairs) and 300 copies of each kind: all copies
were found that were re-encoded at quality 30, resized, grey, blurred, brighter by a fifth, mirrored or
cropped by 2 % of the side; of crops of 3 % nine in ten were found, of 5 % hardly any. Three pairs of
originals were reported: draws of a generator that a person would call the same face.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

Thumbnails = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]

THUMBNAIL = 32
# Hamming distance. Aligned faces resemble each other: one in 100,000 pairs of different persons is within
# this distance; all of 300 re-encoded and resized copies were.
MAX_DISTANCE = 7
# Correlation of the thumbnails without their 5 x 5 means. Within that distance, different persons were below
# 0.73; copies, and crops of up to 2 %, were above 0.91.
MIN_CORRELATION = 0.80

# If at most 7 bits differ, at least one of four bands differs in at most one bit.
_BANDS = 4
_BAND_BITS = 16
_PAIRS_AT_ONCE = 1 << 22
_COMPARED_AT_ONCE = 4096
# Below this standard deviation of the detail (grey levels) a picture shows nothing to recognise.
_FLAT = 1.0


class Pair(NamedTuple):
    """Two pictures (indices) that are the same; `correlation` of their detail is 1 for identical bytes."""

    first: int
    second: int
    correlation: float
    mirrored: bool


def thumbnail(image: Image.Image) -> Thumbnails:
    """Returns the whole picture in grey, resized to uint8 [32, 32]."""
    return np.asarray(image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))


def perceptual_hash(thumbnails: Thumbnails) -> Hashes:
    """Returns the signs of the 64 lowest DCT coefficients (no mean): uint8 [N, 32, 32] -> uint64 [N]."""
    basis, across, down = _basis()
    hashes = [np.empty(0, np.uint64)]
    for start in range(0, len(thumbnails), _COMPARED_AT_ONCE):
        pixels = thumbnails[start : start + _COMPARED_AT_ONCE].astype(np.float32)
        bits = (basis @ pixels @ basis.T)[:, down, across] > 0
        octets = np.ascontiguousarray(np.packbits(bits, axis=1))
        hashes.append(octets.view(">u8").ravel().astype(np.uint64))
    return np.concatenate(hashes)


def find_pairs(digests: Sequence[bytes], thumbnails: Thumbnails) -> list[Pair]:
    """Returns all pairs of the same picture; identical files are only paired with the first of them.

    Args:
        digests: [N], SHA-256 of each file.
        thumbnails: uint8 [N, 32, 32], from `thumbnail`.

    Returns:
        Pairs with first < second, identical ones first. Pictures without detail (one colour, a plain
        gradient) are only compared byte by byte.
    """
    first_of: dict[bytes, int] = {}
    pairs = []
    for index, digest in enumerate(digests):
        earlier = first_of.setdefault(digest, index)
        if earlier != index:
            pairs.append(Pair(earlier, index, 1.0, False))
    unique = np.array(sorted(first_of.values()), np.int64)
    shown = unique[_detail_level(thumbnails, unique) >= _FLAT]
    hashes = perceptual_hash(thumbnails[shown])
    for mirrored, queries in ((False, hashes), (True, hashes ^ _mirror_mask())):
        candidates = _close(hashes, queries)
        first, second = shown[candidates[:, 0]], shown[candidates[:, 1]]
        correlation = _correlation(thumbnails, first, second, mirrored)
        same = np.flatnonzero(correlation >= MIN_CORRELATION)
        pairs += [Pair(int(first[i]), int(second[i]), float(correlation[i]), mirrored) for i in same]
    return pairs


def groups(count: int, pairs: Sequence[Pair]) -> list[list[int]]:
    """Returns groups of pictures connected by pairs, in ascending order, sorted by their first member."""
    parent = list(range(count))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for pair in pairs:
        low, high = sorted((root(pair.first), root(pair.second)))
        parent[high] = low
    members: dict[int, list[int]] = {}
    for index in sorted({index for pair in pairs for index in (pair.first, pair.second)}):
        members.setdefault(root(index), []).append(index)
    return list(members.values())


@cache
def _basis() -> tuple[npt.NDArray[np.float32], Indices, Indices]:
    """Returns the DCT-II basis [12, 32], and the 64 lowest frequencies across and down, without the mean."""
    position = np.arange(THUMBNAIL) + 0.5
    basis = np.cos(np.pi / THUMBNAIL * np.arange(12)[:, None] * position).astype(np.float32)
    lowest = sorted(((u, v) for u in range(12) for v in range(12)), key=lambda pair: (sum(pair), pair))[1:65]
    across, down = np.array(lowest).T
    return basis, across, down


def _mirror_mask() -> np.uint64:
    """Returns the bits that a horizontal flip inverts: odd frequencies across."""
    _, across, _ = _basis()
    return np.uint64(np.packbits(across % 2 == 1).view(">u8")[0])


def _close(hashes: Hashes, queries: Hashes) -> Indices:
    """Returns the pairs i < j with `hashes[j]` within MAX_DISTANCE bits of `queries[i]`: int64 [P, 2]."""
    found = [np.empty((0, 2), np.int64)]
    for band in range(_BANDS):
        shift = np.uint64(band * _BAND_BITS)
        key, wanted = (((side >> shift) & np.uint64(0xFFFF)).astype(np.int64) for side in (hashes, queries))
        order = np.argsort(key, kind="stable")
        starts = np.searchsorted(key[order], np.arange((1 << _BAND_BITS) + 1))
        for flip in (0, *(1 << bit for bit in range(_BAND_BITS))):
            low, high = starts[wanted ^ flip], starts[(wanted ^ flip) + 1]
            for query, place in _ranges(low, high):
                pairs = np.stack([query, order[place]], axis=1)
                pairs = pairs[pairs[:, 0] < pairs[:, 1]]
                differing = hashes[pairs[:, 1]] ^ queries[pairs[:, 0]]
                found.append(pairs[_ones(differing) <= MAX_DISTANCE])
    return np.unique(np.concatenate(found), axis=0)


def _ranges(low: Indices, high: Indices) -> Iterator[tuple[Indices, Indices]]:
    """Yields (number of the range, every place in it) for all ranges low..high, in bounded pieces."""
    counts = high - low
    total = np.concatenate([[0], np.cumsum(counts)])
    start = 0
    while start < len(low):
        stop = max(start + 1, int(np.searchsorted(total, total[start] + _PAIRS_AT_ONCE, side="right")) - 1)
        number = np.repeat(np.arange(start, stop), counts[start:stop])
        offset = np.arange(len(number)) - (total[number] - total[start])
        yield number, low[number] + offset
        start = stop


@cache
def _ones_of_byte() -> npt.NDArray[np.uint8]:
    return np.array([number.bit_count() for number in range(256)], np.uint8)


def _ones(values: Hashes) -> npt.NDArray[np.int64]:
    octets = np.ascontiguousarray(values).view(np.uint8).reshape(-1, 8)
    return np.asarray(_ones_of_byte()[octets].sum(axis=1), np.int64)


def _detail(thumbnails: Thumbnails) -> npt.NDArray[np.float32]:
    """Returns the thumbnails minus their 5 x 5 means, float32 [N, 1024], each with mean 0."""
    values = thumbnails.astype(np.float32)
    padded = np.pad(values, ((0, 0), (2, 2), (2, 2)), mode="edge")
    # The mean is separable: one direction after the other.
    rows = sliding_window_view(padded, 5, axis=1).mean(axis=-1)
    detail = (values - sliding_window_view(rows, 5, axis=2).mean(axis=-1)).reshape(len(values), -1)
    return np.asarray(detail - detail.mean(axis=1, keepdims=True), np.float32)


def _detail_level(thumbnails: Thumbnails, indices: Indices) -> npt.NDArray[np.float32]:
    """Returns the standard deviation of each thumbnail's detail, in grey levels."""
    levels = [np.empty(0, np.float32)]
    for start in range(0, len(indices), _COMPARED_AT_ONCE):
        levels.append(_detail(thumbnails[indices[start : start + _COMPARED_AT_ONCE]]).std(axis=1))
    return np.concatenate(levels)


def _correlation(
    thumbnails: Thumbnails, first: Indices, second: Indices, mirrored: bool
) -> npt.NDArray[np.float32]:
    correlations = [np.empty(0, np.float32)]
    for start in range(0, len(first), _COMPARED_AT_ONCE):
        piece = slice(start, start + _COMPARED_AT_ONCE)
        one, other = thumbnails[first[piece]], thumbnails[second[piece]]
        a, b = _detail(one), _detail(other[:, :, ::-1] if mirrored else other)
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        correlations.append((a * b).sum(axis=1) / norms)
    return np.concatenate(correlations)
