"""Reads the images of a request while counting its bytes; what is refused is not kept."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

FIELD = "files"
_FORM = b"multipart/form-data"
_SHOWN = 60  # characters of a name in a message


class RefusedError(Exception):
    """A request is answered with an error. `code` is that of HTTP, `message` one line.

    Attributes:
        retry: whether the same request may succeed later.
    """

    def __init__(self, code: int, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry = retry


class Upload(NamedTuple):
    """An image as it was sent: the name of its file, "" if it has none, and its bytes."""

    name: str
    data: bytes


class Store:
    """Counts the bytes of bodies that are held at one time.

    Attributes:
        held: bytes of all requests now.
        most_each: bytes of one request.
    """

    def __init__(self, most_each: int, most: int) -> None:
        self.held = 0
        self.most_each = most_each
        self._most = most

    def check_length(self, length: str | None) -> None:
        """Refuses a body by the length in its header; bodies without one are counted as they come.

        Raises:
            RefusedError: it is too long.
        """
        if length is not None and length.isdecimal() and int(length[:18]) > self.most_each:
            raise self._too_long()

    @contextmanager
    def room(self) -> Iterator[Callable[[int], None]]:
        """Gives a function that counts bytes of one body; they are held until the end of the block.

        The function raises RefusedError when the body is too long (413), or all bodies are together (429).
        """
        mine = 0

        def take(size: int) -> None:
            nonlocal mine
            mine += size
            self.held += size
            if mine > self.most_each:
                raise self._too_long()
            if self.held > self._most:
                raise RefusedError(429, "the server has too many images to hold", retry=True)

        try:
            yield take
        finally:
            self.held -= mine

    def _too_long(self) -> RefusedError:
        return RefusedError(413, f"the body is longer than the limit of {self.most_each} bytes")


async def read_images(
    content_type: str, chunks: AsyncIterable[bytes], take: Callable[[int], None], most: int
) -> list[Upload]:
    """Reads the images of a body: those of a form, or the body itself.

    Args:
        content_type: the header; the body is an image unless it says that it is a form.
        chunks: the body.
        take: counts bytes, see `Store.room`.
        most: images in one request.

    Raises:
        RefusedError: the form is damaged or has no images, or something is too much.
    """
    kind, options = parse_options_header(content_type)
    if kind != _FORM:
        body = []
        async for chunk in chunks:
            take(len(chunk))
            body.append(chunk)
        return [Upload("", b"".join(body))]
    form = _Form(options.get(b"boundary", b""), most)
    async for chunk in chunks:
        take(len(chunk))
        form.feed(chunk)
    return form.finished()


class _Form:
    """A form that is being read."""

    def __init__(self, boundary: bytes, most: int) -> None:
        self._most = most
        self._uploads: list[Upload] = []
        self._name = ""
        self._data: list[bytes] = []
        self._header, self._value, self._disposition = b"", b"", b""
        self._ended = False
        if not boundary:
            raise RefusedError(400, "the form has no boundary in its content type")
        with _as_refusal():
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
            )

    def feed(self, chunk: bytes) -> None:
        """Reads on.

        Raises:
            RefusedError: the form is damaged, or has too many images or an unknown field.
        """
        with _as_refusal():
            self._parser.write(chunk)

    def finished(self) -> list[Upload]:
        """Returns the images after the last chunk.

        Raises:
            RefusedError: the form ends too early, or has no images.
        """
        if not self._ended:
            raise RefusedError(400, "the form ends too early")
        if not self._uploads:
            raise RefusedError(400, f"the form has no images; they go in the field {FIELD}")
        return self._uploads

    def _on_part_begin(self) -> None:
        if len(self._uploads) >= self._most:
            raise RefusedError(413, f"more than {self._most} images in one request")
        self._data, self._disposition = [], b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        field = options.get(b"name", b"").decode("utf-8", "replace")
        if field != FIELD:
            raise RefusedError(
                400, f"the form has a field {field[:_SHOWN]!r}; images go in the field {FIELD}"
            )
        self._name = options.get(b"filename", b"").decode("utf-8", "replace")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def _on_part_end(self) -> None:
        self._uploads.append(Upload(self._name, b"".join(self._data)))
        self._data = []

    def _on_end(self) -> None:
        self._ended = True


@contextmanager
def _as_refusal() -> Iterator[None]:
    try:
        yield
    except FormParserError as error:
        text = " ".join(str(error).split())[:200]
        raise RefusedError(400, f"the form is damaged ({text})") from error
