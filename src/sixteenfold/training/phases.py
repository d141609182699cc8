"""The parts of a training configuration: frozen, checked when made."""

import math
import reprlib
from dataclasses import dataclass

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.resample import SCALE
from sixteenfold.networks.state import GeneratorShape
from sixteenfold.training.losses import Distance
from sixteenfold.training.optimizers import OptimizerName

LEAST_SCALE = 1 / 16
"""Of a photograph; of less a crop would take seconds, and be a slip of the hand."""
MOST_VIEWS = 64
"""What LPIPS sees in a step takes time and memory for each view; more than this is a slip of the hand."""
MOST_STEPS = 10_000_000
"""More is a slip of the hand, and those of two phases would not fit into a checkpoint's name."""
MOST_CROPS = 65_536
"""In a step: more is a slip of the hand, and fills the memory before it is told."""
GENERATOR_LOSSES = ("pixel", "lpips", "vgg", "dists", "adversarial", "feature_matching")
"""Of the adversarial phase; each has its weight there under the same name."""


BETAS = "each be at least 0 and less than 1"
"""What Adam's decay rates must."""
NO_FILE = "training configuration: "
"""Begins what is said of a configuration that no file holds; of one that a file holds, its name does."""


def require(condition: bool, message: str) -> None:
    """Raise a SixteenfoldError with the message unless the condition holds."""
    if not condition:
        raise SixteenfoldError(NO_FILE + message)


_VALUES = reprlib.Repr()
_VALUES.maxtuple = 16  # enough to show the one that is wrong


def option(part: object, field: str) -> str:
    """A field's name as config.json has it, with its part's before: "pixel.patch"."""
    name = PARTS.get(type(part))
    return field if name is None else f"{name}.{field}"


def named(part: object, field: str) -> str:
    """A field with its value: "pixel.patch, 96"."""
    return f"{option(part, field)}, {_VALUES.repr(getattr(part, field))}"


def require_of(part: object, field: str, condition: bool, must: str) -> None:
    """Raise a SixteenfoldError that says what the part's field must be, and what it is, unless the condition holds."""
    require(condition, f"{option(part, field)} must {must}, not {_VALUES.repr(getattr(part, field))}")


def check_steps(steps: int, name: str = "steps") -> None:
    """Raise a SixteenfoldError unless a phase, or a run, can have so many steps; `name` is their option."""
    require(1 <= steps <= MOST_STEPS, f"{name} must lie between 1 and {MOST_STEPS}, not {reprlib.repr(steps)}")


def _are_betas(betas: tuple[float, ...]) -> bool:
    return all(0 <= beta < 1 for beta in betas)


@dataclass(frozen=True)
class Phase:
    """What both phases of a training have."""

    steps: int = 50_000
    """Number of optimizer steps. Where `--steps` sets it, what else a phase has in steps keeps its share of them."""
    batch: int = 3
    """Crops a step, over all processes together."""
    accumulation: int = 1
    """Pieces that a process's share of the batch is worked through in, one after the other, while their gradients add
    up: the same gradient with less memory."""
    patch: int = 384
    """Height and width of a high-resolution crop in pixels; a multiple of 16."""
    optimizer: OptimizerName = "adam"
    """What moves the generator: Adam, or Muon on the weights of its convolutions beside Adam on the rest. The
    discriminator has Adam."""
    learning_rate: float = 1e-5
    """The optimizer's step size after the warm-up."""
    final_learning_rate: float = 1e-5
    """The step size towards which it falls along a half cosine: the step after the last would have it."""
    warmup: int = 0
    """Steps over which the learning rate rises linearly from zero; by the clock, their share of the time."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Adam's decay rates of the first and second moment."""
    gradient_clip: float | None = None
    """Largest norm of a network's whole gradient; None leaves it as it is."""
    ema_decay: float | None = None
    """Decay of the exponential moving average of the generator's weights; None keeps none."""
    projected: bool = False
    """Whether the losses see the result made consistent with its input, as `upscale` makes it by default.
    Each crop is then a whole small picture: its low-resolution side is made from the crop alone."""
    raw: float = 0.1
    """Where `projected`, weight of the pixel loss of the network's own output, which could drift otherwise."""

    def __post_init__(self) -> None:
        check_steps(self.steps, option(self, "steps"))
        require_of(self, "batch", 1 <= self.batch <= MOST_CROPS, f"lie between 1 and {MOST_CROPS}")
        fits = 1 <= self.accumulation <= self.batch
        require_of(self, "accumulation", fits, f"lie between 1 and {named(self, 'batch')}")
        fits = self.patch >= SCALE and self.patch % SCALE == 0
        require_of(self, "patch", fits, f"be a positive multiple of {SCALE}")
        require_of(self, "learning_rate", 0 < self.learning_rate < math.inf, "be positive and finite")
        # More, as where `learning_rate` alone was lowered, would let it rise.
        fits = 0 <= self.final_learning_rate <= self.learning_rate
        require_of(self, "final_learning_rate", fits, f"lie between 0 and {named(self, 'learning_rate')}")
        require_of(self, "warmup", 0 <= self.warmup <= self.steps, f"lie between 0 and {named(self, 'steps')}")
        require_of(self, "betas", _are_betas(self.betas), BETAS)
        fits = self.gradient_clip is None or 0 < self.gradient_clip < math.inf
        require_of(self, "gradient_clip", fits, "be positive and finite")
        require_of(self, "raw", 0 <= self.raw < math.inf, "be 0 or more, and finite")
        require_of(self, "ema_decay", self.ema_decay is None or 0 < self.ema_decay < 1, "lie between 0 and 1")


