"""What each output format can hold, and what pictures lose in it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sixteenfold.errors import SixteenfoldError, did_you_mean
from sixteenfold.imaging.image import Metadata, profile_channels
from sixteenfold.imaging.read import is_picture
from sixteenfold.imaging.samples import sample_bits


@dataclass(frozen=True)
class Format:
    """An output format."""

    name: str
    suffixes: tuple[str, ...]
    side: int
    """Largest width or height in pixels."""
    bits: int
    """Deepest sample: 8, 12 or 16 bits, or 32 for float."""
    alpha: bool
    lossless: bool
    grey: bool = True
    """Whether grey stays grey. As RGB it looks the same, but loses its profile, which is for one channel."""
    exif: int = 65_000
    """Most bytes of EXIF that are kept: libvips writes it through libexif, which drops entries beyond 64 KiB."""
    xmp: int = 2**31
    """Most bytes of XMP that are kept."""


# 100,000,000 is libvips's own limit for a side.
_FORMATS = (
    Format("PNG", (".png",), 100_000_000, 16, alpha=True, lossless=True),
    Format("TIFF", (".tif", ".tiff"), 100_000_000, 32, alpha=True, lossless=True, exif=4 * 2**20),
    Format("JPEG", (".jpg", ".jpeg"), 65_535, 8, alpha=False, lossless=False, xmp=60_000),
    Format("WebP", (".webp",), 16_383, 8, alpha=True, lossless=False, grey=False),
    Format("AVIF", (".avif",), 16_384, 12, alpha=True, lossless=False, grey=False),
    Format("DeepZoom", (".dzi",), 100_000_000, 8, alpha=False, lossless=False, exif=0, xmp=0),
)


_NOT_WRITTEN = (
    *(".apng", ".bmp", ".gif", ".heic", ".heif", ".hif", ".ico", ".jfif", ".jp2", ".jpe", ".jxl", ".qoi", ".tga"),
    *(".pbm", ".pgm", ".pnm", ".ppm", ".exr", ".hdr", ".psb", ".psd", ".xcf", ".eps", ".pdf", ".svg"),
    *(".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".raw", ".rw2"),
)
"""Other common suffixes of pictures."""


def is_like_a_picture(name: Path) -> bool:
    """Whether a name ends in a picture's suffix, of any format, or in a misspelling of one.

    So `out.bmp` and `out.pgn` do; `album.2024`, `album.dir` and `album` do not.
    """
    suffix = name.suffix.lower()
    return suffix in _NOT_WRITTEN or suffix in _known() or _question(suffix) != ""


def is_unread_picture(name: Path) -> bool:
    """Whether a name has the suffix of an unsupported picture format: `photo.bmp` does, `notes.txt` does not."""
    return name.suffix.lower() in _NOT_WRITTEN and not is_picture(name)


def check_format(
    target: Path,
    width: int,
    height: int,
    *,
    alpha: bool,
    dtype: np.dtype | type,
    metadata: Metadata | None = None,
) -> tuple[str, ...]:
    """What the format of `target`, given by its suffix, loses of such a picture, one phrase each.

    width, height: pixels; dtype: uint8, uint16 or float32; metadata: what is to be kept, when
    known. Touches no file. Raises SixteenfoldError, naming the formats that can, when this one
    cannot hold the picture or is not known; ValueError for another dtype.
    """
    chosen = format_of(target)
    if max(width, height) > chosen.side:
        able = [other.suffixes[0] for other in _FORMATS if max(width, height) <= other.side]
        way_out = f"save as {' or '.join(able)}" if able else "no format can; make it smaller"
        raise SixteenfoldError(
            f"{target}: {width} x {height} pixels are too large for {chosen.name}, "
            f"whose limit is {chosen.side:,} per side; {way_out}"
        )
    notes: list[str] = []
    if alpha and not chosen.alpha:
        notes.append(f"{chosen.name}: alpha flattened on white")
    bits = sample_bits(dtype)
    if bits > chosen.bits:
        had = "float" if bits == 32 else f"{bits} bit"
        notes.append(f"{chosen.name}: {had} reduced to {chosen.bits} bit")
    if metadata is not None:
        if metadata.icc is not None and profile_channels(metadata.icc) == 1 and not chosen.grey:
            notes.append(f"{chosen.name}: ICC profile not kept, as grey becomes RGB")
        for name, block, most in (("EXIF", metadata.exif, chosen.exif), ("XMP", metadata.xmp, chosen.xmp)):
            if block is not None and len(block) > most:
                limit = f", as it exceeds {most:,} bytes" if most else ""
                notes.append(f"{chosen.name}: {name} not kept{limit}")
    return tuple(notes)


def format_of(target: Path) -> Format:
    """The format that `target`'s suffix names; SixteenfoldError, with the nearest, for none."""
    suffix, known = target.suffix.lower(), _known()
    if suffix in known:
        return known[suffix]
    hint = _question(suffix) or "; choose one of these"
    unknown = f"format {suffix!r}" if suffix else "a file without a suffix"
    raise SixteenfoldError(f"{target}: cannot write {unknown}{hint} (known: {', '.join(known)})")


def _question(suffix: str) -> str:
    """Ask for the suffix of which this may be a misspelling; never for .dzi, as many folders' names end nearly so."""
    usual = [known for known in _known() if known != ".dzi"]
    return "" if suffix in _NOT_WRITTEN else did_you_mean(suffix, usual, cutoff=0.75)


def _known() -> dict[str, Format]:
    return {suffix: form for form in _FORMATS for suffix in form.suffixes}
