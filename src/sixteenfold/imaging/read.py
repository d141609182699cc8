"""Any picture file -> Image: pixels, alpha apart, metadata, and what was lost or changed."""

import os
import re
import stat
import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyvips

from sixteenfold.errors import NoMemory, SixteenfoldError
from sixteenfold.files.ordinary import check_ordinary, unreadable
from sixteenfold.imaging import exif as exif_entries
from sixteenfold.imaging._vips import reason
from sixteenfold.imaging.tiffexif import exif_of, is_raw_ycbcr

MAX_PIXELS = 178_956_970
"""Largest declared size read without `allow_huge`: half a gigabyte of 8-bit RGB."""

DEFAULT_RESOLUTION = 72 / 25.4
"""Pixels per millimetre where a file says nothing: 72 an inch, as most programs assume."""

_SUFFIXES = {
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".gif"),
    *(".avif", ".heic", ".heif", ".hif", ".jxl"),
}
_HEAD = 32  # bytes that tell the format
_MEANT_FOR = {"GRAY": 1, "RGB ": 3}  # an ICC profile's colour space, and its number of channels
_MOVING = {b"ftypavis", b"ftypmsf1", b"ftyphevc"}  # AVIF and HEIF sequences
_LIMITED = {"pngload_source", "jpegload_source", "tiffload_source", "heifload_source"}  # loaders with limits to lift
_CONVERTED = {"lab", "labs", "lch", "xyz", "yxy", "hsv", "cmc"}


@dataclass(frozen=True)
class Metadata:
    """A picture file's data besides its pixels."""

    icc: bytes | None = None
    """ICC profile of the pixels; None means sRGB, or grey with sRGB's curve."""
    exif: bytes | None = None
    """EXIF block, orientation 1, size that of the pixels."""
    xmp: bytes | None = None
    """XMP packet, orientation 1."""
    xres: float = DEFAULT_RESOLUTION
    """Horizontal pixels per millimetre."""
    yres: float = DEFAULT_RESOLUTION
    """Vertical pixels per millimetre."""


@dataclass(frozen=True)
class Image:
    """A picture, upright."""

    pixels: np.ndarray
    """(H, W, C), C = 1 (grey) or 3 (RGB); uint8, uint16, or float32 in 0..1."""
    alpha: np.ndarray | None
    """(H, W), same type; 0 is transparent, the type's maximum (float: 1) opaque."""
    metadata: Metadata
    notes: tuple[str, ...]
    """What was lost or converted, one phrase each."""


def is_picture(path: Path) -> bool:
    """Whether the name ends like a picture that `read` may read; the file is not touched."""
    return path.suffix.lower() in _SUFFIXES


def read(path: Path, *, allow_huge: bool = False) -> Image:
    """The picture in `path`, whole.

    The format is told from the first bytes, not from the name. RGB and grey keep their pixel
    values and their profile; CMYK goes through its profile to sRGB, Lab by definition. EXIF
    orientation is applied. Of an animation or several pages the first is read, and a note says so.

    Raises SixteenfoldError for what cannot be read whole: a missing, unreadable, cut or damaged
    file, an unknown format, or a declared size above MAX_PIXELS unless `allow_huge`, which is
    looked at before anything is decoded.
    """
    with _opened(path) as descriptor:
        head = os.read(descriptor, _HEAD)
        loader = _loader(path, head)
        # libvips returns the still picture of such a file and no number of frames.
        said = ("animated: the first frame is used",) if head[4:12] in _MOVING else ()
        exif = None
        _header(path, descriptor, loader, allow_huge)
        if loader == "pngload_source" and (frames := _frames_of_png(descriptor)) > 1:
            said = (f"animated: the first of {frames} is used",)
        if loader == "tiffload_source":
            if is_raw_ycbcr(descriptor):
                raise SixteenfoldError(
                    f"{path}: a YCbCr TIFF, which is read only if JPEG-compressed; convert it to RGB"
                )
            exif, dropped = exif_of(descriptor)
            said += (f"EXIF: {dropped} damaged entries left out",) if dropped else ()
        try:
            return _decode(path, _load(descriptor, loader, "warning", allow_huge), exif, said)
        except pyvips.Error as error:
            if loader == "tiffload_source":  # a lost tile is a mere warning to libvips
                raise _damaged(path, error) from error
            warning = f"the decoder warned: {reason(error)}"
        try:
            # A warning alone is no reason to refuse a picture; an error is.
            return _decode(path, _load(descriptor, loader, "error", allow_huge), exif, (*said, warning))
        except pyvips.Error as error:
            raise _damaged(path, error) from error


