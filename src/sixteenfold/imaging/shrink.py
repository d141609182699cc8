"""A picture file -> the file of its exact x1/16, as training makes its small pictures."""

from pathlib import Path

import numpy as np
import torch

from sixteenfold.errors import out_of_memory_told
from sixteenfold.files.places import make_folder
from sixteenfold.imaging.color import fill_transparent, to_pixels
from sixteenfold.imaging.formats import check_format
from sixteenfold.imaging.read import read
from sixteenfold.imaging.resample import downscale_in_strips
from sixteenfold.imaging.write import rows_to_file


def shrink_file(source: Path, target: Path, *, allow_huge: bool = False) -> tuple[str, ...]:
    """Write the x1/16 of a picture, rounded to the type that it had; alpha and metadata are kept.

    Args:
        source: (H, W) pixels; sides need not divide by 16.
        target: A name whose suffix sets the format; ceil(H/16) x ceil(W/16) pixels. Replaced if it exists;
            its folder is made.
        allow_huge: Also read sources of more than 178 megapixels.

    Returns:
        What was lost or converted, a phrase each.

    Raises:
        SixteenfoldError: If the source cannot be read, memory does not suffice for it, or the target cannot be written.
    """
    with out_of_memory_told(source):
        image = read(source, allow_huge=allow_huge)
        layers = [image.pixels]
        if image.alpha is not None:
            layers = [fill_transparent(image.pixels, image.alpha), image.alpha[..., None]]
        # Layer by layer: what happens to the colour does not depend on whether there is alpha.
        small = np.concatenate([_sixteenth(layer) for layer in layers], axis=2)
        height, width, channels = small.shape
        lost = check_format(
            target, width, height, alpha=image.alpha is not None, dtype=small.dtype, metadata=image.metadata
        )
        make_folder(target)
        with rows_to_file(target, width, height, channels, small.dtype, image.metadata) as writer:
            writer.write(small)
    return (*image.notes, *lost)


def _sixteenth(pixels: np.ndarray) -> np.ndarray:
    """(H, W, C) of any type that is read -> the same type, ceil(H/16) x ceil(W/16)."""
    small = downscale_in_strips(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    return to_pixels(small, pixels.dtype)
