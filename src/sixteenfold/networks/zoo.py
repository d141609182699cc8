"""The models that are shipped: weights and a card each in `sixteenfold/models/`."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Real
from pathlib import Path
from typing import Any

import torch

from sixteenfold.errors import SixteenfoldError, did_you_mean
from sixteenfold.files.names import given
from sixteenfold.files.places import there
from sixteenfold.networks.convert import read_checkpoint
from sixteenfold.networks.generator import Generator
from sixteenfold.networks.grow import fits_into, implant
from sixteenfold.networks.state import GeneratorShape, build, digest, shape_of

__all__ = ["Card", "blend", "card", "default", "discriminator", "load", "names"]

MODELS = Path(__file__).parent.parent / "models"
SUFFIX = ".safetensors"
WAY_OUT = "give a shipped model's or a file's"
"""What an empty name of a model is answered with."""
# Best first; a model that is not named here comes after these.
PREFERENCE = ("perceptual", "medium", "compact", "fidelity", "compact-fidelity")


@dataclass(frozen=True)
class Card:
    """What to know about a model before using it. Read from `NAME.json` beside the weights."""

    name: str
    """As on the command line."""
    purpose: str
    """What it is good for, in one sentence."""
    shape: GeneratorShape
    """The generator's sizes."""
    data: str
    """What it was trained on."""
    licences: tuple[str, ...]
    """Of the weights and of the training data."""
    recipe: str
    """How it was trained: the preset or the command, losses, optimizer."""
    steps: int
    """Training steps."""
    hardware: str
    """What it was trained on and for how long."""
    figures: Mapping[str, float]
    """Measured quality; each key says on what and in which unit."""
    known_failures: tuple[str, ...]
    """What it does badly."""
    sha256: str | None = None
    """Of the weights, as `state.digest` gives and reports name it; checked where the model is loaded."""
    fidelity_partner: str | None = None
    """For a perceptual model: the shipped fidelity-only model, of its shape or smaller, from which its training
    continued (see `blend`)."""


def names() -> tuple[str, ...]:
    """The shipped models, the best first."""
    found = sorted(path.stem for path in MODELS.glob(f"*{SUFFIX}"))
    return tuple(sorted(found, key=lambda name: PREFERENCE.index(name) if name in PREFERENCE else len(PREFERENCE)))


def default() -> str:
    """The best shipped model.

    Raises:
        SixteenfoldError: If none is shipped.
    """
    if not names():
        raise SixteenfoldError("no model is shipped with this installation; give a weights file")
    return names()[0]


def load(name_or_path: str | Path) -> Generator:
    """Load a generator with trained weights: float32, on the CPU, in eval mode.

    Args:
        name_or_path: The name of a shipped model, or a file that `convert` reads, ours included.

    Raises:
        SixteenfoldError: If there is no such model (similar names are suggested) or file, the file is damaged or does
            not hold exactly a generator's tensors, or a shipped model's weights do not match its card.
    """
    path = _weights(name_or_path)
    generator = build(read_checkpoint(path), path)
    if name_or_path in names() and card(str(name_or_path)).sha256 not in (None, digest(generator)):
        raise SixteenfoldError(f"{path}: damaged, its weights do not match its card; install sixteenfold again")
    return generator


