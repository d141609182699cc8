"""`evaluate`: measure results against their originals."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import UseAppendAction, arg

from sixteenfold.errors import SixteenfoldError, one_line
from sixteenfold.verbs.enlarging import make_upscaler
from sixteenfold.verbs.telling import say, status
from sixteenfold.words import Device, Ensemble, Fidelity, Flag, Model, NoConsistency, Precision, Tile

AGAIN = ("--baseline", "--also")
"""The options that may be repeated."""


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure results against their originals; writes scores.json, scores.csv and a report.

    One of --sr, --lr and --synthesize is required: finished results, small pictures to enlarge, or originals to make
    them from.
    """

    hr: Annotated[Path, arg(metavar="DIR")]
    """Folder of originals."""
    sr: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder of finished results, paired by name."""
    lr: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder of small pictures to enlarge or, with --sr, those that the results were made from."""
    synthesize: Flag = False
    """Make the small pictures from the originals, by the exact x1/16."""
    model: Model = None
    """Shipped model or weights file to enlarge with; by default the first shipped."""
    name: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    """Name of that model or those results in the report; by default the model's or folder's own."""
    protocol: Literal["full", "ntire2020"] = "full"
    """What to compare: whole pictures, or their centre 1000x1000."""
    metrics: Annotated[str | None, arg(metavar="a,b,c", help_behavior_hint="")] = None
    """Any of: psnr, ssim, psnr_y, ssim_y, lpips, lpips_vgg, dists, niqe, lr_psnr; or pyiqa:NAME;
    by default psnr, ssim, lpips and, if there are small pictures, lr_psnr."""
    baseline: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="bicubic|lanczos", help_behavior_hint="")] = ()
    """Classical enlargement to score as well; may be repeated."""
    also: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME=DIR", help_behavior_hint="")] = ()
    """Folder of another tool's results to score as well, under this name; may be repeated."""
    out: Annotated[Path, arg(metavar="DIR")]
    """Folder to write the report to."""
    overwrite: Flag = False
    """Replace an earlier report there."""
    allow_missing: Flag = False
    """Score only the pictures that are in every folder, instead of failing if some are missing."""
    allow_huge: Flag = False
    """Read pictures of more than 178 megapixels too."""
    device: Device = "auto"
    """Device to compute on."""
    precision: Precision = "auto"
    """Arithmetic precision."""
    tile: Tile = None
    fidelity: Fidelity = None
    ensemble: Ensemble = False
    no_consistency: NoConsistency = False

    def run(self) -> int:
        """Evaluate, print the means, and return the exit status."""
        from rich.console import Console

        from sixteenfold.evaluation.report import number
        from sixteenfold.evaluation.run import evaluate

        if self.sr is None:
            # It has the device and the precision already.
            model, device, precision = make_upscaler(self), "auto", "auto"
        else:
            self._refuse_options_of_enlarging()
            model, device, precision = self.model, self.device, self.precision
        scores = evaluate(
            self.hr,
            out=self.out,
            sr=self.sr,
            lr=self.lr,
            synthesize=self.synthesize,
            model=model,
            name=self.name,
            protocol=self.protocol,
            metrics=[word.strip() for word in self.metrics.split(",")] if self.metrics is not None else None,
            baselines=self.baseline,
            also=_named_folders(self.also),
            allow_missing=self.allow_missing,
            overwrite=self.overwrite,
            allow_huge=self.allow_huge,
            device=device,
            precision=precision,
            console=Console(stderr=True),
        )
        for warning in scores.warnings:
            say(one_line(f"warning: {warning}"))
        for method in scores.methods:
            means = (f"{metric.label} {number(scores.mean(method, metric.key), metric)}" for metric in scores.metrics)
            print(one_line(f"{method.name}: {', '.join(means)}"))
        print(one_line(str(self.out / "report.html")))
        return status(scores.failures)

    def _refuse_options_of_enlarging(self) -> None:
        """Raise SixteenfoldError for an option that would change nothing, as results are given."""
        options = {
            "--tile": self.tile is not None,
            "--fidelity": self.fidelity is not None,
            "--ensemble": self.ensemble,
            "--no-consistency": self.no_consistency,
        }
        for option, given in options.items():
            if given:
                raise SixteenfoldError(f"{option}: finished results (--sr) are not enlarged again; leave out one")


def _named_folders(words: Sequence[str]) -> dict[str, Path]:
    """Each folder by its name, from the values of every `--also NAME=DIR`.

    Raises:
        SixteenfoldError: If a word is not of this form, or two have one name.
    """
    folders: dict[str, Path] = {}
    for word in words:
        name, _, folder = word.partition("=")
        if not (name and folder):
            raise SixteenfoldError(f"--also {word}: is not NAME=DIR, such as other=results/")
        if name in folders:
            raise SixteenfoldError(f"--also {word}: the name {name!r} is taken; give each folder its own name")
        folders[name] = Path(folder)
    return folders
