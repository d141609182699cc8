"""The command line: one small class a verb, its fields the options.

Nothing is imported here but what reads the words; a verb imports its engine when it runs.
"""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO, Union, cast

from tyro.conf import Positional, UseAppendAction, arg

from sixteenfold import __version__
from sixteenfold.errors import Interrupted, SixteenfoldError, one_line
from sixteenfold.signals import Asked, heard_as_interrupts, no_interrupt_lost
from sixteenfold.streams import Output, OutputError, lead_nowhere, replace_closed_streams, say_last
from sixteenfold.words import (
    Count,
    Device,
    Flag,
    Format,
    Inputs,
    Model,
    Number,
    Precision,
    WidthAndHeight,
    changed,
    check_once,
    named_folders,
    parse,
    split_options,
    without_parts,
)

if TYPE_CHECKING:
    from sixteenfold.imaging.folders import Plan
    from sixteenfold.training.config import TrainConfig

DESCRIPTION = "x16 perceptual super-resolution. `sixteenfold VERB --help` tells more; --version prints the version."


# The fields of a TrainConfig, which is not imported before it is needed.
RECIPE = (
    *("generator", "pixel", "adversarial", "data", "seed", "minutes"),
    *("validate_every", "validation_crop", "save_every", "log_every"),
)


@dataclass(frozen=True)
class Upscale:
    """Make pictures sixteen times as large a side."""

    inputs: Inputs
    """Picture files, or folders, which are walked; results of earlier runs found there are left out."""
    out: Annotated[Path | None, arg(aliases=["-o"], metavar="OUT", help_behavior_hint="")] = None
    """File for one input, else folder that mirrors the input's; by default NAME_x16.png beside each input."""
    model: Model = None
    """A shipped model's name (see `sixteenfold models`) or a file of weights, any that `convert` reads; by default the
    first shipped."""
    device: Device = "auto"
    """Where to compute."""
    precision: Precision = "auto"
    """How exactly to compute; auto takes the fastest that the device does well."""
    tile: Count = None
    """Side of a tile in input pixels; smaller needs less memory and more time."""
    format: Format = None
    """Format of the results; by default what OUT's name says, else png."""
    pyramid: Flag = False
    """Into TIFF results, put smaller copies too, for viewers of large pictures."""
    scale: Number = None
    """Times the side, 2 to 16: the x16 result is reduced to it; by default 16."""
    size: WidthAndHeight = None
    """Reduce the x16 result to exactly this size instead."""
    fidelity: Number = None
    """0 to 1: mix the weights of the perceptual model (0) and its fidelity partner (1); by default as the model is."""
    ensemble: Flag = False
    """Average over the eight flips and rotations: eight times the work."""
    consistency: Flag = True
    """Leave the result as the network gives it, instead of making it downscale to its input."""
    overwrite: Flag = False
    """Make results anew that exist already; without it they are skipped, with whatever options they were made."""
    allow_huge: Flag = False
    """Read pictures too that declare more than 178 megapixels."""
    quiet: Flag = False
    """Say nothing but what goes wrong."""
    json: Flag = False
    """Tell the course as lines of JSON on stdout, for programs."""

    def run(self) -> int:
        """Upscale, and return the exit status."""
        from rich.console import Console

        from sixteenfold.upscaling.batch import upscale_files
        from sixteenfold.upscaling.progress import json_lines
        from sixteenfold.upscaling.upscaler import Upscaler

        def make_upscaler() -> Upscaler:
            return Upscaler(
                self.model,
                device=self.device,
                precision=self.precision,
                tile=self.tile,
                consistency=self.consistency,
                ensemble=self.ensemble,
                fidelity=self.fidelity,
                say=_say,
            )

        report = upscale_files(
            self.inputs,
            self.out,
            make_upscaler,
            format=self.format,
            overwrite=self.overwrite,
            console=None if self.quiet or self.json else Console(),
            watch=json_lines(sys.stdout) if self.json else None,
            say=None if self.quiet else _say,
            scale=self.scale,
            size=self.size,
            pyramid=self.pyramid,
            allow_huge=self.allow_huge,
        )
        if not self.quiet:
            _say_undone(report.plan, report.skipped)
        return _status(report.failures, alone=report.plan.alone)


