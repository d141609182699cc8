"""What a training run is: frozen dataclasses, presets, strict JSON."""

import dataclasses
import difflib
import json
import math
import reprlib
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from sixteenfold.errors import SixteenfoldError
from sixteenfold.files.ordinary import unreadable
from sixteenfold.imaging.resample import SCALE
from sixteenfold.networks.state import GeneratorShape
from sixteenfold.training.phases import (
    AdversarialPhase,
    DataConfig,
    Phase,
    PixelPhase,
    check_steps,
    require,
    require_of,
)

__all__ = [
    "PRESETS",
    "AdversarialPhase",
    "DataConfig",
    "GeneratorShape",
    "PixelPhase",
    "TrainConfig",
    "differences",
    "from_json",
    "to_json",
]

T = TypeVar("T")
P = TypeVar("P", bound=Phase)


MOST_CHANNELS, MOST_BLOCKS = 4096, 1000
"""Of a network; more is a slip of the hand, and fills the memory before it is told."""


@dataclass(frozen=True)
class TrainConfig:
    """A whole run."""

    generator: GeneratorShape = field(default_factory=GeneratorShape)
    """Sizes of the network."""
    pixel: PixelPhase | None = field(default_factory=PixelPhase)
    """The pixel phase; None leaves it out, which is of use only with weights to start from."""
    adversarial: AdversarialPhase | None = None
    """The adversarial phase, which goes on from the pixel phase's result; None ends the run before it."""
    data: DataConfig = field(default_factory=DataConfig)
    """How crops are drawn."""
    seed: int = 0
    """Chooses the start weights and every crop."""
    minutes: float | None = None
    """Time for both phases, the validations and checkpoints within them included; None goes by steps. Reading the
    photographs, validating given weights, the first step of each kind, which compiles, and the last validation and
    checkpoint of each phase, come on top. With it whatever a phase has in steps, `warmup`, `head_start` and
    `cutmix_ramp` too, is a share of the time, and no two runs are the same."""
    validate_every: int = 1000
    """Steps between two validations."""
    validation_crop: int = 1024
    """Largest side in pixels of the centre crop of a validation picture; a multiple of 16."""
    save_every: int = 500
    """Steps between two checkpoints."""
    log_every: int = 50
    """Steps between two lines of losses in the log, each the mean over these steps; a phase ends with one too. The
    screen shows the mean since the last."""

    def __post_init__(self) -> None:
        require(
            self.pixel is not None or self.adversarial is not None,
            "pixel and adversarial are both left out; a run needs one of them",
        )
        for name in ("validate_every", "save_every", "log_every"):
            require_of(self, name, getattr(self, name) >= 1, "be at least 1")
        require_of(self, "seed", 0 <= self.seed < 2**63, "lie between 0 and 2^63 - 1")
        for name, least, most in (
            ("features", 1, MOST_CHANNELS),
            ("growth", 1, MOST_CHANNELS),
            ("blocks", 0, MOST_BLOCKS),
        ):
            fits = all(least <= size <= most for size in getattr(self.generator, name))
            require_of(self.generator, name, fits, f"each lie between {least} and {most}")
        require_of(self, "minutes", self.minutes is None or 0 < self.minutes < math.inf, "be positive and finite")
        fits = self.validation_crop >= 32 and self.validation_crop % SCALE == 0
        require_of(self, "validation_crop", fits, f"be a multiple of {SCALE} and at least 32")

    @property
    def steps(self) -> int:
        """Of both phases together."""
        return sum(phase.steps for phase in (self.pixel, self.adversarial) if phase is not None)

    @property
    def largest_patch(self) -> int:
        """The larger crop of the two phases."""
        return max(phase.patch for phase in (self.pixel, self.adversarial) if phase is not None)

    def with_steps(self, steps: int) -> "TrainConfig":
        """The same run with another number of steps in all, shared by the phases in the same proportion.

        `warmup`, `head_start` and `cutmix_ramp` keep their shares of their phase.

        Raises:
            SixteenfoldError: If there is not a step for each phase.
        """
        check_steps(steps)
        if self.pixel is None or self.adversarial is None:
            pixel, adversarial = (None if phase is None else steps for phase in (self.pixel, self.adversarial))
        else:
            require(steps >= 2, f"steps must be at least 2, one for each phase, not {steps}")
            pixel = min(max(1, round(steps * self.pixel.steps / self.steps)), steps - 1)
            adversarial = steps - pixel
        return replace(
            self, pixel=_with_steps(self.pixel, pixel), adversarial=_with_steps(self.adversarial, adversarial)
        )


