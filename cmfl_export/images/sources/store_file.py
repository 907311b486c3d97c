"""An object of a store as a file: read in blocks, the next of which is fetched while one is used."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from . import stores
from .names import scheme_of

_BLOCK = 1 << 22
_KEPT = 3


@contextmanager
def open_binary(path: str) -> Iterator[BinaryIO]:
    """Opens a file or an object for reading; it can seek.

    Raises:
        ImageError, PackageError, OSError: it cannot be read.
    """
    if not scheme_of(path):
        with Path(path).open("rb") as stream:
            yield stream
        return
    with StoreFile(path) as raw:
        yield io.BufferedReader(raw, 1 << 16)


class StoreFile(io.RawIOBase):
    """A seekable file over the ranges of an object.

    Raises, when it is made or read, what `stores.read` raises.
    """

    def __init__(self, url: str, block: int = _BLOCK) -> None:
        self._url = url
        self._block = block
        self._size = stores.size_of(url)
        self._position = 0
        self._blocks: OrderedDict[int, Future[bytes]] = OrderedDict()
        self._fetcher = ThreadPoolExecutor(2, thread_name_prefix="cmfl-fetch")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if self._position >= self._size or not len(view):
            return 0
        number, offset = divmod(self._position, self._block)
        data = self._fetched(number)[offset : offset + len(view)]
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._fetcher.shutdown(wait=False, cancel_futures=True)
        super().close()

    def _fetched(self, number: int) -> bytes:
        follows = number - 1 in self._blocks
        wanted = self._begun(number)
        if follows and (number + 1) * self._block < self._size:
            self._begun(number + 1)
        self._blocks.move_to_end(number)
        while len(self._blocks) > _KEPT:
            self._blocks.popitem(last=False)
        try:
            return wanted.result()
        except BaseException:
            del self._blocks[number]
            raise

    def _begun(self, number: int) -> Future[bytes]:
        if number not in self._blocks:
            start = number * self._block
            size = min(self._block, self._size - start)
            self._blocks[number] = self._fetcher.submit(stores.read, self._url, start, size)
        return self._blocks[number]
