"""Means, intervals, order."""

import math

import numpy as np
import pytest

from sixteenfold.evaluation.scores import ImageScores, MethodScores, Scores, bootstrap, worst_first
from sixteenfold.evaluation.scoring import find_metrics


def test_interval_covers_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    intervals = [bootstrap(random.normal(0.5, 1, 40)) for _ in range(200)]
    covered = sum(1 for i in intervals if i is not None and i.low <= 0.5 <= i.high)
    assert 0.88 <= covered / 200 <= 0.99


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
