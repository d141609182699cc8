"""A sheet of photographs: each as it came, enlarged by bicubic, and enlarged by `sixteenfold upscale`.

    python examples/02_compare_with_bicubic.py SHEET RESULTS PHOTO...

RESULTS is the folder that holds NAME_x16.png for each PHOTO. Of each picture the sheet shows the middle,
pixel by pixel.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sixteenfold.imaging.color import to_pixels, to_tensor
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.read import read
from sixteenfold.imaging.resample import resize
from sixteenfold.imaging.write import rows_to_file

SIDE = 512  # of what is shown, in pixels of the results
GAP = 8


def main(sheet: Path, results: Path, photos: Sequence[Path]) -> None:
    rows = [row(photo, results / f"{photo.stem}_x16.png") for photo in photos]
    pixels = to_pixels(torch.cat(rows, dim=2), np.uint8)
    with rows_to_file(sheet, pixels.shape[1], pixels.shape[0], 3, pixels.dtype, Metadata()) as writer:
        writer.write(pixels)
    print(f"{sheet}: each row a photograph; as it came, bicubic, sixteenfold")


def row(photo: Path, result: Path) -> Tensor:
    """One photograph's row of the sheet, (1, 3, SIDE + GAP, 3 (SIDE + GAP))."""
    lr = to_tensor(read(photo).pixels)
    sr = to_tensor(read(result).pixels)
    as_it_came = lr.repeat_interleave(16, dim=2).repeat_interleave(16, dim=3)
    bicubic = resize(lr, (sr.shape[-2], sr.shape[-1])).clamp(0, 1)
    return torch.cat([tile(picture) for picture in (as_it_came, bicubic, sr)], dim=3)


def tile(picture: Tensor) -> Tensor:
    """The middle of a picture at the top left of a white square, (1, 3, SIDE + GAP, SIDE + GAP)."""
    height, width = min(SIDE, picture.shape[-2]), min(SIDE, picture.shape[-1])
    top, left = (picture.shape[-2] - height) // 2, (picture.shape[-1] - width) // 2
    square = torch.ones(1, 3, SIDE + GAP, SIDE + GAP)
    square[..., :height, :width] = picture[..., top : top + height, left : left + width]
    return square


if __name__ == "__main__":
    if len(sys.argv) < 4:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    main(Path(sys.argv[1]), Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
