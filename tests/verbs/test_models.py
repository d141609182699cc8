"""`models`: every shipped model."""

import pytest

from sixteenfold.cli import main
from sixteenfold.networks import zoo


def test_models_lists_what_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    assert all(f"{name}: {zoo.card(name).purpose}" in said for name in zoo.names())
