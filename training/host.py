"""What a training changes in the process that calls it, undone when it is over."""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch.utils.data._utils import signal_handling

from .precision import kept_precision

# Lightning's advice on settings that are the configuration's to choose, and one against itself.
_NOT_SHOWN = (
    ".*does not have many workers.*",
    ".*number of training batches.*smaller than the logging interval.*",
    ".*LeafSpec.*",
    ".*module.s. in eval mode.*",  # the normalisations of a teacher
)


@contextmanager
def host_as_before() -> Iterator[None]:
    """A block after which the process is as it was, whatever Lightning, PyTorch and a run set in it.

    Inside, Lightning says nothing but errors. Restored are the warnings filters, the level of Lightning's
    log, the environment, the state of the random numbers, the threads and flags of PyTorch, how processes
    are started, PyTorch's watch over those, and the process group, where the block made one. Other signals:
    see `fit._Signals`.
    """
    with (
        warnings.catch_warnings(),
        _random_numbers(),
        _environment(),
        _quiet_log(),
        _torch(),
        _processes(),
        _watch(),
    ):
        for message in _NOT_SHOWN:
            warnings.filterwarnings("ignore", message=message)
        yield


@contextmanager
def _environment() -> Iterator[None]:
    """Lightning writes seeds, ranks and thread counts into it."""
    before = os.environ.copy()
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})


@contextmanager
def _random_numbers() -> Iterator[None]:
    own, of_numpy = random.getstate(), np.random.get_state()
    # A GPU that is not in use yet has no state, and would be taken into use to ask for it.
    in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # PyTorch has no types there
    devices = range(torch.cuda.device_count()) if in_use else []
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(own)
            np.random.set_state(of_numpy)


@contextmanager
def _quiet_log() -> Iterator[None]:
    log = logging.getLogger("lightning.pytorch")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


@contextmanager
def _torch() -> Iterator[None]:
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    grouped, hook = _has_process_group(), sys.excepthook
    try:
        with kept_precision():
            yield
    finally:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark
        if _has_process_group() and not grouped:
            torch.distributed.destroy_process_group()
        # A process group replaces it.
        sys.excepthook = hook


def _has_process_group() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


@contextmanager
def _processes() -> Iterator[None]:
    """Lightning asks for the start method, which fixes it; `dataset.clean_start` names modules to preload.

    A fork server that runs goes on as it was started.
    """
    method = multiprocessing.get_start_method(allow_none=True)
    preloaded = _preloaded()
    try:
        yield
    finally:
        multiprocessing.set_start_method(method, force=True)
        if preloaded is not None:
            multiprocessing.set_forkserver_preload(preloaded)


def _preloaded() -> list[str] | None:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return None
    from multiprocessing.forkserver import _forkserver

    modules: list[str] = vars(_forkserver)["_preload_modules"]
    return modules


@contextmanager
def _watch() -> Iterator[None]:
    """The first loader of a process makes PyTorch take SIGCHLD, once and for all."""
    number = getattr(signal, "SIGCHLD", None)
    before = None if number is None else signal.getsignal(number)
    try:
        yield
    finally:
        in_main = threading.current_thread() is threading.main_thread()
        if number is not None and before is not None and in_main and signal.getsignal(number) != before:
            signal.signal(number, before)
            # Else a later loader would go without.
            signal_handling._SIGCHLD_handler_set = False
