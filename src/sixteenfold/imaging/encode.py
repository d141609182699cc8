"""A finished scratch file -> a picture file, streamed."""

import os
from typing import BinaryIO

import numpy as np
import pyvips

from sixteenfold.imaging import tiff
from sixteenfold.imaging.formats import Format
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.samples import full_scale, sample_bits
from sixteenfold.imaging.tiffexif import add_exif

JPEG_QUALITY = 95
WEBP_QUALITY = 90
AVIF_QUALITY = 80
BIGTIFF_BYTES = 2**32 - 2**28
"""Raw size from which a TIFF gets 64-bit offsets; below, deflate cannot grow it past 4 GiB."""

_TYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32}
_ABOUT_THE_SCRATCH_FILE = {"bits-per-sample", "n-pages", "orientation", "resolution-unit"}


def encode(rows: BinaryIO, metadata: Metadata, form: Format, target: BinaryIO, *, pyramid: bool = False) -> None:
    """Write the picture in the finished scratch file `rows` to `target` in the format `form`.

    `target` is open for reading too. Only some rows are in memory at a time, but for WebP and AVIF,
    whose encoders want them all. pyramid: a TIFF gets its halvings too. Raises OSError, and
    pyvips.Error where libvips writes: on a full disk, for example.
    """
    image = picture(rows.fileno(), metadata, form)
    if form.name == "TIFF":
        _save_tiff(rows, image, metadata, target, pyramid=pyramid)
    else:
        _save(image, pyvips.Target.new_to_descriptor(target.fileno()), form)


def picture(rows: int, metadata: Metadata, form: Format) -> pyvips.Image:
    """What is in the finished scratch file `rows`, a descriptor, as the format holds it; top to bottom, once."""
    os.lseek(rows, 0, os.SEEK_SET)
    source = pyvips.Source.new_from_descriptor(rows)
    loaded = pyvips.Image.tiffload_source(source, access="sequential", fail_on="error", unlimited=True)
    image = _reduced(loaded, form).copy(xres=metadata.xres, yres=metadata.yres)
    for field in _ABOUT_THE_SCRATCH_FILE.intersection(image.get_fields()):
        image.remove(field)
    fields = (
        ("icc-profile-data", metadata.icc),
        ("exif-data", metadata.exif),
        ("xmp-data", metadata.xmp),
    )
    for field, value in fields:
        if value is not None:
            # pyvips's own types leave bytes out.
            image.set_type(pyvips.GValue.blob_type, field, value)  # pyright: ignore[reportArgumentType]
    return image


def _reduced(image: pyvips.Image, form: Format) -> pyvips.Image:
    """`image` without what the format cannot hold."""
    dtype = _TYPES[str(image.format)]
    scale = full_scale(dtype)
    if image.hasalpha() and not form.alpha:
        image = image.flatten(background=[float(scale)], max_alpha=float(scale))
    if sample_bits(dtype) <= form.bits or (dtype == np.uint16 and form.bits > 8):
        return image  # AVIF's encoder takes 16 bits and keeps the upper 12
    deep = form.bits > 8
    # Casting cuts off, so half a step is added first: to the nearest, halves up.
    steps = image.linear([full_scale(np.uint16 if deep else np.uint8) / scale], [0.5])
    names = ("grey16", "rgb16") if deep else ("b-w", "srgb")
    return steps.cast("ushort" if deep else "uchar").copy(interpretation=names[image.bands > 2])


def _save_tiff(rows: BinaryIO, image: pyvips.Image, metadata: Metadata, target: BinaryIO, *, pyramid: bool) -> None:
    dtype = np.dtype(_TYPES[str(image.format)])
    raw = image.width * image.height * image.bands * dtype.itemsize * (4 / 3 if pyramid else 1)
    bigtiff = raw > BIGTIFF_BYTES
    if pyramid or dtype.kind == "f":
        # In one thread. But libvips makes halvings on the way, where we would read everything once for each; and
        # tifffile leaves the predictor for floats to a further library.
        image.tiffsave_target(
            pyvips.Target.new_to_descriptor(target.fileno()),
            compression="deflate",
            predictor="float" if dtype.kind == "f" else "horizontal",
            tile=True,
            tile_width=tiff.TILE,
            tile_height=tiff.TILE,
            pyramid=pyramid,
            bigtiff=bigtiff,
        )
    else:
        tiff.save(rows, image, dtype, metadata, target, bigtiff=bigtiff)
    if metadata.exif is not None:
        add_exif(target.fileno(), metadata.exif)


def _save(image: pyvips.Image, target: pyvips.Target, form: Format) -> None:
    match form.name:
        case "PNG":
            # On photographs: two thirds of the bytes of libvips's defaults, in less time.
            image.pngsave_target(target, compression=3, filter=pyvips.enums.ForeignPngFilter.UP)
        case "JPEG":
            image.jpegsave_target(target, Q=JPEG_QUALITY, subsample_mode="off")
        case "WebP":
            image.webpsave_target(target, Q=WEBP_QUALITY, smart_subsample=True, alpha_q=100)
        case _:
            bits = 8 if image.format == "uchar" else 12
            image.heifsave_target(target, Q=AVIF_QUALITY, bitdepth=bits, compression="av1", subsample_mode="off")
