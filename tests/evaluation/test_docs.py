"""docs/evaluation.md: its commands, one after the other as a reader would type them."""

import re
import shlex
from pathlib import Path

from sixteenfold.cli import DESCRIPTION, Verb
from sixteenfold.verbs.evaluate import Evaluate
from sixteenfold.words import parse

TEXT = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")


def test_no_command_writes_where_another_did() -> None:
    lines = [line for block in re.findall("```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
    commands = [
        parse(Verb, shlex.split(line)[1:], DESCRIPTION, "") for line in lines if line.startswith("sixteenfold ")
    ]
    reports = [command.out for command in commands if isinstance(command, Evaluate)]
    reports += [Path(out) for out in re.findall('evaluate\\(.*out="(.*?)"', TEXT)]
    assert len(reports) >= 7
    assert len(set(reports)) == len(reports)
