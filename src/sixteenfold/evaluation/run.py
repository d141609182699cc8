"""`evaluate`: compare folders of results with originals and write a report."""

from collections.abc import Callable, Generator as Generating, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sixteenfold.errors import SixteenfoldError
from sixteenfold.evaluation.baselines import BASELINES
from sixteenfold.evaluation.compare import Compared, Comparer, compare_all
from sixteenfold.evaluation.conventions import conventions
from sixteenfold.evaluation.enlarger import Upscale, check_what_enlarges, of_function, of_model, own_name, usual_name
from sixteenfold.evaluation.folder import report_folder
from sixteenfold.evaluation.page import Gallery, write_page
from sixteenfold.evaluation.protocol import SMALL, Protocol, Sources, compared_with_themselves, find_cases, load_case
from sixteenfold.evaluation.report import write_tables
from sixteenfold.evaluation.scores import ImageScores, MethodScores, Scores, left_out_of_means
from sixteenfold.evaluation.scoring import Scorer, find_metrics
from sixteenfold.files.names import given, given_or_none
from sixteenfold.networks.generator import Generator
from sixteenfold.upscaling.engine import check_precision, choose_device
from sixteenfold.upscaling.upscaler import Upscaler


def evaluate(
    hr: str | Path,
    *,
    out: str | Path,
    sr: str | Path | None = None,
    lr: str | Path | None = None,
    synthesize: bool = False,
    model: Upscaler | Generator | str | Path | None = None,
    upscale: Upscale | None = None,
    name: str | None = None,
    protocol: Protocol = "full",
    metrics: str | Sequence[str] | None = None,
    baselines: str | Sequence[str] = (),
    also: Mapping[str, str | Path] | None = None,
    allow_missing: bool = False,
    overwrite: bool = False,
    allow_huge: bool = False,
    device: str | torch.device = "auto",
    precision: str = "auto",
    console: Console | None = None,
) -> Scores:
    """Score results against their originals and write scores.json, scores.csv, report.md and report.html.

    Args:
        hr: Folder of originals (or one file).
        out: Folder for the report; created if missing.
        sr: Folder of finished results, paired by name. Without it the pictures are enlarged here.
        lr: Folder of small pictures to enlarge, or, with `sr`, what the results were made from.
        synthesize: Make the small pictures from the originals instead.
        model: A generator, the name of a shipped model, or a weights file to enlarge with; None is the default model.
            An Upscaler enlarges as it was made: with its fidelity, ensemble, consistency and tiles.
        upscale: A function to use instead of a model, from (1, 3, h, w) in [0, 1] to (1, 3, 16h, 16w).
        name: Name of the evaluated model, function or results in the report. None uses the name of the model or of
            the results' folder, "model" for a generator and "result" for a function.
        protocol: "full" compares whole pictures, "ntire2020" their centre 1000x1000.
        metrics: One or several, in the order of the tables (`scoring.BUILT_IN`, or "pyiqa:NAME"); None: the default.
        baselines: "bicubic", "lanczos" or both, computed from the small pictures.
        also: Folders of other tools' results, by name.
        allow_missing: Score the pictures that pair, even if some do not.
        overwrite: Replace an earlier report in `out`.
        allow_huge: Read pictures of more than 178 megapixels too.
        device, precision: For the model, as in `Upscaler`, which has its own where it is given; on CUDA the metrics'
            networks run there too.
        console: Where to show progress; None shows none.

    Returns:
        All scores. A picture that cannot be read or compared is left out and named in `failures`.

    Raises:
        SixteenfoldError: If an option is unknown or contradicts another, the device is not there, `out` is in
            use or cannot be written, names do not pair, `upscale` returns another size, scale or type, or no picture
            could be compared.
    """
    hr, out = given(hr, "hr"), given(out, "out")
    sr, lr = given_or_none(sr, "sr"), given_or_none(lr, "lr")
    also, baselines = _folders(also), _names(baselines, "baselines")
    metrics = None if metrics is None else _names(metrics, "metrics")
    _check_words(protocol, device, precision)
    _check_options(sr, lr, synthesize, baselines)
    if sr is not None and (model is not None or upscale is not None):
        raise SixteenfoldError("finished results are not enlarged again: leave out the model or the results")
    check_what_enlarges(model, upscale, device, precision)
    if name is None:
        name = usual_name(model, upscale) if sr is None else own_name(sr)
    methods = [name, *baselines, *also]
    _check_names(methods)
    sources = Sources(hr, lr, synthesize, also if sr is None else {name: sr, **also})
    with report_folder(out, overwrite=overwrite), closing(Gallery()) as gallery:
        # What is compared, by what.
        chosen = find_metrics(metrics, has_lr=lr is not None or synthesize)
        cases, missing = find_cases(sources, allow_missing=allow_missing)
        enlarger = None
        if sr is None:
            enlarger = of_model(name, model, device, precision) if upscale is None else of_function(name, upscale)
        scorer = Scorer(chosen, _scoring_device(model.device if isinstance(model, Upscaler) else device))
        # The scores.
        pictures_of = partial(load_case, synthesize=synthesize, allow_huge=allow_huge)
        with _progress(console, len(cases)) as advance:
            outcomes = compare_all(cases, pictures_of, Comparer(protocol, methods, enlarger, scorer))
            rows, failures = _collected(outcomes, gallery, advance)
        found = tuple(MethodScores(key, tuple(ImageScores(r.name, r.values[key]) for r in rows)) for key in methods)
        scores = Scores(
            protocol,
            chosen,
            found,
            conventions(protocol, sources, enlarger.facts if enlarger else {}, scorer.sources),
            notes=tuple(note for row in rows for note in row.notes),
            failures=tuple(failures),
            warnings=(*missing, *compared_with_themselves(cases), *left_out_of_means(found, chosen)),
        )
        # The report.
        _write(scores, gallery, out)
    return scores