def _with_steps(phase: P | None, steps: int | None) -> P | None:
    """The phase in so many steps; whatever else it counts in steps keeps its share, as it does by the clock."""
    if phase is None or steps is None:
        return None
    # Rounded down, so that a head start stays shorter than its phase.
    warmup = phase.warmup * steps // phase.steps
    if not isinstance(phase, AdversarialPhase):
        return replace(phase, steps=steps, warmup=warmup)
    head_start, ramp = (count * steps // phase.steps for count in (phase.head_start, phase.cutmix_ramp))
    return replace(phase, steps=steps, warmup=warmup, head_start=head_start, cutmix_ramp=max(1, ramp))


# Not tuned to the last: of these only "smoke" has been run to its end as it stands.
_CIPLAB = TrainConfig(pixel=PixelPhase(), adversarial=AdversarialPhase())

# Ours, for `strong`, `compact` and `medium` (docs/decisions.md): the losses see the projected picture; many small crops
# rather than few large ones; LPIPS leads, as it is what is judged. What the shipped models' runs taught
# (docs/training-log.md), in one piece and longer.
_OUR_PIXEL = PixelPhase(patch=256, loss="l1", warmup=200, gradient_clip=1.0, average=0.998, projected=True)
_OUR_ADVERSARIAL = AdversarialPhase(
    patch=256,
    # Since the discriminator has a smaller say, the generator need not be slower than it for both to live on.
    learning_rate=1e-4,
    final_learning_rate=1e-6,
    discriminator_learning_rate=1e-4,
    discriminator_betas=(0.0, 0.99),
    warmup=200,
    betas=(0.9, 0.99),
    gradient_clip=1.0,
    average=0.998,
    projected=True,
    pixel=5.0,
    pixel_loss="l1",
    lpips=1.0,
    lpips_shift=16,
    # More of these two makes both the figures and the pictures worse (docs/losses.md, docs/training-log.md).
    adversarial=0.1,
    feature_matching=0.2,
    feature_matching_loss="l1",
)

# Small pictures are what people bring, and large photographs what there is to learn from (docs/training-log.md, e1).
_OUR_DATA = DataConfig(scales=(1.0, 0.5, 0.25))

# For people without a GPU: wide where a block is cheap (x1), narrow where it is dear (x8, x16).
_COMPACT = TrainConfig(
    generator=GeneratorShape(features=(64, 32, 16), growth=(32, 16), blocks=(8, 2)),
    pixel=replace(_OUR_PIXEL, steps=20_000, batch=4, learning_rate=5e-4, final_learning_rate=2e-6),
    adversarial=replace(
        _OUR_ADVERSARIAL,
        steps=10_000,
        head_start=1000,
        batch=4,
        learning_rate=4e-4,
        discriminator_learning_rate=1.5e-4,
        discriminator=(16, 32, 48, 64, 80, 96),
    ),
    data=_OUR_DATA,
)

PRESETS: dict[str, TrainConfig] = {
    # The factsheet's recipe. It names the losses but no weights: these are the published code's. For the features
    # it names no distance either: the squared one, as for pixels.
    "ciplab": _CIPLAB,
    # What the published code does, which differs: Huber distances, CutMix, clipped gradients, more steps.
    "ciplab-released": TrainConfig(
        pixel=PixelPhase(steps=75_000, batch=2, loss="huber", gradient_clip=0.1),
        adversarial=AdversarialPhase(
            steps=75_000, pixel_loss="huber", feature_matching_loss="huber", cutmix=1.0, gradient_clip=0.1
        ),
    ),
    # What the paper compares with, in the same budget: no LPIPS and no feature matching, but VGG, in ESRGAN's
    # proportions (its section 3.4: VGG 1, adversarial 5e-3, L1 1e-2).
    "vgg": replace(
        _CIPLAB,
        adversarial=AdversarialPhase(
            pixel=1e-2, pixel_loss="l1", lpips=0.0, feature_matching=0.0, adversarial=5e-3, vgg=1.0
        ),
    ),
    # For a GPU hour: a short pixel phase, for it only has to lay the ground. --minutes fits both phases to the time.
    "strong": TrainConfig(
        pixel=replace(
            _OUR_PIXEL,
            steps=8_000,
            batch=16,
            learning_rate=2e-4,
            final_learning_rate=1e-5,
            warmup=300,
            betas=(0.9, 0.99),
        ),
        adversarial=replace(_OUR_ADVERSARIAL, steps=12_000, head_start=500, batch=16),
        data=_OUR_DATA,
        validate_every=2000,
        validation_crop=512,
    ),
    "compact": _COMPACT,
    # At x1, where a block is cheap, as deep as the full network.
    "medium": replace(_COMPACT, generator=GeneratorShape(features=(64, 32, 32), growth=(32, 16), blocks=(23, 2))),
    # To see that everything works: both phases in a minute or two on two cores.
    "smoke": TrainConfig(
        generator=GeneratorShape(features=(16, 8, 8), growth=(8, 4), blocks=(1, 1)),
        pixel=PixelPhase(
            steps=500, batch=4, patch=64, loss="l1", learning_rate=2e-3, warmup=5, average=0.98, projected=True
        ),
        adversarial=AdversarialPhase(
            steps=250,
            batch=2,
            patch=64,
            learning_rate=3e-4,
            discriminator_learning_rate=3e-4,
            discriminator=(8, 8, 16, 16, 16, 16),
            gradient_clip=1.0,
            average=0.98,
            projected=True,
            pixel_loss="l1",
            lpips=1.0,
            adversarial=5e-3,
            feature_matching=0.1,
            feature_matching_loss="l1",
            cutmix=1.0,
            cutmix_ramp=100,
        ),
        validate_every=125,
        validation_crop=256,
        save_every=125,
        log_every=10,
    ),
}


def to_json(config: TrainConfig) -> str:
    """The configuration as JSON text that `from_json` takes back."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def differences(one: TrainConfig, other: TrainConfig) -> list[str]:
    """What differs, each under its name on the command line: "pixel.steps 5, not 6"."""
    values, others = (_flat(dataclasses.asdict(config)) for config in (one, other))
    names = dict.fromkeys([*values, *others])
    return [
        f"{name} {values.get(name)}, not {others.get(name)}" for name in names if values.get(name) != others.get(name)
    ]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values within values under names with dots; a phase that is left out stays one value."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _flat(typing.cast(dict[str, Any], value), f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def from_json(path: Path) -> TrainConfig:
    """Read a configuration file.

    Keys that are left out keep their defaults.

    Raises:
        SixteenfoldError: If the file cannot be read, is not JSON, or has an unknown key (the nearest
            known one is named) or an impossible value.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_each_once)
    except OSError as error:
        raise unreadable(path, error) from None
    except (ValueError, RecursionError) as error:
        raise SixteenfoldError(f"{path}: not a readable JSON configuration ({error})") from None
    return _build(TrainConfig, values, str(path))


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, of which JSON itself would silently drop all but the last value of a name."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in values if names.count(name) > 1)!r} stands twice in one object")
    return values


