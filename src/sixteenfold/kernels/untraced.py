"""For programs that use `torch.compile` around what this package computes."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def untraced(function: Callable[P, R]) -> Callable[P, R]:
    """A function that `torch.compile` calls as it is, rather than look into: code of our own runs beneath, and threads.

    As `torch.compiler.disable`, which would import the compiler, several seconds, where nobody compiles.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if torch.compiler.is_compiling():
            return torch.compiler.disable(function)(*args, **kwargs)  # pyright: ignore[reportCallIssue, reportUnknownVariableType]
        return function(*args, **kwargs)

    return call
