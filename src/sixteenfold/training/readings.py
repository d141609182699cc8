"""Losses left on the device until they are wanted: to read one is to wait for all that was queued before it."""

import math
from typing import cast

import torch
from lightning.fabric import Fabric
from torch import Tensor

from sixteenfold.errors import SixteenfoldError
from sixteenfold.training.steps import Losses

INTERVAL = 10
"""Steps between two readings on an accelerator, at most."""

Row = tuple[int, dict[str, float]]
"""A step's number, counted from 1, and its losses."""


class Readings:
    """The losses of the steps since the last reading.

    On a CPU nothing is gained by waiting, so every step is read. On an accelerator the host runs ahead by up to
    `INTERVAL` steps; whatever writes a file reads first, so nothing of a spoilt step is ever kept.
    """

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._interval = 1 if fabric.device.type == "cpu" else INTERVAL
        self._steps: list[tuple[int, Losses]] = []

    def add(self, step: int, losses: Losses) -> None:
        """Note what a step gave; nothing waits."""
        self._steps.append((step, losses))

    @property
    def due(self) -> bool:
        """Whether it is time to read."""
        return len(self._steps) >= self._interval

    def read(self, *own: float) -> tuple[list[Row], list[float]]:
        """The means over all processes of the losses of each step, and of this process's own numbers.

        All processes must read after the same step.

        Raises:
            SixteenfoldError: If a loss or gradient is not finite, naming the first step and the first term.
        """
        values = [value.float() for _, losses in self._steps for value in losses.values()]
        numbers = torch.tensor(own, device=self._fabric.device)
        everywhere = cast(Tensor, self._fabric.all_reduce(torch.stack([*values, *numbers]), reduce_op="mean"))
        means = iter(cast(list[float], everywhere.tolist()))
        rows = [(step, {name: next(means) for name in losses}) for step, losses in self._steps]
        self._steps.clear()
        for step, losses in rows:
            _check(step, losses)
        return rows, list(means)


def _check(step: int, losses: dict[str, float]) -> None:
    for name, value in losses.items():
        if not math.isfinite(value):
            network, gradient, _ = name.partition("_gradient")
            what = f"the {network}'s gradient" if gradient else f"the {name} loss"
            raise SixteenfoldError(
                f"step {step}: {what} is {value}: in a new run, lower the learning rate, or clip gradients to a "
                "smaller norm (gradient_clip); what this run has saved is from before"
            )
