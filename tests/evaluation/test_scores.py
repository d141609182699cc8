"""Means, intervals, order."""

import math

import numpy as np
import pytest

from sixteenfold.evaluation.report import tables
from sixteenfold.evaluation.scores import ImageScores, MethodScores, Scores, bootstrap, left_out_of_means, worst_first
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


def scored(**psnr: list[float]) -> Scores:
    """Methods by name, with PSNR and as LPIPS the same."""
    methods = tuple(
        MethodScores(name, tuple(ImageScores(f"p{i}", {"psnr": x, "lpips": 0.5}) for i, x in enumerate(values)))
        for name, values in psnr.items()
    )
    metrics = find_metrics(["psnr", "lpips"], has_lr=False)
    return Scores("full", metrics, methods, {}, (), (), tuple(left_out_of_means(methods, metrics)))


def test_pictures_reproduced_exactly_are_left_out_of_every_mean_and_named() -> None:
    scores = scored(ours=[20, math.inf, 30, 40], other=[10, 90, 20, math.inf], third=[11, 70, 23, 50])
    assert [scores.mean(method, "psnr") for method in scores.methods] == [25, 15, 17]
    assert scores.mean(scores.methods[0], "lpips") == 0.5
    interval = scores.difference(scores.methods[2], "psnr")
    assert interval is not None and interval.mean == 25 - 17
    assert scores.warnings == (
        "PSNR: means and differences are over 2 of 4 pictures, without those infinite for a method: "
        "p1 (ours); p3 (other)",
    )


def test_a_method_infinite_on_every_picture_leaves_the_others_theirs() -> None:
    scores = scored(originals=[math.inf, math.inf], ours=[20, 30])
    assert [scores.mean(method, "psnr") for method in scores.methods] == [math.inf, 25]
    assert scores.difference(scores.methods[1], "psnr") is None
    assert scores.warnings == ()


def test_where_no_picture_is_left_there_is_no_mean() -> None:
    scores = scored(ours=[math.inf, 20], other=[30, math.inf])
    assert math.isnan(scores.mean(scores.methods[0], "psnr"))
    assert scores.difference(scores.methods[1], "psnr") is None
    assert tables(scores)[2] == "| ours | n/a | **0.5000** |"
    assert "are over 0 of 2 pictures" in scores.warnings[0]


def test_worst_comes_first() -> None:
    images = tuple(
        ImageScores(name, {"psnr": psnr, "lpips": lpips})
        for name, psnr, lpips in [("a", 30, 0.2), ("b", 20, 0.1), ("c", 25, 0.4)]
    )
    for keys, order in ((["psnr", "lpips"], ["c", "a", "b"]), (["psnr"], ["b", "c", "a"])):
        metrics = find_metrics(keys, has_lr=False)
        assert worst_first(Scores("full", metrics, (MethodScores("m", images),), {}, (), ())) == order
