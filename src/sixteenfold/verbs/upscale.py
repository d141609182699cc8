"""`upscale`: pictures made sixteen times as large a side."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from sixteenfold.verbs.telling import say, say_undone, status
from sixteenfold.words import Count, Device, Flag, Format, Inputs, Model, Number, Precision, WidthAndHeight


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
                say=say,
            )

        report = upscale_files(
            self.inputs,
            self.out,
            make_upscaler,
            format=self.format,
            overwrite=self.overwrite,
            console=None if self.quiet or self.json else Console(),
            watch=json_lines(sys.stdout) if self.json else None,
            say=None if self.quiet else say,
            scale=self.scale,
            size=self.size,
            pyramid=self.pyramid,
            allow_huge=self.allow_huge,
        )
        if not self.quiet:
            say_undone(report.plan, report.skipped)
        return status(report.failures, alone=report.plan.alone)
