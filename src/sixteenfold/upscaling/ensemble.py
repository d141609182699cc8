"""The mean of eight results: the picture as it is, turned and mirrored.

Source: R. Timofte et al., "Seven ways to improve example-based single image super resolution",
CVPR 2016; named as future work in CIPLAB's factsheet, section 4.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sixteenfold.upscaling.engine import Parts


class Ensemble:
    """Runs each of the generator's parts on eight orientations of its input, kept side by side as channels.

    Features are turned back after each part, so that a window of them is a window of the picture
    and tiling works as for one picture. Costs eight times the work and the features' memory.
    """

    def __init__(self, network: Parts) -> None:
        self._network = network

    def first_trunk(self, lr: Tensor) -> Tensor:
        """(1, 3, H, W) RGB in [0, 1] -> eight sets of features (1, 8F, H, W)."""
        return torch.cat(_in_turn(self._network.first_trunk, [lr] * 8), dim=1)

    def upsample(self, features: Tensor) -> Tensor:
        """(1, 8F, H, W) -> (1, 8G, 4H, 4W)."""
        return torch.cat(_in_turn(self._network.upsample, features.chunk(8, dim=1)), dim=1)

    def second_trunk(self, features: Tensor) -> Tensor:
        """(1, 8G, h, w) -> the mean picture (1, 3, 4h, 4w)."""
        return torch.stack(_in_turn(self._network.second_trunk, features.chunk(8, dim=1))).mean(dim=0)


def _in_turn(part: Callable[[Tensor], Tensor], images: Sequence[Tensor]) -> list[Tensor]:
    """Turn and mirror the i-th image in the i-th way, run the part, and undo the turn."""
    results: list[Tensor] = []
    for way, image in enumerate(images):
        turns, mirrored = way % 4, way >= 4
        seen = torch.rot90(image.flip(-1) if mirrored else image, turns, dims=(-2, -1))
        result = torch.rot90(part(seen.contiguous()), -turns, dims=(-2, -1))
        results.append(result.flip(-1) if mirrored else result)
    return results
