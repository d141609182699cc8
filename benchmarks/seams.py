"""What tiling changes, margin by margin: the numbers that chose the margins of the upscaler.

    python benchmarks/seams.py PHOTO... --model NAME|FILE [--side 120] [--tile 48] [--first-tile 48]
    python benchmarks/seams.py examples/photos/*.png --as-is --side 72 --tile 24 --first-tile 24 --model NAME|FILE

From the middle of each photograph a small picture of side x side pixels is made by the exact x1/16
(with --as-is, cut), enlarged once whole and then in tiles with each margin: once the second trunk, over features of the
whole picture, and once the first trunk. Compared are the clamped results, before the projection,
which only brings tiled and whole closer. The work is that of the tiled trunk against its run
without margins. The last line is JSON.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from sixteenfold.errors import SixteenfoldError, mistakes_told
from sixteenfold.imaging.color import to_tensor
from sixteenfold.imaging.read import read
from sixteenfold.imaging.resample import SCALE, downscale, round_to_8_bits
from sixteenfold.networks import zoo
from sixteenfold.upscaling.engine import Engine, make_engine
from sixteenfold.upscaling.tiles import Tile, plan_tiles
from words import count, count_or_zero


@dataclass(frozen=True)
class Row:
    """What one margin did over all pictures."""

    trunk: str
    margin: int
    """In the trunk's own pixels: at x1 the first's, at x4 the second's."""
    within: float
    """Share of all values that lie within 1/255 of the whole run's."""
    largest: float
    """Largest difference, in 1/255."""
    work: float
    """Times the work of tiles without margin."""


@mistakes_told()
def main() -> None:
    options = parse()
    engine = make_engine(zoo.load(options.model), options.device, "fp32")
    small = [small_picture(photo, options.side, as_is=options.as_is) for photo in options.photos]
    rows = list(measure(engine, small, options))
    print("| trunk | margin | within 1/255 | largest | work |", "|---|---|---|---|---|", sep="\n")
    for row in rows:
        print(f"| {row.trunk} | {row.margin} | {100 * row.within:.3f} % | {row.largest:.1f} | {row.work:.2f} |")
    settings = {"pictures": len(small), "side": options.side, "tile": options.tile, "first_tile": options.first_tile}
    print(
        json.dumps({"benchmark": "seams", "model": str(options.model), **settings, "rows": [asdict(r) for r in rows]})
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--side", type=count, default=120)
    parser.add_argument("--as-is", action="store_true", help="the photographs are small already")
    parser.add_argument("--tile", type=count, default=48, help="of the second trunk, in pixels at x1")
    parser.add_argument("--first-tile", type=count, default=48, help="of the first trunk, in pixels at x1")
    parser.add_argument("--margins", type=count_or_zero, nargs="+", default=[0, 8, 16, 24, 32, 48])
    parser.add_argument("--first-margins", type=count_or_zero, nargs="+", default=[0, 8, 16, 24, 32])
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def small_picture(photo: Path, side: int, *, as_is: bool) -> Tensor:
    """A photograph's middle or the x1/16 of it, on the 8-bit grid, (1, 3, side, side)."""
    image = to_tensor(read(photo).pixels)
    height, width = image.shape[-2:]
    cut = side if as_is else SCALE * side
    if min(height, width) < cut:
        raise SixteenfoldError(f"{photo}: {width}x{height} holds no {cut}x{cut}; give a larger one, or less as --side")
    top, left = (height - cut) // 2, (width - cut) // 2
    middle = image[:, :, top : top + cut, left : left + cut]
    return middle if as_is else round_to_8_bits(downscale(middle))


def measure(engine: Engine, pictures: list[Tensor], options: argparse.Namespace) -> Iterator[Row]:
    features = [engine.first_trunk(lr) for lr in pictures]
    large = [engine.upsample(x) for x in features]
    whole = [engine.second_trunk(x).clamp(0, 1) for x in large]
    for margin in options.margins:
        tiled = [assemble(engine.second_trunk, x, 4 * options.tile, margin, 4) for x in large]
        yield compare("second", margin, whole, tiled)
    for margin in options.first_margins:
        tiled = [assemble(engine.first_trunk, lr, options.first_tile, margin, 1) for lr in pictures]
        results = [(engine.second_trunk(engine.upsample(x)), work) for x, work in tiled]
        yield compare("first", margin, whole, results)


def assemble(
    stage: Callable[[Tensor], Tensor], image: Tensor, tile: int, margin: int, scale: int
) -> tuple[Tensor, float]:
    """A stage run in tiles over an image, and its work against that without margins."""
    height, width = image.shape[-2:]
    whole: Tensor | None = None
    seen = 0
    for piece in (one for band in plan_tiles(height, width, (tile, tile), margin) for one in band.tiles):
        result = stage(image[:, :, piece.window_rows.slice, piece.window_columns.slice])
        rows = piece.rows.within(piece.window_rows).times(scale)
        columns = piece.columns.within(piece.window_columns).times(scale)
        if whole is None:
            whole = result.new_empty(1, result.shape[1], height * scale, width * scale)
        inner = result[:, :, rows.slice, columns.slice]
        whole[:, :, piece.rows.times(scale).slice, piece.columns.times(scale).slice] = inner
        seen += area(piece)
    assert whole is not None
    return whole, seen / (height * width)


def area(tile: Tile) -> int:
    return tile.window_rows.length * tile.window_columns.length


def compare(trunk: str, margin: int, whole: list[Tensor], tiled: list[tuple[Tensor, float]]) -> Row:
    pairs = zip(whole, tiled, strict=True)
    differences = torch.cat([(255 * (a - b.clamp(0, 1))).abs().flatten() for a, (b, _) in pairs])
    within = float((differences <= 1).double().mean())
    return Row(trunk, margin, within, float(differences.max()), sum(work for _, work in tiled) / len(tiled))


if __name__ == "__main__":
    main()
