"""PyTorch's convolutions and matrix products in true float32, whatever the caller's settings."""

import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.backends import cuda, cudnn

WHOLE: Any = torch.backends
"""`Any`, as PyTorch's types lack its `fp32_precision`, and that of `cudnn` by kind of network."""
CUDNN: Any = cudnn
"""PyTorch's settings are a tree: torch.backends > cudnn > conv, rnn; torch.backends > cuda.matmul. "none" inherits."""
SETTINGS: tuple[Any, ...] = (CUDNN.conv, CUDNN.rnn, cuda.matmul)
DEVICES = ("cpu", "cuda", "mps")
"""Where we compute; autocast is set for each kind of device."""


class _Switch:
    """State of PyTorch's settings, which all threads share."""

    lock = threading.Lock()
    users = 0
    before: tuple[tuple[Any, str], ...] = ()
    """The settings changed, each with the value to restore."""


def _turn_off() -> tuple[tuple[Any, str], ...]:
    """Turn TF32 off, and return the values to restore.

    Reading a setting gives the effective value; an inherited one, written back, would no longer inherit. So the parent
    is set first: a child that still reads something else has a value of its own, which is saved. A parent that reads
    as torch.backends does is restored as "none".
    """
    parent: str = CUDNN.fp32_precision
    before = [(CUDNN, "none" if parent == WHOLE.fp32_precision else parent)]
    CUDNN.fp32_precision = "ieee"
    for setting in SETTINGS:
        if setting.fp32_precision != "ieee":
            before.append((setting, setting.fp32_precision))
            setting.fp32_precision = "ieee"
    return tuple(before)


@contextmanager
def true_fp32() -> Generator[None]:
    """Compute float32 convolutions and matrix products without TF32 or autocast; a context manager or a decorator.

    TF32 rounds inputs to 10 bits of mantissa. From Ampere on cuDNN's convolutions use it by default; matrix products
    use it if a program asks for it, as by `torch.set_float32_matmul_precision("high")`. If threads overlap, the first
    turns TF32 off and the last restores it; autocast is each thread's own. A backward pass after the context uses the
    program's own setting.
    """
    with _Switch.lock:
        if _Switch.users == 0:
            _Switch.before = _turn_off()
        _Switch.users += 1
    try:
        with ExitStack() as stack:
            for kind in filter(torch.is_autocast_enabled, DEVICES):
                stack.enter_context(torch.autocast(kind, enabled=False))
            yield
    finally:
        with _Switch.lock:
            _Switch.users -= 1
            if _Switch.users == 0:
                for setting, precision in _Switch.before:
                    setting.fp32_precision = precision
