"""What travels in pieces arrives whole, or is refused."""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

SCRIPT = Path(__file__).parent.parent / "tools" / "gpu_session" / "pieces.py"


def join(folder: Path, target: Path) -> dict[str, torch.Tensor]:
    subprocess.run([sys.executable, str(SCRIPT), "join", str(folder), str(target)], check=True)
    return load_file(target)


def watch(run: Path, seconds: int, out: Path, *what: str, **others: Any) -> "subprocess.Popen[str]":
    words = [str(SCRIPT.with_name("watch.sh")), str(run), str(seconds), str(out), *what]
    return subprocess.Popen(words, env=os.environ | {"PYTHON": sys.executable}, text=True, **others)


def test_better_weights_are_brought_while_the_training_goes_on(tmp_path: Path) -> None:
    """A call that is ended before its time has them too; those that were better later take their place."""
    run, out = tmp_path / "run", tmp_path / "out"
    run.mkdir()
    (tmp_path / "run.log").write_text("step 5: validation\n")
    (tmp_path / "run.pid").write_text(str(os.getpid()))
    for value in (1.0, 2.0):
        save_file({"a": torch.full((3,), value)}, run / "model.safetensors")
        before = set(out.glob("model*"))
        watching = watch(run, 100, out)
        try:
            limit = time.monotonic() + 60
            while not set(out.glob("model*")) - before:
                assert time.monotonic() < limit
                time.sleep(0.1)
        finally:
            watching.kill()
            watching.wait()
        assert join(out, tmp_path / "model.safetensors")["a"].tolist() == [value] * 3


def test_the_end_of_a_training_is_seen(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run.log").write_text("Traceback (most recent call last):\nValueError: of no use\n")
    (tmp_path / "run.pid").write_text(str(os.getpid()))
    watching = watch(tmp_path / "run", 100, tmp_path / "out", stdout=subprocess.PIPE)
    said, _ = watching.communicate(timeout=60)
    assert "ValueError: of no use" in said and watching.returncode == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_pieces_make_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("pieces", SCRIPT)
    assert spec is not None and spec.loader is not None
    pieces = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pieces)
    monkeypatch.setattr(pieces, "SIZE", 100)
    weights = {"a": torch.linspace(-1, 1, 500), "b": torch.ones(3)}
    save_file(weights, tmp_path / "model.safetensors")
    pieces.main(["cut", str(tmp_path / "model.safetensors"), str(tmp_path / "out"), "--half"])
    made = list((tmp_path / "out").iterdir())
    assert len(made) > 10 and max(path.stat().st_size for path in made) == 100
    pieces.main(["join", str(tmp_path / "out"), str(tmp_path / "model.safetensors")])
    assert all(torch.equal(load_file(tmp_path / "model.safetensors")[name], weights[name].half()) for name in weights)
    made[3].unlink()
    with pytest.raises(SystemExit, match="do not make one whole file"):
        pieces.main(["join", str(tmp_path / "out"), str(tmp_path / "model.safetensors")])
