"""How good the network is now, on pictures that training does not see, upscaled as users do it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from sixteenfold.errors import SixteenfoldError, first_few
from sixteenfold.imaging.resample import SCALE, downscale, resize, round_to_8_bits
from sixteenfold.metrics.fidelity import psnr
from sixteenfold.metrics.lpips import LPIPS
from sixteenfold.networks.generator import Generator
from sixteenfold.training.index import make_index, told_skipped
from sixteenfold.training.photographs import decode
from sixteenfold.upscaling.upscaler import Upscaler

SMALLEST = 32
"""Least side of a validation picture: LPIPS needs 31 pixels."""
SHOWN = 256
"""Side in pixels of the part of a picture that is shown."""


@dataclass(frozen=True)
class ValidationPicture:
    """A pair, float in [0, 1]."""

    lr: Tensor
    """(1, 3, H/16, W/16), on the 8-bit grid."""
    hr: Tensor
    """(1, 3, H, W)."""


@dataclass(frozen=True)
class ValidationSet:
    """What a run is validated on."""

    pictures: tuple[ValidationPicture, ...] = ()
    files: frozenset[Path] = frozenset()
    """Where they were read, links followed."""
    left_out: tuple[str, ...] = ()
    """Lines on what else was there, and why it is none of them."""
    digest: str = ""
    """Of what the pictures show, whatever their files are called."""


@dataclass(frozen=True)
class Scores:
    """Means over the validation pictures."""

    psnr: float
    """RGB, dB, of each picture at most 100."""
    lpips: float | None
    """AlexNet; None when it was not asked for."""
    shown: Tensor
    """(3, rows, columns) in [0, 1]: of the first pictures the middle, at 1:1, a row each: LR, bicubic, SR, HR."""


def read_validation(folder: Path, crop: int) -> ValidationSet:
    """The centre of each picture in the folder, at most `crop` pixels a side, with its x1/16.

    Raises:
        SixteenfoldError: If no picture of at least 32 pixels a side is found.
    """
    pairs: list[ValidationPicture] = []
    files: list[Path] = []
    index = make_index([folder], SMALLEST, "a validation picture")
    broken: list[str] = []
    shown = hashlib.sha256()
    for entry in index.entries:
        try:
            picture = decode(entry)
        except SixteenfoldError as error:
            broken.append(str(error))
            continue
        height, width = (min(side, crop) // SCALE * SCALE for side in picture.shape[-2:])
        top, left = (picture.shape[-2] - height) // 2, (picture.shape[-1] - width) // 2
        centre = picture[:, top : top + height, left : left + width].contiguous()
        shown.update(f"{width}x{height}".encode() + centre.numpy().tobytes())
        hr = centre[None].float() / 255
        pairs.append(ValidationPicture(round_to_8_bits(downscale(hr, SCALE)), hr))
        files.append(entry.path)
    if not pairs:
        raise SixteenfoldError(f"{folder}: none of its pictures can be read: {first_few(broken)}")
    left_out = (*told_skipped([*index.skipped, *broken]), *index.set_aside())
    return ValidationSet(tuple(pairs), frozenset(files), left_out, shown.hexdigest())


@torch.no_grad()
def validate(generator: Generator, pictures: Sequence[ValidationPicture], lpips: LPIPS | None, show: int = 4) -> Scores:
    """Upscale each picture as `sixteenfold upscale` does by default, in fp32, and compare.

    Args:
        generator: Used as it is, on the device where it lies.
        pictures: At least one.
        lpips: The metric, where it is wanted.
        show: How many pictures to show.
    """
    device = next(generator.parameters()).device
    upscaler = Upscaler(generator, device=str(device), precision="fp32")
    decibels: list[float] = []
    distances: list[float] = []
    rows: list[Tensor] = []
    for picture in pictures:
        sr = upscaler(picture.lr)
        decibels.append(min(psnr(sr, picture.hr).item(), 100.0))
        if lpips is not None:
            distances.append(lpips(sr.to(device), picture.hr.to(device)).item())
        if len(rows) < show:
            rows.append(_row(picture, sr))
    mean_lpips = sum(distances) / len(distances) if distances else None
    return Scores(sum(decibels) / len(decibels), mean_lpips, _stack(rows))


def _row(picture: ValidationPicture, sr: Tensor) -> Tensor:
    """LR (its pixels as squares), bicubic, SR and HR beside each other, the middle of each: (3, rows, columns)."""
    height, width = picture.hr.shape[-2:]
    squares = F.interpolate(picture.lr, scale_factor=float(SCALE), mode="nearest")
    bicubic = resize(picture.lr, (height, width)).clamp(0, 1)
    rows, columns = min(height, SHOWN), min(width, SHOWN)
    top, left = (height - rows) // 2, (width - columns) // 2
    panels = torch.cat((squares, bicubic, sr.cpu(), picture.hr))[..., top : top + rows, left : left + columns]
    return torch.cat(list(panels), dim=-1)


def _stack(rows: Sequence[Tensor]) -> Tensor:
    """Rows of pictures under each other, narrower ones filled up with white."""
    widest = max((row.shape[-1] for row in rows), default=1)
    padded = [F.pad(row, (0, widest - row.shape[-1]), value=1.0) for row in rows]
    return torch.cat(padded, dim=-2) if padded else torch.ones(3, 1, 1)
