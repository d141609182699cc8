"""Enlarge a picture sixteen times per side, whole or band by band."""

import copy
import hashlib
import logging
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from sixteenfold import __version__
from sixteenfold.errors import SixteenfoldError, out_of_memory_told
from sixteenfold.imaging.color import misfit, unread
from sixteenfold.imaging.resample import SCALE
from sixteenfold.kernels.untraced import untraced
from sixteenfold.networks.generator import Generator
from sixteenfold.networks.state import digest
from sixteenfold.upscaling.consistency import ROUNDS
from sixteenfold.upscaling.enlargement import Enlargement, bands, fittings, grid
from sixteenfold.upscaling.runner import Runner, Say
from sixteenfold.upscaling.sizes import two_sides, whole_number

logger = logging.getLogger(__name__)

CPU_TILE, ACCELERATOR_TILE = 64, 120
"""Side of the second trunk's tiles, in pixels at x1: larger ones need more memory, smaller ones more margin work. On a
CPU a picture of 64 x 64 pixels, the commonest small size, is a tile of its own."""

MASK_MODEL = "compact-fidelity"
"""What enlarges masks, whichever model enlarges the colours: it draws no texture, and a mask has none."""


class Upscaler:
    """Enlarges pictures sixteen times per side with one generator on one device.

    The first trunk runs over the whole picture (in very large tiles if it is very large), the second in tiles with a
    margin. Only a few bands of rows of the result are held at a time. It can be pickled, with its weights and options
    (so `say` has to be a function of a module), for other processes and machines; there "auto" chooses anew.

    Args:
        model: A generator, which is copied, the name of a shipped model, or a file of weights; None is the default
            model.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps", or a torch.device.
        precision: "auto", "fp32", "bf16" or "fp16".
        tile: Side of the second trunk's tiles in pixels of the small picture; None chooses by the device.
        consistency: Make the result downscale to its input, and keep exactly flat ground as it is.
        ensemble: Average the results of the eight flips and rotations, at eight times the work.
        fidelity: Mix the weights of a shipped perceptual model with those of its fidelity partner: 0 is the first
            (draws texture), 1 the second (closer on average, smoother). None uses the model unmixed.
        say: Called with one line when tiles shrink or are recomputed; by default the line is logged.

    Attributes:
        description: One line that says which device and precision were chosen.

    Raises:
        SixteenfoldError: If the model, device or precision is not available, tile is not a whole number from 1 on,
            fidelity is not 0 to 1, the model has no partner, or say is not a function.
    """

    def __init__(
        self,
        model: Generator | str | Path | None = None,
        *,
        device: str | torch.device = "auto",
        precision: str = "auto",
        tile: int | None = None,
        consistency: bool = True,
        ensemble: bool = False,
        fidelity: float | None = None,
        say: Say = logger.warning,
    ) -> None:
        tile = None if tile is None else whole_number(tile, "tile", 1)
        if not callable(say):
            raise SixteenfoldError(f"say: {say!r} is not a function; leave it out, or give one that takes a line")
        generator, self._model = _found(model, fidelity)
        self._options: dict[str, Any] = {
            "device": device,
            "precision": precision,
            "tile": tile,
            "consistency": consistency,
            "ensemble": ensemble,
            "say": say,
        }
        self._runner = Runner(generator, device, precision, ensemble, say)
        self._tile = tile or (CPU_TILE if self._runner.device.type == "cpu" else ACCELERATOR_TILE)
        self._rounds = ROUNDS if consistency else 0
        self._fittings = fittings(say)
        self._fidelity = fidelity
        self._fingerprint: str | None = None
        self.description = self._runner.description

    def __reduce__(self) -> tuple[Callable[[Generator], "Upscaler"], tuple[Generator], dict[str, object]]:
        # Not by the model's name: a file may have changed since, or be missing elsewhere; and not on a GPU.
        remake, generator = partial(type(self), **self._options), copy.deepcopy(self._runner.generator).cpu()
        return remake, (generator,), {"_model": self._model, "_fidelity": self._fidelity}

    @untraced
    def __call__(self, lr: Tensor) -> Tensor:
        """Enlarge pictures that fit in memory.

        Args:
            lr: (N, 3, H, W) RGB or (N, 1, H, W) grey, floats in [0, 1].

        Returns:
            (N, 3 or 1, 16H, 16W) in [0, 1], in lr's type and on its device, without gradient.

        Raises:
            SixteenfoldError: If lr is not of this shape, not of floats, of another scale or not finite; if memory runs
                out even with the smallest tiles, or outside them; or if the weights are damaged: the network gives
                infinite values in fp32 too.
        """
        _check_shape(lr, "N")
        count, channels, height, width = lr.shape
        with out_of_memory_told():
            sr = lr.new_empty(count, channels, SCALE * height, SCALE * width)
            for i in range(count):
                top = 0
                for band in self.bands(lr[i : i + 1]):
                    # Moved before it takes lr's type: an Apple GPU has no float64.
                    sr[i : i + 1, :, top : top + band.shape[2]] = band.to(lr.device)
                    top += band.shape[2]
        return sr

    @untraced
    def bands(self, lr: Tensor, *, size: tuple[int, int] | None = None, skip: int = 0) -> Iterator[Tensor]:
        """Enlarge one picture band by band: memory does not grow with its height.

        Args:
            lr: (1, 3, H, W) RGB or (1, 1, H, W) grey, floats in [0, 1].
            size: (height, width) to which the x16 result is reduced, by the exact antialiased bicubic;
                None leaves it at (16H, 16W).
            skip: How many bands at the top to skip; those that follow are the same as without it.

        Yields:
            (1, 3 or 1, rows, width) float32 in [0, 1], top to bottom, on the upscaler's device; `band_rows` gives the
            rows of each.

        Raises:
            SixteenfoldError: If lr is not one non-empty picture, the size is none, empty or too large, or skip is not a
                whole number from 0 on; else as in a call; also raised by the iterator.
        """
        _check_shape(lr, "1")
        full = SCALE * lr.shape[-2], SCALE * lr.shape[-1]
        if found := misfit(lr):
            raise SixteenfoldError(f"expected floats in [0, 1], not {found}")
        size = full if size is None else two_sides(size, "(height, width)")
        skip = whole_number(skip, "skip", 0)
        if min(size) < 1 or size[0] > full[0] or size[1] > full[1]:
            raise SixteenfoldError(f"cannot reduce {full[1]}x{full[0]} to {size[1]}x{size[0]}")
        with out_of_memory_told():
            lr = lr.detach().float().to(self._runner.device)
        return Enlargement(lr, self._runner, self._tile, self._rounds, self._fittings).bands(size, skip)

    @staticmethod
    def band_rows(height: int, new_height: int | None = None) -> tuple[int, ...]:
        """The number of rows in each band of `bands`, for a picture of this height, reduced to new_height if given.

        Raises:
            SixteenfoldError: If height is not a whole number from 1 on, or new_height not one up to 16 height.
        """
        full = SCALE * whole_number(height, "height", 1)
        rows = full if new_height is None else whole_number(new_height, "new_height", 1)
        if rows > full:
            raise SixteenfoldError(f"cannot reduce {full} rows to {rows}")
        return tuple(band.length for band in bands(height, rows))

    @cached_property
    def for_masks(self) -> "Upscaler":
        """What enlarges alpha, on the same device and with the same options but for the ensemble."""
        options: dict[str, Any] = {**self._options, "ensemble": False}
        return Upscaler(MASK_MODEL, **options)

    @property
    def model(self) -> str | None:
        """The shipped model's name or the file of weights; None for a generator."""
        return self._model

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights in use, mixed ones included, as `networks.state.digest` gives and cards name it."""
        return digest(self._runner.generator)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._runner.device

    @property
    def tile(self) -> int | None:
        """The tiles' side as it was given; None if it was chosen by the device."""
        return self._options["tile"]

    @property
    def consistency(self) -> bool:
        """Whether results are made to downscale to their inputs."""
        return self._rounds > 0

    @property
    def ensemble(self) -> bool:
        """Whether results are averages over the eight flips and rotations."""
        return self._options["ensemble"]

    @property
    def fidelity(self) -> float | None:
        """The share of the fidelity partner in the weights; None for a model that is not mixed."""
        return self._fidelity

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides a result, except the picture: weights, device, precision and settings."""
        if self._fingerprint is None:
            settings = (__version__, self.description, self._tile, self._rounds, self.ensemble, *grid())
            decisive = (*settings, self.sha256)
            self._fingerprint = hashlib.sha256(repr(decisive).encode()).hexdigest()
        return self._fingerprint


def _check_shape(lr: object, count: Literal["1", "N"]) -> None:
    """Raise SixteenfoldError unless this is a tensor of one picture, or of any number."""
    wanted = f"expected a tensor ({count}, 3 or 1, H, W)"
    if not isinstance(lr, Tensor):
        raise SixteenfoldError(f"{wanted}, not {type(lr).__name__}")
    if found := unread(lr):
        raise SixteenfoldError(f"{wanted}, not {found}")
    fits = lr.ndim == 4 and lr.shape[1] in (1, 3) and 0 not in lr.shape[2:] and count in ("N", str(len(lr)))
    if not fits:
        raise SixteenfoldError(f"{wanted}, not {tuple(lr.shape)}")


def _found(model: Generator | str | Path | None, fidelity: float | None) -> tuple[Generator, str | None]:
    """The generator, and the name or file it came from."""
    if isinstance(model, Generator):
        if fidelity is not None:
            raise SixteenfoldError("fidelity: mixes two shipped models, not a generator; leave it out or name a model")
        # The caller may train it further; what is said of the weights, and what replaces a tile, is of those here.
        return copy.deepcopy(model), None
    if model is not None and not isinstance(model, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SixteenfoldError(f"model: {type(model).__name__} is not a Generator, a model name or a file")
    from sixteenfold.networks import zoo

    chosen = zoo.default() if model is None else model
    return (zoo.load(chosen) if fidelity is None else zoo.blend(str(chosen), fidelity)), str(chosen)
