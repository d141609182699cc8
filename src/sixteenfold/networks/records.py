"""What a pickle describes, as plain data: names, records, tensors not read yet; and what may be wrong with it."""

from dataclasses import dataclass

import torch


class RefusedError(Exception):
    """The pickle asks for something that tensors do not need."""


class UnfitError(ValueError):
    """A valid file that does not hold a network's weights: fetching it again would not help."""


@dataclass(frozen=True)
class Global:
    """The name of a class or function, `module.name`; never the thing itself."""

    name: str


@dataclass(eq=False)
class Record:
    """An object of a class that is not loaded: the class's name, what it was called with, and the object's state."""

    name: str
    arguments: tuple[object, ...] = ()
    state: object = None


@dataclass(frozen=True)
class Storage:
    """A row of numbers elsewhere in the file."""

    key: str
    dtype: torch.dtype
    elements: int
    start: int = 0
    """First element, counted in the storage of that key (a legacy storage may be a part of another)."""


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor not read yet: a strided view of a storage; sizes in elements."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def elements(self) -> int:
        product = 1
        for extent in self.size:
            product *= extent
        return product


def shown(value: object) -> str:
    """A value from a file, made fit for a message: short, on one line, without control characters."""
    if isinstance(value, Global):
        value = value.name
    if isinstance(value, str | int) and not isinstance(value, bool):
        text = ascii(value)
        return text if len(text) <= 80 else text[:77] + "..."
    if value is None:
        return "None"
    return "a tensor" if isinstance(value, StoredTensor) else f"a {type(value).__name__}"
