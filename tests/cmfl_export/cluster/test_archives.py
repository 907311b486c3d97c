"""Plans over archives and over an object store: the rows of predict, whatever the inputs are."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cmfl_export.base.errors import InputError
from cmfl_export.cluster import Manifest, gather, plan, predict_shards
from cmfl_export.predict import predict_to


def png(grey: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (224, 224), (grey, grey, grey)).save(stream, "png")
    return stream.getvalue()


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tar, a compressed tar, a zip and a Parquet file of five images each, a list of two, and damage."""
    folder = tmp_path_factory.mktemp("archives")
    images = {f"a/{number}.png": png(10 * number) for number in range(1, 6)} | {"a/6.png": b"none"}
    modes: tuple[tuple[str, Literal["w", "w:gz"]], ...] = (("a.tar", "w"), ("b.tar.gz", "w:gz"))
    for name, mode in modes:
        with tarfile.open(folder / name, mode) as tar:
            for member, data in images.items():
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            link = tarfile.TarInfo("a/link.png")
            link.type, link.linkname = tarfile.SYMTYPE, "1.png"
            tar.addfile(link)
    with zipfile.ZipFile(folder / "c.zip", "w") as packed:
        for member, data in images.items():
            packed.writestr(member, data)
    rows = [{"bytes": data, "path": Path(member).name} for member, data in images.items()]
    pq.write_table(pa.table({"image": rows}), folder / "d.parquet")
    (folder / "cut.tar").write_bytes((folder / "a.tar").read_bytes()[:2500])
    (folder / "e.png").write_bytes(png(200))
    (folder / "list.txt").write_text(f"{folder}/c.zip::a/2.png\n{folder}/e.png\n{folder}/gone.png\n")
    return folder


NAMES = ("a.tar", "b.tar.gz", "c.zip", "d.parquet", "cut.tar", "e.png", "list.txt", "gone.tar")


@pytest.fixture(scope="module")
def plain(archives: Path, tiny_of_job: Path) -> bytes:
    """The rows of predict on all of them."""
    out = archives / "all.csv"
    predict_to(tiny_of_job, [str(archives / name) for name in NAMES], out, provider="cpu", threads=1)
    return out.read_bytes()


@pytest.mark.parametrize("whole", [False, True])
def test_shards_of_archives(
    archives: Path, plain: bytes, tiny_of_job: Path, tmp_path: Path, whole: bool
) -> None:
    manifest, parts = str(tmp_path / "m.parquet"), str(tmp_path / "parts")
    made = plan([str(archives / name) for name in NAMES], manifest, shards=7, whole_archives=whole)
    assert made.entries == (10 if whole else plain.count(b"\n") - 1)
    predict_shards(tiny_of_job, manifest, parts, provider="cpu", threads=1)
    gather(parts, str(tmp_path / "all.csv"), manifest=manifest)
    assert (tmp_path / "all.csv").read_bytes() == plain
    assert Manifest.read(manifest).relative is False


def test_a_manifest_holds_no_signature(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    for url in ("https://example.org/a.png?X-Signature=secret", "https://me:secret@example.org/a.png"):
        with pytest.raises(
            InputError, match=r"example\.org/a\.png.* has a password or a signature"
        ) as raised:
            plan([url], str(tmp_path / "m.parquet"), shards=1)
        assert "secret" not in str(raised.value)


@pytest.fixture(scope="module")
def bucket(archives: Path) -> Iterator[str]:
    """The same files, and a folder of images, in an S3 server of this process."""
    pytest.importorskip("s3fs")
    server_module = pytest.importorskip("moto.server")
    import boto3

    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket")
        for name in ("a.tar", "c.zip", "d.parquet"):
            client.put_object(Bucket="bucket", Key=name, Body=(archives / name).read_bytes())
        for number in range(6):
            client.put_object(Bucket="bucket", Key=f"faces/{number}.png", Body=png(40 * number))
        try:
            yield "s3://bucket"
        finally:
            server.stop()


def test_everything_in_a_store(bucket: str, tiny_of_job: Path, tmp_path: Path) -> None:
    inputs = [f"{bucket}/{name}" for name in ("faces/", "a.tar", "c.zip", "d.parquet", "faces/gone.png")]
    predict_to(tiny_of_job, inputs, tmp_path / "plain.csv", provider="cpu", threads=1)
    manifest, parts = f"{bucket}/jobs/m.parquet", f"{bucket}/jobs/parts"
    assert plan(inputs, manifest, shards=4).entries == 6 + 7 + 6 + 6 + 1
    for scored, kept in ((1, 0), (3, 1)):
        done = predict_shards(
            tiny_of_job, manifest, parts, "2" if scored == 1 else None, provider="cpu", threads=1
        )
        assert (len(done.done), len(done.kept)) == (scored, kept)
        if scored == 1:
            with pytest.raises(
                InputError, match="3 of 4 parts missing in s3://bucket/jobs/parts: shards 0-1,3;"
            ):
                gather(parts, str(tmp_path / "all.csv"))
    gather(parts, str(tmp_path / "all.csv"), manifest=manifest)
    assert (tmp_path / "all.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()
    gather(parts, f"{bucket}/jobs/all.jsonl")


def test_a_store_that_cannot_be_listed(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="s3://none"):
        plan(["s3://none/faces/"], str(tmp_path / "m.parquet"), shards=1)
