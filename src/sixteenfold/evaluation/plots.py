"""Small inline SVG plots, coloured by the page's style sheet."""

from collections.abc import Sequence

import numpy as np

from sixteenfold.errors import one_line
from sixteenfold.evaluation.report import difference_text, in_html
from sixteenfold.evaluation.scores import Scores
from sixteenfold.evaluation.scoring import Metric

WIDTH, HEIGHT, MARGIN = 300, 240, 38
ROW = 46


def scatter(scores: Scores, metric: Metric) -> str:
    """One dot a picture: the other method's score to the right, the evaluated method's upwards."""
    ours = scores.methods[0]
    up = ours.values(metric.key)
    others = [method.values(metric.key) for method in scores.methods[1:]]
    low, high = _range([up, *others])
    dots = [
        _dot(_scale(x, low, high, WIDTH), HEIGHT - _scale(y, low, high, HEIGHT), i, f"{image.name}: {y:.4g} / {x:.4g}")
        for i, values in enumerate(others)
        for x, y, image in zip(values, up, ours.images, strict=True)
        if np.isfinite([x, y]).all()
    ]
    frame = (
        f'<line class="axis" x1="{MARGIN}" y1="{HEIGHT - MARGIN}" x2="{WIDTH - MARGIN}" y2="{MARGIN}"/>'
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">the other</text>'
        f'<text x="12" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 12 {HEIGHT / 2})">'
        f"{_fitting(ours.name, 30)}</text>"
        f'<text x="{MARGIN}" y="{HEIGHT - 20}">{low:.3g}</text>'
        f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - 20}" text-anchor="end">{high:.3g}</text>'
    )
    better = "above" if metric.higher_is_better else "below"
    title = f"{metric.label}: dots {better} the line are pictures on which {ours.name} is better"
    return _svg(title, HEIGHT, frame + "".join(dots))


def differences(scores: Scores, metric: Metric) -> str:
    """One row a method: a dot a picture's difference, a bar for the mean's interval."""
    ours = scores.methods[0]
    rows = [scores.differences(other, metric.key) for other in scores.methods[1:]]
    low, high = _range([*rows, np.zeros(1)])
    zero = _scale(0, low, high, WIDTH)
    height = ROW * len(rows) + 30
    parts = [f'<line class="axis" x1="{zero:.1f}" y1="22" x2="{zero:.1f}" y2="{height - 20}"/>']
    parts += [f'<text x="{zero:.1f}" y="{height - 6}" text-anchor="middle">0</text>']
    for i, (other, values) in enumerate(zip(scores.methods[1:], rows, strict=True)):
        middle = 30 + i * ROW
        interval = scores.difference(other, metric.key)
        for value, image in zip(values, ours.images, strict=True):
            if np.isfinite(value):
                parts.append(_dot(_scale(value, low, high, WIDTH), middle, i, f"{image.name}: {value:+.4g}"))
        if interval is not None:
            left, right = (_scale(end, low, high, WIDTH) for end in (interval.low, interval.high))
            parts.append(
                f'<line class="bar c{i % 6}" x1="{left:.1f}" y1="{middle + 9}" x2="{right:.1f}" y2="{middle + 9}"/>'
            )
        text = f"{_fitting(other.name, 16)}: {difference_text(interval, metric)}"
        parts.append(f'<circle class="c{i % 6}" cx="8" cy="{middle - 16}" r="4"/>')
        parts.append(f'<text x="17" y="{middle - 12}">{text}</text>')
    return _svg(f"{metric.label}: {ours.name} minus the other, picture by picture", height, "".join(parts))


def values(scores: Scores, metric: Metric) -> str:
    """Where nothing is compared: one dot a picture's score."""
    ours = scores.methods[0]
    found = ours.values(metric.key)
    low, high = _range([found])
    dots = [
        _dot(_scale(value, low, high, WIDTH), 24, 0, f"{image.name}: {value:.4g}")
        for value, image in zip(found, ours.images, strict=True)
        if np.isfinite(value)
    ]
    ends = f'<text x="{MARGIN}" y="52">{low:.3g}</text>'
    ends += f'<text x="{WIDTH - MARGIN}" y="52" text-anchor="end">{high:.3g}</text>'
    return _svg(f"{metric.label}, picture by picture", 60, "".join(dots) + ends)


def _range(columns: Sequence[np.ndarray]) -> tuple[float, float]:
    together = np.concatenate(columns)
    together = together[np.isfinite(together)]
    if not len(together):
        return 0.0, 1.0
    low, high = float(together.min()), float(together.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _scale(value: float, low: float, high: float, length: int) -> float:
    return MARGIN + (value - low) / (high - low) * (length - 2 * MARGIN)


def _dot(x: float, y: float, colour: int, title: str) -> str:
    return f'<circle class="c{colour % 6}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>{in_html(title)}</title></circle>'


def _fitting(name: str, letters: int) -> str:
    """HTML of a name; of one that a plot has no room for, its beginning and its end."""
    name = one_line(name)
    half = letters // 2
    return in_html(name if len(name) <= letters else f"{name[:half]}…{name[-half + 1 :]}")


def _svg(title: str, height: float, content: str) -> str:
    return (
        f'<figure class="plot"><svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{in_html(title)}">'
        f"{content}</svg><figcaption>{in_html(title)}</figcaption></figure>"
    )
