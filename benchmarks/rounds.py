"""What the rounds of back-projection do: agreement with the input, PSNR and LPIPS, round by round.

    python benchmarks/rounds.py PHOTO... --model NAME|FILE

Each photograph, cut to a multiple of 16, is made small by the exact x1/16, enlarged, and projected with
0, 1, 2, 4 and 8 rounds; the means of what comes out, clamped and not rounded. Ends in a line of JSON.
"""

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from sixteenfold.errors import SixteenfoldError, mistakes_told
from sixteenfold.imaging.color import to_tensor
from sixteenfold.imaging.read import read
from sixteenfold.imaging.resample import SCALE, downscale, round_to_8_bits
from sixteenfold.metrics.consistency import lr_psnr
from sixteenfold.metrics.fidelity import psnr
from sixteenfold.metrics.lpips import LPIPS
from sixteenfold.upscaling.consistency import project
from sixteenfold.upscaling.upscaler import Upscaler

ROUNDS = (0, 1, 2, 4, 8)


@mistakes_told()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--model", required=True)
    options = parser.parse_args()
    upscaler = Upscaler(options.model, precision="fp32", consistency=False)
    lpips = LPIPS()
    scores = torch.stack([measure(photo, upscaler, lpips) for photo in options.photos]).mean(dim=0)
    print("| rounds | LR-PSNR | PSNR | LPIPS |", "|---|---|---|---|", sep="\n")
    for rounds, (agreement, fidelity, distance) in zip(ROUNDS, scores.tolist(), strict=True):
        print(f"| {rounds} | {agreement:.1f} | {fidelity:.2f} | {distance:.4f} |")
    print(
        json.dumps({"benchmark": "rounds", "pictures": len(options.photos), "rounds": ROUNDS, "rows": scores.tolist()})
    )


@torch.inference_mode()
def measure(photo: Path, upscaler: Upscaler, lpips: LPIPS) -> Tensor:
    """(rounds, 3): LR-PSNR and PSNR in decibels, and LPIPS."""
    hr = to_tensor(read(photo).pixels)
    if min(hr.shape[-2:]) < SCALE:
        raise SixteenfoldError(f"{photo}: is too small to be shrunk {SCALE} times; give a larger photograph")
    hr = hr[..., : hr.shape[-2] // 16 * 16, : hr.shape[-1] // 16 * 16].expand(-1, 3, -1, -1)
    lr = round_to_8_bits(downscale(hr))
    sr = upscaler(lr)
    rows: list[Tensor] = []
    for rounds in ROUNDS:
        result = project(sr, lr, rounds).clamp(0, 1)
        rows.append(torch.cat((lr_psnr(result, lr), psnr(result, hr), lpips(result, hr).double())))
    return torch.stack(rows)


if __name__ == "__main__":
    main()
