"""PyTorch's convolutions on a GPU, as exact as float32 is."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from torch.backends import cudnn

CUDNN: Any = cudnn
"""Its types do not know the settings by kind of network."""


class _Switch:
    """cuDNN's, which is one for all threads."""

    lock = threading.Lock()
    users = 0
    before = ("", "")
    """Of convolutions and of recurrent networks: PyTorch's older switch refuses to be read while the two differ."""


@contextmanager
def true_fp32() -> Generator[None]:
    """Convolutions of float32 on CUDA without TF32; a context, or a decorator of a function.

    From Ampere on, cuDNN rounds what float32 convolutions read to 10 bits of mantissa, and PyTorch lets it unless told
    otherwise. (Products of matrices it leaves exact.) Where threads overlap, the first turns this off, and the last
    puts it back as it was.
    """
    with _Switch.lock:
        if _Switch.users == 0:
            _Switch.before = CUDNN.conv.fp32_precision, CUDNN.rnn.fp32_precision
            CUDNN.conv.fp32_precision = CUDNN.rnn.fp32_precision = "ieee"
        _Switch.users += 1
    try:
        yield
    finally:
        with _Switch.lock:
            _Switch.users -= 1
            if _Switch.users == 0:
                CUDNN.conv.fp32_precision, CUDNN.rnn.fp32_precision = _Switch.before
