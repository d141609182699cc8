"""What share of enlarging a picture file is not the network: decoding, bands, consistency, PNG.

    python benchmarks/overhead.py full 64x96 [--format tif]

The same file is enlarged by one process into a file, with the network and with an empty stand-in that gives
noise of the right size at once. Reported are, in seconds:

- wall: the run with the network, and of that what passed outside of the network's calls. Encoding and the
  writing of rows run beside the network, so most of their time does not show here, on a machine with a core
  to spare.
- processor: all that the process used with the stand-in, against all with the network: the same share as if
  nothing ran beside anything. This figure does not depend on what else the machine does.

Weights are random, and the picture is a photograph's, made to size: noise would be slow to compress. The last
line is JSON.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from memory import SHAPES
from sixteenfold.errors import mistakes_told
from sixteenfold.imaging.color import to_pixels, to_tensor
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.read import read
from sixteenfold.imaging.resample import resize
from sixteenfold.imaging.write import rows_to_file
from sixteenfold.networks.generator import Generator
from sixteenfold.upscaling.batch import upscale_files
from sixteenfold.upscaling.engine import Engine
from sixteenfold.upscaling.upscaler import Upscaler
from words import two_sides

PHOTO = Path(__file__).parents[1] / "examples" / "photos" / "astronaut.png"


class Watched:
    """An engine's three parts, with the time that passes in them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.seconds = 0.0

    def first_trunk(self, lr: Tensor) -> Tensor:
        return self._timed(self._engine.first_trunk, lr)

    def upsample(self, features: Tensor) -> Tensor:
        return self._timed(self._engine.upsample, features)

    def second_trunk(self, features: Tensor) -> Tensor:
        return self._timed(self._engine.second_trunk, features)

    def _timed(self, part: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        start = time.perf_counter()
        result = part(x)
        self.seconds += time.perf_counter() - start
        return result


class StandIn:
    """Parts that take no time: views of one piece of fixed values, grainy as a result is."""

    def __init__(self, generator: Generator) -> None:
        self._features = generator.features
        grain = torch.rand(1, 3, 1024, 1024, generator=torch.Generator().manual_seed(0))
        self._picture = 0.5 + 0.1 * (grain - 0.5)

    def first_trunk(self, lr: Tensor) -> Tensor:
        return lr.new_zeros(1).expand(1, self._features[0], *lr.shape[-2:])

    def upsample(self, features: Tensor) -> Tensor:
        height, width = features.shape[-2:]
        return features.new_zeros(1).expand(1, self._features[1], 4 * height, 4 * width)

    def second_trunk(self, features: Tensor) -> Tensor:
        height, width = 4 * features.shape[-2], 4 * features.shape[-1]
        while self._picture.shape[2] < height:
            self._picture = torch.cat([self._picture, self._picture], dim=2)
        while self._picture.shape[3] < width:
            self._picture = torch.cat([self._picture, self._picture], dim=3)
        return self._picture[..., :height, :width].clone()


@mistakes_told()
def main() -> None:
    options = parse()
    height, width = options.size
    torch.manual_seed(0)
    generator = Generator(*SHAPES[options.shape])
    upscaler = Upscaler(generator, device="cpu", precision=options.precision)
    engine = upscaler._runner._parts
    assert isinstance(engine, Engine)
    watched = Watched(engine)
    with tempfile.TemporaryDirectory() as folder:
        small = make_photo(Path(folder) / "small.png", height, width)
        large = Path(folder) / f"large.{options.format}"
        measured: dict[str, tuple[float, float]] = {}
        # The stand-in twice: its first run also pays for what a process does only once.
        for name, parts in (("warm", StandIn(generator)), ("rest", StandIn(generator)), ("all", watched)):
            upscaler._runner._parts = parts
            wall, processor = time.perf_counter(), time.process_time()
            report = upscale_files([small], large, upscaler, overwrite=True)
            if report.failures:
                sys.exit(report.failures[0])
            measured[name] = time.perf_counter() - wall, time.process_time() - processor
    wall, processor = measured["all"]
    result = {
        "wall": round(wall, 2),
        "wall_outside": round(wall - watched.seconds, 2),
        "wall_share": round(1 - watched.seconds / wall, 4),
        "processor": round(processor, 2),
        "processor_rest": round(measured["rest"][1], 2),
        "processor_share": round(measured["rest"][1] / processor, 4),
        "threads": torch.get_num_threads(),
        "engine": upscaler.description,
    }
    for key, value in result.items():
        print(f"{key:16} {value}")
    case = {"benchmark": "overhead", "shape": options.shape, "lr": f"{height}x{width}", "format": options.format}
    print(json.dumps(case | result))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("size", type=two_sides, metavar="HEIGHTxWIDTH", help="of the small picture")
    parser.add_argument("--format", default="png", choices=("png", "jpg", "webp", "tif", "avif", "dzi"))
    parser.add_argument("--precision", default="auto")
    return parser.parse_args()


def make_photo(path: Path, height: int, width: int) -> Path:
    """The example photograph stretched to a size."""
    pixels = to_pixels(resize(to_tensor(read(PHOTO).pixels), (height, width)), np.uint8)
    with rows_to_file(path, width, height, 3, pixels.dtype, Metadata()) as writer:
        writer.write(pixels)
    return path


if __name__ == "__main__":
    main()
