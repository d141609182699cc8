"""The weighted mean of several networks' weights: of runs that came one from another it is often better than any.

    python tools/average.py OUT.safetensors WEIGHT FILE WEIGHT FILE ...

Source: Wortsman et al., "Model soups", ICML 2022. The networks must be of one shape.
"""

import sys
from pathlib import Path

import torch

from sixteenfold.networks import zoo
from sixteenfold.networks.state import save, shape_of


def main(target: Path, weights: list[float], files: list[Path]) -> None:
    networks = [zoo.load(file) for file in files]
    mean = networks[0]
    if any(shape_of(network) != shape_of(mean) for network in networks):
        sys.exit("the networks differ in shape")
    parameters = zip(*(network.parameters() for network in networks), strict=True)
    with torch.no_grad():
        for same in parameters:
            total = sum(weight * one.double() for weight, one in zip(weights, same, strict=True)) / sum(weights)
            same[0].copy_(torch.as_tensor(total))
    save(mean, target, {})


if __name__ == "__main__":
    if len(sys.argv) < 4 or len(sys.argv) % 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), [float(word) for word in sys.argv[2::2]], [Path(word) for word in sys.argv[3::2]])
