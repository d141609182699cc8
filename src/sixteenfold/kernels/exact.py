"""PyTorch's convolutions and matrix products in true float32, whatever the caller's settings."""

import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.backends import cuda, cudnn, mkldnn

WHOLE: Any = torch.backends
"""`Any`, as PyTorch's types lack its `fp32_precision`, and that of `cudnn` and `mkldnn` by kind of network."""
CUDNN: Any = cudnn
MKLDNN: Any = mkldnn
PARENTS: tuple[Any, ...] = (CUDNN, MKLDNN.conv, MKLDNN.matmul)
"""PyTorch's settings are a tree: torch.backends > cudnn > conv, rnn, cuda.matmul; torch.backends > mkldnn's. "none"
inherits. These are right below the root, which `mkldnn.fp32_precision` is too, in 2.13 if not in others."""
SETTINGS: tuple[Any, ...] = (CUDNN.conv, CUDNN.rnn, cuda.matmul)
"""Those below the first."""
DEVICES = ("cpu", "cuda", "mps")
"""Where we compute; autocast is set for each kind of device."""


class _Switch:
    """State of PyTorch's settings, which all threads share."""

    lock = threading.Lock()
    users = 0
    before: tuple[tuple[Any, str], ...] = ()
    """The settings changed, each with the value to restore."""


def _turn_off() -> tuple[tuple[Any, str], ...]:
    """Turn all other precisions off, and return the values to restore.

    Reading a setting gives the effective value; an inherited one, written back, would no longer inherit. So parents
    are set first: a child that still reads something else has a value of its own, which is saved. A parent that reads
    as torch.backends does is restored as "none".
    """
    read = [(parent, parent.fp32_precision) for parent in PARENTS]
    before = [(parent, "none" if precision == WHOLE.fp32_precision else precision) for parent, precision in read]
    for parent in PARENTS:
        parent.fp32_precision = "ieee"
    for setting in SETTINGS:
        if setting.fp32_precision != "ieee":
            before.append((setting, setting.fp32_precision))
            setting.fp32_precision = "ieee"
    return tuple(before)


@contextmanager
def true_fp32() -> Generator[None]:
    """Compute float32 convolutions and matrix products in float32, not TF32 or bf16; a context manager or a decorator.

    TF32 rounds inputs to 10 bits of mantissa. From Ampere on cuDNN's convolutions use it by default; matrix products
    use it if a program asks for it, as by `torch.set_float32_matmul_precision("high")`; "medium" lets CPUs with AMX
    round to bf16. Autocast is off too. If threads overlap, the first changes the settings and the last restores them;
    autocast is each thread's own. A backward pass after the context uses the program's own setting.
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
