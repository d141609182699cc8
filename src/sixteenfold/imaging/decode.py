"""What libvips has opened -> Image: grey or RGB, alpha apart, upright, metadata, and what was lost or changed."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyvips

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging import exif as exif_entries
from sixteenfold.imaging.image import DEFAULT_RESOLUTION, Image, Metadata, profile_channels

_CONVERTED = {"lab", "labs", "lch", "xyz", "yxy", "hsv", "cmc"}


def decode(path: Path, image: pyvips.Image, exif: bytes | None, notes: tuple[str, ...]) -> Image:
    """Convert if necessary, decode every pixel, turn upright.

    Args:
        path: For messages.
        image: As libvips opened it.
        exif: The block, if libvips does not find it.
        notes: What was lost or converted before.

    Raises:
        SixteenfoldError: If the samples are of a type or number that is not read.
        pyvips.Error: If the file is damaged.
    """
    fields = set(image.get_fields())
    found = [*notes, *_container_notes(image, fields)]
    orientation = _integer(image, "orientation", fields) or 1
    metadata_source = image  # a conversion below replaces the profile, and nothing else
    if image.format == "ushort" and image.get("vips-loader") == "heifload_source":
        # libvips moves 10 or 12 bits up; their highest fill the places that this leaves, so that white is 65535.
        image |= image >> _integer(image, "bits-per-sample", fields)
    image, converted = _to_rgb_or_grey(path, image)
    found += converted
    array = image.numpy()
    array = array.reshape(image.height, image.width, image.bands)
    if array.dtype.kind == "f":
        array, clipped = _unit_range(path, array.astype(np.float32, copy=False))
        found += clipped
    array = np.ascontiguousarray(_turn(array, orientation))
    if orientation != 1:
        found.append("turned upright as its orientation tag says")
    colours = 1 if image.bands <= 2 else 3
    alpha = np.ascontiguousarray(array[..., -1]) if image.hasalpha() else None
    if alpha is not None and image.get("vips-loader") == "gifload_source" and alpha.min() == 255:
        alpha = None  # libvips gives one to every animation
    pixels = np.ascontiguousarray(array[..., :colours]) if array.shape[2] != colours else array
    icc_source = image if converted else metadata_source
    metadata, dropped = _metadata(metadata_source, icc_source, pixels, exif, orientation >= 5)
    return Image(pixels, alpha, metadata, (*found, *dropped))


def _container_notes(image: pyvips.Image, fields: set[str]) -> Iterator[str]:
    pages = _integer(image, "n-pages", fields)
    if pages > 1:
        animated = fields & {"delay", "gif-delay", "loop"}
        yield f"{'animated' if animated else 'several pages'}: the first of {pages} is used"
    bits = _integer(image, "bits-per-sample", fields)
    if "palette" in fields:
        yield "palette expanded"
    elif 0 < bits < 8 or 8 < bits < 16:
        yield f"{bits}-bit samples widened to {8 if bits < 8 else 16}"


def _integer(image: pyvips.Image, field: str, fields: set[str]) -> int:
    value = image.get(field) if field in fields else 0
    return value if isinstance(value, int) else 0


def _to_rgb_or_grey(path: Path, image: pyvips.Image) -> tuple[pyvips.Image, list[str]]:
    """8-bit, 16-bit or float samples of grey or RGB, with or without alpha."""
    notes: list[str] = []
    if image.format == "double":
        image = image.cast("float")
        notes.append("64-bit float reduced to 32")
    if image.format not in ("uchar", "ushort", "float"):
        raise SixteenfoldError(f"{path}: has samples of type {image.format}; save it with 8 or 16 bits or as float")
    if image.interpretation == "cmyk":
        notes.append(f"CMYK converted to sRGB through {_cmyk_profile(image)}")
        depth = 16 if image.format == "ushort" else 8
        image = image.icc_transform("srgb", embedded=True, input_profile="cmyk", depth=depth)
    elif image.interpretation in _CONVERTED:
        notes.append(f"{image.interpretation} colour converted to 8-bit sRGB")
        image = image.colourspace("srgb")
        image.remove("icc-profile-data")
    colours = image.bands - image.hasalpha()
    if colours not in (1, 3):
        raise SixteenfoldError(
            f"{path}: has {image.bands} channels; save it as grey, RGB or CMYK, with or without alpha"
        )
    return image, notes


def _cmyk_profile(image: pyvips.Image) -> str:
    """Which profile libvips converts CMYK by: the picture's own only where that is CMYK's."""
    icc = _blob(image, "icc-profile-data")
    if icc is None:
        return "a generic profile, as it has none"
    return "its profile" if profile_channels(icc) == 4 else "a generic profile, as its own does not fit"


def _unit_range(path: Path, array: np.ndarray) -> tuple[np.ndarray, list[str]]:
    low, high = float(array.min()), float(array.max())
    # Not a number compares false, so it is refused as well.
    if not (low >= -1 and high <= 2):
        raise SixteenfoldError(f"{path}: has float samples from {low:g} to {high:g}; scale them to 0..1")
    if low >= 0 and high <= 1:
        return array, []
    return array.clip(0, 1), [f"float samples from {low:g} to {high:g} clipped to 0..1"]


def _turn(array: np.ndarray, orientation: int) -> np.ndarray:
    """`array` (H, W, C) upright; `orientation` is EXIF's: where row 0 and column 0 are."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def _metadata(
    image: pyvips.Image, icc_source: pyvips.Image, pixels: np.ndarray, exif: bytes | None, sideways: bool
) -> tuple[Metadata, list[str]]:
    notes: list[str] = []
    icc = _blob(icc_source, "icc-profile-data")
    if icc is not None and profile_channels(icc) != pixels.shape[2]:
        icc = None
        notes.append("ICC profile dropped: it does not fit the picture's channels")
    exif, said = exif or _blob(image, "exif-data"), None
    if exif is not None:
        try:
            said = exif_entries.resolution(exif)
            exif = exif_entries.upright(exif, pixels.shape[1], pixels.shape[0])
        except exif_entries.ExifError as error:
            exif = None
            notes.append(f"EXIF dropped: {error}")
    xmp = _blob(image, "xmp-data")
    if xmp is not None:
        xmp = re.sub(rb"""(tiff:Orientation(?:\s*=\s*["']|\s*>\s*))[1-8]""", rb"\g<1>1", xmp)
    xres, yres = image.xres, image.yres
    if xres == 1 and yres == 1:  # what libvips says when the container does not
        xres, yres = said or (DEFAULT_RESOLUTION, DEFAULT_RESOLUTION)
    return Metadata(icc, exif, xmp, *((yres, xres) if sideways else (xres, yres))), notes


def _blob(image: pyvips.Image, field: str) -> bytes | None:
    value = image.get(field) if image.get_typeof(field) != 0 else None
    return value if isinstance(value, bytes) else None
