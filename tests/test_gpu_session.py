"""What travels in pieces arrives whole, or is refused."""

import importlib.util
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

SCRIPT = Path(__file__).parent.parent / "tools" / "gpu_session" / "pieces.py"


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
