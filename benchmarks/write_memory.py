"""Peak memory and time of writing a large picture from bands: python benchmarks/write_memory.py a.png 20000 10000

The samples are a smooth picture with noise, as an enlarged photograph is. Ends with one JSON line; peak_mib is the
resident size of this process at its highest, of which start_mib was there before the first row.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from memory import peak_mib
from sixteenfold.errors import mistakes_told
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.write import rows_to_file
from words import count

BAND = 256


@mistakes_told()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("width", type=count)
    parser.add_argument("height", type=count)
    arguments = parser.parse_args()
    target, width, height = arguments.target, arguments.width, arguments.height

    noise = np.random.default_rng(0).integers(0, 7, (BAND, width, 3), dtype=np.uint8)
    band = noise + (np.sin(np.arange(width) / 500) * 100 + 110).astype(np.uint8)[:, None]
    start_mib, start = peak_mib(), time.perf_counter()
    with rows_to_file(target, width, height, 3, np.uint8, Metadata()) as writer:
        for top in range(0, height, BAND):
            writer.write(band[: height - top])
        rows = time.perf_counter() - start
    seconds = time.perf_counter() - start
    print(
        json.dumps(
            {
                "target": target.suffix,
                "megapixels": width * height / 1e6,
                "samples_mb": round(width * height * 3 / 1e6),
                "file_mb": round(target.stat().st_size / 1e6),
                "start_mib": start_mib,
                "peak_mib": peak_mib(),
                "rows_seconds": round(rows, 2),
                "seconds": round(seconds, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
