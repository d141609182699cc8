"""The weighted mean of several networks' weights: of runs that came one from another it is often better than any.

    python tools/average.py OUT.safetensors WEIGHT FILE WEIGHT FILE ... [--overwrite]

Source: Wortsman et al., "Model soups", ICML 2022. The networks must be of one shape.
"""

import argparse
import math
from pathlib import Path

import torch

from sixteenfold.errors import SixteenfoldError, mistakes_told
from sixteenfold.networks import zoo
from sixteenfold.networks.state import save, shape_of


@mistakes_told()
def main() -> None:
    options = parse()
    if options.out.exists() and not options.overwrite:
        raise SixteenfoldError(f"{options.out}: already exists; --overwrite replaces it")
    weights, files = read_pairs(options.pairs)
    networks = [zoo.load(file) for file in files]
    mean = networks[0]
    for file, network in zip(files, networks, strict=True):
        if shape_of(network) != shape_of(mean):
            raise SixteenfoldError(f"{file}: is of another shape ({shape_of(network)}) than {files[0]}; give others")
    with torch.no_grad():
        for same in zip(*(network.parameters() for network in networks), strict=True):
            total = sum(weight * one.double() for weight, one in zip(weights, same, strict=True)) / sum(weights)
            same[0].copy_(torch.as_tensor(total))
    save(mean, options.out, {})


def read_pairs(words: list[str]) -> tuple[list[float], list[str]]:
    """The weights, and the file or shipped model of each."""
    if len(words) % 2:
        raise SixteenfoldError(f"{words[-1]}: has no partner; give a weight before each file")
    weights = [number(word) for word in words[::2]]
    if math.isclose(sum(weights), 0, abs_tol=1e-6):
        raise SixteenfoldError(f"the weights {', '.join(words[::2])} sum to 0; give others")
    return weights, words[1::2]


def number(word: str) -> float:
    try:
        if math.isfinite(weight := float(word)):
            return weight
    except ValueError:
        pass
    raise SixteenfoldError(f"{word}: is not a weight; give a number before each file")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT.safetensors")
    parser.add_argument("pairs", nargs="+", metavar="WEIGHT FILE", help="a number, and a file or a shipped model")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
