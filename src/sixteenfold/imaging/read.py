"""Any picture file -> Image: by the decoder that its first bytes call for; what cannot be read is told in a line."""

import os
import stat
import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyvips

from sixteenfold.errors import NoMemory, SixteenfoldError
from sixteenfold.files.ordinary import check_ordinary, unreadable
from sixteenfold.imaging._vips import reason
from sixteenfold.imaging.decode import decode
from sixteenfold.imaging.image import Image
from sixteenfold.imaging.tiffexif import PALETTE, WHITE_IS_ZERO, YCBCR, exif_of, photometric_of

MAX_PIXELS = 178_956_970
"""Largest declared size read without `allow_huge`: half a gigabyte of 8-bit RGB."""

_SUFFIXES = {
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".gif"),
    *(".avif", ".heic", ".heif", ".hif", ".jxl"),
}
_HEAD = 32  # bytes that tell the format
_SRGB_GAMMA = 45_455  # 1/2.2 as PNG has it
_MOVING = {b"ftypavis", b"ftypmsf1", b"ftyphevc"}  # AVIF and HEIF sequences
_LIMITED = {"pngload_source", "jpegload_source", "tiffload_source", "heifload_source"}  # loaders with limits to lift


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
        header = _header(path, descriptor, loader, allow_huge)
        if loader == "pngload_source":
            said = tuple(_lost_of_png(_chunks_of_png(descriptor), header))
        if loader == "tiffload_source":
            photometric = photometric_of(descriptor)
            # libvips would take these samples for RGB, and those for a negative's.
            if photometric == YCBCR:
                raise SixteenfoldError(
                    f"{path}: a YCbCr TIFF, which is read only if JPEG-compressed; convert it to RGB"
                )
            if photometric == WHITE_IS_ZERO and header.format in ("float", "double"):
                raise SixteenfoldError(f"{path}: a float TIFF in which 0 is white; save it with 0 as black")
            said += ("palette expanded",) if photometric == PALETTE else ()
            exif, dropped = exif_of(descriptor)
            said += (f"EXIF: {dropped} damaged entries left out",) if dropped else ()
        try:
            return decode(path, _load(descriptor, loader, "warning", allow_huge), exif, said)
        except pyvips.Error as error:
            if loader == "tiffload_source":  # a lost tile is a mere warning to libvips
                raise _damaged(path, error) from error
            warning = f"the decoder warned: {reason(error)}"
        try:
            # A warning alone is no reason to refuse a picture; an error is.
            return decode(path, _load(descriptor, loader, "error", allow_huge), exif, (*said, warning))
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


def _chunks_of_png(descriptor: int) -> dict[bytes, int]:
    """Chunks before a PNG's pixels of which libvips does not tell: their names and first four bytes, as a number."""
    found: dict[bytes, int] = {}
    os.lseek(descriptor, 8, os.SEEK_SET)  # behind the signature
    # A chunk is its length, name, data and a 4-byte checksum: at least twelve bytes.
    while len(start := os.read(descriptor, 12)) == 12:
        length, name, value = struct.unpack(">I4sI", start)
        if name == b"IDAT":
            break
        if name in (b"acTL", b"gAMA", b"iCCP", b"sRGB"):
            found[name] = value
        os.lseek(descriptor, length, os.SEEK_CUR)
    return found


def _lost_of_png(chunks: dict[bytes, int], header: pyvips.Image) -> Iterator[str]:
    if (frames := chunks.get(b"acTL", 1)) > 1:
        yield f"animated: the first of {frames} is used"
    if b"iCCP" in chunks and header.get_typeof("icc-profile-data") == 0:
        yield "ICC profile dropped: it is damaged or does not fit the picture's channels"
    gamma = chunks.get(b"gAMA", _SRGB_GAMMA)
    # A profile or sRGB's own chunk overrides it.
    if not chunks.keys() & {b"iCCP", b"sRGB"} and abs(gamma - _SRGB_GAMMA) > _SRGB_GAMMA / 20:
        yield f"gamma {gamma / 100_000:g} not applied: the samples are taken as sRGB"


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
            "use --allow-huge (in Python allow_huge=True) if you trust it; for train, cut it into pieces"
        )
    return image


def _damaged(path: Path, error: pyvips.Error) -> SixteenfoldError:
    why = reason(error)
    if "has not been built in" in why:  # HEIC: libheif without a decoder for HEVC
        return SixteenfoldError(f"{path}: HEIC, which the installed libvips cannot read; convert it to PNG or JPEG")
    if "samples out of range" in why:  # a TIFF of, for example, 64-bit floats
        said = "has samples of a type that libvips does not read; save it with 8 or 16 bits or as 32-bit float"
        return SixteenfoldError(f"{path}: {said}")
    if "bad labq" in why:
        return SixteenfoldError(f"{path}: Lab with 8 bits, which libvips does not read; convert it to RGB")
    if "out of memory" in why:
        return NoMemory(f"{path}: does not fit into memory; free some, or give a smaller file")
    return SixteenfoldError(f"{path}: cannot be read: {why}; get the file again")
