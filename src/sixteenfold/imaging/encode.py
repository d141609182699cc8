"""A finished scratch file -> a picture file, streamed through libvips."""

import os

import numpy as np
import pyvips

from sixteenfold.imaging.formats import Format
from sixteenfold.imaging.read import Metadata
from sixteenfold.imaging.samples import full_scale, sample_bits
from sixteenfold.imaging.tiffexif import add_exif

JPEG_QUALITY = 95
WEBP_QUALITY = 90
AVIF_QUALITY = 80
BIGTIFF_BYTES = 2**32 - 2**28
"""Raw size from which a TIFF gets 64-bit offsets; below, deflate cannot grow it past 4 GiB."""

_TYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32}
_ABOUT_THE_SCRATCH_FILE = {"bits-per-sample", "n-pages", "orientation", "resolution-unit"}


def encode(rows: int, metadata: Metadata, form: Format, target: int, *, pyramid: bool = False) -> None:
    """Write the picture in the finished scratch file `rows` to `target` in the format `form`.

    Both are descriptors, `target` open for reading too. Only some rows are in memory at a time, but
    for WebP and AVIF, whose encoders want them all. pyramid: a TIFF gets its halvings too. Raises
    pyvips.Error when libvips cannot, a full disk included.
    """
    _save(picture(rows, metadata, form), pyvips.Target.new_to_descriptor(target), form, pyramid)
    if form.name == "TIFF" and metadata.exif is not None:
        add_exif(target, metadata.exif)


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


def _save(image: pyvips.Image, target: pyvips.Target, form: Format, pyramid: bool) -> None:
    match form.name:
        case "PNG":
            # On photographs: two thirds of the bytes of libvips's defaults, in less time.
            image.pngsave_target(target, compression=3, filter=pyvips.enums.ForeignPngFilter.UP)
        case "TIFF":
            sample = np.dtype(_TYPES[str(image.format)]).itemsize
            raw = image.width * image.height * image.bands * sample * (4 / 3 if pyramid else 1)
            image.tiffsave_target(
                target,
                compression="deflate",
                predictor="float" if image.format == "float" else "horizontal",
                tile=True,
                tile_width=256,
                tile_height=256,
                pyramid=pyramid,
                bigtiff=raw > BIGTIFF_BYTES,
            )
        case "JPEG":
            image.jpegsave_target(target, Q=JPEG_QUALITY, subsample_mode="off")
        case "WebP":
            image.webpsave_target(target, Q=WEBP_QUALITY, smart_subsample=True, alpha_q=100)
        case _:
            bits = 8 if image.format == "uchar" else 12
            image.heifsave_target(target, Q=AVIF_QUALITY, bitdepth=bits, compression="av1", subsample_mode="off")