@dataclass(frozen=True, kw_only=True)
class Downscale:
    """Make the exact x1/16 that training uses."""

    inputs: Inputs
    """Picture files, or folders, which are walked."""
    out: Annotated[Path, arg(aliases=["-o"], metavar="OUT")]
    """File for one input, else folder that mirrors the input's."""
    overwrite: Flag = False
    """Make results anew that exist already; without it they are skipped."""
    allow_huge: Flag = False
    """Read pictures too that declare more than 178 megapixels."""

    def run(self) -> int:
        """Shrink, and return the exit status."""
        from sixteenfold.imaging.folders import plan_jobs
        from sixteenfold.imaging.shrink import shrink_file

        plan = plan_jobs(self.inputs, self.out, ending="", keep_suffix=True)
        pending, skipped = plan.divided(overwrite=self.overwrite)
        failures = list(plan.refused.values())
        for job in pending:
            try:
                notes = shrink_file(job.source, job.target, allow_huge=self.allow_huge)
            except SixteenfoldError as error:
                failures.append(str(error))
            else:
                print(one_line("; ".join((str(job.target), *notes))))
        _say_undone(plan, skipped)
        return _status(failures, alone=plan.alone)


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a network on photographs.

    Each value of the recipe is an option too, for instance --pixel.steps 1000 --adversarial.lpips 0.5 --seed 3:
    they bear the names that the run's config.json has, and `sixteenfold train PRESET --help` lists them with the
    preset's values. --minutes 30 gives the run half an hour instead of a number of steps; --pixel None leaves the pixel
    phase out, to train given weights (--init) on in the adversarial phase alone.
    """

    preset: Annotated[Positional[str | None], arg(metavar="PRESET", help_behavior_hint="")] = None
    """A recipe by its name, before any option: ciplab, ciplab-released, vgg, strong, compact, medium, smoke; or give
    --config."""
    config: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """A recipe as JSON, such as the config.json of an earlier run."""
    hr: Annotated[tuple[Path, ...], arg(metavar="DIR...")]
    """Folders of photographs, walked; results of upscale and samples of runs among them are left out."""
    val: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder of photographs to validate on; the best weights by it are kept."""
    out: Annotated[Path, arg(metavar="RUN")]
    """Run folder: configuration, log, checkpoints, weights."""
    resume: Flag = False
    """Go on from the run folder's newest checkpoint; weights to start from are not looked at again."""
    init: Model = None
    """Start from a shipped model's weights or a file's instead of from random ones; a smaller network is grown."""
    init_discriminator: Model = None
    """Start from the discriminator of a shipped model or of an earlier run's file."""
    steps: Count = None
    """Another number of steps than the recipe's, in its proportions; or give the time by --minutes M."""
    device: Device = "auto"
    """Where to compute."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 computes in mixed precision; the weights stay fp32."""
    compile: Flag = False
    """Compile the networks' blocks by torch.compile first: for a GPU, where it takes a minute or two."""
    graph: Flag = False
    """Replay the generator's step as one CUDA graph, sparing a GPU the start of each operation; one process only."""

    def run(self, changes: Sequence[str] = ()) -> int:
        """Train, and return the exit status; `changes` are the words that set values of the recipe."""
        try:
            from sixteenfold.training.loop import train
        except ModuleNotFoundError as error:
            raise SixteenfoldError(
                f"{error.name} is not installed; in a clone of sixteenfold type: pip install '.[train]'"
            ) from None
        weights = train(
            self._recipe(changes),
            hr=self.hr,
            val=self.val,
            out=self.out,
            resume=self.resume,
            init=self.init,
            init_discriminator=self.init_discriminator,
            device=self.device,
            precision=self.precision,
            compiled=self.compile,
            graph=self.graph,
        )
        if os.environ.get("RANK", "0") == "0":  # torchrun numbers its processes; the first speaks for all
            print(one_line(str(weights)))
        return 0

    def _recipe(self, changes: Sequence[str]) -> "TrainConfig":
        from sixteenfold.training.config import PRESETS, from_json

        match self.preset, self.config:
            case str(name), None:
                config = _preset(name)
            case None, Path() as file:
                config = from_json(file)
            case None, None:
                known = ", ".join(PRESETS)
                raise SixteenfoldError(f"train: name either a preset ({known}), first of all, or a --config FILE")
            case _:
                raise SixteenfoldError(f"train: {self.preset} and --config are two recipes; leave out one of them")
        config, changes = without_parts(config, changes)
        for phase in ("pixel", "adversarial"):
            if getattr(config, phase) is None and (of_it := [one for one in changes if one.startswith(f"--{phase}.")]):
                raise SixteenfoldError(f"{of_it[0]}: this recipe has no {phase} phase; leave out one of the two")
        if self.steps is not None:
            config = config.with_steps(self.steps)
        config = changed(config, changes, f"sixteenfold train {self.preset or 'PRESET'}") if changes else config
        if self.steps is not None and config.minutes is not None:
            raise SixteenfoldError("train: --steps and minutes are two lengths of a run; leave out one of them")
        return config


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure results against their originals; writes scores.json, scores.csv and a report.

    One of --sr, --lr and --synthesize is needed: finished results, small pictures to enlarge, or originals to make
    these from.
    """

    hr: Annotated[Path, arg(metavar="DIR")]
    """Folder of originals."""
    sr: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder of finished results, paired by name."""
    lr: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder of small pictures to enlarge; or, with --sr, what the results were made from."""
    synthesize: Flag = False
    """Make the small pictures from the originals, by the exact x1/16."""
    model: Model = None
    """Shipped model's name or file of weights that enlarges; by default the first shipped."""
    name: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    """What the report calls that model, or those results; by default as they are called."""
    protocol: Literal["full", "ntire2020"] = "full"
    """What is compared: whole pictures, or their centre 1000x1000."""
    metrics: Annotated[str | None, arg(metavar="a,b,c", help_behavior_hint="")] = None
    """Which: psnr, ssim, psnr_y, ssim_y, lpips, lpips_vgg, dists, niqe, lr_psnr; or pyiqa:NAME;
    by default psnr, ssim, lpips and, where there are small pictures, lr_psnr."""
    baseline: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="bicubic|lanczos", help_behavior_hint="")] = ()
    """A classical enlargement to score beside; may be given again."""
    also: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME=DIR", help_behavior_hint="")] = ()
    """Folder of another tool's results to score beside, under this name; may be given again."""
    out: Annotated[Path, arg(metavar="DIR")]
    """Folder for the report."""
    overwrite: Flag = False
    """Replace an earlier report there."""
    allow_missing: Flag = False
    """Score the pictures that are in every folder when some are not."""
    allow_huge: Flag = False
    """Read pictures too that declare more than 178 megapixels."""
    device: Device = "auto"
    """Where to compute."""
    precision: Precision = "auto"
    """How exactly to compute."""

    def run(self) -> int:
        """Evaluate, print the means, and return the exit status."""
        from rich.console import Console

        from sixteenfold.evaluation.report import number
        from sixteenfold.evaluation.run import evaluate

        scores = evaluate(
            self.hr,
            out=self.out,
            sr=self.sr,
            lr=self.lr,
            synthesize=self.synthesize,
            model=self.model,
            name=self.name,
            protocol=self.protocol,
            metrics=[word.strip() for word in self.metrics.split(",")] if self.metrics is not None else None,
            baselines=self.baseline,
            also=named_folders("--also", self.also),
            allow_missing=self.allow_missing,
            overwrite=self.overwrite,
            allow_huge=self.allow_huge,
            device=self.device,
            precision=self.precision,
            console=Console(stderr=True),
        )
        for warning in scores.warnings:
            _say(one_line(f"warning: {warning}"))
        for method in scores.methods:
            means = (f"{metric.label} {number(method.mean(metric.key), metric)}" for metric in scores.metrics)
            print(one_line(f"{method.name}: {', '.join(means)}"))
        print(one_line(str(self.out / "report.html")))
        return _status(scores.failures)


