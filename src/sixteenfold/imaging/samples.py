"""The three types a sample can have."""

import numpy as np

_BITS = {"uint8": 8, "uint16": 16, "float32": 32}


def sample_bits(dtype: np.dtype | type) -> int:
    """Bits of a sample: 8, 16, or 32 for float32. Raises ValueError for any other type."""
    name = np.dtype(dtype).name
    if name not in _BITS:
        raise ValueError(f"pixels are uint8, uint16 or float32, not {name}")
    return _BITS[name]


def full_scale(dtype: np.dtype | type) -> int:
    """The value that means full intensity: 255, 65,535, or 1 for float32; errors as sample_bits."""
    bits = sample_bits(dtype)
    return 1 if bits == 32 else 2**bits - 1
