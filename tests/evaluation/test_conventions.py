"""What a report says of how its figures came about."""

import importlib.metadata
from pathlib import Path

import numpy as np
import pytest

import sixteenfold
from sixteenfold.evaluation.run import evaluate

from .conftest import Save, pairs


def test_packages_without_metadata(save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where their folders were only copied to where Python looks."""
    pairs(save, 1)

    def missing(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata.Distribution, "from_name", missing)  # what `version` asks, however imported
    scores = evaluate(tmp_path / "hr", sr=tmp_path / "sr", metrics=["psnr"], out=tmp_path / "out")
    assert f"sixteenfold {sixteenfold.__version__}, numpy {np.__version__}, pyvips " in scores.facts["versions"]
