"""`convert`: checkpoints into our files, which it does not replace unasked."""

from pathlib import Path

import pytest
import torch

from sixteenfold.cli import main
from sixteenfold.networks import zoo
from sixteenfold.networks.generator import Generator

from ..conftest import refused


def test_convert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = Generator(features=4, growth=4, blocks=(1, 2)).state_dict()
    torch.save({"params_ema": state}, tmp_path / "other.pth")
    assert main(["convert", str(tmp_path / "other.pth"), str(tmp_path / "ours.safetensors")]) == 0
    assert "blocks 1+2" in capsys.readouterr().out
    assert torch.equal(zoo.load(tmp_path / "ours.safetensors").state_dict()["stem.weight"], state["stem.weight"])
    assert "nothing.pth" in refused(capsys, "convert", tmp_path / "nothing.pth", tmp_path / "b.safetensors")


def test_the_folder_of_the_result_is_made(tmp_path: Path) -> None:
    torch.save(Generator(features=4, growth=4, blocks=(1, 1)).state_dict(), tmp_path / "other.pth")
    assert main(["convert", str(tmp_path / "other.pth"), str(tmp_path / "other/ours.pth")]) == 2
    assert not (tmp_path / "other").exists()
    assert main(["convert", str(tmp_path / "other.pth"), str(tmp_path / "new/deep/ours.safetensors")]) == 0
    assert (tmp_path / "new/deep/ours.safetensors").exists()


def test_convert_skips_what_exists_unless_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(Generator(features=4, growth=4, blocks=(1, 2)).state_dict(), tmp_path / "other.pth")
    ours, folder = tmp_path / "ours.safetensors", tmp_path / "weights"
    ours.write_text("precious")
    words = ["convert", str(tmp_path / "other.pth"), str(ours)]
    assert main(words) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"{ours}: skipped, it already exists; --overwrite replaces it\n")
    assert "nothing.pth: does not exist; check the name" in refused(capsys, "convert", tmp_path / "nothing.pth", ours)
    assert "cannot be read (Is a directory)" in refused(capsys, "convert", tmp_path, ours)
    assert ours.read_text() == "precious"
    assert main([*words, "--overwrite"]) == 0
    assert zoo.load(ours).blocks == (1, 2)
    folder.mkdir()
    assert "end the name in .safetensors" in refused(capsys, "convert", tmp_path / "other.pth", folder)
