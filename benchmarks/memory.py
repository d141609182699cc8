"""Peak memory and time of enlarging one picture file into a PNG, in a process of its own.

    python benchmarks/memory.py compact 312x480 [small 312x480 small 624x960 ...]

For each shape of the generator and size (height x width) of a small picture: what the process holds
once the network is loaded and at its highest, and how long it took. Weights and picture are random;
neither decides the memory. `wide` is the full generator with one block in each trunk instead of 23:
what it holds beside its weights is the same, at a ninth of the work. Each case ends in a line of JSON.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from words import two_sides

SHAPES: dict[str, tuple[int | tuple[int, int, int], int | tuple[int, int], tuple[int, int]]] = {
    "full": (64, 32, (23, 23)),
    "wide": (64, 32, (1, 1)),
    "compact": ((64, 32, 16), (32, 16), (8, 2)),
    "medium": ((64, 32, 32), (32, 16), (23, 2)),
    "small": (8, 4, (1, 1)),
}
"""Features, growth and blocks."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", metavar="SHAPE HEIGHTxWIDTH", help=f"SHAPE: {', '.join(SHAPES)}")
    parser.add_argument("--here", action="store_true", help="run the one case in this process")
    options = parser.parse_args()
    shapes, sizes = options.cases[::2], options.cases[1::2]
    if unknown := [shape for shape in shapes if shape not in SHAPES]:
        parser.error(f"{unknown[0]!r} is not a shape; choose among {', '.join(SHAPES)}")
    if len(shapes) > len(sizes):
        parser.error(f"{shapes[-1]} has no size; give one after each shape, such as 312x480")
    try:
        cases = [(shape, size, *two_sides(size)) for shape, size in zip(shapes, sizes, strict=True)]
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    if options.here:
        run(*cases[0])
        return
    for shape, size, *_ in cases:
        done = subprocess.run([sys.executable, __file__, "--here", shape, size], check=False)
        if done.returncode:  # it has said why
            sys.exit(f"memory: {shape} {size} failed (status {done.returncode})")


def run(shape: str, size: str, height: int, width: int) -> None:
    # Imported here, so that other programs can take what they need of this one without all that.
    import numpy as np
    import torch

    from sixteenfold.imaging.image import Metadata
    from sixteenfold.imaging.write import rows_to_file
    from sixteenfold.networks.generator import Generator
    from sixteenfold.upscaling.batch import upscale_files
    from sixteenfold.upscaling.upscaler import Upscaler

    torch.manual_seed(0)
    upscaler = Upscaler(Generator(*SHAPES[shape]), device="cpu", precision="fp32")
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.png", Path(folder) / "large.png"
        with rows_to_file(small, width, height, 3, np.uint8, Metadata()) as writer:
            writer.write(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))
        start_mib, start = peak_mib(), time.perf_counter()
        report = upscale_files([small], large, upscaler)
        if report.failures:
            sys.exit(report.failures[0])
        seconds = time.perf_counter() - start
    result = {"benchmark": "memory", "shape": shape, "lr": size, "megapixels": round(height * width * 256 / 1e6, 1)}
    result |= {"start_mib": start_mib, "peak_mib": peak_mib(), "seconds": round(seconds, 1)}
    print(json.dumps(result | {"engine": upscaler.description}), flush=True)


def peak_mib() -> int:
    """The most memory that this process has held."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, whose getrusage begins with what the parent process held
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) // 1024
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**20  # macOS counts bytes


if __name__ == "__main__":
    main()
