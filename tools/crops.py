"""Several networks' weights compared on crops: quick figures, and strips to look at.

    python tools/crops.py --hr DIR [--out DIR [--overwrite]] [--show N,...] NAME|FILE...

The centre 512x512 of each photograph, upscaled as `sixteenfold upscale --precision fp32` does it. Beside PSNR, LPIPS
and DISTS stands LPIPS of the same pictures turned by a quarter, with red and blue exchanged: what a network gained by
knowing AlexNet in one direction and colouring, which no eye sees, does not show there. With --out each photograph
that is shown becomes one PNG there, at 1:1: the original, then each network's. Ends with one line of JSON.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sixteenfold.errors import SixteenfoldError, mistakes_told
from sixteenfold.imaging.color import to_pixels
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.write import rows_to_file
from sixteenfold.metrics.dists import DISTS
from sixteenfold.metrics.fidelity import psnr
from sixteenfold.metrics.lpips import LPIPS
from sixteenfold.training.validation import read_validation
from sixteenfold.training.views import View, show
from sixteenfold.upscaling.upscaler import Upscaler

SIDE = 512
TURNED = View(turn=1, channels=(2, 1, 0))


@dataclass(frozen=True)
class Row:
    """One network's means over the crops."""

    weights: str
    psnr: float
    lpips: float
    lpips_turned: float
    dists: float


@mistakes_told()
@torch.inference_mode()
def main() -> None:
    options = parse()
    pictures = read_validation(options.hr, SIDE).pictures
    strips = {number: [pictures[number].hr] for number in shown(options, len(pictures))}
    lpips, dists = LPIPS(), DISTS()
    # All are loaded before the first is used: a wrong name costs little time.
    upscalers = [Upscaler(weights, precision="fp32") for weights in options.weights]
    rows: list[Row] = []
    for weights, upscaler in zip(options.weights, upscalers, strict=True):
        scores: list[tuple[float, float, float, float]] = []
        for number, picture in enumerate(pictures):
            sr, hr = upscaler(picture.lr).cpu(), picture.hr
            turned = lpips(show(sr, TURNED), show(hr, TURNED))
            scores.append((psnr(sr, hr).item(), lpips(sr, hr).item(), turned.item(), dists(sr, hr).item()))
            if number in strips:
                strips[number].append(sr)
        means = [sum(values) / len(values) for values in zip(*scores, strict=True)]
        rows.append(Row(str(weights), *(round(mean, 4) for mean in means)))
        print(f"{rows[-1].weights}: PSNR {means[0]:.2f} dB, LPIPS {means[1]:.4f}, ", end="")
        print(f"turned {means[2]:.4f}, DISTS {means[3]:.4f}", flush=True)
    for number, panels in strips.items():
        save(torch.cat(panels, dim=3), options.out / f"{number}.png")
    print(json.dumps({"pictures": len(pictures), "rows": [asdict(row) for row in rows]}))


def shown(options: argparse.Namespace, count: int) -> list[int]:
    """Which photographs to show; what cannot be written is refused before anything is computed."""
    if options.out is None:
        return []
    numbers = list(range(min(3, count))) if options.show is None else options.show
    if max(numbers) >= count:
        raise SixteenfoldError(f"--show {max(numbers)}: the last of {count} photographs is {count - 1}")
    options.out.mkdir(parents=True, exist_ok=True)
    there = [file for number in numbers if (file := options.out / f"{number}.png").exists()]
    if there and not options.overwrite:
        raise SixteenfoldError(f"{there[0]}: already exists; --overwrite replaces it")
    return numbers


def save(picture: Tensor, target: Path) -> None:
    pixels = to_pixels(picture, np.uint8)
    with rows_to_file(target, pixels.shape[1], pixels.shape[0], 3, pixels.dtype, Metadata()) as writer:
        writer.write(pixels)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+", help="a shipped model's name or a file of weights")
    parser.add_argument("--hr", type=Path, required=True, help="folder of originals")
    parser.add_argument("--out", type=Path, help="folder for strips")
    parser.add_argument("--overwrite", action="store_true", help="replace strips in the folder")
    parser.add_argument("--show", type=numbers, metavar="N,...", help="which photographs, from 0 by name (0,1,2)")
    return parser.parse_args()


def numbers(word: str) -> list[int]:
    parts = word.split(",")
    if not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{word!r} is not numbers of photographs such as 0,1,2")
    return [int(part) for part in parts]


if __name__ == "__main__":
    main()
