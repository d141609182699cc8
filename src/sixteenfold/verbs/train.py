"""`train`: train a network by a recipe, whose values are options too.

These are not fields of the verb's class: the words that set them are split off, and change the recipe when it runs.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from sixteenfold.errors import SixteenfoldError, did_you_mean, one_line
from sixteenfold.words import Count, Device, Flag, Model, changed, filled, without_parts

if TYPE_CHECKING:
    from sixteenfold.training.config import TrainConfig

RECIPE = (
    *("generator", "pixel", "adversarial", "data", "seed", "minutes"),
    *("validate_every", "validation_crop", "save_every", "log_every"),
)
"""The fields of a TrainConfig, which is not imported before it is needed: options too, `--pixel.steps` for one."""


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a network on photographs.

    Each value of the recipe is also an option, for instance --pixel.steps 1000 --adversarial.lpips 0.5 --seed 3,
    named as in the run's config.json; `sixteenfold train PRESET --help` lists them with the preset's
    values. --minutes 30 gives the run half an hour instead of a number of steps; --pixel None skips the pixel phase,
    to continue from given weights (--init) in the adversarial phase alone.
    """

    preset: Annotated[Positional[str | None], arg(metavar="PRESET", help_behavior_hint="")] = None
    """Recipe name, before any option: ciplab, ciplab-released, vgg, strong, compact, medium, smoke; or --config."""
    config: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """Recipe as JSON, such as the config.json of an earlier run."""
    hr: Annotated[tuple[Path, ...], arg(metavar="DIR...")]
    """Folders of photographs, searched recursively; results of upscale and samples of runs are left out."""
    val: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder of photographs to validate on; the weights that score best on them are kept."""
    out: Annotated[Path, arg(metavar="RUN")]
    """Run folder: configuration, log, checkpoints, weights."""
    resume: Flag = False
    """Continue from the run folder's newest checkpoint; from there --init and --init-discriminator are ignored."""
    init: Model = None
    """Start from the weights of a shipped model or a file instead of random ones; a smaller network is grown."""
    init_discriminator: Model = None
    """Start from the discriminator of a shipped model or of an earlier run's file."""
    steps: Count = None
    """Total steps, shared between the phases as in the recipe; or set a time with --minutes M."""
    device: Device = "auto"
    """Device to compute on."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 computes in mixed precision; the weights stay fp32."""
    compile: Flag = False
    """Compile the networks' blocks with torch.compile first; for a GPU, where it takes a minute or two."""
    graph: Flag = False
    """Replay the generator's forward and backward passes as one CUDA graph each, on a GPU; one process only."""

    def run(self, changes: Sequence[str] = ()) -> int:
        """Train, and return the exit status; `changes` are the words that set values of the recipe."""
        from rich.console import Console

        try:
            from sixteenfold.training.loop import train
        except ModuleNotFoundError as error:
            raise SixteenfoldError(
                f"{error.name} is not installed; in a clone of sixteenfold type: pip install '.[train]'"
            ) from None
        weights = train(
            self._recipe(changes),
            hr=self.hr,
            val=self.val,
            out=self.out,
            resume=self.resume,
            init=self.init,
            init_discriminator=self.init_discriminator,
            device=self.device,
            precision=self.precision,
            compiled=self.compile,
            graph=self.graph,
            console=Console(stderr=True),
        )
        if os.environ.get("RANK", "0") == "0":  # torchrun numbers its processes; the first speaks for all
            print(one_line(str(weights)))
        return 0

    def _recipe(self, changes: Sequence[str]) -> "TrainConfig":
        from sixteenfold.training.config import from_json
        from sixteenfold.training.presets import PRESETS

        match self.preset, self.config:
            case str(name), None:
                config = _preset(name)
            case None, Path() as file:
                config = from_json(file)
            case None, None:
                known = ", ".join(PRESETS)
                raise SixteenfoldError(f"train: give a preset ({known}) before any option, or --config FILE")
            case _:
                raise SixteenfoldError(f"train: {self.preset} and --config are two recipes; leave out one")
        config, changes = without_parts(config, changes)
        for phase in ("pixel", "adversarial"):
            if getattr(config, phase) is None and (of_it := [one for one in changes if one.startswith(f"--{phase}.")]):
                raise SixteenfoldError(f"{of_it[0]}: this recipe has no {phase} phase; leave this option out")
        if self.steps is not None:
            config = config.with_steps(self.steps)
        config = changed(config, changes, full_help(self.preset)) if changes else config
        if self.steps is not None and config.minutes is not None:
            raise SixteenfoldError("train: --steps and minutes both set the length of the run; leave out one")
        return config


def preset_in(words: Sequence[str]) -> str | None:
    """The preset that `train PRESET ...` names; None if an option or nothing follows `train`."""
    return words[1] if words[1:] and words[1][0] != "-" else None


def full_help(preset: str | None) -> str:
    """The command whose --help lists all options of `train`; with a preset, its recipe's values too."""
    return f"sixteenfold train {preset or 'PRESET'}"


def explain_recipe(preset: str) -> int:
    """Print the help of `train`, then that of each value of a preset, and return the exit status."""
    recipe = _preset(preset)
    with suppress(SystemExit):
        filled(Train, ["--help"])
    print()
    with suppress(SystemExit):
        changed(recipe, ["--help"], full_help(preset))
    return 0


def one_of_several() -> bool:
    """Whether this is one of several training processes, as torchrun sets WORLD_SIZE."""
    return os.environ.get("WORLD_SIZE", "1") != "1"


def _preset(name: str) -> "TrainConfig":
    from sixteenfold.training.presets import PRESETS

    if name in PRESETS:
        return PRESETS[name]
    raise SixteenfoldError(f"{name}: is not a preset; choose from {', '.join(PRESETS)}{did_you_mean(name, PRESETS)}")
