"""Means, intervals, order."""

import math

import numpy as np
import pytest

from sixteenfold.evaluation.scores import ImageScores, MethodScores, Scores, bootstrap, worst_first
from sixteenfold.evaluation.scoring import find_metrics


def test_interval_is_the_normal_distributions_of_95_percent() -> None:
    """To which the mean of many pictures is near."""
    differences = np.random.default_rng(1).normal(0.5, 1, 100)
    interval = bootstrap(differences)
    assert interval is not None
    error = differences.std() / math.sqrt(100)
    ends = (interval.low - interval.mean) / error, (interval.high - interval.mean) / error
    assert ends == pytest.approx((-1.96, 1.96), abs=0.1)


def test_interval_of_a_sure_difference() -> None:
    interval = bootstrap(np.array([1.0, 1.1, 0.9, 1.2]))
    assert interval is not None
    assert interval.mean == pytest.approx(1.05)
    assert 0.9 <= interval.low < 1.05 < interval.high <= 1.2
    assert interval.excludes_zero
    assert interval == bootstrap(np.array([1.0, 1.1, 0.9, 1.2]))


def test_no_interval_without_enough_finite_pairs() -> None:
    assert bootstrap(np.array([1.0])) is None
    assert bootstrap(np.array([1.0, math.inf])) is None


def test_worst_comes_first() -> None:
    images = tuple(
        ImageScores(name, {"psnr": psnr, "lpips": lpips})
        for name, psnr, lpips in [("a", 30, 0.2), ("b", 20, 0.1), ("c", 25, 0.4)]
    )
    for keys, order in ((["psnr", "lpips"], ["c", "a", "b"]), (["psnr"], ["b", "c", "a"])):
        metrics = find_metrics(keys, has_lr=False)
        assert worst_first(Scores("full", metrics, (MethodScores("m", images),), {}, (), ())) == order
