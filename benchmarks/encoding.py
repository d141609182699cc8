"""How fast a result becomes a TIFF file: ours against libvips's tiffsave with deflate, both from the same scratch file.

    python benchmarks/encoding.py [--threads 1]

The picture is what `compact` makes of a piece of a scikit-image photograph, repeated; tiles, predictor and
compression of the two files are the same. Both are made in turns, and of each the median counts: by the clock, and by
the processor time that one core would have needed alone. `network_tflop` is what the full network computes for a
megapixel, so that `keeps_up_with_tflops` is how fast a network the encoder can serve. --threads: so many cores are
used, by both; default all. The last line is JSON.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import BinaryIO

import numpy as np
import pyvips
import torch
from skimage import data
from torch.utils.flop_counter import FlopCounterMode

from memory import SHAPES
from sixteenfold import Generator, Upscaler
from sixteenfold.errors import mistakes_told
from sixteenfold.imaging import scratch
from sixteenfold.imaging.color import to_pixels, to_tensor
from sixteenfold.imaging.encode import encode, picture
from sixteenfold.imaging.formats import format_of
from sixteenfold.imaging.image import Metadata
from words import count

TIFF = format_of(Path("a.tif"))
SIDE = 128
"""Of the piece of the photograph, in pixels; its result has 4.2 megapixels."""
REPEATS = 3
"""The result stands so many times in each direction: many tiles, as a large picture has."""
ROUNDS = 3


def ours(rows: BinaryIO, target: BinaryIO) -> None:
    encode(rows, Metadata(), TIFF, target)


def libvips(rows: BinaryIO, target: BinaryIO) -> None:
    """As TIFF was written before, and pyramids still are."""
    picture(rows.fileno(), Metadata(), TIFF).tiffsave_target(
        pyvips.Target.new_to_descriptor(target.fileno()),
        compression="deflate",
        predictor="horizontal",
        tile=True,
        tile_width=256,
        tile_height=256,
    )


@mistakes_told()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=count)
    options = parser.parse_args()
    if options.threads:  # before libvips counts the cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    threads = len(os.sched_getaffinity(0))

    pixels = result()
    megapixels = pixels.shape[0] * pixels.shape[1] / 1e6
    tflop = network_tflop()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows"
        rows.write_bytes(
            scratch.header(pixels.shape, pixels.dtype) + pixels.tobytes() + scratch.index(pixels.shape, pixels.dtype)
        )
        ways = {"libvips": libvips, "ours": ours}
        runs = [{name: run(way, rows, Path(folder) / name) for name, way in ways.items()} for _ in range(ROUNDS)]
        for name in ways:
            wall, processor = (median(turn[name][i] for turn in runs) for i in range(2))
            figures[f"{name}_mp_s"] = megapixels / wall
            figures[f"{name}_mp_s_core"] = megapixels / processor
            figures[f"{name}_bytes_pixel"] = (Path(folder) / name).stat().st_size / megapixels / 1e6
    figures["faster"] = figures["ours_mp_s"] / figures["libvips_mp_s"]
    figures["faster_by_processor_time"] = figures["ours_mp_s_core"] / figures["libvips_mp_s_core"]
    figures["size"] = figures["ours_bytes_pixel"] / figures["libvips_bytes_pixel"]
    figures["network_tflop"] = tflop
    figures["keeps_up_with_tflops"] = figures["ours_mp_s"] * tflop
    for name, value in figures.items():
        print(f"{name:24} {value:.3f}")
    case = {"benchmark": "encoding", "threads": threads, "megapixels": round(megapixels, 1)}
    print(json.dumps(case | {name: round(value, 3) for name, value in figures.items()}))


def result() -> np.ndarray:
    """(H, W, 3) uint8: a piece of the astronaut, face and patch, enlarged and repeated."""
    piece = np.ascontiguousarray(data.astronaut()[60 : 60 + SIDE, 150 : 150 + SIDE])
    pixels = to_pixels(Upscaler("compact", device="cpu")(to_tensor(piece)), np.uint8)
    return np.tile(pixels, (REPEATS, REPEATS, 1))


def run(way: Callable[[BinaryIO, BinaryIO], None], rows: Path, target: Path) -> tuple[float, float]:
    """Seconds by the clock and of processor time."""
    with rows.open("rb") as source, target.open("w+b") as file:
        wall, processor = time.perf_counter(), time.process_time()
        way(source, file)
        return time.perf_counter() - wall, time.process_time() - processor


def network_tflop() -> float:
    """Operations of the full network for a megapixel of its result, two for each multiplication with its addition."""
    side = 64
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        Generator(*SHAPES["full"])(torch.empty(1, 3, side, side))
    return counter.get_total_flops() / (16 * side) ** 2 / 1e6


if __name__ == "__main__":
    main()
