"""tools/: what they make, and a user's mistake answered in one line."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.write import rows_to_file
from sixteenfold.networks import zoo
from sixteenfold.networks.generator import Generator
from sixteenfold.networks.state import save

TOOLS = Path(__file__).parents[1] / "tools"
Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a tool as `python tools/NAME WORDS...` would; gives its last words, empty where it succeeds."""

    def run(name: str, *words: Path | str) -> str:
        monkeypatch.setattr("sys.argv", [name, *map(str, words)])
        try:
            runpy.run_path(str(TOOLS / name), run_name="__main__")
        except SystemExit as end:
            return str(end.code)
        return ""

    return run


@pytest.fixture
def networks(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Two of one shape and one of another."""
    files = tuple(tmp_path / f"{name}.safetensors" for name in "abc")
    for seed, (file, features) in enumerate(zip(files, (8, 8, 12), strict=True)):
        torch.manual_seed(seed)
        save(Generator(features=features, growth=4, blocks=(1, 1)), file, {})
    return files[0], files[1], files[2]


def test_average_is_the_weighted_mean(run: Run, networks: tuple[Path, Path, Path], tmp_path: Path) -> None:
    a, b, _ = networks
    assert run("average.py", tmp_path / "mean.safetensors", "3", a, "1", b) == ""
    first, second, mean = (zoo.load(file).state_dict() for file in (a, b, tmp_path / "mean.safetensors"))
    for name, value in mean.items():
        torch.testing.assert_close(value, 0.75 * first[name] + 0.25 * second[name])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("x", "A", "1", "B"), "average: x: is not a weight; give a number before each file"),
        (("nan", "A"), "average: nan: is not a weight; give a number before each file"),
        (("1", "A", "1"), "average: 1: has no partner; give a weight before each file"),
        (("1", "A", "-1", "B"), "average: the weights 1, -1 sum to 0; give others"),
        (("1", "A", "1", "none.pt"), "average: none.pt: does not exist; check the name"),
        (("1", "A", "1", "C"), "average: C: is of another shape (features 12+12+12, growth 4+4, blocks 1+1) than A"),
    ],
)
def test_average_of_what_is_none(
    run: Run, networks: tuple[Path, Path, Path], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    files = dict(zip("ABC", map(str, networks), strict=True))
    answer = run("average.py", tmp_path / "new.safetensors", *(files.get(word, word) for word in words))
    for name, file in files.items():
        answer = answer.replace(file, name)
    assert answer.startswith(said) and "\n" not in answer
    assert not (tmp_path / "new.safetensors").exists()


def test_average_replaces_nothing_unasked(run: Run, networks: tuple[Path, Path, Path]) -> None:
    a, b, _ = networks
    before = a.read_bytes()
    assert run("average.py", a, "1", a, "1", b) == f"average: {a}: already exists; --overwrite replaces it"
    assert a.read_bytes() == before
    assert run("average.py", a, "1", a, "1", b, "--overwrite") == ""
    assert a.read_bytes() != before


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report's folder, with as much of scores.json as a card takes."""
    (tmp_path / "report").mkdir()
    write_scores(tmp_path / "report", 20.0, bicubic=21.0)
    return tmp_path / "report"


def write_scores(report: Path, psnr: float | None, **others: float) -> None:
    methods = {name: {"mean": {"psnr": mean}} for name, mean in others.items()}
    tree = {"protocol": "full", "images": [{}, {}], "mean": {"psnr": psnr}, "methods": methods}
    (report / "scores.json").write_text(json.dumps(tree))


def test_ship_keeps_the_old_model_until_all_is_sound(
    run: Run, networks: tuple[Path, Path, Path], report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = json.loads((zoo.MODELS / "compact-fidelity.json").read_text())
    words = {key: shipped[key] for key in shipped if key not in ("name", "shape", "figures", "sha256")}
    card = tmp_path / "words.json"
    card.write_text(json.dumps(words))
    (tmp_path / "models").mkdir()
    monkeypatch.setattr(zoo, "MODELS", tmp_path / "models")
    assert run("ship.py", "mine", networks[0], card, report) == ""
    assert zoo.card("mine").figures == {
        "PSNR (dB), 2 validation photographs, whole": 20,
        "PSNR (dB) of bicubic, 2 validation photographs, whole": 21,
    }
    before = (tmp_path / "models" / "mine.safetensors").read_bytes()

    def refused(*given: Path | str) -> str:
        said = run("ship.py", *given)
        assert said.startswith("ship: ") and "\n" not in said
        assert (tmp_path / "models" / "mine.safetensors").read_bytes() == before
        assert len(list((tmp_path / "models").iterdir())) == 2
        return said

    other = networks[1]
    assert "does not exist" in refused("mine", tmp_path / "none.pt", card)
    assert "none.json" in refused("mine", other, tmp_path / "none.json")
    assert "is a path" in refused("../mine", other, card)
    assert "scores.json" in refused("mine", other, card, tmp_path)
    write_scores(report, 20.0)
    assert "make the report with --baseline bicubic" in refused("mine", other, card, report)
    write_scores(report, None, bicubic=21.0)
    assert "PSNR (dB) is infinite" in refused("mine", other, card, report)
    card.write_text("{")
    assert "is not JSON" in refused("mine", other, card)
    card.write_text(json.dumps({**words, "name": "other"}))
    assert "of another model, 'other'" in refused("mine", other, card)
    card.write_text(json.dumps({key: words[key] for key in words if key != "recipe"}))
    assert "does not make a card (KeyError('recipe'))" in refused("mine", other, card)


def test_crops_refuses_before_it_computes(
    run: Run, networks: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hr = tmp_path / "hr"
    hr.mkdir()
    with rows_to_file(hr / "a.png", 64, 64, 3, np.uint8, Metadata()) as writer:
        writer.write(np.zeros((64, 64, 3), np.uint8))
    assert "none" in run("crops.py", "--hr", tmp_path / "none", networks[0])
    assert run("crops.py", "--hr", hr, "--show", "0,x", networks[0]) == "2"
    assert "'0,x' is not numbers of photographs" in capsys.readouterr().err
    out = ("--out", tmp_path / "out")
    assert "the last of 1 photographs is 0" in run("crops.py", "--hr", hr, "--show", "1", *out, networks[0])
    assert "nomodel: is not a shipped model" in run("crops.py", "--hr", hr, *out, networks[0], "nomodel")
    (tmp_path / "out" / "0.png").write_bytes(b"kept")
    assert "0.png: already exists; --overwrite replaces it" in run("crops.py", "--hr", hr, *out, networks[0])
    assert (tmp_path / "out" / "0.png").read_bytes() == b"kept"
    (tmp_path / "file").touch()
    assert "file" in run("crops.py", "--hr", hr, "--out", tmp_path / "file", networks[0])
    assert capsys.readouterr().out == ""
