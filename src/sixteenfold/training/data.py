"""Photographs -> batches of (low resolution, high resolution) crops.

Randomness is addressed, not streamed: sample i of step n depends on (seed, n, i) alone, so that a
resumed run sees the crops of a run never stopped, whatever the number of processes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sixteenfold.imaging.resample import SCALE, downscale, resize, round_to_8_bits, to_8_bits

# Low-resolution pixels cut off each side of a crop after shrinking it, so that what the kernel made
# of the crop's own border (it reaches two pixels inwards) never meets the loss. Source: the authors' code.
MARGIN = 2
TRIES = 10
"""Crops drawn at most in search of one that is not flat."""


@dataclass(frozen=True)
class Batch:
    """Pairs of crops, float in [0, 1]."""

    lr: Tensor
    """(N, 3, P/16, P/16), on the 8-bit grid."""
    hr: Tensor
    """(N, 3, P, P)."""

    def to(self, device: torch.device) -> "Batch":
        """The same pairs on a device, channels-last: the layout in which convolutions are fastest."""
        lr, hr = (image.to(device, memory_format=torch.channels_last) for image in (self.lr, self.hr))
        return Batch(lr, hr)


def smallest_side(patch: int) -> int:
    """Smallest picture side, in pixels, that a crop with its margin fits in."""
    return patch + 2 * MARGIN * SCALE


def sample_batch(
    pictures: Sequence[Tensor],
    patch: int,
    *,
    seed: int,
    step: int,
    indices: range,
    detail: float = 0.0,
    scales: Sequence[float] = (1.0,),
    whole: bool = False,
    device: torch.device | None = None,
) -> Batch:
    """Some crops of one step.

    Args:
        pictures: Where crops are cut, each (3, H, W) uint8 and as likely as its area.
        patch: Side of a high-resolution crop in pixels, a multiple of 16.
        seed: The run's seed.
        step: The step's number.
        indices: Which samples of the step's global batch: a process takes its own part.
        detail: A crop with less (see `mean_step`) is drawn again, up to nine times; of ten such, that with the most
            is taken.
        scales: The pictures are reduced to one of these shares of their sides first, each as likely; one too small
            for that, only as far as a crop still fits in.
        whole: Make the low-resolution side from the crop alone, as of a whole picture: then hr downscales to it
            up to its borders. Otherwise it is a piece of what its surroundings downscale to.
        device: Where the crops are reduced and returned; None: where the pictures are.
    """
    areas = torch.tensor([picture.shape[-2] * picture.shape[-1] for picture in pictures], dtype=torch.float64)
    source = _Source(pictures, areas, scales, device or pictures[0].device)
    crops = torch.stack([_draw(source, patch, address(seed, step, i), detail) for i in indices])
    surrounded = crops.float() / 255
    edge = MARGIN * SCALE
    hr = surrounded[..., edge:-edge, edge:-edge].contiguous()
    lr = downscale(hr, SCALE) if whole else downscale(surrounded, SCALE)[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    return Batch(round_to_8_bits(lr).contiguous(), hr)


def address(seed: int, step: int, index: int | str) -> torch.Generator:
    """A random generator that belongs to one sample, or another named thing, of one step."""
    digest = hashlib.blake2b(f"{seed}/{step}/{index}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


def mean_step(crop: Tensor) -> Tensor:
    """How much neighbouring pixels of a (3, H, W) uint8 crop differ in the mean, 0 to 255: a scalar where it lies."""
    values = crop.to(torch.int16)
    across, down = values[..., 1:] - values[..., :-1], values[..., 1:, :] - values[..., :-1, :]
    total = across.abs().sum(dtype=torch.int64) + down.abs().sum(dtype=torch.int64)
    return total / (across.numel() + down.numel())


class _Source(NamedTuple):
    """What crops are drawn from."""

    pictures: Sequence[Tensor]
    areas: Tensor
    scales: Sequence[float]
    device: torch.device


def _draw(source: _Source, patch: int, random: torch.Generator, detail: float) -> Tensor:
    """The first crop of enough detail, or the one with the most of ten."""
    if detail == 0:
        return _crop(source, patch, random)
    crops: list[Tensor] = []
    steps: list[Tensor] = []
    for _ in range(TRIES):
        crops.append(_crop(source, patch, random))
        steps.append(mean_step(crops[-1]))
        # An accelerator is not asked, since the host would wait for the answer: it draws all ten.
        if source.device.type == "cpu" and steps[-1] >= detail:
            break
    chosen = torch.stack(steps).clamp(max=detail).argmax(keepdim=True)  # of equals the first
    return torch.stack(crops).index_select(0, chosen)[0]


def _crop(source: _Source, patch: int, random: torch.Generator) -> Tensor:
    """A random crop with its margin, (3, S, S) uint8 on the source's device, in one of the eight orientations."""
    picture = source.pictures[int(torch.multinomial(source.areas, 1, generator=random))]
    # Without a choice nothing is drawn, so that a seed gives the crops it gave before there was one.
    chosen = int(torch.randint(len(source.scales), (), generator=random)) if len(source.scales) > 1 else 0
    side = smallest_side(patch)
    reach = round(min(side / source.scales[chosen], *picture.shape[-2:]))
    top = int(torch.randint(picture.shape[-2] - reach + 1, (), generator=random))
    left = int(torch.randint(picture.shape[-1] - reach + 1, (), generator=random))
    crop = _moved(picture[:, top : top + reach, left : left + reach], source.device)
    if reach > side:
        # What resizing makes of the crop's border stays within the margin.
        crop = to_8_bits(resize(crop[None].float() / 255, (side, side))[0])
    turn = int(torch.randint(8, (), generator=random))
    crop = torch.rot90(crop, turn % 4, (-2, -1))
    return crop.flip(-1) if turn >= 4 else crop


def _moved(cut: Tensor, device: torch.device) -> Tensor:
    """A piece of a picture on a device, where all the arithmetic of a crop then is."""
    if device.type == "cuda" and cut.device.type == "cpu":
        # Out of pinned memory the copy is queued; out of any other the host waits for all that was queued before.
        return cut.contiguous().pin_memory().to(device, non_blocking=True)
    return cut.to(device)
