"""`evaluate`: compare folders of results with originals and write a report."""

import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import get_args

import numpy
import pyvips
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import sixteenfold
from sixteenfold.errors import SixteenfoldError
from sixteenfold.evaluation.baselines import BASELINES
from sixteenfold.evaluation.compare import Compared, Comparer, Enlarger, Upscale, compare_all
from sixteenfold.evaluation.folder import report_folder
from sixteenfold.evaluation.page import Gallery, write_page
from sixteenfold.evaluation.protocol import SMALL, Case, Protocol, Sources, find_cases, load
from sixteenfold.evaluation.report import write_tables
from sixteenfold.evaluation.scores import ImageScores, MethodScores, Scores
from sixteenfold.evaluation.scoring import Scorer, find_metrics
from sixteenfold.files.names import given, given_or_none
from sixteenfold.files.places import there
from sixteenfold.networks.generator import Generator
from sixteenfold.upscaling.engine import check_precision, choose_device


def evaluate(
    hr: str | Path,
    *,
    out: str | Path,
    sr: str | Path | None = None,
    lr: str | Path | None = None,
    synthesize: bool = False,
    model: Generator | str | Path | None = None,
    upscale: Upscale | None = None,
    name: str | None = None,
    protocol: Protocol = "full",
    metrics: str | Sequence[str] | None = None,
    baselines: str | Sequence[str] = (),
    also: Mapping[str, str | Path] | None = None,
    allow_missing: bool = False,
    overwrite: bool = False,
    allow_huge: bool = False,
    device: str = "auto",
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
        device, precision: For the model, as in `Upscaler`.
        console: Where to show progress; None shows none.

    Returns:
        All scores. A picture that cannot be read or compared is left out and named in `failures`.

    Raises:
        SixteenfoldError: If an option is unknown or contradicts another, the device is not there, `out` is in
            use or cannot be written, names do not pair, `upscale` returns another size, or no picture could be
            compared.
    """
    hr, out = given(hr, "hr"), given(out, "out")
    sr, lr = given_or_none(sr, "sr"), given_or_none(lr, "lr")
    if also is not None and not isinstance(also, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SixteenfoldError('also: expected folders by name, such as {"other tool": "results"}')
    also = {other: given(folder, f"also, {other}") for other, folder in (also or {}).items()}
    metrics, baselines = None if metrics is None else _names(metrics), _names(baselines)
    _check_words(protocol, device, precision)
    _check_options(sr, lr, synthesize, baselines, model, upscale)
    name = _usual_name(sr, model, upscale) if name is None else name
    _check_names([*baselines, *also, name])
    results = {**({name: sr} if sr is not None else {}), **also}
    with report_folder(out, overwrite=overwrite), closing(Gallery()) as gallery:
        chosen = find_metrics(metrics, has_lr=lr is not None or synthesize)
        cases, missing = find_cases(Sources(hr, lr, synthesize, results), allow_missing=allow_missing)
        enlarger = None if sr is not None else _enlarger(name, model, upscale, device, precision)
        order = [name, *baselines, *also]
        scorer = Scorer(chosen, _scoring_device(device))
        rows: list[_Row] = []
        failures: list[str] = []
        notes: list[str] = []
        with _progress(console) as progress:
            task = progress.add_task("evaluating", total=len(cases))
            pictures_of = partial(load, synthesize=synthesize, allow_huge=allow_huge)
            for outcome in compare_all(cases, pictures_of, Comparer(protocol, order, enlarger, scorer)):
                if isinstance(outcome, Compared):
                    rows.append(_Row(outcome.name, outcome.values))
                    notes.extend(outcome.notes)
                    gallery.add(outcome.exhibit)
                else:
                    failures.append(str(outcome))
                progress.advance(task)
        if not rows:
            more = len(failures) - 1
            others = f"; nor could {more} other{'s' if more > 1 else ''}" if more else ""
            raise SixteenfoldError(f"no picture could be compared: {failures[0]}{others}")
        methods = tuple(MethodScores(key, tuple(ImageScores(r.name, r.values[key]) for r in rows)) for key in order)
        facts = _facts(protocol, lr, synthesize, enlarger)
        if scorer.sources:
            facts["weights of LPIPS"] = ", ".join(scorer.sources)
        warnings = (*missing, *_compared_with_themselves(cases))
        scores = Scores(protocol, chosen, methods, facts, tuple(notes), tuple(failures), warnings)
        try:
            write_tables(scores, out)
            write_page(scores, gallery, out / "report.html")
        except OSError as error:
            raise SixteenfoldError(f"{out}: cannot be written to: {error.strerror}; name another folder") from error
    return scores


def _names(words: str | Sequence[str]) -> Sequence[str]:
    # A string is a sequence too, of letters.
    return (words,) if isinstance(words, str) else words


def _progress(console: Console | None) -> Progress:
    """Pictures done and time left, on a terminal alone."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = console is not None and console.is_terminal
    return Progress(*columns, console=console, transient=True, disable=not shown)


@dataclass(frozen=True)
class _Row:
    name: str
    values: Mapping[str, Mapping[str, float]]


def _check_options(
    sr: Path | None,
    lr: Path | None,
    synthesize: bool,
    baselines: Sequence[str],
    model: Generator | str | Path | None,
    upscale: Upscale | None,
) -> None:
    if lr is not None and synthesize:
        raise SixteenfoldError("--lr and --synthesize both provide small pictures: leave out one")
    if sr is None and lr is None and not synthesize:
        raise SixteenfoldError("nothing to evaluate: give results (--sr) or small pictures (--lr), or use --synthesize")
    if sr is not None and (model is not None or upscale is not None):
        raise SixteenfoldError("finished results are not enlarged again: leave out the model or the results")
    if model is not None and upscale is not None:
        raise SixteenfoldError("model and upscale would both enlarge: leave out one")
    if model is not None and not isinstance(model, Generator | str | Path):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SixteenfoldError(
            f"model: {type(model).__name__} is not a Generator, a model name or a file; pass a function from"
            " (1, 3, h, w) to (1, 3, 16h, 16w) as upscale=..."
        )
    if upscale is not None and not callable(upscale):
        raise SixteenfoldError(
            f"upscale: {upscale!r} is not a function from (1, 3, h, w) to (1, 3, 16h, 16w); pass a model name or"
            " file as model=..."
        )
    if baselines and lr is None and not synthesize:
        raise SixteenfoldError(f"{baselines[0]} needs small pictures: give some (--lr), or use --synthesize")
    for name in baselines:
        if name not in BASELINES:
            raise SixteenfoldError(f"baseline {name!r}: unknown; choose among {', '.join(BASELINES)}")


def _check_names(names: Sequence[str]) -> None:
    if not all(name.strip() for name in names):
        raise SixteenfoldError("a method has an empty name; give it a visible one")
    if taken := {"original", SMALL}.intersection(names):
        raise SixteenfoldError(f"no method can be named {min(taken)!r}; give it another name")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SixteenfoldError(f"two methods are named {twice!r}; rename one, or leave one out")


def _check_words(protocol: str, device: str, precision: str) -> None:
    """Check what the command line has checked already, for callers in Python."""
    if protocol not in get_args(Protocol):
        raise SixteenfoldError(f"protocol {protocol!r}: unknown; choose among {', '.join(get_args(Protocol))}")
    check_precision(precision)
    choose_device(device)


def _scoring_device(device: str) -> torch.device | None:
    """The metrics' networks run on CUDA if the model does; on Apple's GPUs their values have not been checked."""
    chosen = choose_device(device)
    return chosen if chosen.type == "cuda" else None


def _own_name(folder: Path) -> str:
    """The folder's own name, even if given as "." or ".."; of a link, the link's name."""
    return Path(os.path.normpath(folder.absolute())).name


def _compared_with_themselves(cases: Sequence[Case]) -> list[str]:
    """A warning per method whose results are the originals' own files, under whatever path."""
    warnings: list[str] = []
    for name in cases[0].results:
        count = sum(_same_file(case.hr, case.results[name]) for case in cases)
        if count:
            such = "is the original itself" if count == 1 else "are the originals themselves"
            which = "the only picture" if len(cases) == 1 else f"{count} of {len(cases)} pictures"
            warnings.append(f"{name}: {which} {such}; PSNR is infinite")
    return warnings


def _same_file(one: Path, other: Path) -> bool:
    first, second = there(one), there(other)
    return first is not None and second is not None and os.path.samestat(first, second)


def _usual_name(sr: Path | None, model: Generator | str | Path | None, upscale: Upscale | None) -> str:
    """The evaluated method's default name in tables."""
    if sr is not None:
        return _own_name(sr)
    if upscale is not None:
        return "result"
    if isinstance(model, Generator):
        return "model"
    from sixteenfold.networks import zoo
    from sixteenfold.networks.convert import RESULT

    if model is None:
        return zoo.default()
    file = Path(model)
    # Every run gives its weights this name; their folder distinguishes them.
    return _own_name(file.parent) or file.stem if file.name == RESULT else file.stem


def _model_described(name: str, model: Generator | str | Path | None) -> str:
    """Which model `name` means in the report: a shipped one by its name alone, others with their source."""
    from sixteenfold.networks import zoo

    if isinstance(model, Generator):
        return f"{name} (a generator given by the caller)"
    source = zoo.default() if model is None else str(model)
    return name if name == source else f"{name} ({source})"


def _enlarger(
    name: str, model: Generator | str | Path | None, upscale: Upscale | None, device: str, precision: str
) -> Enlarger:
    if upscale is not None:
        facts = {
            "model": f"{name} (a function given by the caller)",
            "consistency": "the function's results are compared as they are; no back-projection is applied",
        }
        return Enlarger(name, upscale, facts)
    from sixteenfold.networks import zoo
    from sixteenfold.networks.state import digest
    from sixteenfold.upscaling.upscaler import Upscaler

    generator = model if isinstance(model, Generator) else zoo.load(zoo.default() if model is None else model)
    upscaler = Upscaler(generator, device=device, precision=precision)
    facts = {
        "model": _model_described(name, model),
        "model hash": f"sha256 {digest(generator)} of its weights",
        "engine": upscaler.description,
        "consistency": "the model's results are back-projected to downscale to their inputs, as in upscale",
    }
    return Enlarger(name, upscaler, facts)


def _facts(protocol: Protocol, lr: Path | None, synthesize: bool, enlarger: Enlarger | None) -> dict[str, str]:
    where = "the whole picture" if protocol == "full" else "the centre 1000x1000"
    facts = {"protocol": f"{protocol}: {where} is compared; no border is cropped"}
    if synthesize:
        facts["small pictures"] = (
            "made from the originals, cropped from the top left to a multiple of 16, by MATLAB's bicubic x1/16,"
            " rounded to 8 bits"
        )
    elif lr is not None:
        facts["small pictures"] = "given; where x16 of them is not the original's size, their common area is compared"
    facts["rounding"] = "all pictures are compared as 8-bit RGB; grey is repeated in three channels, alpha ignored"
    facts["colour"] = "values are compared as stored in the files; colour profiles are not applied"
    facts["intervals"] = "95 % percentile bootstrap over pictures, 10,000 resamples, seed 0"
    facts |= enlarger.facts if enlarger else {"model": "none: finished results were given"}
    # What the packages say of themselves, not their metadata, which is missing where they were only copied.
    modules = (sixteenfold, numpy, pyvips, torch)
    packages = ", ".join(f"{module.__name__} {module.__version__}" for module in modules)
    facts["versions"] = f"{packages}, Python {platform.python_version()}"
    facts["date"] = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return facts
