"""Archives of small pictures, made in memory."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping

from PIL import Image


def jpeg(grey: int) -> bytes:
    """A picture that is grey all over."""
    stream = io.BytesIO()
    Image.new("RGB", (224, 224), (grey, grey, grey)).save(stream, "JPEG")
    return stream.getvalue()


def tar(members: Mapping[str, bytes], mode: str = "w", format: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode, format=format) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def parquet(values: list[object], column: str = "image", rows_in_group: int = 3) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    table = pa.table({"label": list(range(len(values))), column: values})
    pq.write_table(table, stream, row_group_size=rows_in_group)
    return stream.getvalue()