@dataclass(frozen=True)
class Convert:
    """Turn a checkpoint of the authors, or another RRDB x4x4, into .safetensors; nothing in it is run."""

    src: Annotated[Positional[Path], arg(metavar="SRC")]
    """The checkpoint, as torch.save or safetensors wrote it."""
    dst: Annotated[Positional[Path], arg(metavar="DST")]
    """The .safetensors file to write."""
    overwrite: Flag = False
    """Replace DST if it exists; without it nothing is done then."""

    def run(self) -> int:
        """Convert, and return the exit status."""
        from sixteenfold.imaging.folders import file_there
        from sixteenfold.networks.convert import convert

        # Another ending is refused whether there is such a file or not, and so is a source that is none.
        sound = self.dst.suffix == ".safetensors" and file_there(self.src)
        if sound and file_there(self.dst) and not self.overwrite:
            _say(one_line(f"{self.dst}: skipped, it exists; --overwrite makes it anew"))
            return 0
        print(one_line(f"{self.dst}: {convert(self.src, self.dst)}"))
        return 0


@dataclass(frozen=True)
class Models:
    """List the shipped models, with their cards."""

    def run(self) -> int:
        """Print the cards, the default model's first, and return the exit status."""
        from sixteenfold.networks import zoo

        for name in zoo.names():
            card = zoo.card(name)
            print(f"{name}: {card.purpose}")
            print(f"  shape    {card.shape}")
            print(f"  trained  {card.recipe}; {card.steps:,} steps; {card.hardware}")
            print(f"  data     {card.data}")
            if card.fidelity_partner is not None:
                print(f"  mixes    --fidelity 0..1 goes to {card.fidelity_partner}")
            for title, lines in (("licence", card.licences), ("fails", card.known_failures)):
                print(*(f"  {title:8} {line}" for line in lines), sep="\n")
            print(*(f"  figure   {what}: {value:g}" for what, value in card.figures.items()), sep="\n")
        return 0