def measure(path: Path) -> tuple[int, int]:
    """(height, width) of a picture in pixels by its header; `read` may rotate it, following EXIF.

    Raises SixteenfoldError as `read` does, for what can be told before pixels are decoded.
    """
    with _opened(path) as descriptor:
        header = _header(path, descriptor, _loader(path, os.read(descriptor, _HEAD)), allow_huge=False)
        return header.height, header.width


@contextmanager
def _opened(path: Path) -> Generator[int]:
    """Open the file as a descriptor, so that any name works, and libvips finds no options in it.

    System errors within the block, such as a failing disk, are reported as that file's failure.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise SixteenfoldError(f"{path}: is a folder; give a picture file in it")
        check_ordinary(path, mode)
        file = path.open("rb")
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    with file:
        try:
            yield file.fileno()
        except OSError as error:
            raise SixteenfoldError(f"{path}: cannot be read: {error.strerror}; get the file again") from error


def _loader(path: Path, head: bytes) -> str:
    """Name of libvips's loader for a file that begins with `head`."""
    if not head:
        raise SixteenfoldError(f"{path}: is empty; get the file again")
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "pngload_source"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpegload_source"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webpload_source"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiffload_source"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gifload_source"
    if head[4:8] == b"ftyp":
        return "heifload_source"
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")):
        if pyvips.type_find("VipsForeignLoad", "jxlload_source") == 0:
            raise SixteenfoldError(f"{path}: JPEG XL, which the installed libvips cannot read; convert it to PNG")
        return "jxlload_source"
    raise SixteenfoldError(
        f"{path}: is not a picture in a known format (PNG, JPEG, WebP, TIFF, AVIF, HEIF, GIF, "
        "JPEG XL), whatever its name says; convert it to PNG"
    )


def _frames_of_png(descriptor: int) -> int:
    """The number of frames that a PNG declares before its pixels; libvips does not report it."""
    os.lseek(descriptor, 8, os.SEEK_SET)  # behind the signature
    # A chunk is its length, name, data and a 4-byte checksum: at least twelve bytes.
    while len(start := os.read(descriptor, 12)) == 12:
        length, name, frames = struct.unpack(">I4sI", start)
        if name == b"acTL":
            return frames
        if name == b"IDAT":
            break
        os.lseek(descriptor, length, os.SEEK_CUR)
    return 1


def _load(descriptor: int, loader: str, fail_on: str, allow_huge: bool) -> pyvips.Image:
    """Open the picture: its header is read, its pixels follow on demand, top to bottom."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    source = pyvips.Source.new_from_descriptor(descriptor)
    limits = {"unlimited": allow_huge} if loader in _LIMITED else {}
    return pyvips.Operation.call(loader, source, access="sequential", fail_on=fail_on, **limits)


def _header(path: Path, descriptor: int, loader: str, allow_huge: bool) -> pyvips.Image:
    """Read only the header, and check that the size is allowed."""
    try:
        image = _load(descriptor, loader, "none", allow_huge)
    except pyvips.Error as error:
        raise _damaged(path, error) from error
    if image.width * image.height > MAX_PIXELS and not allow_huge:
        raise SixteenfoldError(
            f"{path}: declares {image.width} x {image.height} pixels, more than {MAX_PIXELS // 1_000_000} megapixels; "
            "use allow-huge if you trust it; for train, cut it into pieces"
        )
    return image


def _damaged(path: Path, error: pyvips.Error) -> SixteenfoldError:
    why = reason(error)
    if "has not been built in" in why:  # HEIC: libheif without a decoder for HEVC
        return SixteenfoldError(f"{path}: HEIC, which the installed libvips cannot read; convert it to PNG or JPEG")
    if "samples out of range" in why:  # a TIFF of, for example, 64-bit floats
        said = "has samples of a type that libvips does not read; save it with 8 or 16 bits or as 32-bit float"
        return SixteenfoldError(f"{path}: {said}")
    if "out of memory" in why:
        return NoMemory(f"{path}: does not fit into memory; free some, or give a smaller file")
    return SixteenfoldError(f"{path}: cannot be read: {why}; get the file again")


def _decode(path: Path, image: pyvips.Image, exif: bytes | None, notes: tuple[str, ...]) -> Image:
    """Convert if necessary, decode every pixel, turn upright. pyvips.Error passes through.

    exif: the block, if libvips does not find it.
    """
    fields = set(image.get_fields())
    found = [*notes, *_container_notes(image, fields)]
    orientation = _integer(image, "orientation", fields) or 1
    metadata_source = image  # a conversion below replaces the profile, and nothing else
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
        own = "icc-profile-data" in image.get_fields()
        profile = "its profile" if own else "a generic profile, as it has none"
        notes.append(f"CMYK converted to sRGB through {profile}")
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
    if icc is not None and _MEANT_FOR.get(icc[16:20].decode("latin-1")) != pixels.shape[2]:
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
