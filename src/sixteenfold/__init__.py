"""x16 perceptual super-resolution: upscale photographs, train the network, measure the result.

The names below are the public interface. Each is imported when first used, so that `import sixteenfold`
(and with it the command line) is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sixteenfold.errors import SixteenfoldError
    from sixteenfold.evaluation.run import evaluate
    from sixteenfold.metrics.lpips import LPIPS
    from sixteenfold.networks.discriminator import UNetDiscriminator
    from sixteenfold.networks.generator import Generator
    from sixteenfold.networks.zoo import load
    from sixteenfold.training.config import TrainConfig
    from sixteenfold.training.loop import train
    from sixteenfold.training.presets import PRESETS
    from sixteenfold.upscaling.batch import upscale_files
    from sixteenfold.upscaling.upscaler import Upscaler

__version__ = "0.1.0"
__all__ = [
    "LPIPS",
    "PRESETS",
    "Generator",
    "SixteenfoldError",
    "TrainConfig",
    "UNetDiscriminator",
    "Upscaler",
    "evaluate",
    "load",
    "train",
    "upscale_files",
]

_HOMES = {
    "LPIPS": "sixteenfold.metrics.lpips",
    "PRESETS": "sixteenfold.training.presets",
    "Generator": "sixteenfold.networks.generator",
    "SixteenfoldError": "sixteenfold.errors",
    "TrainConfig": "sixteenfold.training.config",
    "UNetDiscriminator": "sixteenfold.networks.discriminator",
    "Upscaler": "sixteenfold.upscaling.upscaler",
    "evaluate": "sixteenfold.evaluation.run",
    "load": "sixteenfold.networks.zoo",
    "train": "sixteenfold.training.loop",
    "upscale_files": "sixteenfold.upscaling.batch",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
