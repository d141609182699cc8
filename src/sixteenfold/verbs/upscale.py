"""`upscale`: enlarge pictures sixteen times per side."""

import sys
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from tyro.conf import arg

from sixteenfold.verbs.enlarging import make_upscaler
from sixteenfold.verbs.telling import say, say_undone, status
from sixteenfold.words import (
    Device,
    Ensemble,
    Fidelity,
    Flag,
    Format,
    Inputs,
    Model,
    NoConsistency,
    Number,
    Precision,
    Tile,
    WidthAndHeight,
)


@dataclass(frozen=True)
class Upscale:
    """Enlarge pictures sixteen times per side."""

    inputs: Inputs
    """Pictures, or folders to search recursively; results of earlier runs beside them or in OUT are left out."""
    out: Annotated[str | None, arg(aliases=["-o"], metavar="OUT", help_behavior_hint="")] = None
    """Output file for one picture, else folder that mirrors the input's; by default NAME_x16.png beside each input."""
    model: Model = None
    """Shipped model (see `sixteenfold models`) or a weights file that `convert` reads; by default the first shipped."""
    device: Device = "auto"
    """Device to compute on."""
    precision: Precision = "auto"
    """Arithmetic precision; auto takes the fastest that the device does well."""
    tile: Tile = None
    format: Format = None
    """Format of the results; by default from OUT's suffix, else png."""
    pyramid: Flag = False
    """Add smaller copies to TIFF results, for viewers of large pictures."""
    scale: Number = None
    """Scale factor, 2 to 16; the x16 result is reduced to it; by default 16."""
    size: WidthAndHeight = None
    """Reduce the x16 result to exactly this size instead."""
    fidelity: Fidelity = None
    ensemble: Ensemble = False
    no_consistency: NoConsistency = False
    overwrite: Flag = False
    """Replace existing results; without this they are skipped, even if made with other options."""
    allow_huge: Flag = False
    """Read pictures of more than 178 megapixels too."""
    quiet: Flag = False
    """Print only warnings and errors."""
    json: Flag = False
    """Report progress as JSON lines on stdout, for programs."""

    def run(self) -> int:
        """Upscale, and return the exit status."""
        from rich.console import Console

        from sixteenfold.upscaling.batch import upscale_files
        from sixteenfold.upscaling.progress import json_lines

        report = upscale_files(
            self.inputs,
            self.out,
            partial(make_upscaler, self),
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
