"""Scores and pictures -> one HTML page that needs nothing beside itself."""

import base64
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryFile

from sixteenfold.evaluation import plots
from sixteenfold.evaluation.folder import write_parts
from sixteenfold.evaluation.pictures import OVERVIEW, Exhibit
from sixteenfold.evaluation.report import best_of, difference_text, in_html, number
from sixteenfold.evaluation.scores import MethodScores, Scores, worst_first
from sixteenfold.evaluation.scoring import Metric


class Gallery:
    """Keeps the pictures' part of the page in a scratch file, so that memory stays flat."""

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115  closed by close()
        self._places: dict[str, tuple[int, int]] = {}

    def add(self, exhibited: Exhibit) -> None:
        """Keep one picture."""
        text = _picture_html(exhibited).encode(errors="backslashreplace")
        self._places[exhibited.name] = (self._file.seek(0, 2), len(text))
        self._file.write(text)

    def get(self, name: str) -> str:
        """A picture's HTML; its scores have still to be put in front."""
        start, length = self._places[name]
        self._file.seek(start)
        return self._file.read(length).decode()

    def close(self) -> None:
        """Drop the scratch file."""
        self._file.close()


def write_page(scores: Scores, gallery: Gallery, target: Path) -> None:
    """Write the page, worst pictures first, whole or not at all."""
    write_parts(target, _page(scores, gallery))


def _page(scores: Scores, gallery: Gallery) -> Iterator[str]:
    here = files("sixteenfold.evaluation")
    count = len(scores.methods[0].images)
    pictures = f"{count} picture{'s' if count != 1 else ''}"
    title = f"Evaluation of {scores.methods[0].name}"
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    # No request leaves the page, whatever is in it.
    yield '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:;'
    yield " style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
    yield f"<title>{in_html(title)}</title><style>{(here / 'page.css').read_text('utf-8')}</style></head><body>"
    yield f"<h1>{in_html(title)}</h1><p class=faint>{pictures}, protocol {in_html(scores.protocol)}</p>"
    yield from (f'<p class="warning">{in_html(warning)}</p>' for warning in (*scores.warnings, *scores.failures))
    yield from _tables(scores)
    yield '<h2>Picture by picture</h2><div class="plots">'
    for metric in scores.metrics:
        if len(scores.methods) == 1:
            yield plots.values(scores, metric)
        else:
            yield f"<div>{plots.scatter(scores, metric)}{plots.differences(scores, metric)}</div>"
    yield "</div><h2>Pictures, worst first</h2>"
    yield "<p class=faint>Drag the slider, or use its arrow keys. Press a crop to"
    yield " magnify its whole row, then move the view with the pointer or the arrow keys."
    yield " Crops are the compared pixels without loss; the pictures under the slider are compressed with loss,"
    yield f" and shrunk to {OVERVIEW} pixels: judge by the crops.</p>"
    tables = _picture_scores(scores)
    for name in worst_first(scores):
        yield f'<section class="picture"><h3>{in_html(name)}</h3>{tables[name]}'
        yield f"{gallery.get(name)}</section>"
    yield from _conventions(scores)
    yield f"<script>{(here / 'page.js').read_text('utf-8')}</script></body></html>\n"


def _tables(scores: Scores) -> Iterator[str]:
    heads = "".join(f"<th>{in_html(m.label)} {'↑' if m.higher_is_better else '↓'}</th>" for m in scores.metrics)
    yield f'<h2>Means</h2><div class="wide"><table><tr><th>method</th>{heads}</tr>'
    for method in scores.methods:
        cells = "".join(_mean_cell(scores, method, metric) for metric in scores.metrics)
        yield f"<tr><td>{in_html(method.name)}</td>{cells}</tr>"
    yield "</table></div>"
    if len(scores.methods) > 1:
        yield f"<h2>{in_html(scores.methods[0].name)} minus the others, with 95 % intervals</h2>"
        yield f'<div class="wide"><table><tr><th>against</th>{heads}</tr>'
        for other in scores.methods[1:]:
            cells = "".join(f"<td>{difference_text(scores.difference(other, m.key), m)}</td>" for m in scores.metrics)
            yield f"<tr><td>{in_html(other.name)}</td>{cells}</tr>"
        yield "</table></div><p class=faint>≈ marks an interval that contains 0: no difference proved.</p>"


def _mean_cell(scores: Scores, method: MethodScores, metric: Metric) -> str:
    text = number(scores.mean(method, metric.key), metric)
    best = ' class="best"' if text == best_of(scores, metric) and len(scores.methods) > 1 else ""
    return f"<td{best}>{text}</td>"


def _picture_scores(scores: Scores) -> dict[str, str]:
    """A small table for each picture: a row a method."""
    heads = "".join(f"<th>{in_html(metric.label)}</th>" for metric in scores.metrics)
    rows: dict[str, str] = {}
    for method in scores.methods:
        for image in method.images:
            cells = "".join(f"<td>{number(image.values[metric.key], metric)}</td>" for metric in scores.metrics)
            rows[image.name] = rows.get(image.name, "") + f"<tr><td>{in_html(method.name)}</td>{cells}</tr>"
    return {
        name: f'<div class="wide"><table class="small"><tr><th></th>{heads}</tr>{text}</table></div>'
        for name, text in rows.items()
    }


def _conventions(scores: Scores) -> Iterator[str]:
    yield "<h2>Conventions</h2><ul>"
    lines = [f"{name}: {text}" for name, text in scores.facts.items()]
    lines += [f"{metric.label}: {metric.meaning}" for metric in scores.metrics]
    lines += scores.notes
    yield "".join(f"<li>{in_html(line)}</li>" for line in lines)
    yield "</ul>"


def _picture_html(shown: Exhibit) -> str:
    methods = list(shown.overviews)
    images = "".join(f'<img alt="{in_html(m)}" src="{_data(image)}">' for m, image in shown.overviews.items())
    rows = "".join(_row_html(crop.images, crop.left, crop.top) for crop in shown.crops)
    return (
        f'<div class="split"><div class="pair" style="--ratio: {min(1, shown.width / shown.height):.3f}">'
        f'<div class="slider">{images}<div class="handle"></div><span class="tag"></span>'
        '<span class="tag right"></span></div>'
        '<input type="range" min="0" max="100" value="50" aria-label="where the two pictures meet"><br>'
        f"{_select('left', methods, min(1, len(methods) - 1))} {_select('right', methods, 0)}</div>"
        f'<div class="places">{rows}</div></div>'
    )


def _select(side: str, methods: list[str], chosen: int) -> str:
    options = "".join(
        f'<option value="{i}"{" selected" if i == chosen else ""}>{in_html(method)}</option>'
        for i, method in enumerate(methods)
    )
    return f"<label>{side} <select>{options}</select></label>"


def _row_html(images: Mapping[str, bytes], left: int, top: int) -> str:
    crops = "".join(
        f'<button class="crop" aria-pressed="false"><span class="view"><img alt="{in_html(method)} at {left}, {top}"'
        f' src="{_data(image)}"></span><span>{in_html(method)}</span></button>'
        for method, image in images.items()
    )
    return f'<div class="faint">at {left}, {top}, 1:1</div><div class="row">{crops}</div>'


def _data(image: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(image).decode()}"
