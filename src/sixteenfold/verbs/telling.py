"""What several verbs say on stderr, and the exit status that goes with it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sixteenfold.errors import one_line

if TYPE_CHECKING:
    from sixteenfold.imaging.jobs import Plan


def say(line: str) -> None:
    """Print a line that is not a result, on stderr."""
    print(line, file=sys.stderr)


def say_undone(plan: "Plan", skipped: Sequence[Path]) -> None:
    """Say what a batch did not touch, a line for each reason."""
    from sixteenfold.imaging.folders import passed_over, set_aside
    from sixteenfold.imaging.rows import rows_left

    # They may hold hours of work, which only --overwrite with the same options continues: reported, not removed.
    begun = [rows for target in skipped if (rows := rows_left(target))]
    for line in (
        *set_aside(skipped, "skipped, already existing", "use --overwrite to replace"),
        *set_aside(
            begun,
            "left unfinished by a stopped --overwrite run",
            "repeat that command to continue, or delete its .rows and .key files",
        ),
        *set_aside(plan.earlier, "left out, named like results of earlier runs", "give its own path to enlarge one"),
        *set_aside(plan.made, "left out, the result of another input", "to use one as an input, give it alone"),
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
