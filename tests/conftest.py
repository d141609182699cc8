"""A device that is not here."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


class AppleGPU(TorchFunctionMode):
    """As if tensors lay on a device without float64, but for new ones, those of `cpu()`, and what they become."""

    def __init__(self) -> None:
        super().__init__()
        self._on_cpu: dict[int, Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is Tensor.cpu:
            result = result.clone()
        given, made = (
            [part for part in tree_leaves(parts) if isinstance(part, Tensor)] for parts in ((args, kwargs), result)
        )
        double = any(part.dtype == torch.float64 for part in given)
        if func is Tensor.cpu or double or all(id(part) in self._on_cpu for part in given):
            self._on_cpu |= {id(part): part for part in made}
        elif any(part.dtype == torch.float64 for part in made):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return result


@pytest.fixture
def apple_gpu() -> AppleGPU:
    """A context; what was made before it lies on the device."""
    return AppleGPU()
