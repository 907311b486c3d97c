"""The CPU of this process: the instruction sets that it sees and the cores that it may use."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

_ROOT = Path("/")

# Names for people, and the kernel's flags for them in /proc/cpuinfo, all of which must be there.
_FLAGS = {
    "AVX2": ("avx2",),
    "AVX-512": ("avx512f", "avx512bw", "avx512dq", "avx512vl"),
    "AVX-VNNI": ("avx_vnni",),
    "AVX512-VNNI": ("avx512f", "avx512_vnni"),
    "AVX512-BF16": ("avx512f", "avx512_bf16"),
    "AVX512-FP16": ("avx512f", "avx512_fp16"),
    "AMX-INT8": ("amx_tile", "amx_int8"),
    "AMX-BF16": ("amx_tile", "amx_bf16"),
    "dot product": ("asimddp",),
    "i8mm": ("i8mm",),
    "bf16": ("bf16",),
    "fp16": ("asimdhp",),
}
# These add four 8-bit products in 32 bits. Without them x86 adds pairs in 16 bits, which saturate.
_EXACT = {"AVX-VNNI", "AVX512-VNNI", "AMX-INT8", "dot product", "i8mm"}
_HALF = {"AVX512-BF16", "AVX512-FP16", "AMX-BF16", "bf16", "fp16"}

# The place of these flags in glibc's <sys/platform/x86.h>: (leaf, register, bit); registers eax to edx.
_CPUID = {
    "avx2": (1, 1, 5),
    "avx512f": (1, 1, 16),
    "avx512dq": (1, 1, 17),
    "avx512bw": (1, 1, 30),
    "avx512vl": (1, 1, 31),
    "avx512_vnni": (1, 2, 11),
    "amx_bf16": (1, 3, 22),
    "avx512_fp16": (1, 3, 23),
    "amx_tile": (1, 3, 24),
    "amx_int8": (1, 3, 25),
    "avx_vnni": (6, 0, 4),
    "avx512_bf16": (6, 0, 5),
}
# macOS's names for them.
_SYSCTL = {
    "asimddp": "hw.optional.arm.FEAT_DotProd",
    "i8mm": "hw.optional.arm.FEAT_I8MM",
    "bf16": "hw.optional.arm.FEAT_BF16",
    "asimdhp": "hw.optional.arm.FEAT_FP16",
    "avx2": "hw.optional.avx2_0",
    "avx512f": "hw.optional.avx512f",
    "avx512dq": "hw.optional.avx512dq",
    "avx512bw": "hw.optional.avx512bw",
    "avx512vl": "hw.optional.avx512vl",
    "avx512_vnni": "hw.optional.avx512vnni",
}
# Numbers for IsProcessorFeaturePresent. Windows does not report VNNI and AMX.
_WINDOWS = {"avx2": 40, "avx512f": 41, "asimddp": 43, "i8mm": 66, "asimdhp": 67, "bf16": 68}


def instruction_sets() -> tuple[str, ...]:
    """The names of this CPU's instruction sets that matter for a model's speed and for int8.

    An emulator may show fewer than the machine has. Sets that the system does not report are left out.
    """
    return _named(_flags())


def multiplies_int8_exactly() -> bool:
    """Whether this CPU adds 8-bit products in 32 bits: by VNNI, AVX-VNNI, AMX, or ARM's dot product.

    False where the system does not report it. Without these, x86 adds two neighbouring products in 16 bits,
    which saturate.
    """
    return not _EXACT.isdisjoint(instruction_sets())


def multiplies_half_precision() -> bool:
    """Whether the CPU multiplies bfloat16 or float16 itself, so that float16 files run faster on OpenVINO."""
    return not _HALF.isdisjoint(instruction_sets())


def usable_cores(root: Path = _ROOT) -> int:
    """The number of CPU cores that this process may use.

    It is the size of the process's affinity (which follows a cpuset), but at most the CPU time that the
    control groups of a container allow, rounded up.

    Args:
        root: the folder that contains proc and sys.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(root))]))


def _named(flags: frozenset[str]) -> tuple[str, ...]:
    return tuple(name for name, needed in _FLAGS.items() if flags.issuperset(needed))


