"""What changes while a run goes on, and so what a checkpoint holds."""

import copy
import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.optim import Optimizer

from sixteenfold.errors import SixteenfoldError, first_few
from sixteenfold.files.ordinary import check_ordinary, unreadable
from sixteenfold.files.places import folder_there
from sixteenfold.networks import zoo
from sixteenfold.networks.discriminator import UNetDiscriminator
from sixteenfold.networks.generator import Generator
from sixteenfold.networks.grow import fits_into, grow
from sixteenfold.networks.layout import place
from sixteenfold.networks.state import shape_of
from sixteenfold.training.config import TrainConfig, differences, from_text, to_json
from sixteenfold.training.optimizers import make_optimizer, restore_optimizer
from sixteenfold.training.phases import AdversarialPhase

PhaseName = Literal["pixel", "adversarial"]


@dataclass
class Training:
    """Networks, optimizers and counts of a run."""

    phase: PhaseName
    generator: Generator
    optimizer: Optimizer
    average: "MovingAverage | None"
    discriminator: UNetDiscriminator | None = None
    discriminator_optimizer: Optimizer | None = None
    """Both None in a phase without one."""
    initial_discriminator: dict[str, Tensor] | None = None
    """In the pixel phase the weights that the discriminator will begin with; None takes fresh ones."""
    step: int = 0
    """Steps done, of both phases."""
    best: float = float("-inf")
    """Highest validation score of the phase so far: PSNR in dB, or LPIPS with a minus."""
    validated_on: str | None = None
    """Digest of the validation pictures that this score is of."""
    begun: int = 0
    """Steps done when the phase began."""
    seconds: float = 0.0
    """Time that the phase has taken so far, validations included."""
    recent: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    """Losses of the steps since the last line of the log, whose mean the next line is."""
    started_from: dict[str, str] = field(default_factory=dict[str, str])
    """Which weights the run began with: how `init` and `init_discriminator` named them; of the first the digest too."""
    recipe: str = ""
    """The configuration as JSON; of a checkpoint, the one that it was made by."""

    @property
    def result(self) -> Generator:
        """The network that is validated and shipped: the average where one is kept."""
        if self.average is None:
            return self.generator
        return self.average.module

    def state(self) -> dict[str, Any]:
        """A checkpoint's content: every field under its name, networks and optimizers as their own states."""
        fields = vars(self).items()
        return {
            name: value.state_dict() if isinstance(value, nn.Module | Optimizer) else value for name, value in fields
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Become what `state` gave; the phase must be the same."""
        for name, own in list(vars(self).items()):
            if isinstance(own, Optimizer):
                restore_optimizer(own, state[name])
            elif isinstance(own, nn.Module):
                own.load_state_dict(state[name])
            else:
                setattr(self, name, state[name])

    def become(self, other: "Training") -> None:
        """Become the other, of the same run, for all who hold this one; what only this one had is let go of."""
        vars(self).update(vars(other) | {"started_from": self.started_from})


def load_initial_generator(init: Path | str, config: TrainConfig) -> Generator:
    """The network that a run is to start from, in its own shape.

    Args:
        init: A shipped model's name or a file of weights.
        config: What is to be done.

    Raises:
        SixteenfoldError: If the weights cannot be loaded, or are of a larger network than the run's.
    """
    generator = zoo.load(init)
    if not fits_into(shape_of(generator), config.generator):
        raise SixteenfoldError(
            f"{init}: its {shape_of(generator)} do not fit into the configuration's {config.generator}: "
            "choose the preset of that shape"
        )
    return generator


def begin(
    config: TrainConfig,
    initial_generator: Generator | None,
    init_discriminator: Path | str | None,
    device: torch.device,
) -> Training:
    """The start of the first phase. Writes nothing; seeds the CPU's random numbers.

    Args:
        config: What is to be done.
        initial_generator: What to start from, grown where it is smaller; None takes fresh weights, drawn by the seed.
        init_discriminator: Weights of the discriminator, of a shipped model by its name or in an earlier run's file;
            None takes fresh ones.
        device: Where the networks are to be.

    Raises:
        SixteenfoldError: If a discriminator's weights cannot be loaded, have another shape, or are given to a run
            that has none.
    """
    torch.default_generator.manual_seed(config.seed)
    generator = config.generator.build() if initial_generator is None else initial_generator
    if shape_of(generator) != config.generator:
        generator = grow(generator, config.generator)
    discriminator = None
    if init_discriminator is not None:
        discriminator = _load_initial_discriminator(zoo.discriminator(init_discriminator), config)
    name = "pixel" if config.pixel is not None else "adversarial"
    return enter(name, generator, config, device, step=0, initial_discriminator=discriminator)


def enter(
    name: PhaseName,
    generator: Generator,
    config: TrainConfig,
    device: torch.device,
    *,
    step: int,
    initial_discriminator: dict[str, Tensor] | None = None,
) -> Training:
    """The start of a phase on a device: the generator as it is, a discriminator, new optimizers and average.

    Seeds the CPU's random numbers if there is a discriminator.

    Args:
        name: The phase.
        generator: What learns; moved to the device.
        config: What is to be done.
        device: Where the networks are to be.
        step: Steps done before.
        initial_discriminator: Weights that it begins with, now or in a later phase; None takes fresh ones.
    """
    phase = config.pixel if name == "pixel" else config.adversarial
    assert phase is not None
    generator = generator.requires_grad_(True).train()
    place(generator, device)
    average = None if phase.ema_decay is None else MovingAverage(generator, phase.ema_decay)
    optimizer = make_optimizer(phase.optimizer, generator, phase.learning_rate, phase.betas)
    training = Training(name, generator, optimizer, average, step=step, begun=step, recipe=to_json(config))
    if config.adversarial is not None and name == "adversarial" and config.adversarial.has_discriminator:
        # Its start depends on the seed alone, not on what came before.
        torch.default_generator.manual_seed(config.seed + 1)
        discriminator = _discriminator(config.adversarial)
        if initial_discriminator is not None:
            discriminator.load_state_dict(initial_discriminator)
        place(discriminator, device)
        rate, betas = config.adversarial.discriminator_learning_rate, config.adversarial.discriminator_betas
        training.discriminator = discriminator
        training.discriminator_optimizer = make_optimizer("adam", discriminator, rate, betas or phase.betas)
    else:
        training.initial_discriminator = initial_discriminator
    return training


def _discriminator(phase: AdversarialPhase) -> UNetDiscriminator:
    return UNetDiscriminator(phase.discriminator, decoder=phase.decoder)


def resume(config: TrainConfig, state: dict[str, Any], device: torch.device) -> Training:
    """What stood when a checkpoint was written.

    Raises:
        SixteenfoldError: If it is of another version of this package, or of another configuration.
    """
    if state.keys() != {field.name for field in dataclasses.fields(Training)}:
        raise SixteenfoldError(
            "checkpoint: of another version of sixteenfold; begin a new run folder, "
            "from this one's weights by --init RUN/model.safetensors"
        )
    if differ := differences(from_text(state["recipe"]), config):
        raise SixteenfoldError(
            f"config.json: the run's checkpoints were made by another recipe than it holds now ({first_few(differ)}); "
            "undo that, or begin a new run folder, from this one's weights by --init RUN/model.safetensors"
        )
    training = enter(state["phase"], config.generator.build(), config, device, step=state["begun"])
    training.restore(state)
    return training


def _load_initial_discriminator(path: Path, config: TrainConfig) -> dict[str, Tensor]:
    """The weights that an earlier run's discriminator has in the file."""
    if config.adversarial is None or not config.adversarial.has_discriminator:
        raise SixteenfoldError(f"{path}: this run has no discriminator; leave it out")
    network = _discriminator(config.adversarial)
    if folder_there(path):
        raise SixteenfoldError(f"{path}: is a folder; give the weights in it, {path / 'discriminator.safetensors'}")
    try:
        check_ordinary(path, path.stat().st_mode)
        network.load_state_dict(safetensors.torch.load_file(path))
    except OSError as error:
        raise unreadable(path, error) from None
    except SafetensorError as error:
        raise SixteenfoldError(
            f"{path}: cannot be read as safetensors ({error}); a run's discriminator is in discriminator.safetensors"
            " beside its model"
        ) from None
    except RuntimeError:
        decoder = "a" if config.adversarial.decoder else "no"
        raise SixteenfoldError(
            f"{path}: not a discriminator of the configuration's widths {network.widths} with {decoder} decoder; "
            "choose the preset and options that it was trained by, or leave it out"
        ) from None
    return network.state_dict()


class MovingAverage(nn.Module):
    """An exponential average of a network's weights that forgets fast at first: the random start does not linger.

    PyTorch's `AveragedModel` (whose names in a checkpoint these are) asks the device for its count at every step.

    Args:
        network: What is averaged; copied.
        decay: The share of the old average that stays in the long run.
    """

    def __init__(self, network: Generator, decay: float) -> None:
        super().__init__()
        self.module = copy.deepcopy(network)
        self.module.requires_grad_(False)
        self._decay = decay
        self.register_buffer("n_averaged", torch.tensor(0))
        self.n_averaged: Tensor

    @torch.no_grad()
    def update_parameters(self, network: Generator) -> None:
        """Take in the network's present weights; the first replace the copy's."""
        count = int(self.n_averaged)  # on the CPU, wherever the weights are
        weight = 1 - min(self._decay, (1 + count) / (10 + count)) if count else 1.0
        olds: list[Tensor] = list(self.module.parameters())
        news: list[Tensor] = list(network.parameters())
        torch._foreach_lerp_(olds, news, weight)  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
        self.n_averaged += 1
