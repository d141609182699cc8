"""The program that times training steps."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

from sixteenfold.training import course

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "training.py"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(PROGRAM.parent)
    spec = importlib.util.spec_from_file_location("training_benchmark", PROGRAM)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_a_graph_without_a_gpu_is_refused_in_a_line(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["training.py", "--preset", "smoke", "--device", "cpu", "--graph", "--ours-only"])
    with pytest.raises(SystemExit, match=r"^training: graph: a CUDA graph needs a CUDA device, not cpu$"):
        program.main()


def test_what_is_timed_is_the_step_of_the_recipe(
    program: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Past its head start, with its masks and views, and with what is changed of it on the command line."""
    steps: list[tuple[Any, ...]] = []
    monkeypatch.setattr(course, "adversarial_step", lambda *args: steps.append(args) or {})
    picture = pyvips.Image.new_from_array(np.zeros((130, 130, 3), np.uint8))
    monkeypatch.setattr(program, "write_photographs", lambda folder: picture.write_to_file(str(folder / "0.png")))
    words = "--preset smoke --phase adversarial --device cpu --ours-only --rounds 1 --steps 5 --batch 1"
    words += " --adversarial.lpips 0 --adversarial.head-start 5 --adversarial.lpips-views 3"
    monkeypatch.setattr(sys, "argv", ["training.py", *words.split()])
    program.main()
    assert len(steps) == 10  # the first turn is not counted
    parts, phase, masks, views = zip(*(step[-4:] for step in steps), strict=True)
    assert {len(part) for part in parts} == {len(part[0].hr) for part in parts} == {1}
    assert any(mask is not None for mask in masks)
    assert {len(view.lpips) for view in views} == {3}
    assert {one.batch for one in phase} == {1} and json.loads(capsys.readouterr().out)["batch"] == 1
