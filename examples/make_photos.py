"""How the photographs in examples/photos/ were made: cut from scikit-image's own and made smaller.

    pip install scikit-image
    python examples/make_photos.py examples/photos

The reduction is MATLAB's antialiased bicubic, as everywhere here. The factor is chosen for a small
picture of 72 pixels a side; scikit-image's originals are too small for a sixteenth to show much.
"""

import sys
from pathlib import Path

import skimage.data

from sixteenfold.imaging.color import to_pixels, to_tensor
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.resample import resize
from sixteenfold.imaging.write import rows_to_file

# name: (top, left, height, width) of the cut, and how many of its pixels become one.
CUTS = {
    "astronaut": ((0, 96, 288, 288), 4),
    "chelsea": ((0, 67, 288, 288), 4),
    "coffee": ((0, 90, 360, 360), 5),
    "rocket": ((60, 120, 360, 360), 5),
}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, ((top, left, height, width), factor) in CUTS.items():
        original = getattr(skimage.data, name)()[top : top + height, left : left + width]
        small = resize(to_tensor(original), (height // factor, width // factor))
        pixels = to_pixels(small, original.dtype)
        target = folder / f"{name}.png"
        with rows_to_file(target, pixels.shape[1], pixels.shape[0], 3, pixels.dtype, Metadata()) as writer:
            writer.write(pixels)
        print(f"{target}: {pixels.shape[1]}x{pixels.shape[0]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
