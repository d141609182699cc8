"""`downscale`: the exact x1/16 that training uses."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg

from sixteenfold.errors import SixteenfoldError, one_line
from sixteenfold.verbs.telling import say_undone, status
from sixteenfold.words import Flag, Inputs


@dataclass(frozen=True, kw_only=True)
class Downscale:
    """Shrink pictures by the exact x1/16 that training uses."""

    inputs: Inputs
    """Pictures, or folders to search recursively."""
    out: Annotated[str, arg(aliases=["-o"], metavar="OUT")]
    """Output file for one picture, else folder that mirrors the input's."""
    overwrite: Flag = False
    """Replace existing results; without this they are skipped."""
    allow_huge: Flag = False
    """Read pictures of more than 178 megapixels too."""

    def run(self) -> int:
        """Shrink, and return the exit status."""
        from sixteenfold.imaging.jobs import plan_jobs
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
        say_undone(plan, skipped)
        return status(failures, alone=plan.alone)
