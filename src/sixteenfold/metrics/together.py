"""LPIPS and DISTS of several results against one original, in one reading of the pictures.

The original's features are computed once for all results, and VGG16's first stage once for
LPIPS-VGG and DISTS, which differ only in how they pool after it. Everything flows in strips of
rows, so memory grows with the width alone.
"""

from collections.abc import Collection
from typing import Literal

import torch
from torch import Tensor

from sixteenfold.kernels.untraced import untraced
from sixteenfold.metrics.checks import RGB, check_pictures
from sixteenfold.metrics.dists import DISTS, DISTSSums
from sixteenfold.metrics.lpips import LPIPS, LPIPSSums
from sixteenfold.metrics.strips import strips
from sixteenfold.networks.backbones import StageStream

Name = Literal["lpips", "lpips_vgg", "dists"]


class Together:
    """Holds the networks of the metrics that are asked for.

    Raises SixteenfoldError when their weights are not available.
    """

    def __init__(self, names: Collection[Name], device: torch.device | None = None) -> None:
        self._alex = LPIPS("alex").to(device) if "lpips" in names else None
        self._vgg = LPIPS("vgg").to(device) if "lpips_vgg" in names else None
        self._dists = DISTS().to(device) if "dists" in names else None
        self._device = device
        networks = (self._alex, self._vgg)
        self.sources = tuple(network.source for network in networks if network is not None)
        """Where the weights of LPIPS were found."""

    @untraced
    @torch.no_grad()
    def __call__(self, hr: Tensor, results: Tensor) -> dict[Name, Tensor]:
        """(1, 3, H, W) and (N, 3, H, W), uint8 or float in [0, 1] -> for each metric (N,) float64.

        Raises SixteenfoldError when the sizes differ or are too small for a metric, or the numbers are of another
        scale.
        """
        chains = self._chains(hr.expand(len(results), -1, -1, -1), results)
        for rows, last in strips((hr, results)):
            laid_out = rows.to(self._device, memory_format=torch.channels_last)
            for chain in chains:
                chain.push(laid_out, last=last)
        return {name: sums.result() for chain in chains for name, sums in chain.sums.items()}

    def _chains(self, hr: Tensor, results: Tensor) -> list["_Chain"]:
        chains: list[_Chain] = []
        if self._alex is not None:
            check_pictures("LPIPS", results, hr, shape=RGB, least=self._alex.backbone.smallest)
            chains.append(_Chain(self._alex, None))
        if self._vgg is not None or self._dists is not None:
            network = self._vgg or self._dists
            assert network is not None
            check_pictures("LPIPS-VGG and DISTS", results, hr, shape=RGB, least=network.backbone.smallest)
            chains.append(_Chain(self._vgg, self._dists))
        return chains


class _Chain:
    """A first stage, and behind it the stages of one or two metrics."""

    def __init__(self, lpips: LPIPS | None, dists: DISTS | None) -> None:
        network = lpips or dists
        assert network is not None
        self._normalise = network.normalise
        self.sums: dict[Name, LPIPSSums | DISTSSums] = {}
        self._branches: list[tuple[LPIPSSums | DISTSSums, int, list[StageStream]]] = []
        if lpips is not None:
            name: Name = "lpips" if lpips.net == "alex" else "lpips_vgg"
            self._add(name, LPIPSSums(lpips), 0, lpips.backbone.streams())
        if dists is not None:
            # DISTS counts the picture itself as stage 0.
            self._add("dists", DISTSSums(dists), 1, dists.backbone.streams())

    def _add(self, name: Name, sums: LPIPSSums | DISTSSums, offset: int, streams: list[StageStream]) -> None:
        # Of two metrics the first stage is the same: either's will do.
        self._first, *rest = streams
        self.sums[name] = sums
        self._branches.append((sums, offset, rest))

    def push(self, rows: Tensor, *, last: bool) -> None:
        shared = self._first.push(self._normalise(rows), last=last)
        for sums, offset, streams in self._branches:
            if offset == 1:
                sums.add(0, rows[1:], rows[:1])
            features = shared
            for stage, stream in enumerate((None, *streams)):
                if stream is not None:
                    features = stream.push(features, last=last)
                if features is not None:
                    sums.add(stage + offset, features[1:], features[:1])
