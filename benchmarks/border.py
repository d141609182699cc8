"""What a mirrored border around the small picture changes, width by width: the numbers that chose the upscaler's.

    python benchmarks/border.py PHOTO... --model NAME|FILE [--side 32] [--borders 0 1 2 3]

Each photograph's top left square of 16 side x 16 side pixels is shrunk by the exact x1/16, rounded to 8 bits, and
enlarged with each border, otherwise as `upscale` does. Compared with the original are the whole square, its outermost
16 pixels and the 4x4 pixels in each corner; and a white picture with white. The last line is JSON.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor

from sixteenfold import Upscaler
from sixteenfold.errors import SixteenfoldError, mistakes_told
from sixteenfold.imaging.color import to_8_bit_rgb
from sixteenfold.imaging.read import read
from sixteenfold.imaging.resample import SCALE, downscale, round_to_8_bits
from sixteenfold.metrics.lpips import LPIPS
from sixteenfold.upscaling import enlargement
from words import count, count_or_zero


@dataclass(frozen=True)
class Row:
    """What one border did, as means over all pictures."""

    border: int
    psnr: float
    psnr_edge: float
    """Of the outermost 16 pixels."""
    psnr_corners: float
    """Of the four 4x4 pixels in the corners."""
    lpips: float
    white: float
    """How far a white picture's darkest pixel is from white, in 1/255."""


@mistakes_told()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--side", type=count, default=32, help="of the small pictures")
    parser.add_argument("--borders", type=count_or_zero, nargs="+", default=[0, 1, 2, 3])
    options = parser.parse_args()
    upscaler, lpips = Upscaler(options.model), LPIPS()
    originals = [square(photo, SCALE * options.side) for photo in options.photos]
    print("| border | PSNR | outer 16 pixels | corners | LPIPS | white is off by |", "|" + "---|" * 6, sep="\n")
    rows: list[Row] = []
    for border in options.borders:
        with patch.object(enlargement, "BORDER", border):
            rows.append(measure(upscaler, lpips, originals, border))
        row = rows[-1]
        print(
            f"| {border} | {row.psnr:.2f} | {row.psnr_edge:.2f} | {row.psnr_corners:.2f} | {row.lpips:.4f} "
            f"| {row.white:.0f} |"
        )
    print(json.dumps({"benchmark": "border", "model": options.model, "rows": [asdict(row) for row in rows]}))


def square(photo: Path, most: int) -> Tensor:
    """The top left of a photograph, (1, 3, H, W) in [0, 1], sides of at most `most` and multiples of 16."""
    image = to_8_bit_rgb(read(photo).pixels)[None].float() / 255
    height, width = (min(side // SCALE * SCALE, most) for side in image.shape[-2:])
    if not (height and width):
        raise SixteenfoldError(f"{photo}: is too small to be shrunk {SCALE} times; give a larger photograph")
    return image[:, :, :height, :width]


def measure(upscaler: Upscaler, lpips: LPIPS, originals: list[Tensor], border: int) -> Row:
    figures: list[list[float]] = []
    for hr in originals:
        sr = round_to_8_bits(upscaler(round_to_8_bits(downscale(hr, SCALE))))
        errors = (sr - hr).square().mean(dim=1)[0]
        edge = torch.ones_like(errors, dtype=torch.bool)
        edge[16:-16, 16:-16] = False
        corners = torch.ones_like(edge)
        corners[4:-4] = corners[:, 4:-4] = False
        parts = (errors, errors[edge], errors[corners])
        figures.append([*(-10 * part.mean().log10().item() for part in parts), lpips(sr, hr).item()])
    with patch.object(enlargement, "keep_flat", lambda sr, lr, rows: sr):  # or nothing of it were the network's
        white = upscaler(torch.ones(1, 3, 24, 24))
    psnr, edge_psnr, corner_psnr, distance = torch.tensor(figures).mean(dim=0).tolist()
    return Row(border, psnr, edge_psnr, corner_psnr, distance, 255 * (1 - white.min().item()))


if __name__ == "__main__":
    main()
