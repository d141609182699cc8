"""What several verbs say on stderr, and the exit status that goes with it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sixteenfold.errors import one_line

if TYPE_CHECKING:
    from sixteenfold.imaging.folders import Plan


def say(line: str) -> None:
    """Print a line that is no result."""
    print(line, file=sys.stderr)


def say_undone(plan: "Plan", skipped: Sequence[Path]) -> None:
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
        say(one_line(line))


def status(failures: Sequence[str], *, alone: bool = False) -> int:
    """Name the files that could not be done, and return the exit status: 1 for some of a batch, 2 for the only one."""
    for failure in failures:
        say(f"sixteenfold: {failure}")
    if not failures:
        return 0
    return 2 if alone else 1
