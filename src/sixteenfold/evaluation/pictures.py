"""What a report shows of a picture: an overview and 1:1 crops of where methods differ most."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyvips
import torch
from torch import Tensor
from torch.nn import functional as F

OVERVIEW = 420
"""Longest side of an overview, pixels."""
CROP = 160
"""Side of a crop, pixels."""
PLACES = 2
"""Crops a picture."""
BUDGET = 105_000
"""Bytes that one picture's overviews may take of the page, before base64 adds its third."""
QUALITIES = (82, 70, 55, 40, 25, 10)


@dataclass(frozen=True)
class Crop:
    """One place of a picture, as everyone shows it."""

    left: int
    top: int
    images: Mapping[str, bytes]
    """Lossless WebP, by method: results are judged by these."""


@dataclass(frozen=True)
class Exhibit:
    """What the page shows of one picture."""

    name: str
    width: int
    height: int
    overviews: Mapping[str, bytes]
    """Lossy WebP, by method; the original comes first."""
    crops: tuple[Crop, ...]


def exhibit(name: str, pictures: Mapping[str, Tensor]) -> Exhibit:
    """Choose and encode: crops exactly, overviews at the best quality that keeps within BUDGET.

    pictures: (1, 3, H, W) uint8 by method, all of one size, the original first.
    """
    height, width = next(iter(pictures.values())).shape[2:]
    side = min(CROP, height, width)
    images = {method: _image(picture) for method, picture in pictures.items()}
    crops = tuple(
        Crop(x, y, {method: _lossless(image.crop(x, y, side, side)) for method, image in images.items()})
        for x, y in find_places(list(pictures.values()), side)
    )
    shrunk = {method: _shrink(image) for method, image in images.items()}
    overviews: dict[str, bytes] = {}
    for quality in QUALITIES:
        overviews = {method: _lossy(image, quality) for method, image in shrunk.items()}
        if sum(map(len, overviews.values())) <= BUDGET:
            break
    return Exhibit(name, width, height, overviews, crops)


def find_places(pictures: list[Tensor], side: int) -> list[tuple[int, int]]:
    """Top left corners (x, y) of the squares where the results differ most, that most first.

    Between several results their spread counts, with a single one its distance to the original.
    The squares do not overlap.
    """
    compared = pictures[1:] if len(pictures) > 2 else pictures
    planes = torch.cat([picture[:, 1:2] for picture in compared]).to(torch.int16)
    spread = (planes.amax(dim=0) - planes.amin(dim=0)).float()
    step = max(1, side // 4)
    heat = F.avg_pool2d(spread[None], side, stride=step)[0, 0]
    places: list[tuple[int, int]] = []
    for _ in range(PLACES):
        best = int(heat.argmax())
        row, column = divmod(best, heat.shape[1])
        if heat[row, column] < 0:
            break
        places.append((column * step, row * step))
        reach = -(-side // step)
        heat[max(0, row - reach + 1) : row + reach, max(0, column - reach + 1) : column + reach] = -1
    return places


def _image(picture: Tensor) -> pyvips.Image:
    return pyvips.Image.new_from_array(picture[0].permute(1, 2, 0).contiguous().cpu().numpy())


def _shrink(image: pyvips.Image) -> pyvips.Image:
    longest = max(image.width, image.height)
    return image.resize(OVERVIEW / longest) if longest > OVERVIEW else image


def _lossy(image: pyvips.Image, quality: int) -> bytes:
    return bytes(image.webpsave_buffer(Q=quality, effort=4))


def _lossless(image: pyvips.Image) -> bytes:
    return bytes(image.webpsave_buffer(lossless=True, effort=4))
