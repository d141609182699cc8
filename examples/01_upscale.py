"""Make one photograph sixteen times as large a side.

    python examples/01_upscale.py PHOTO RESULT [MODEL]

The result is made and written in bands of rows: memory does not grow with its height. Transparency is ignored;
`sixteenfold.upscale_files` keeps it.
"""

import sys
from pathlib import Path

from sixteenfold import Upscaler
from sixteenfold.imaging.color import to_pixels, to_tensor
from sixteenfold.imaging.read import read
from sixteenfold.imaging.write import rows_to_file


def main(photo: Path, result: Path, model: str | None = None) -> None:
    image = read(photo)
    height, width, channels = image.pixels.shape
    upscaler = Upscaler(model)
    print(upscaler.description, *image.notes, sep="\n")
    with rows_to_file(result, 16 * width, 16 * height, channels, image.pixels.dtype, image.metadata) as writer:
        for band in upscaler.bands(to_tensor(image.pixels)):
            writer.write(to_pixels(band, image.pixels.dtype))
    print(result)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
