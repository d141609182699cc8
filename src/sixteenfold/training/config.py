"""What a training run is: a frozen dataclass of its parts, and as strict JSON."""

import dataclasses
import json
import math
import reprlib
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from sixteenfold.errors import SixteenfoldError, did_you_mean
from sixteenfold.files.ordinary import unreadable
from sixteenfold.imaging.resample import SCALE
from sixteenfold.networks.state import GeneratorShape
from sixteenfold.training.phases import (
    NO_FILE,
    AdversarialPhase,
    DataConfig,
    Phase,
    PixelPhase,
    check_steps,
    require,
    require_of,
)

__all__ = [
    "AdversarialPhase",
    "DataConfig",
    "GeneratorShape",
    "PixelPhase",
    "TrainConfig",
    "differences",
    "from_json",
    "from_text",
    "to_json",
]

T = TypeVar("T")
P = TypeVar("P", bound=Phase)


MOST_CHANNELS, MOST_BLOCKS = 4096, 1000
"""Of a network; more is a slip of the hand, and fills the memory before it is told."""


LONGEST = 2**20
"""Characters that are read of a configuration; one that states every value has a few thousand."""


@dataclass(frozen=True)
class TrainConfig:
    """A whole run.

    Raises:
        SixteenfoldError: If a value is of another kind or range than its field says, or two do not go together.
    """

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
        _check_kinds(self)
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
        with path.open(encoding="utf-8-sig") as file:
            return from_text(file.read(LONGEST))  # a device may never end
    except SixteenfoldError as error:
        raise SixteenfoldError(f"{path}: {str(error).removeprefix(NO_FILE)}") from None
    except OSError as error:
        raise unreadable(path, error) from None
    except (ValueError, RecursionError) as error:
        raise SixteenfoldError(f"{path}: not a readable JSON configuration ({error})") from None


def from_text(text: str) -> TrainConfig:
    """The configuration in JSON text, as `from_json`; raises ValueError or RecursionError for what is no JSON."""
    return _build(TrainConfig, json.loads(text, object_pairs_hook=_each_once), "")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, of which JSON itself would silently drop all but the last value of a name."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in values if names.count(name) > 1)!r} stands twice in one object")
    return values


def _build(kind: type[T], values: Any, part: str) -> T:
    """A JSON object as the declared dataclass; `part` is its option's name, "" for the whole configuration."""
    _expect(isinstance(values, dict), "an object with named values", values, part)
    known: dict[str, Any] = typing.get_type_hints(kind)
    given = typing.cast(dict[str, Any], values)
    options = {key: f"{part}.{key}" if part else key for key in (*known, *given)}
    for key in given:
        if key not in known:
            # The known ones are not listed, so the nearest is named however far it is.
            near = did_you_mean(options[key], [options[name] for name in known], cutoff=0.0)
            require(False, f"unknown key {options[key]!r}{near}")
    return kind(**{key: _value(known[key], value, options[key]) for key, value in given.items()})


def _check_kinds(part: Any, prefix: str = "") -> None:
    """Raise a SixteenfoldError unless each value is of its declared type, as it will be read from the run folder."""
    declared: dict[str, Any] = typing.get_type_hints(typing.cast(type[Any], type(part)))
    for name, kind in declared.items():
        value = getattr(part, name)
        kinds: list[Any] = [one for one in (kind, *typing.get_args(kind)) if dataclasses.is_dataclass(one)]
        for kind_of_part in kinds:
            fits = type(value) is kind_of_part or (value is None and kind is not kind_of_part)
            require(fits, f"{name} must be a {kind_of_part.__name__}, not {reprlib.repr(value)}")
        if dataclasses.is_dataclass(value):
            _check_kinds(value, f"{prefix}{name}.")
            continue
        # A list would come back as a tuple, and a resumed run would take it for another.
        require(not isinstance(value, list), f"{prefix}{name} must be a tuple, not {value!r}")
        _value(kind, list(typing.cast(Any, value)) if isinstance(value, tuple) else value, prefix + name)


def _value(kind: Any, value: Any, option: str) -> Any:
    """One JSON value as the declared type, or an error that says what was expected."""
    choices = typing.get_args(kind)
    if typing.get_origin(kind) is types.UnionType and type(None) in choices:
        if value is None:
            return None
        return _value(next(choice for choice in choices if choice is not type(None)), value, option)
    if dataclasses.is_dataclass(kind):
        return _build(typing.cast(type[Any], kind), value, option)
    if typing.get_origin(kind) is tuple:
        return tuple(_items(choices, value, option))
    if typing.get_origin(kind) is Literal:
        _expect(value in choices, f"one of {', '.join(map(str, choices))}", value, option)
        return value
    allowed = choices or (kind,)
    # JSON does not tell 1 from 1.0; Python takes True for 1, which is never meant.
    if float in allowed and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            require(False, f"{option}: {reprlib.repr(value)} is too large")
    fits = isinstance(value, allowed) and (not isinstance(value, bool) or bool in allowed)
    _expect(fits, getattr(kind, "__name__", str(kind)), value, option)
    return value


def _items(choices: tuple[Any, ...], value: Any, option: str) -> Iterator[Any]:
    """The items of a JSON list as the declared types of a tuple."""
    _expect(isinstance(value, list), "a list", value, option)
    items = typing.cast(list[Any], value)
    if choices[-1] is Ellipsis:
        choices = choices[:1] * len(items)
    _expect(len(items) == len(choices), f"{len(choices)} values", value, option)
    for choice, item in zip(choices, items, strict=True):
        yield _value(choice, item, option)


def _expect(fits: bool, what: str, value: Any, option: str) -> None:
    """Raise a SixteenfoldError that says what an option's JSON value must be, and what it is, unless it fits."""
    require(fits, f"{option}{': ' if option else ''}expected {what}, found {reprlib.repr(value)}")
