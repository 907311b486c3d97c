"""The CPU: which instruction sets are named, and the cores that affinity and control groups leave."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from cmfl_export.base import cpu

AVX2_ALONE = {"sse4_2", "avx", "avx2", "fma"}
CASCADE_LAKE = AVX2_ALONE | {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"}
SAPPHIRE_RAPIDS = CASCADE_LAKE | {
    *("avx_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16")
}


def sees(monkeypatch: pytest.MonkeyPatch, flags: Iterable[str]) -> None:
    monkeypatch.setattr(cpu, "_flags", lambda: frozenset(flags))


@pytest.mark.parametrize(
    ("flags", "names", "exact", "half"),
    [
        (AVX2_ALONE, ("AVX2",), False, False),
        # Skylake-X has the registers and not the products.
        (CASCADE_LAKE - {"avx512_vnni"}, ("AVX2", "AVX-512"), False, False),
        (CASCADE_LAKE, ("AVX2", "AVX-512", "AVX512-VNNI"), True, False),
        (AVX2_ALONE | {"avx_vnni"}, ("AVX2", "AVX-VNNI"), True, False),
        (
            SAPPHIRE_RAPIDS,
            (
                *("AVX2", "AVX-512", "AVX-VNNI", "AVX512-VNNI", "AVX512-BF16", "AVX512-FP16"),
                *("AMX-INT8", "AMX-BF16"),
            ),
            True,
            True,
        ),
        # A system that has AMX switched off shows the products without the tiles.
        (AVX2_ALONE | {"amx_int8", "amx_bf16"}, ("AVX2",), False, False),
        ({"fp", "asimd"}, (), False, False),
        ({"asimd", "asimddp", "asimdhp"}, ("dot product", "fp16"), True, True),
        ({"asimddp", "i8mm", "bf16"}, ("dot product", "i8mm", "bf16"), True, True),
        ((), (), False, False),
    ],
)
def test_instruction_sets(
    flags: Iterable[str], names: tuple[str, ...], exact: bool, half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sees(monkeypatch, flags)
    assert cpu.instruction_sets() == names
    assert cpu.multiplies_int8_exactly() is exact
    assert cpu.multiplies_half_precision() is half


def test_flags_of_cpuinfo(tmp_path: Path) -> None:
    assert cpu._cpuinfo_flags(tmp_path) == frozenset()
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU part : 0xd0c\n")
    assert cpu._cpuinfo_flags(tmp_path) == {"fp", "asimd", "asimddp"}
    (tmp_path / "proc/cpuinfo").write_text("flags\t\t: fpu avx2\nvmx flags\t: vnmi avx_vnni\n")
    assert cpu._cpuinfo_flags(tmp_path) == {"fpu", "avx2"}


def test_the_c_library_and_the_kernel_agree() -> None:
    asked = cpu._glibc_flags()
    shown = cpu._cpuinfo_flags(Path("/")) & set(cpu._CPUID)
    if asked is None or not shown:
        pytest.skip("one of them does not tell here")
    assert asked <= shown  # an emulator, or glibc's own switches, may hide some
    assert "avx2" in asked or "avx2" not in shown or os.environ.get("GLIBC_TUNABLES")


def test_flags_on_the_other_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = cpu._flags.__wrapped__
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(cpu, "_sysctl", lambda name: name in ("hw.optional.arm.FEAT_DotProd", "hw.x"))
    assert ask() == {"asimddp"}

    class Kernel32:
        def __init__(self, *present: int) -> None:
            self.present = present

        def IsProcessorFeaturePresent(self, number: int) -> bool:  # noqa: N802
            return number in self.present

    class Windll:
        kernel32 = Kernel32(40, 41)

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "windll", Windll, raising=False)
    assert cpu._named(ask()) == ("AVX2", "AVX-512")
    Windll.kernel32 = Kernel32(43)
    assert cpu._named(ask()) == ("dot product",)


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V1 = "33 31 0:30 {top} /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
V2 = "35 24 0:26 {top} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
CPU_1 = "sys/fs/cgroup/cpu,cpuacct"


def version_1(quota: str, period: str = "100000", group: str = "") -> dict[str, str]:
    return {
        f"{CPU_1}{group}/cpu.cfs_quota_us": f"{quota}\n",
        f"{CPU_1}{group}/cpu.cfs_period_us": f"{period}\n",
    }


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        pytest.param({}, 16, id="no control groups"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2, id="2"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2, id="1.5"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "10000 100000\n"}, 1, id="0.1"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 16, id="max"),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "9900000 100000\n"}, 16, id="99 of 16"
        ),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 0\n"}, 16, id="broken"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "many\n"}, 16, id="garbage"),
        pytest.param({"proc/self/cgroup": "\xff\n::\n\n0\n", "sys/fs/cgroup/cpu.max": ""}, 16, id="noise"),
        # The tightest on the way up counts, and a group without a limit does not hide the one above it.
        pytest.param(
            {
                "proc/self/cgroup": "0::/kube/pod7/box\n",
                "proc/self/mountinfo": V2.format(top="/"),
                "sys/fs/cgroup/cpu.max": "max 100000\n",
                "sys/fs/cgroup/kube/cpu.max": "800000 100000\n",
                "sys/fs/cgroup/kube/pod7/cpu.max": "300000 100000\n",
                "sys/fs/cgroup/kube/pod7/box/cpu.max": "max 100000\n",
                "sys/fs/cgroup/kube/other/cpu.max": "100000 100000\n",
            },
            3,
            id="a parent",
        ),
        # A container without a namespace of its own: the group as the host names it, its folder mounted.
        pytest.param(
            {
                "proc/self/cgroup": "0::/docker/4f1\n",
                "proc/self/mountinfo": V2.format(top="/docker/4f1"),
                "sys/fs/cgroup/cpu.max": "400000 100000\n",
            },
            4,
            id="the host's name",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/../../elsewhere\n",
                "proc/self/mountinfo": V2.format(top="/"),
                "sys/fs/cgroup/cpu.max": "400000 100000\n",
            },
            4,
            id="outside the namespace",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/a\n",
                "proc/self/mountinfo": "35 24 0:26 / /my\\040groups rw - cgroup2 none rw\n",
                "my groups/a/cpu.max": "500000 100000\n",
            },
            5,
            id="mounted elsewhere",
        ),
        pytest.param({"proc/self/cgroup": "4:cpu,cpuacct:/\n", **version_1("250000")}, 3, id="version 1"),
        pytest.param({"proc/self/cgroup": "4:cpuacct,cpu:/\n", **version_1("-1")}, 16, id="-1"),
        pytest.param(
            {"proc/self/cgroup": "4:cpu,cpuacct:/\n", **version_1("25000", "50000")}, 1, id="a short period"
        ),
        pytest.param(
            {
                "proc/self/cgroup": "7:memory:/x\n4:cpu,cpuacct:/docker/9\n1:name=systemd:/y\n",
                "proc/self/mountinfo": V1.format(top="/"),
                **version_1("-1", group="/docker/9"),
                **version_1("700000", group="/docker"),
                **version_1("-1"),
            },
            7,
            id="version 1, a parent",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/9\n0::/docker/9\n",
                "proc/self/mountinfo": V1.format(top="/docker/9")
                + V2.format(top="/docker/9").replace("/cgroup ", "/cgroup/unified "),
                **version_1("600000"),
            },
            6,
            id="both versions",
        ),
        # Accounting alone is no limit, whatever else lies there.
        pytest.param({"proc/self/cgroup": "4:cpuacct:/\n", **version_1("100000")}, 16, id="accounting"),
    ],
)
def test_usable_cores(
    files: dict[str, str], cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    assert cpu.usable_cores(tree(tmp_path, files)) == cores


def test_affinity_counts_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "800000 100000\n"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    assert cpu.usable_cores(root) == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cpu.usable_cores(root) == 1
