"""Enlarge one picture into its file: colour, alpha, size, and continuing a stopped one."""

import hashlib
import re
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from numbers import Real

import numpy as np
from torch import Tensor

from sixteenfold.errors import SixteenfoldError, out_of_memory_told
from sixteenfold.files.places import file_there, make_folder
from sixteenfold.imaging.color import fill_transparent, to_pixels, to_tensor
from sixteenfold.imaging.formats import check_format
from sixteenfold.imaging.image import Image
from sixteenfold.imaging.jobs import Job
from sixteenfold.imaging.read import read
from sixteenfold.imaging.resample import SCALE
from sixteenfold.imaging.rows import Rows
from sixteenfold.imaging.write import rows_to_file
from sixteenfold.upscaling.alpha import alpha_bands
from sixteenfold.upscaling.sizes import two_sides
from sixteenfold.upscaling.upscaler import Upscaler

ENDINGS = re.compile(r"_(x\d+(\.\d+)?|\d+x\d+)\Z")
"""What `Size.ending` may be."""


@dataclass(frozen=True)
class Size:
    """How large results are: sixteen times the side unless one of these is given.

    Raises:
        SixteenfoldError: If both are given, or one cannot be.
    """

    scale: float | None = None
    """Times the side, 2 to 16."""
    exact: tuple[int, int] | None = None
    """(width, height) in pixels, whatever the picture's shape."""

    def __post_init__(self) -> None:
        if self.scale is not None and self.exact is not None:
            raise SixteenfoldError("scale and size: give only one of the two")
        if self.scale is not None:
            if not isinstance(self.scale, Real):
                raise SixteenfoldError(f"scale: expected a number, not {self.scale!r}")
            if not 2 <= self.scale <= SCALE:
                raise SixteenfoldError(f"scale {self.scale}: must lie between 2 and {SCALE}")
            object.__setattr__(self, "scale", float(self.scale))
        if self.exact is not None:
            object.__setattr__(self, "exact", two_sides(self.exact, "(width, height)"))
            if min(self.exact) < 1:
                raise SixteenfoldError(f"size {self.exact[0]}x{self.exact[1]}: must be at least 1x1")

    @property
    def ending(self) -> str:
        """What result names have after their sources'."""
        if self.exact is not None:
            return f"_{self.exact[0]}x{self.exact[1]}"
        return f"_x{SCALE if self.scale is None else self.scale:g}"

    def of(self, job: Job, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the result of a picture.

        Raises:
            SixteenfoldError: If that is more than sixteen times the side.
        """
        if self.exact is None:
            scale = SCALE if self.scale is None else self.scale
            return round(scale * height), round(scale * width)
        wanted_width, wanted_height = self.exact
        if wanted_width > SCALE * width or wanted_height > SCALE * height:
            raise SixteenfoldError(
                f"{job.source}: its {width}x{height} pixels can become at most {SCALE * width}x{SCALE * height}, "
                f"not {wanted_width}x{wanted_height}; ask for a smaller size"
            )
        return wanted_height, wanted_width


class AlreadyMade(SixteenfoldError):
    """The result was not there when the work was planned, but is now: another process made it."""


@dataclass(frozen=True)
class Picture:
    """A picture that was read, with the plan for its result."""

    job: Job
    image: Image
    size: tuple[int, int]
    """(height, width) of the result."""
    notes: tuple[str, ...]
    """What is lost or converted on the way, a phrase each."""
    pyramid: bool = False
    """Whether the result's file, a TIFF, holds its halvings too."""
    overwrite: bool = False
    """Whether an existing result is replaced."""


def open_picture(job: Job, size: Size, *, pyramid: bool = False, allow_huge: bool, overwrite: bool = False) -> Picture:
    """Read a picture and check that the target can hold its result.

    Raises:
        SixteenfoldError: If one of these fails.
    """
    image = read(job.source, allow_huge=allow_huge)
    height, width = size.of(job, *image.pixels.shape[:2])
    dtype, has_alpha = image.pixels.dtype, image.alpha is not None
    lost = check_format(job.target, width, height, alpha=has_alpha, dtype=dtype, metadata=image.metadata)
    return Picture(job, image, (height, width), (*image.notes, *lost), pyramid, overwrite)


@contextmanager
def result_rows(picture: Picture, upscaler: Upscaler) -> Generator[Rows]:
    """Rows for a picture's result, those that a stopped run left included; as the block ends its file is made of them.

    Raises:
        AlreadyMade: If the result exists and is not to be replaced.
        SixteenfoldError: If the target cannot be written, on entering or leaving.
    """
    image, target, (height, width) = picture.image, picture.job.target, picture.size
    make_folder(target)
    channels, dtype = image.pixels.shape[2] + (image.alpha is not None), image.pixels.dtype
    key = fingerprint(picture, upscaler)
    with rows_to_file(target, width, height, channels, dtype, image.metadata, key, pyramid=picture.pyramid) as rows:
        # Here, as no other process can make it while this one has its rows locked.
        if not picture.overwrite and file_there(target):
            raise AlreadyMade(f"{target}: exists already")
        yield rows


def enlarge(
    picture: Picture, upscaler: Upscaler, rows: Rows, writing: Executor, written: Callable[[int, int], None]
) -> None:
    """Add the rows of a picture's result that are not there yet.

    Args:
        picture: What to enlarge.
        upscaler: What enlarges.
        rows: As `result_rows` gives them.
        writing: A thread that converts and writes one band while the next is made.
        written: Called in that thread with (rows there are, rows that are new).

    Raises:
        SixteenfoldError: If the rows cannot be made or written.
    """

    def write(band: list[Tensor]) -> None:
        with _told_of(picture):
            pixels = np.concatenate([to_pixels(part, picture.image.pixels.dtype) for part in band], axis=2)
        rows.write(pixels)
        rows.flush()
        written(rows.written, len(pixels))

    skip = _whole_bands(rows, upscaler.band_rows(picture.image.pixels.shape[0], picture.size[0]))
    last = writing.submit(written, rows.written, 0)
    try:
        for band in _bands(picture, upscaler, skip):
            last.result()
            last = writing.submit(write, band)
    finally:
        wait([last])  # before who has the rows closes them
    last.result()


def colours(image: Image) -> Tensor:
    """What is enlarged of a picture, (1, 3 or 1, H, W) float32 in [0, 1]: its colours, new ones under transparency."""
    return to_tensor(image.pixels if image.alpha is None else fill_transparent(image.pixels, image.alpha))


def fingerprint(picture: Picture, upscaler: Upscaler) -> str:
    """A hash of all that decides the rows of a result."""
    image = picture.image
    digest = hashlib.sha256(upscaler.fingerprint.encode())
    for part in (image.pixels, image.alpha):
        if part is not None:
            digest.update(repr((part.shape, part.dtype.str, picture.size)).encode())
            digest.update(np.ascontiguousarray(part).data)
    if image.alpha is not None and np.ptp(image.alpha) > 0:  # else none is needed, and none is loaded
        digest.update(upscaler.for_masks.fingerprint.encode())
    return digest.hexdigest()


def _whole_bands(rows: Rows, band_rows: tuple[int, ...]) -> int:
    """Keep the whole bands that are there, and count them."""
    ends = [end for end in accumulate(band_rows) if end <= rows.written]
    rows.keep(ends[-1] if ends else 0)
    return len(ends)


def _bands(picture: Picture, upscaler: Upscaler, skip: int) -> Iterator[list[Tensor]]:
    """The result's rows top to bottom: those of the colours, and those of alpha where there is one."""
    with _told_of(picture):
        bands = upscaler.bands(colours(picture.image), size=picture.size, skip=skip)
        if picture.image.alpha is None:
            yield from ([rows] for rows in bands)
            return
        alpha = to_tensor(picture.image.alpha[:, :, None])
        for rows, mask in zip(bands, alpha_bands(alpha, picture.size, upscaler, skip), strict=True):
            yield [rows, mask]


@contextmanager
def _told_of(picture: Picture) -> Generator[None]:
    """For work that does not know the file: adds the picture's name to its errors, running out of memory included."""
    try:
        with out_of_memory_told():
            yield
    except SixteenfoldError as error:
        raise type(error)(f"{picture.job.source}: {error}") from error
