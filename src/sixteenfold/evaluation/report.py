"""Scores -> scores.json, scores.csv, report.md.

Names of methods and pictures are those of files, which may hold anything. JSON has them as they are;
elsewhere line breaks and control characters are escapes, as in `one_line`.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from sixteenfold.errors import one_line
from sixteenfold.evaluation.folder import write_parts
from sixteenfold.evaluation.scores import Interval, MethodScores, Scores, finite
from sixteenfold.evaluation.scoring import Metric


def write_tables(scores: Scores, out: Path) -> None:
    """Write the three files into the folder `out`, each whole or not at all."""
    write_parts(out / "scores.json", [to_json(scores)])
    write_parts(out / "scores.csv", [to_csv(scores)])
    write_parts(out / "report.md", [to_markdown(scores)])


def to_json(scores: Scores) -> str:
    """The evaluated method at the top level, all methods under "methods"; null stands for infinity and NaN."""
    tree = {
        "protocol": scores.protocol,
        **_method(scores, scores.methods[0]),
        "methods": {method.name: _method(scores, method) for method in scores.methods},
        "differences": {
            other.name: {metric.key: _interval(scores.difference(other, metric.key)) for metric in scores.metrics}
            for other in scores.methods[1:]
        },
        "facts": dict(scores.facts),
        "metrics": {metric.key: metric.meaning for metric in scores.metrics},
        "warnings": list(scores.warnings),
        "notes": list(scores.notes),
        "failures": list(scores.failures),
    }
    return json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _method(scores: Scores, method: MethodScores) -> dict[str, object]:
    return {
        "mean": {metric.key: finite(scores.mean(method, metric.key)) for metric in scores.metrics},
        "images": [
            {"name": image.name, **{metric.key: finite(image.values[metric.key]) for metric in scores.metrics}}
            for image in method.images
        ],
    }


def _interval(interval: Interval | None) -> dict[str, float] | None:
    return None if interval is None else {"mean": interval.mean, "low": interval.low, "high": interval.high}


def to_csv(scores: Scores) -> str:
    """One line per method and picture."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "name", *(metric.key for metric in scores.metrics)])
    for method in scores.methods:
        for image in method.images:
            values = (image.values[metric.key] for metric in scores.metrics)
            writer.writerow([one_line(method.name), one_line(image.name), *values])
    return text.getvalue()


def to_markdown(scores: Scores) -> str:
    """Means (best in bold), differences with intervals, conventions, notes."""
    count = len(scores.methods[0].images)
    lines = [f"# Evaluation ({scores.protocol}, {count} picture{'s' if count != 1 else ''})", ""]
    lines += tables(scores)
    lines += ["", "## Conventions", ""]
    lines += [f"- {in_markdown(f'{name}: {text}')}" for name, text in scores.facts.items()]
    lines += [f"- {in_markdown(f'{metric.label}: {metric.meaning}')}" for metric in scores.metrics]
    for title, items in (("Warnings", scores.warnings), ("Left out", scores.failures), ("Notes", scores.notes)):
        if items:
            lines += ["", f"## {title}", "", *(f"- {in_markdown(item)}" for item in items)]
    return "\n".join(lines) + "\n"


def tables(scores: Scores) -> list[str]:
    """Lines of Markdown: means (best in bold), and differences with intervals where there is something beside."""
    labels = [in_markdown(metric.label) for metric in scores.metrics]
    header = [f"{label} {'↑' if m.higher_is_better else '↓'}" for label, m in zip(labels, scores.metrics, strict=True)]
    lines = table(["method", *header], [_mean_row(scores, method) for method in scores.methods])
    if len(scores.methods) > 1:
        ours = in_markdown(scores.methods[0].name)
        lines += ["", f"{ours} minus the other, mean and 95 % bootstrap interval over pictures:", ""]
        rows = [
            [in_markdown(other.name), *(difference_text(scores.difference(other, m.key), m) for m in scores.metrics)]
            for other in scores.methods[1:]
        ]
        lines += table(["against", *labels], rows)
        lines += ["", "≈ marks an interval that contains 0: these pictures prove no difference."]
    return lines


def _mean_row(scores: Scores, method: MethodScores) -> list[str]:
    cells = [in_markdown(method.name)]
    for metric in scores.metrics:
        text = number(scores.mean(method, metric.key), metric)
        best = best_of(scores, metric) == text and len(scores.methods) > 1
        cells.append(f"**{text}**" if best else text)
    return cells


def best_of(scores: Scores, metric: Metric) -> str:
    """The best mean of all methods, as it is printed; empty where there is none."""
    choose = max if metric.higher_is_better else min
    means = [scores.mean(method, metric.key) for method in scores.methods]
    means = [mean for mean in means if not math.isnan(mean)]
    return number(choose(means), metric) if means else ""


def number(value: float, metric: Metric) -> str:
    """A score as tables print it."""
    if math.isnan(value):
        return "n/a"
    return f"{value:.{metric.decimals}f}" if math.isfinite(value) else "∞"


def difference_text(interval: Interval | None, metric: Metric) -> str:
    """A difference as tables print it."""
    if interval is None:
        return "n/a"
    digits = metric.decimals
    text = f"{interval.mean:+.{digits}f} [{interval.low:+.{digits}f}, {interval.high:+.{digits}f}]"
    return text if interval.excludes_zero else f"{text} ≈"


def in_markdown(text: str) -> str:
    """Text of any letters -> one line of Markdown that shows it as it is, in a table, a list or a paragraph."""
    text = re.sub(r"[\\`*_\[\]<>|~&$#]", r"\\\g<0>", one_line(text))
    return re.sub(r"^(\d*)([-+.)])(?=\s|$)", r"\1\\\2", text)  # would begin a list


def in_html(text: str) -> str:
    """Text of any letters -> one line of HTML that shows it as it is, in an element or a quoted attribute."""
    return escape(one_line(text))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table of Markdown cells, numbers to the right."""
    marks = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (header, marks, *rows)]