def _build(kind: type[T], values: Any, where: str) -> T:
    require(isinstance(values, dict), f"expected an object with named values, found {reprlib.repr(values)}", where)
    known: dict[str, Any] = typing.get_type_hints(kind)
    given = typing.cast(dict[str, Any], values)
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
            raise SixteenfoldError(f"{where}: unknown key {key!r}; the nearest known one is {near[0]!r}")
    fields = {key: _value(known[key], value, f"{where}: {key}") for key, value in given.items()}
    try:
        return kind(**fields)
    except SixteenfoldError as error:
        raise SixteenfoldError(f"{where}: {error}") from None


def _items(choices: tuple[Any, ...], value: Any, where: str) -> Iterator[Any]:
    """The items of a JSON list as the declared types of a tuple."""
    require(isinstance(value, list), f"expected a list, found {reprlib.repr(value)}", where)
    items = typing.cast(list[Any], value)
    if choices[-1] is Ellipsis:
        choices = choices[:1] * len(items)
    require(len(items) == len(choices), f"expected {len(choices)} values, found {reprlib.repr(value)}", where)
    for choice, item in zip(choices, items, strict=True):
        yield _value(choice, item, where)


def _value(kind: Any, value: Any, where: str) -> Any:
    """One JSON value as the declared type, or an error that says what was expected."""
    choices = typing.get_args(kind)
    if typing.get_origin(kind) is types.UnionType and type(None) in choices:
        if value is None:
            return None
        return _value(next(choice for choice in choices if choice is not type(None)), value, where)
    if dataclasses.is_dataclass(kind):
        return _build(typing.cast(type[Any], kind), value, where)
    if typing.get_origin(kind) is tuple:
        return tuple(_items(choices, value, where))
    if typing.get_origin(kind) is Literal:
        known = ", ".join(map(str, choices))
        require(value in choices, f"expected one of {known}, found {reprlib.repr(value)}", where)
        return value
    allowed = choices or (kind,)
    # JSON does not tell 1 from 1.0; Python takes True for 1, which is never meant.
    if float in allowed and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            raise SixteenfoldError(f"{where}: {reprlib.repr(value)} is too large") from None
    fits = isinstance(value, allowed) and (not isinstance(value, bool) or bool in allowed)
    require(fits, f"expected {getattr(kind, '__name__', kind)}, found {reprlib.repr(value)}", where)
    return value