# Not `A | B`: for that tyro imports a type checker, and with it asyncio and unittest, at every start.
Verb = Union[Upscale, Downscale, Train, Evaluate, Convert, Models]  # noqa: UP007


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The words after the program's name; by default the process's own.

    Returns:
        0 when all went well, 1 when some files of a batch failed or nobody reads the output any more, 2 for a
        mistake of the user's, 130 when interrupted, 143 or 129 when SIGTERM or SIGHUP did that; 130 too of `train`,
        once it has begun, as they all end it between two steps and it saves.
    """
    words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    replace_closed_streams()
    if isinstance(sys.stdout, TextIOWrapper):  # a file's name need not be text that the stream can write
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with redirect_stdout(cast(TextIO, Output())):
            status = _run(words)
            sys.stdout.flush()  # while it can still be said that it did not work
        return status
    except SixteenfoldError as error:
        print(f"sixteenfold: {error}", file=sys.stderr)
        return 130 if isinstance(error, Interrupted) else 2
    except BrokenPipeError:  # who read our lines has ended, such as `head`; nobody is left to tell
        lead_nowhere(sys.stdout.fileno())
        return 1
    except OutputError as error:
        print(f"sixteenfold: the output cannot be written ({error})", file=sys.stderr)
        lead_nowhere(sys.stdout.fileno())
        return 2
    except KeyboardInterrupt as stop:
        if argv is None:  # the process ends now; another Ctrl-C would only interrupt its tidying up, with a traceback
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        say_last("sixteenfold: interrupted\n")
        return stop.status if isinstance(stop, Asked) else 130
    except SystemExit as end:  # tyro, when it has printed the help
        return int(end.code or 0)


def _run(words: Sequence[str]) -> int:
    if words == ["--version"]:
        print(f"sixteenfold {__version__}")
        return 0
    if "" in words:  # it would mean the current folder
        raise SixteenfoldError("one of the words is empty; is a variable of the shell not set?")
    if words[0] == "train" and len(words) > 2 and words[1][0] != "-" and not {"-h", "--help"}.isdisjoint(words):
        return _explain_recipe(words[1])
    check_once(words, again=("--baseline", "--also"))
    words, changes = split_options(words, RECIPE if words[0] == "train" else ())
    command: Verb = parse(Verb, words, DESCRIPTION, _where_it_says(words))
    # One of several processes that waits for the others hears nothing: what is to end it has to do so itself.
    deaf = isinstance(command, Train) and os.environ.get("WORLD_SIZE", "1") != "1"
    with no_interrupt_lost(), nullcontext() if deaf else heard_as_interrupts():
        return command.run(changes) if isinstance(command, Train) else command.run()


def _where_it_says(words: Sequence[str]) -> str:
    """The words whose --help lists what the verb takes: of `train` a preset's lists the recipe's options too."""
    if words[0] != "train":
        return f"sixteenfold {words[0]}"
    return f"sixteenfold train {words[1] if words[1:] and words[1][0] != '-' else 'PRESET'}"


def _preset(name: str) -> "TrainConfig":
    from sixteenfold.training.config import PRESETS

    if name in PRESETS:
        return PRESETS[name]
    near = "".join(f"; did you mean {one}?" for one in get_close_matches(name, PRESETS, n=1))
    raise SixteenfoldError(f"{name}: no preset of this name among {', '.join(PRESETS)}{near}")


def _explain_recipe(name: str) -> int:
    """Print the help of `train`, and then that of each value of a preset."""
    recipe = _preset(name)
    with suppress(SystemExit):
        parse(Verb, ["train", "--help"], DESCRIPTION, _where_it_says(["train", name]))
    print()
    with suppress(SystemExit):
        changed(recipe, ["--help"], f"sixteenfold train {name}")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _say_undone(plan: "Plan", skipped: Sequence[Path]) -> None:
    """Say what a batch did not touch, a line for each reason."""
    from sixteenfold.imaging.folders import passed_over, set_aside
    from sixteenfold.imaging.write import rows_left

    # They may be the work of hours, and the same command but for --overwrite: told, and not removed.
    begun = [rows for target in skipped if (rows := rows_left(target))]
    for line in (
        *set_aside(skipped, "skipped, existing already", "--overwrite makes results anew"),
        *set_aside(
            begun,
            "begun anew in a run that was stopped",
            "the same options and --overwrite go on, or delete .rows and .key",
        ),
        *set_aside(plan.earlier, "left out, named like results of earlier runs", "name one itself to enlarge it"),
        *set_aside(plan.made, "left out, being what this command makes of others", "name one without others to use it"),
        *passed_over(plan.unread),
    ):
        _say(one_line(line))


def _status(failures: Sequence[str], *, alone: bool = False) -> int:
    """Name the files that could not be done, and return the exit status: 1 for some of a batch, 2 for the only one."""
    for failure in failures:
        _say(f"sixteenfold: {failure}")
    if not failures:
        return 0
    return 2 if alone else 1