def _names(words: str | Iterable[str], what: str) -> tuple[str, ...]:
    # A string can be iterated too, over its letters.
    names = (words,) if isinstance(words, str) or not isinstance(words, Iterable) else tuple(words)  # pyright: ignore[reportUnnecessaryIsInstance]
    for name in names:
        _check_text(name, what)
    return names


def _check_text(name: object, what: str) -> None:
    if not isinstance(name, str):
        raise SixteenfoldError(f"{what}: expected a name, not {name!r}")


def _folders(also: Mapping[str, str | Path] | None) -> dict[str, Path]:
    if also is not None and not isinstance(also, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SixteenfoldError('also: expected folders by name, such as {"other tool": "results"}')
    return {other: given(folder, f"also, {other}") for other, folder in (also or {}).items()}


@contextmanager
def _progress(console: Console | None, total: int) -> Generating[Callable[[], None]]:
    """Show pictures done and time left, on a terminal alone; the function counts one more."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = console is not None and console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:
        yield partial(progress.advance, progress.add_task("evaluating", total=total))


@dataclass(frozen=True)
class _Row:
    """What is kept of a picture that is done: all but its pixels."""

    name: str
    values: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...]


def _collected(
    outcomes: Iterable[Compared | SixteenfoldError], gallery: Gallery, advance: Callable[[], None]
) -> tuple[list[_Row], list[str]]:
    """The pictures that were compared, and a line for each that could not be; what they show goes to the gallery.

    Raises SixteenfoldError if none could be.
    """
    rows: list[_Row] = []
    failures: list[str] = []
    for outcome in outcomes:
        if isinstance(outcome, Compared):
            rows.append(_Row(outcome.name, outcome.values, outcome.notes))
            gallery.add(outcome.exhibit)
        else:
            failures.append(str(outcome))
        advance()
    if not rows:
        more = len(failures) - 1
        others = f"; nor could {more} other{'s' if more > 1 else ''}" if more else ""
        raise SixteenfoldError(f"no picture could be compared: {failures[0]}{others}")
    return rows, failures


def _write(scores: Scores, gallery: Gallery, out: Path) -> None:
    try:
        write_tables(scores, out)
        write_page(scores, gallery, out / "report.html")
    except OSError as error:
        raise SixteenfoldError(f"{out}: cannot be written to: {error.strerror}; name another folder") from error


def _check_options(
    sr: Path | None,
    lr: Path | None,
    synthesize: bool,
    baselines: Sequence[str],
) -> None:
    if lr is not None and synthesize:
        raise SixteenfoldError("lr and synthesize both provide small pictures: leave out one")
    if sr is None and lr is None and not synthesize:
        raise SixteenfoldError("nothing to evaluate: give results (sr) or small pictures (lr), or use synthesize")
    if baselines and lr is None and not synthesize:
        raise SixteenfoldError(f"{baselines[0]} needs small pictures: give some (lr), or use synthesize")
    for name in baselines:
        if name not in BASELINES:
            raise SixteenfoldError(f"baseline {name!r}: unknown; choose among {', '.join(BASELINES)}")


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        _check_text(name, "name")
    if not all(name.strip() for name in names):
        raise SixteenfoldError("a method has an empty name; give it a visible one")
    if taken := {"original", SMALL}.intersection(names):
        raise SixteenfoldError(f"no method can be named {min(taken)!r}; give it another name")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SixteenfoldError(f"two methods are named {twice!r}; rename one, or leave one out")


def _check_words(protocol: str, device: str | torch.device, precision: str) -> None:
    """Check what the command line has checked already, for callers in Python."""
    if protocol not in get_args(Protocol):
        raise SixteenfoldError(f"protocol {protocol!r}: unknown; choose among {', '.join(get_args(Protocol))}")
    check_precision(precision)
    choose_device(device)


def _scoring_device(device: str | torch.device) -> torch.device | None:
    """The metrics' networks run on CUDA if the model does; on Apple's GPUs their values have not been checked."""
    chosen = choose_device(device)
    return chosen if chosen.type == "cuda" else None