@dataclass(frozen=True)
class PixelPhase(Phase):
    """Training by a pixel loss alone: the factsheet's first phase."""

    loss: Distance = "mse"
    """Distance between the result and the original."""


@dataclass(frozen=True)
class AdversarialPhase(Phase):
    """Training for the eye: the factsheet's second phase.

    A term of weight 0 is left out, and the network that only it needs is neither built nor run: without
    `adversarial` and `feature_matching` there is no discriminator, and `cutmix` and `head_start` must be 0.
    """

    steps: int = 60_000
    batch: int = 2
    discriminator_learning_rate: float = 1e-5
    """Adam's step size of the discriminator; warm-up and decay are those of the generator."""
    discriminator_betas: tuple[float, float] | None = None
    """Adam's decay rates for the discriminator; None: those of the generator. Its aim moves all the time: a first
    moment carries it on to where the aim was, and it ends in judging everything alike (docs/training-log.md)."""
    head_start: int = 0
    """Steps at the beginning in which the discriminator alone learns; by the clock, their share of the time. A
    discriminator that knows nothing yet moves the generator at random, and a generator that is moved all the time
    is hard to learn to tell from originals."""
    discriminator: tuple[int, ...] = (64, 128, 192, 256, 320, 384)
    """Widths of the discriminator's stages; each halves the size."""
    decoder: bool = True
    """Whether the discriminator is a U-net, which judges each pixel as well; without, it is its encoder alone."""
    pixel: float = 1.0
    """Weight of the pixel loss."""
    pixel_loss: Distance = "mse"
    """Distance of the pixel loss."""
    lpips: float = 1e-3
    """Weight of LPIPS (AlexNet)."""
    lpips_shift: int = 0
    """LPIPS sees a square smaller by this less one than the crop, at another of so many places in each direction in
    each step. AlexNet's layers look at every fourth to every sixteenth pixel; at one place a generator could learn to
    please them on just that grid. 16 covers all; 0 shows LPIPS the whole crop."""
    lpips_scales: tuple[float, ...] = (1.0,)
    """LPIPS sees that square reduced to one of these shares of its side, another in each step. Patterns that please it
    at one size only, such as stripes four pixels apart, then do not pay."""
    lpips_views: int = 1
    """So many of these squares, 64 at most, are shown in each step, and the mean of LPIPS over them counts."""
    lpips_turned: bool = False
    """Whether each is also turned or mirrored, its channels exchanged and its contrast lowered, all at random. AlexNet
    favours some directions and colours, and a generator learns to please just these."""
    adversarial: float = 1e-3
    """Weight of the hinge loss, averaged over the heads that the discriminator has."""
    feature_matching: float = 1.0
    """Weight of the distance between the discriminator's features."""
    feature_matching_loss: Distance = "mse"
    """Distance of the features."""
    vgg: float = 0.0
    """Weight of the VGG perceptual loss."""
    dists: float = 0.0
    """Weight of DISTS, by the features of VGG: beside LPIPS of 1, 0.5 is much (docs/training-log.md, d1)."""
    vgg_patch: int | None = None
    """VGG and DISTS see a square of so many pixels a side, at another place of the crop in each step; None shows them
    all. VGG costs more than twenty times as much as AlexNet."""
    cutmix: float = 0.0
    """Weight of the discriminator's CutMix consistency."""
    cutmix_probability: float = 0.5
    """Highest share of the steps that have the CutMix consistency."""
    cutmix_ramp: int = 100_000
    """Steps in which that share would rise from 0 to 1; it stops at the highest. By the clock, a share of the time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (*GENERATOR_LOSSES, "cutmix"):
            require_of(self, name, 0 <= getattr(self, name) < math.inf, "be 0 or more, and finite")
        weights = ", ".join(option(self, name) for name in GENERATOR_LOSSES)
        require(any(getattr(self, name) > 0 for name in GENERATOR_LOSSES), f"one of {weights} must be positive")
        self._check_discriminator()
        self._check_views()

    def _check_discriminator(self) -> None:
        rate = self.discriminator_learning_rate
        require_of(self, "discriminator_learning_rate", 0 < rate < math.inf, "be positive and finite")
        require_of(self, "discriminator_betas", _are_betas(self.discriminator_betas or ()), BETAS)
        require_of(self, "cutmix_probability", 0 <= self.cutmix_probability <= 1, "lie between 0 and 1")
        require_of(self, "cutmix_ramp", self.cutmix_ramp >= 1, "be at least 1")
        require(
            self.cutmix == 0 or self.decoder,
            f"{named(self, 'cutmix')}, needs the discriminator's decoder; without it set adversarial.cutmix to 0",
        )
        widths = self.discriminator
        require_of(self, "discriminator", len(widths) > 0 and min(widths) >= 2, "hold widths of at least 2")
        divisor = 2 ** len(widths)
        divides = not self.has_discriminator or self.patch % divisor == 0
        require_of(self, "patch", divides, f"be a multiple of {divisor} for the discriminator")
        idle = [name for name in ("cutmix", "head_start") if getattr(self, name) > 0]
        need = ", and ".join(named(self, name) for name in idle)
        require(
            self.has_discriminator or not idle,
            f"{need}: there is no discriminator where adversarial.adversarial and adversarial.feature_matching are 0; "
            f"give one of them a weight, or set {' and '.join(option(self, name) for name in idle)} to 0",
        )
        last = f"adversarial.steps - 1, {self.steps - 1}"
        require_of(self, "head_start", 0 <= self.head_start < self.steps, f"lie between 0 and {last}")
        require(
            self.head_start + self.warmup <= self.steps,
            f"{named(self, 'head_start')}, and {named(self, 'warmup')}, together must not exceed "
            f"{named(self, 'steps')}",
        )

    def _check_views(self) -> None:
        require_of(self, "patch", self.lpips == 0 or self.patch >= 32, "be at least 32 for LPIPS")
        most = max(0, self.patch - 31)
        fits = 0 <= self.lpips_shift <= most
        require_of(self, "lpips_shift", fits, f"lie between 0 and adversarial.patch - 31, {most}")
        require(
            self.vgg_patch is None or self.vgg > 0 or self.dists > 0,
            f"{named(self, 'vgg_patch')}, is of VGG and DISTS, which have no weight; give adversarial.vgg or "
            "adversarial.dists one, or leave adversarial.vgg_patch out",
        )
        fits = self.vgg_patch is None or 16 <= self.vgg_patch <= self.patch
        require_of(self, "vgg_patch", fits, f"lie between 16 and {named(self, 'patch')}")
        require_of(self, "lpips_views", 1 <= self.lpips_views <= MOST_VIEWS, f"lie between 1 and {MOST_VIEWS}")
        require_of(self, "lpips_scales", len(self.lpips_scales) > 0, "hold at least one")
        side = self.patch - max(0, self.lpips_shift - 1)
        # What is no number at all is not rounded.
        fits = all(0 < scale <= 1 and (self.lpips == 0 or round(scale * side) >= 31) for scale in self.lpips_scales)
        require_of(self, "lpips_scales", fits, "each be at most 1 and leave LPIPS at least 31 pixels")

    @property
    def has_discriminator(self) -> bool:
        """Whether a term needs it."""
        return self.adversarial > 0 or self.feature_matching > 0


@dataclass(frozen=True)
class DataConfig:
    """How crops are drawn from the photographs."""

    memory: float = 8.0
    """Decoded photographs that each process keeps in memory, in 10^9 bytes (three a pixel). A larger set is read window
    by window."""
    window: int = 64
    """Photographs that crops are drawn from at a time when the set is larger than memory; fewer if these do not fit."""
    crops: int = 16
    """Crops for each decoded photograph of such a set, on average."""
    detail: float = 0.0
    """A crop whose mean step between neighbouring pixels (0 to 255) is less is drawn again, up to nine times; of
    ten such, that with the most is taken."""
    scales: tuple[float, ...] = (1.0,)
    """To one of these shares of its sides a photograph is reduced before a crop is cut, one drawn for each crop; a
    photograph too small for that, only as far as a crop still fits in. With 0.25 beside 1, crops also show whole
    things, as small pictures do."""

    def __post_init__(self) -> None:
        require_of(self, "memory", self.memory > 0, "be positive")
        require_of(self, "window", self.window >= 1, "be at least 1")
        require_of(self, "crops", self.crops >= 1, "be at least 1")
        require_of(self, "detail", self.detail >= 0, "be 0 or more")
        require_of(self, "scales", len(self.scales) > 0, "hold at least one")
        fits = all(LEAST_SCALE <= scale <= 1 for scale in self.scales)
        require_of(self, "scales", fits, f"each lie between {LEAST_SCALE:g} and 1")


PARTS: dict[type, str] = {
    GeneratorShape: "generator",
    PixelPhase: "pixel",
    AdversarialPhase: "adversarial",
    DataConfig: "data",
}
"""What a configuration calls its parts."""
