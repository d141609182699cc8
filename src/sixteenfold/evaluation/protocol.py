"""What is compared with what: pairing by name, sizes, the challenge's crop.

Pictures are (1, 3, H, W) uint8 here: a result counts as the 8-bit file that it is saved as.
"""

import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from sixteenfold.errors import SixteenfoldError
from sixteenfold.files.places import there
from sixteenfold.imaging.color import to_8_bit_rgb
from sixteenfold.imaging.folders import all_pictures_at, passed_over
from sixteenfold.imaging.image import Image
from sixteenfold.imaging.read import read
from sixteenfold.imaging.resample import SCALE, downscale_in_strips, round_to_8_bits, to_8_bits
from sixteenfold.upscaling.picture import colours

Protocol = Literal["full", "ntire2020"]

CENTRE = 1000
"""Side of the centre square that the NTIRE 2020 challenge compared."""
SMALL = "the folder of small pictures"


@dataclass(frozen=True)
class Sources:
    """Where the pictures come from: folders, or single files."""

    hr: Path
    """The originals."""
    lr: Path | None
    """The small pictures; None without `synthesize` means that there are none."""
    synthesize: bool
    """Make the small pictures from the originals."""
    results: Mapping[str, Path]
    """Finished enlargements, by the name of what made them."""


@dataclass(frozen=True)
class Case:
    """One picture's files."""

    name: str
    hr: Path
    lr: Path | None
    results: Mapping[str, Path]


@dataclass(frozen=True)
class Pictures:
    """One picture's pixels, (1, 3, H, W) uint8; results cover at least the original, on its grid."""

    hr: Tensor
    lr: Tensor | None
    seen: Tensor | None
    """What is enlarged, (1, 3 or 1, h, w) float32 in [0, 1]: the small picture as `upscale` reads it, grey and deep
    ones as they are; lr is the same in 8-bit RGB."""
    results: Mapping[str, Tensor]
    notes: tuple[str, ...]
    """What was converted on the way, one phrase each, with the file."""


def find_cases(sources: Sources, *, allow_missing: bool) -> tuple[list[Case], tuple[str, ...]]:
    """Pair all folders with the originals by file name; (cases in order of name, warnings about what is not paired).

    Suffixes and trailing "_x16" or "-x16", however often, are ignored, and "x16" after four digits. Folders are
    searched recursively.

    Raises SixteenfoldError when a folder holds no picture, when two files of one folder have the
    same name, when nothing pairs, or when something is unpaired and `allow_missing` is not set.
    """
    originals, unread = list_pictures(sources.hr)
    others: dict[str, dict[str, Path]] = {}
    for name, path in {**sources.results, **({} if sources.lr is None else {SMALL: sources.lr})}.items():
        others[name], passed = list_pictures(path)
        unread |= passed
    missing: list[str] = []
    for folder, files in others.items():
        if lacking := sorted(originals.keys() - files.keys()):
            missing.append(f"{folder} has no {', '.join(lacking)}")
        if extra := sorted(files.keys() - originals.keys()):
            missing.append(f"{sources.hr} has no {', '.join(extra)} ({folder})")
    paired = sorted(set(originals).intersection(*others.values()))
    unpaired = set(originals).union(*others.values()).difference(paired)
    # A missing picture may exist in such a format; other skipped files explain nothing.
    there_but_unread = passed_over([file for file, key in unread.items() if key in unpaired])
    if missing and not allow_missing:
        said = "; ".join((*missing, *there_but_unread))
        way_out = "Add them, or use --allow-missing (in Python allow_missing=True)"
        raise SixteenfoldError(f"unpaired pictures: {said}. {way_out}")
    if not paired:
        said = "; ".join(("none of its pictures has a match in every other folder", *there_but_unread))
        raise SixteenfoldError(f"{sources.hr}: {said}")
    small = others.pop(SMALL, {})
    return [
        Case(key, originals[key], small.get(key), {name: files[key] for name, files in others.items()})
        for key in paired
    ], (*missing, *passed_over(list(unread)))


def list_pictures(path: Path) -> tuple[dict[str, Path], dict[Path, str]]:
    """The pictures of a folder and its subfolders, or one file, by the name that pairs them.

    Also those in unsupported formats, each with the name that would.

    Raises SixteenfoldError when there is no such thing, when a folder cannot be listed or holds no
    picture, or when two pictures have the same name.
    """
    found: dict[str, Path] = {}
    pictures, unread, root, _ = all_pictures_at(path)
    for file in pictures:
        key = _key(file.relative_to(root))
        if key in found:
            raise SixteenfoldError(f"{file}: pairs by the same name as {found[key]}; keep one of them")
        found[key] = file
    return found, {file: _key(file.relative_to(root)) for file in unread}