@cache
def _flags() -> frozenset[str]:
    if sys.platform == "darwin":
        return frozenset(flag for flag, switch in _SYSCTL.items() if _sysctl(switch))
    if sys.platform == "win32":
        present = ctypes.windll.kernel32.IsProcessorFeaturePresent
        flags = {flag for flag, number in _WINDOWS.items() if present(number)}
        # Every processor with avx512f that ONNX Runtime has kernels for has these three as well.
        return frozenset(flags | ({"avx512dq", "avx512bw", "avx512vl"} if "avx512f" in flags else set()))
    if platform.machine() == "x86_64":
        # The runtimes ask the CPU as well. Under an emulator, /proc/cpuinfo describes the host instead.
        asked = _glibc_flags()
        if asked is not None:
            return asked
    return _cpuinfo_flags(_ROOT)


def _glibc_flags() -> frozenset[str] | None:
    """The flags that glibc found usable; None in glibc before 2.33 and in other C libraries."""
    try:
        leaf_of = ctypes.CDLL(None).__x86_get_cpuid_feature_leaf
    except (OSError, AttributeError):
        return None
    # A struct: four registers for what the CPU has, then four for what is usable.
    leaf_of.restype = ctypes.POINTER(ctypes.c_uint32 * 8)
    leaf_of.argtypes = [ctypes.c_uint]

    def usable(leaf: int, register: int, bit: int) -> bool:
        found = leaf_of(leaf)
        return bool(found and found.contents[4 + register] >> bit & 1)

    return frozenset(flag for flag, place in _CPUID.items() if usable(*place))


def _cpuinfo_flags(root: Path) -> frozenset[str]:
    """The flags of the first processor in /proc/cpuinfo: `flags` on x86, `Features` on ARM."""
    for line in _lines(root / "proc/cpuinfo"):
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def _sysctl(name: str) -> bool:
    value, size = ctypes.c_int64(0), ctypes.c_size_t(8)
    try:
        failed = ctypes.CDLL(None).sysctlbyname(
            name.encode(), ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0)
        )
    except (OSError, AttributeError):
        return False
    return not failed and value.value != 0


def _quotas(root: Path) -> Iterator[float]:
    """Yields the CPU time, in cores, that each control group of this process allows.

    Goes from its own group up to the topmost visible one, in both versions of control groups.
    """
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if number == "0" and not controllers:
            kind, read = "cgroup2", _quota_of_version_2
        elif "cpu" in controllers.split(","):
            kind, read = "cgroup", _quota_of_version_1
        else:
            continue
        for mounted, top in _mounts(root, kind):
            for folder in _upwards(mounted, top, group):
                quota = read(folder)
                if quota is not None:
                    yield quota


def _mounts(root: Path, kind: str) -> Iterator[tuple[Path, str]]:
    """Yields the folders where control groups of this kind are mounted, each with its topmost group."""
    found = False
    for line in _lines(root / "proc/self/mountinfo"):
        fields, _, rest = line.partition(" - ")
        of_mount, of_system = fields.split(), rest.split()
        if len(of_mount) < 5 or not of_system or of_system[0] != kind:
            continue
        if kind == "cgroup" and "cpu" not in of_system[-1].split(","):
            continue
        found = True
        place, top = (text.replace("\\040", " ") for text in (of_mount[4], of_mount[3]))
        yield root / place.lstrip("/"), top
    if not found:
        places = ("", "unified") if kind == "cgroup2" else ("cpu", "cpu,cpuacct")
        for place in places:
            yield root / "sys/fs/cgroup" / place, "/"


def _upwards(mounted: Path, top: str, group: str) -> Iterator[Path]:
    """Yields the folders of a group and of the groups above it.

    In a container the group may have the name that the host gives it; the mounted folder is then its own.
    """
    own = PurePosixPath(group)
    inside = own.relative_to(top) if own.is_relative_to(top) and ".." not in own.parts else PurePosixPath()
    for part in (inside, *inside.parents):
        yield mounted / part


def _quota_of_version_2(folder: Path) -> float | None:
    fields = " ".join(_lines(folder / "cpu.max")).split()
    return _cores_of(*fields) if len(fields) == 2 else None


def _quota_of_version_1(folder: Path) -> float | None:
    quota, period = (" ".join(_lines(folder / f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
    return _cores_of(quota, period)


def _cores_of(quota: str, period: str) -> float | None:
    """The limit in cores; None where there is none ("max", or -1 in version 1) or it is no number."""
    try:
        time, of = int(quota), int(period)
    except ValueError:
        return None
    return time / of if time > 0 and of > 0 else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
