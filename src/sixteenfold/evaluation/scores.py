"""What an evaluation found: scores a picture, means, and differences with their uncertainty."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sixteenfold.errors import first_few
from sixteenfold.evaluation.scoring import Metric

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class ImageScores:
    """One picture's scores under one method."""

    name: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Interval:
    """A mean with its bootstrap interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class MethodScores:
    """All pictures under one method."""

    name: str
    images: tuple[ImageScores, ...]

    def values(self, key: str) -> np.ndarray:
        """(pictures,) float64 of one metric."""
        return np.array([image.values[key] for image in self.images])


@dataclass(frozen=True)
class Scores:
    """The result of an evaluation; `methods[0]` is what was evaluated, the rest it is compared with."""

    protocol: str
    metrics: tuple[Metric, ...]
    methods: tuple[MethodScores, ...]
    facts: Mapping[str, str]
    """Model, hash, versions and every convention, by name."""
    notes: tuple[str, ...]
    """What was converted on the way, one line each."""
    failures: tuple[str, ...]
    """Pictures left out because they could not be compared, one line each."""
    warnings: tuple[str, ...] = ()
    """Doubts about the whole: missing or skipped pictures, originals compared with themselves, pictures not in the
    means."""

    def mean(self, method: MethodScores, key: str) -> float:
        """A method's mean over the pictures that are `counted`.

        Infinite where the method is so on every picture, NaN where one of its scores is or no picture is left.
        """
        values = method.values(key)
        if np.isinf(values).all():
            return float(values[0])
        values = values[counted(self.methods, key)]
        return float(values.mean()) if len(values) else math.nan

    def difference(self, other: MethodScores, key: str) -> Interval | None:
        """How much the evaluated method's mean is above that of `other`.

        None with fewer than two pictures `counted`, or one whose difference is not finite.
        """
        return bootstrap(self.differences(other, key)[counted(self.methods, key)])

    def differences(self, other: MethodScores, key: str) -> np.ndarray:
        """The same picture by picture: (pictures,); NaN where both are infinite."""
        with np.errstate(invalid="ignore"):
            return self.methods[0].values(key) - other.values(key)


def counted(methods: Sequence[MethodScores], key: str) -> np.ndarray:
    """Which pictures the means and differences of a metric are over, those of all methods alike: (pictures,) bool.

    All but those on which a method is infinite, as PSNR is where a picture is reproduced exactly: it would hide
    every other picture, and left out of one mean alone it would make the means those of different sets. A method
    that is infinite on every picture, such as the originals themselves, leaves out none for the others.
    """
    infinite = np.array([np.isinf(method.values(key)) for method in methods])
    return np.logical_not(infinite[~infinite.all(axis=1)].any(axis=0))


def left_out_of_means(methods: Sequence[MethodScores], metrics: Sequence[Metric]) -> list[str]:
    """A warning per metric whose means are not over all pictures, naming those left out and the methods."""
    warnings: list[str] = []
    for metric in metrics:
        lacking = ~counted(methods, metric.key)
        if not lacking.any():
            continue
        infinite = {method.name: np.isinf(method.values(metric.key)) for method in methods}
        named = [
            f"{image.name} ({', '.join(name for name, values in infinite.items() if values[i])})"
            for i, image in enumerate(methods[0].images)
            if lacking[i]
        ]
        over = f"{len(lacking) - len(named)} of {len(lacking)} pictures"
        warnings.append(
            f"{metric.label}: means and differences are over {over}, without those infinite for a method: "
            f"{first_few(named)}"
        )
    return warnings


def bootstrap(differences: np.ndarray, seed: int = 0) -> Interval | None:
    """Percentile interval (95 %) of the mean under resampling of the pictures.

    (pictures,) -> Interval, or None when fewer than two are finite or one is not. Deterministic. Its resamples
    are held at once, in 160 kB a picture (10,000 counts of 8 bytes, and the same as floats).
    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3.
    """
    if len(differences) < 2 or not np.isfinite(differences).all():
        return None
    random = np.random.default_rng(seed)
    counts = random.multinomial(len(differences), [1 / len(differences)] * len(differences), size=RESAMPLES)
    low, high = np.quantile(counts @ differences / len(differences), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(differences.mean()), float(low), float(high))


def finite(value: float) -> float | None:
    """For JSON, which has no infinity: None replaces it."""
    return value if math.isfinite(value) else None


def worst_first(scores: Scores) -> Sequence[str]:
    """Names of the pictures, those first on which the evaluated method does worst.

    By LPIPS where it was measured, else by the first metric.
    """
    chosen = next((metric for metric in scores.metrics if metric.key == "lpips"), scores.metrics[0])
    sign = 1 if chosen.higher_is_better else -1
    return [image.name for image in sorted(scores.methods[0].images, key=lambda i: sign * i.values[chosen.key])]