def _key(file: Path) -> str:
    # Something has to be left of the name. An original may be named `a_x16`, its result `a_x16_x16`.
    # A small picture of DIV2K is named `0801x4`; the name of `matrix16` is all its own.
    # An accent may be a letter's part or stand by itself: systems differ.
    name = (file.parent / re.sub(r"(?<=.)(?:(?:[_-]|(?<=\d{4}))x16)+$", "", file.stem)).as_posix()
    return unicodedata.normalize("NFC", name)


def load_case(case: Case, *, synthesize: bool, allow_huge: bool = False) -> Pictures:
    """Decode one case and bring it to one size.

    With small pictures made here, the original is cropped, from its top left corner, to a multiple
    of 16 first. Given small pictures may be rounded up or down from 1/16 of the original; then
    what both cover is compared, counted from the top left corner, as MATLAB's grid lies.

    Raises SixteenfoldError for an unreadable file, or sizes that do not belong together.
    """
    notes: list[str] = []
    original = _read(case.hr, notes, allow_huge)
    hr = _compared(case.hr, original, notes)
    height, width = hr.shape[2:]
    seen: Tensor | None = None
    if synthesize:
        if min(height, width) < SCALE:
            raise SixteenfoldError(f"{case.hr}: {width}x{height} is too small to be shrunk {SCALE} times")
        height, width = height // SCALE * SCALE, width // SCALE * SCALE
        seen = round_to_8_bits(downscale_in_strips(hr[:, : original.pixels.shape[2], :height, :width]))
    elif case.lr is not None:
        seen = colours(_read(case.lr, notes, allow_huge))
        covered = tuple(SCALE * side for side in seen.shape[2:])
        if any(abs(side - own) >= SCALE for side, own in zip(covered, hr.shape[2:], strict=True)):
            raise SixteenfoldError(
                f"{case.lr}: {_size(seen)} is not 1/{SCALE} of the {_size(hr)} of {case.hr}; pair matching pictures"
            )
        height, width = min(height, covered[0]), min(width, covered[1])
    results: dict[str, Tensor] = {}
    for name, file in case.results.items():
        picture = _compared(file, _read(file, notes, allow_huge), notes)
        size = tuple(picture.shape[2:])
        enlarged = seen is not None and size == tuple(SCALE * side for side in seen.shape[2:])
        if not enlarged and size not in ((height, width), tuple(hr.shape[2:])):
            part = "" if tuple(hr.shape[2:]) == (height, width) else f", and from its compared part, {width}x{height}"
            near = all(abs(side - own) < SCALE for side, own in zip(size, hr.shape[2:], strict=True))
            way_out = "give what it was made from too (lr)" if seen is None and near else "pair matching pictures"
            said = f"{_size(picture)} differs from the {_size(hr)} of {case.hr}{part}"
            raise SixteenfoldError(f"{file}: {said}; {way_out}")
        results[name] = picture if enlarged else picture[:, :, :height, :width]
    lr = None if seen is None else to_8_bits(seen).expand(-1, 3, -1, -1)
    return Pictures(hr[:, :, :height, :width], lr, seen, results, tuple(notes))


def compared_with_themselves(cases: Sequence[Case]) -> list[str]:
    """A warning per method whose results are the originals' own files, under whatever path."""
    warnings: list[str] = []
    for name in cases[0].results:
        count = sum(_same_file(case.hr, case.results[name]) for case in cases)
        if count:
            such = "is the original itself" if count == 1 else "are the originals themselves"
            which = "the only picture" if len(cases) == 1 else f"{count} of {len(cases)} pictures"
            warnings.append(f"{name}: {which} {such}; PSNR is infinite")
    return warnings


def _same_file(one: Path, other: Path) -> bool:
    first, second = there(one), there(other)
    return first is not None and second is not None and os.path.samestat(first, second)


def crop(picture: Tensor, protocol: Protocol, name: str) -> Tensor:
    """What the protocol compares of a picture: all of it, or the centre 1000x1000.

    Raises SixteenfoldError when the picture is smaller than the centre that is asked for.
    """
    if protocol == "full":
        return picture
    height, width = picture.shape[2:]
    if min(height, width) < CENTRE:
        raise SixteenfoldError(f"{name}: {width}x{height} has no centre of {CENTRE}x{CENTRE}; use the protocol full")
    top, left = (height - CENTRE) // 2, (width - CENTRE) // 2
    return picture[:, :, top : top + CENTRE, left : left + CENTRE]


def _read(file: Path, notes: list[str], allow_huge: bool) -> Image:
    image = read(file, allow_huge=allow_huge)
    notes += [f"{file}: {note}" for note in image.notes]
    return image


def _compared(file: Path, image: Image, notes: list[str]) -> Tensor:
    """A picture as it is compared, (1, 3, H, W) uint8."""
    if image.pixels.dtype != np.uint8:
        notes.append(f"{file}: rounded to 8 bits")
    if image.alpha is not None:
        notes.append(f"{file}: transparency ignored")
    return to_8_bit_rgb(image.pixels)[None]


def _size(picture: Tensor) -> str:
    return f"{picture.shape[3]}x{picture.shape[2]}"
