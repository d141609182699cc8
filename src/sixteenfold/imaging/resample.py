"""MATLAB-compatible bicubic resampling, as differentiable torch code.

The challenge's low-resolution pictures were made by MATLAB's `imresize`; a network trained on any
other kernel is met at use by pictures it never saw. The kernel is Keys' cubic convolution
(a = -0.5; R. Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 29,
1981, equation 15), widened by the scale when shrinking (antialiasing), over symmetric borders.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from sixteenfold.imaging.color import unit_range
from sixteenfold.kernels.exact import true_fp32

SCALE = 16
"""The factor per side by which `downscale` shrinks and the network enlarges."""
STRIP = 16
"""Rows of a result that `downscale_in_strips` makes at once."""
BLOCK, ACCELERATOR_BLOCK = 256, 1024
"""Pixels of the larger side that one product of matrices makes or reads. Most of a matrix is zeros, so small ones save
arithmetic; where starting an operation costs more than that, larger ones are faster."""


def resize(image: Tensor, size: tuple[int, int], *, scale: float | None = None) -> Tensor:
    """Resize as MATLAB's `imresize(image, size)` or `imresize(image, scale)` does in floating point.

    Args:
        image: (N, C, H, W), any floating dtype; computed in that dtype, with weights made in float64,
            and on CUDA never by TF32 (gradients are, where the program has products of matrices go by it).
        size: Output (height, width) in pixels.
        scale: The exact ratio output/input when it is known and differs from size/(H, W), as it does
            where the output size was rounded up; by default each direction's own ratio.

    Returns:
        (N, C, *size), not clamped: bicubic overshoots by a few percent at edges.

    Raises:
        ValueError: If the picture or the size is empty.
    """
    height, width = image.shape[-2:]
    if min(height, width, *size) < 1:
        raise ValueError(f"cannot resize {width}x{height} to {size[1]}x{size[0]}: empty")
    rows = size[0], scale or size[0] / height
    columns = size[1], scale or size[1] / width
    # The direction that shrinks more goes first, as in MATLAB: it leaves less to do for the second.
    if size[0] * width <= size[1] * height:
        return _along(_along(image, -2, *rows), -1, *columns)
    return _along(_along(image, -1, *columns), -2, *rows)


def downscale(image: Tensor, factor: int = SCALE) -> Tensor:
    """Shrink by an integer as MATLAB's `imresize(image, 1/factor)` does.

    Args:
        image: (N, C, H, W), any floating dtype.
        factor: How many pixels of the input lie along one of the output.

    Returns:
        (N, C, ceil(H/factor), ceil(W/factor)), not clamped and not rounded.
    """
    height, width = image.shape[-2:]
    return resize(image, (math.ceil(height / factor), math.ceil(width / factor)), scale=1 / factor)


def downscale_in_strips(picture: Tensor, factor: int = SCALE) -> Tensor:
    """`downscale`, some rows at a time, so that a large picture of whole numbers never exists as floats.

    (N, C, H, W) uint8 or uint16 from 0, or float in [0, 1] -> (N, C, ceil(H/factor), ceil(W/factor)) float, not clamped
    and not rounded.
    """
    height = math.ceil(picture.shape[2] / factor)
    parts: list[Tensor] = []
    for top in range(0, height, STRIP):
        # The kernel reaches two rows of the result to each side; what a strip's own border changes is cut off.
        first = max(0, top - 3)
        rows = unit_range(picture[:, :, factor * first : factor * (top + STRIP + 3)])
        parts.append(downscale(rows, factor)[:, :, top - first : top - first + STRIP])
    return torch.cat(parts, dim=2)


def round_to_8_bits(image: Tensor) -> Tensor:
    """Clamp to [0, 1] and round to the nearest of 256 levels, halves upwards, as MATLAB's `im2uint8`."""
    return torch.floor(image.clamp(0, 1) * 255 + 0.5) / 255


def to_8_bits(image: Tensor) -> Tensor:
    """The same levels as uint8, 0 to 255."""
    precise = image.to(torch.promote_types(image.dtype, torch.float32))  # bf16 has no 255.5
    return (precise.clamp(0, 1) * 255 + 0.5).to(torch.uint8)


