"""What enlarges in an evaluation: a model or a function, its name in tables, and what the report says of it."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.color import misfit
from sixteenfold.imaging.resample import SCALE
from sixteenfold.networks import zoo
from sixteenfold.networks.convert import RESULT
from sixteenfold.networks.generator import Generator
from sixteenfold.upscaling.upscaler import Upscaler

Model = Upscaler | Generator | str | Path
Upscale = Callable[[Tensor], Tensor]


class UnfitFunctionError(SixteenfoldError):
    """The caller's function does not enlarge sixteen times; no picture would succeed, so the evaluation stops."""


@dataclass(frozen=True)
class Enlarger:
    """What enlarges."""

    name: str
    upscale: Upscale
    """(1, 3 or 1, h, w) -> (1, 3 or 1, 16h, 16w), both in [0, 1]. May raise UnfitFunctionError."""
    facts: Mapping[str, str]
    """What it is and how it was used, for the report."""


def check_what_enlarges(
    model: Model | None, upscale: Upscale | None, device: str | torch.device, precision: str
) -> None:
    """Raise SixteenfoldError unless this is a model, a function or neither, and an Upscaler's device its own."""
    if model is not None and upscale is not None:
        raise SixteenfoldError("model and upscale would both enlarge: leave out one")
    if model is not None and not isinstance(model, Model):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SixteenfoldError(
            f"model: {type(model).__name__} is not a Generator, an Upscaler, a model name or a file; pass a function"
            " from (1, 3, h, w) to (1, 3, 16h, 16w) as upscale=..."
        )
    if isinstance(model, Upscaler) and not device == precision == "auto":
        raise SixteenfoldError(f"the Upscaler has its own device and precision ({model.description}): leave these out")
    if isinstance(upscale, Upscaler):
        raise SixteenfoldError("upscale: an Upscaler is a model, which the report describes; pass it as model=...")
    if upscale is not None and not callable(upscale):
        raise SixteenfoldError(
            f"upscale: {upscale!r} is not a function from (1, 3, h, w) to (1, 3, 16h, 16w); pass a model name or"
            " file as model=..."
        )


def usual_name(model: Model | None, upscale: Upscale | None) -> str:
    """The default name in tables of what enlarges."""
    if upscale is not None:
        return "result"
    source = _source(model)
    if source is None:
        return "model"
    file = Path(source)
    # Every run gives its weights this name; their folder distinguishes them.
    return own_name(file.parent) or file.stem if file.name == RESULT else file.stem


def own_name(folder: Path) -> str:
    """The folder's own name, even if given as "." or ".."; of a link, the link's name."""
    return Path(os.path.normpath(folder.absolute())).name


def of_function(name: str, upscale: Upscale) -> Enlarger:
    """A function of the caller's; whatever it does inside, nothing is done to its results here."""
    facts = {
        "model": f"{name} (a function given by the caller)",
        "consistency": "the function's results are compared as they are; evaluate applies no back-projection to them",
    }

    def checked(lr: Tensor) -> Tensor:
        # A copy, whatever the function does to it: others enlarge the same picture.
        return _checked(upscale(lr.expand(-1, 3, -1, -1).clone()), lr)

    return Enlarger(name, checked, facts)


def of_model(name: str, model: Model | None, device: str | torch.device, precision: str) -> Enlarger:
    """A model, as `upscale` uses it by default; or an Upscaler, as it was made.

    Raises SixteenfoldError as `Upscaler` does.
    """
    upscaler = model if isinstance(model, Upscaler) else Upscaler(model, device=device, precision=precision)
    return Enlarger(name, upscaler, _facts(name, upscaler))


def _checked(made: object, lr: Tensor) -> Tensor:
    """What a function made of the small picture (1, 3, h, w): (1, 3, 16h, 16w). Raises UnfitFunctionError if not."""
    height, width = lr.shape[2:]
    wanted = (1, 3, SCALE * height, SCALE * width)
    if not isinstance(made, Tensor):
        raise UnfitFunctionError(f"upscale: the function returned {type(made).__name__}, not a tensor {wanted}")
    if made.shape[:2] != wanted[:2] or made.ndim != 4:
        raise UnfitFunctionError(f"upscale: the function returned {tuple(made.shape)}, not {wanted}")
    if made.shape != wanted:
        raise UnfitFunctionError(
            f"upscale: the function returned {made.shape[3]}x{made.shape[2]}, not {SCALE} times {width}x{height},"
            f" {wanted[3]}x{wanted[2]}"
        )
    if found := misfit(made):
        raise UnfitFunctionError(f"upscale: the function must return floats in [0, 1], not {found}")
    return made


def _facts(name: str, upscaler: Upscaler) -> dict[str, str]:
    """Which model `name` means, a shipped one by its name alone, others with their source; what departs from usual."""
    source = "a generator given by the caller" if upscaler.model is None else upscaler.model
    facts = {"model": name if name == source else f"{name} ({source})"}
    facts["model hash"] = f"sha256 {upscaler.sha256} of its weights"
    if upscaler.fidelity is not None:
        facts["model hash"] += ", as mixed"
        facts["fidelity"] = f"{upscaler.fidelity:g}: the model's weights are mixed with those of its fidelity partner"
    facts["engine"] = upscaler.description
    if upscaler.tile is not None:
        facts["tile"] = f"{upscaler.tile} pixels of the small picture per side"
    if upscaler.ensemble:
        facts["ensemble"] = "the model's results are averages over the eight flips and rotations"
    facts["consistency"] = (
        "the model's results are back-projected to downscale to their inputs, and flat ground is kept, as in upscale"
        if upscaler.consistency
        else "the model's results are as the network gives them; no back-projection is applied"
    )
    return facts


def _source(model: Model | None) -> str | None:
    """The model's name or file; None for a generator."""
    if isinstance(model, Generator):
        return None
    if isinstance(model, Upscaler):
        return model.model
    return zoo.default() if model is None else str(model)
