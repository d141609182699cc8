"""The metrics by name, and their computation on one picture and all of its results."""

import importlib
import importlib.util
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from sixteenfold.errors import SixteenfoldError, did_you_mean
from sixteenfold.imaging.color import unit_range
from sixteenfold.kernels.exact import true_fp32
from sixteenfold.metrics.consistency import lr_psnr
from sixteenfold.metrics.fidelity import psnr, ssim
from sixteenfold.metrics.niqe import niqe
from sixteenfold.metrics.together import Name, Together


@dataclass(frozen=True)
class Metric:
    """What a report needs to know about a metric."""

    key: str
    """Its word on the command line and in files."""
    label: str
    """Its name in tables."""
    higher_is_better: bool
    decimals: int
    meaning: str
    """The variant and its conventions, in one sentence."""


BUILT_IN: tuple[Metric, ...] = (
    Metric("psnr", "PSNR", True, 2, "dB, mean squared error over R, G and B together"),
    Metric(
        "ssim", "SSIM", True, 4, "Wang 2004: Gaussian 11x11, sigma 1.5, population covariance, mean over R, G and B"
    ),
    Metric("psnr_y", "PSNR-Y", True, 2, "dB, on BT.601 luma as MATLAB's rgb2ycbcr, unrounded, data range 1"),
    Metric("ssim_y", "SSIM-Y", True, 4, "SSIM as above, on BT.601 luma as MATLAB's rgb2ycbcr"),
    Metric("lpips", "LPIPS", False, 4, "LPIPS v0.1, AlexNet, at full size"),
    Metric("lpips_vgg", "LPIPS-VGG", False, 4, "LPIPS v0.1, VGG16, at full size"),
    Metric("dists", "DISTS", False, 4, "DISTS, at full size (not shrunk to 256 pixels)"),
    Metric("niqe", "NIQE", False, 3, "authors' pristine model, on BT.601 luma, 96x96 blocks, no border cropped"),
    Metric("lr_psnr", "LR-PSNR", True, 2, "dB, whole result shrunk by MATLAB bicubic x1/16, against the small picture"),
)
DEFAULT = ("psnr", "ssim", "lpips", "lr_psnr")


def find_metrics(keys: Sequence[str] | None, *, has_lr: bool) -> tuple[Metric, ...]:
    """The named metrics, in that order; None means the default ones.

    Raises SixteenfoldError for an unknown name, one that pyiqa does not have, or LR-PSNR without
    small pictures.
    """
    if keys is None:
        keys = [key for key in DEFAULT if has_lr or key != "lr_psnr"]
    if not keys:
        raise SixteenfoldError("metrics: none given; leave out the option for the default ones")
    if "lr_psnr" in keys and not has_lr:
        raise SixteenfoldError("lr_psnr needs small pictures: give a folder of them (lr), or use synthesize")
    known = {metric.key: metric for metric in BUILT_IN}
    metrics: list[Metric] = []
    for key in dict.fromkeys(keys):
        if key.startswith("pyiqa:"):
            metrics.append(_pyiqa_metric(key))
        elif key in known:
            metrics.append(known[key])
        else:
            choices = ", ".join([*known, "pyiqa:NAME"])
            raise SixteenfoldError(f"metric {key!r}: unknown; choose among {choices}{did_you_mean(key, known)}")
    return tuple(metrics)


class Scorer:
    """Computes metrics; networks are loaded once.

    Raises SixteenfoldError when weights are not available.
    """

    def __init__(self, metrics: Sequence[Metric], device: torch.device | None = None) -> None:
        self._metrics = metrics
        self._device = device
        keys = {metric.key for metric in metrics}
        self._deep: list[Name] = [name for name in ("lpips", "lpips_vgg", "dists") if name in keys]
        self._together = Together(self._deep, device) if self._deep else None
        self.sources = self._together.sources if self._together else ()
        """Where the weights of LPIPS were found, in words for a report."""
        self._pyiqa = {key: _pyiqa(key, device) for key in sorted(keys) if key.startswith("pyiqa:")}

    @true_fp32()
    @torch.no_grad()
    def score(
        self, hr: Tensor, results: Sequence[Tensor], lr: Tensor | None, whole: Sequence[Tensor]
    ) -> list[dict[str, float]]:
        """Scores of each result, in the metrics' order.

        Args:
            hr, results: (1, 3, H, W) uint8, what the protocol compares.
            lr: (1, 3, h, w) uint8, needed for LR-PSNR alone.
            whole: (1, 3, 16h, 16w) uint8, each result uncropped, for LR-PSNR.

        Raises SixteenfoldError when the pictures are too small for a metric, or one of pyiqa's fails.
        """
        deep: Mapping[Name, Tensor] = {}
        if self._together is not None:
            deep = self._together(hr, torch.cat(list(results)))
        scores: list[dict[str, float]] = []
        for i, result in enumerate(results):
            plain = {metric.key: self._plain(metric.key, hr, result) for metric in self._metrics}
            plain |= {name: values[i].item() for name, values in deep.items()}
            if "lr_psnr" in plain and lr is not None:
                plain["lr_psnr"] = lr_psnr(whole[i], lr).item()
            scores.append(plain)
        return scores

    def _plain(self, key: str, hr: Tensor, result: Tensor) -> float:
        """A metric that looks at one result alone; NaN for those computed elsewhere."""
        match key:
            case "psnr":
                return psnr(result, hr).item()
            case "ssim":
                return ssim(result, hr).item()
            case "psnr_y":
                return psnr(result, hr, on_luma=True).item()
            case "ssim_y":
                return ssim(result, hr, on_luma=True).item()
            case "niqe":
                return niqe(result)
            case _ if key in self._pyiqa:
                return self._pyiqa[key](unit_range(result), unit_range(hr))
            case _:
                return math.nan


def _pyiqa_module() -> Any:
    if importlib.util.find_spec("pyiqa") is None:
        raise SixteenfoldError("pyiqa is not installed. Run: pip install pyiqa (its licence is non-commercial)")
    return importlib.import_module("pyiqa")


def _pyiqa_metric(key: str) -> Metric:
    name = key.removeprefix("pyiqa:")
    module = _pyiqa_module()
    if name not in cast(list[str], module.list_models()):
        raise SixteenfoldError(f"metric {key!r}: pyiqa has no metric of this name")
    lower = bool(module.create_metric(name, device="cpu").lower_better)
    return Metric(key, name, not lower, 4, f"pyiqa {module.__version__}, metric {name} (non-commercial licence)")


def _pyiqa(key: str, device: torch.device | None) -> Callable[[Tensor, Tensor], float]:
    measure = _pyiqa_module().create_metric(key.removeprefix("pyiqa:"), device=device or torch.device("cpu"))

    def value(result: Tensor, hr: Tensor) -> float:
        pictures = (result, hr) if measure.metric_mode == "FR" else (result,)
        try:
            return float(measure(*pictures))
        except Exception as error:  # of code that is not ours: of any kind
            first, *_ = str(error).splitlines() or [""]
            raise SixteenfoldError(f"{key}: failed ({type(error).__name__}: {first})") from error

    return value