def cubic(x: Tensor) -> Tensor:
    """Keys' cubic convolution kernel with a = -0.5: support [-2, 2], one at 0 and zero at other integers."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x <= 1, near, torch.where(x <= 2, far, torch.zeros_like(x)))


def mirrored(place: Tensor, length: int) -> Tensor:
    """Which of `length` pixels is shown at each place, numbers below 0 and beyond the last among them.

    Symmetric borders: ... b a | a b c ... y z | z y ...; the pattern repeats every two lengths.
    """
    place = place.remainder(2 * length)
    return torch.minimum(place, 2 * length - 1 - place)


def extended(image: Tensor, dim: int, by: int) -> Tensor:
    """The image with `by` more pixels at either end of one direction, as symmetric borders show them."""
    length = image.shape[dim]
    place = torch.arange(-by, length + by, device=image.device)
    return image.index_select(dim, mirrored(place, length))


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # kept for uses with gradients too, also when the first is one without
def taps(length: int, new_length: int, scale: float) -> tuple[Tensor, Tensor]:
    """What `resize` takes in one direction: each new pixel is a weighted sum of old ones.

    Args:
        length: Pixels of the input.
        new_length: Pixels of the output.
        scale: The ratio output/input, as of `resize`.

    Returns:
        The weights (float64) and the input's pixels that they belong to, both (taps, new_length), for reading only:
        they are kept. A weight may be zero; where a border mirrors, a pixel may come twice.
    """
    shrink = min(scale, 1.0)
    support = 4 / shrink
    # Pixel centres: output pixel i sits at this place of the input, both counted from 0.
    centre = (torch.arange(new_length, dtype=torch.float64, device="cpu") + 0.5) / scale - 0.5
    first = torch.floor(centre - support / 2)
    source = first + torch.arange(math.ceil(support) + 2, dtype=torch.float64, device="cpu")[:, None]
    weights = cubic((centre - source) * shrink)
    weights = weights / weights.sum(0)
    used = (weights != 0).any(1)
    return weights[used], mirrored(source.long(), length)[used]


def dense(weights: Tensor, index: Tensor, length: int) -> Tensor:
    """Weights as those of `taps`, of `length` pixels, as the matrix of `by_matrix`.

    Both (taps, new_length) -> (new_length, length); a pixel that comes several times has the sum.
    """
    return weights.new_zeros(weights.shape[1], length).scatter_add_(1, index.T, weights.T)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _blocks(
    length: int, new_length: int, scale: float, device: torch.device, dtype: torch.dtype
) -> tuple[tuple[int, Tensor], ...]:
    """The same weights as matrices, each for a block of new pixels: the first old pixel it reads, and (new, old).

    They are kept where they are used: a copy to an accelerator for each use would make the host wait for it.
    """
    weights, index = taps(length, new_length, scale)
    step = max(1, round((BLOCK if device.type == "cpu" else ACCELERATOR_BLOCK) * min(scale, 1.0)))
    blocks: list[tuple[int, Tensor]] = []
    for new in range(0, new_length, step):
        some, places = weights[:, new : new + step], index[:, new : new + step]
        first = int(places.min())
        matrix = dense(some, places - first, int(places.max()) + 1 - first)
        blocks.append((first, matrix.to(device, dtype)))
    return tuple(blocks)


def _along(image: Tensor, dim: int, length: int, scale: float) -> Tensor:
    """Resize in one direction (-1 or -2), in the memory of two results."""
    blocks = _blocks(image.shape[dim], length, scale, image.device, image.dtype)
    parts = [by_matrix(image.narrow(dim, first, matrix.shape[1]), dim, matrix) for first, matrix in blocks]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


@true_fp32()
def by_matrix(image: Tensor, dim: int, matrix: Tensor) -> Tensor:
    """Resize in one direction by a product of matrices, which neither autocast nor TF32 rounds.

    Args:
        image: (N, C, H, W), any floating dtype.
        dim: -2 for the rows, -1 for the columns.
        matrix: Weights of the old pixels for each new one, (new, H) or (new, W), as `image` in dtype and device.

    Returns:
        (N, C, new, W) or (N, C, H, new), not clamped.
    """
    # A product for each channel, always: left to itself, PyTorch decides by how the image lies in memory whether all
    # go into one, and rows of a continued picture could differ in rounding.
    matrix = matrix.expand(*image.shape[:2], -1, -1)
    return image @ matrix.mT if dim == -1 else matrix @ image
