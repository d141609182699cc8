"""The README and docs/: each command that they show is one that the command line takes."""

import csv
import re
import shlex
from pathlib import Path
from typing import Any, get_args

import pytest

from sixteenfold import cli
from sixteenfold.verbs.train import Train

ROOT = Path(__file__).parent.parent
TEXTS = [path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))]
# On lines of their own; those with [options] and FILES... show a form.
COMMANDS = [
    line.strip()
    for text in TEXTS
    for line in text.replace("\\\n", " ").splitlines()
    if re.match(r" *sixteenfold [a-z-]+ [^\[]*$", line) and "..." not in line
]


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_commands_are_taken(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def done(verb: Any, changes: list[str] | None = None) -> int:
        if isinstance(verb, Train):
            verb._recipe(changes or [])
        return 0

    for verb in get_args(cli.Verb):
        monkeypatch.setattr(verb, "run", done)
    assert cli.main(shlex.split(command, comments=True)[1:]) == 0, capsys.readouterr().err


def test_commands_are_found() -> None:
    assert len(COMMANDS) >= 20


def test_each_photograph_trained_on_can_be_told() -> None:
    """And the document counts those that are as their source has them."""
    with (ROOT / "docs" / "photographs.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len([row for row in rows if row["use"] == "training"]) == 218
    assert len({row["sha256"] for row in rows}) == len(rows) == 230
    assert all(re.fullmatch("[0-9a-f]{64}", row["sha256"]) and row["processing"] for row in rows)
    # The command beside it takes the hash for the line's end.
    assert list(rows[0])[-1] == "sha256"
    unchanged = [row for row in rows if re.fullmatch(r"original JPEG bytes( \(q~\d+\))?", row["processing"])]
    said = (ROOT / "docs" / "training-data.md").read_text(encoding="utf-8")
    assert f"{len(unchanged)} with `original JPEG bytes`" in said
