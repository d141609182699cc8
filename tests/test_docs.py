"""The README and docs/: each command that they show is one that the command line takes."""

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