def blend(name: str, fidelity: float) -> Generator:
    """A model between a perceptual one and its fidelity partner, by interpolating their weights.

    Source: Wang et al., "ESRGAN", ECCV workshops 2018, section 3.4. It works if one network's training continued
    from the other, as with ours: channels then keep their meaning. A smaller partner is first implanted into the
    model, so that what the model has beyond it fades in.

    Args:
        name: A shipped model whose card names a `fidelity_partner`.
        fidelity: 0 gives the model itself, with texture drawn in; 1 gives its partner, smoother and closer to
            the original on average; exactly so at both ends, but for rounding where the partner is smaller.

    Raises:
        SixteenfoldError: If fidelity is not 0 to 1, the model has no partner, or its partner is larger.
    """
    if isinstance(fidelity, bool) or not isinstance(fidelity, Real) or not 0 <= fidelity <= 1:
        raise SixteenfoldError(f"fidelity {fidelity!r}: must lie between 0 (perceptual) and 1 (faithful)")
    fidelity = float(fidelity)
    partner = card(name).fidelity_partner if name in names() else None
    if partner is None:
        able = ", ".join(one for one in names() if card(one).fidelity_partner is not None)
        raise SixteenfoldError(
            f"{name}: has no fidelity partner to mix its weights with; "
            + (f"leave out fidelity, or use a model that has one: {able}" if able else "leave out fidelity")
        )
    perceptual, faithful = load(name), load(partner)
    if not fits_into(shape_of(faithful), shape_of(perceptual)):
        raise SixteenfoldError(f"{name}: its fidelity partner {partner} does not fit it; install sixteenfold again")
    goal = copy.deepcopy(perceptual)
    implant(faithful, goal)
    with torch.no_grad():
        for weight, faithful_weight in zip(perceptual.parameters(), goal.parameters(), strict=True):
            weight.lerp_(faithful_weight, fidelity)
    return perceptual


def card(name: str) -> Card:
    """The card of a shipped model.

    Raises:
        SixteenfoldError: If there is no such model, or its card is missing or wrong.
    """
    if name not in names():
        raise _unknown(name)
    path = MODELS / f"{name}.json"
    try:
        found = _card(json.loads(path.read_text(encoding="utf-8")))
        if found.name != name:
            raise ValueError(f"of another model, {found.name!r}")
        return found
    except OSError as error:
        raise SixteenfoldError(f"{path}: cannot be read ({error.strerror}); install sixteenfold again") from None
    except (ValueError, TypeError, KeyError) as error:
        raise SixteenfoldError(f"{path}: not a card ({error!r}); install sixteenfold again") from None


def discriminator(name_or_path: str | Path) -> Path:
    """The file of the discriminator that a shipped model was trained against; a file's path is itself.

    Raises:
        SixteenfoldError: If the shipped model has none, as one for fidelity.
    """
    if name_or_path not in names():
        return given(name_or_path, "discriminator", WAY_OUT)
    path = MODELS / "discriminators" / f"{name_or_path}{SUFFIX}"
    if not path.is_file():
        raise SixteenfoldError(f"{name_or_path}: was trained without a discriminator; leave it out")
    return path


def _weights(name_or_path: str | Path) -> Path:
    if name_or_path in names():
        return MODELS / f"{name_or_path}{SUFFIX}"
    path = given(name_or_path, "model", WAY_OUT)
    if isinstance(name_or_path, str) and not path.suffix and path.name == name_or_path and there(path) is None:
        raise _unknown(name_or_path)
    return path


def _unknown(name: str) -> SixteenfoldError:
    shipped = names()
    choices = f"choose from {', '.join(shipped)}, or give a weights file" if shipped else "give a weights file"
    return SixteenfoldError(f"{name}: is not a shipped model; {choices}{did_you_mean(name, shipped)}")


def _card(content: dict[str, Any]) -> Card:
    """A card from its JSON: every key known, every key but the last two there."""
    known = [field.name for field in fields(Card)]
    for key in content:
        if key not in known:
            raise ValueError(f"unknown key {key!r}{did_you_mean(key, known)}")
    low, high, last = content["shape"]["features"]
    first_growth, second_growth = content["shape"]["growth"]
    first_blocks, second_blocks = content["shape"]["blocks"]
    return Card(
        name=content["name"],
        purpose=content["purpose"],
        shape=GeneratorShape((low, high, last), (first_growth, second_growth), (first_blocks, second_blocks)),
        data=content["data"],
        licences=tuple(content["licences"]),
        recipe=content["recipe"],
        steps=int(content["steps"]),
        hardware=content["hardware"],
        figures={key: float(value) for key, value in content["figures"].items()},
        known_failures=tuple(content["known_failures"]),
        sha256=content.get("sha256"),
        fidelity_partner=content.get("fidelity_partner"),
    )
