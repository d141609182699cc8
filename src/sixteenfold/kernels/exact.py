"""PyTorch's convolutions and products of matrices on a GPU, as exact as float32 is."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch.backends import cuda, cudnn

WHOLE: Any = torch.backends
"""Its types do not know its precision, nor the next one's by kind of network."""
CUDNN: Any = cudnn
"""Its own setting is above the next three: what says nothing of itself goes by the one above, this one by the whole."""
SETTINGS: tuple[Any, ...] = (CUDNN.conv, CUDNN.rnn, cuda.matmul)


class _Switch:
    """PyTorch's, which is one for all threads."""

    lock = threading.Lock()
    users = 0
    before: tuple[tuple[Any, str], ...] = ()
    """What was changed, and what it said."""


def _turn_off() -> tuple[tuple[Any, str], ...]:
    """Turn TF32 off; what has to be set again to undo it.

    Above first: what a setting says is then "ieee" by what it inherits, or its own. (Reading one gives what it inherits
    too, and that, written back, would hold it there for good. Of the one above that cannot be told apart where it says
    what the whole says, and it is taken to inherit.)
    """
    above: str = CUDNN.fp32_precision
    before = [(CUDNN, "none" if above == WHOLE.fp32_precision else above)]
    CUDNN.fp32_precision = "ieee"
    for setting in SETTINGS:
        if setting.fp32_precision != "ieee":
            before.append((setting, setting.fp32_precision))
            setting.fp32_precision = "ieee"
    return tuple(before)


@contextmanager
def true_fp32() -> Generator[None]:
    """Convolutions and products of float32 on CUDA without TF32; a context, or a decorator of a function.

    TF32 rounds what is read to 10 bits of mantissa. From Ampere on cuDNN's convolutions do, unless PyTorch is told
    otherwise; products of matrices do where a program asks for it, as by `torch.set_float32_matmul_precision("high")`.
    Where threads overlap, the first turns this off, and the last puts it back as it was. What goes backward after
    the context goes as the program wishes.
    """
    with _Switch.lock:
        if _Switch.users == 0:
            _Switch.before = _turn_off()
        _Switch.users += 1
    try:
        yield
    finally:
        with _Switch.lock:
            _Switch.users -= 1
            if _Switch.users == 0:
                for setting, precision in _Switch.before:
                    setting.fp32_precision = precision
