"""The program that writes docs/results.md."""

import runpy
from pathlib import Path

import pytest
import torch

from sixteenfold.networks import state, zoo
from sixteenfold.networks.generator import Generator

from .conftest import Save, picture

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "results.py"


def test_models_beside_baselines_by_every_protocol_that_fits(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, name in enumerate(("one", "two")):
        torch.manual_seed(seed)
        state.save(Generator(features=4, growth=4, blocks=(1, 1)), tmp_path / f"{name}.safetensors", {})
    save("held-out/secret.png", picture(0, 1008, 1024))
    save("held-out/small.png", picture(1, 70, 80))
    save("photos/to show.png", picture(2, 70, 80))
    words = {
        "--hr": tmp_path / "held-out",
        "--models": f"{tmp_path / 'one.safetensors'},{tmp_path / 'two.safetensors'}",
        "--photos": tmp_path / "photos",
        "--metrics": "psnr",
        "--work": tmp_path / "work",
        "--out": tmp_path / "docs/results.md",
    }

    def run() -> str:
        monkeypatch.setattr("sys.argv", [str(PROGRAM), *(str(word) for pair in words.items() for word in pair)])
        runpy.run_path(str(PROGRAM), run_name="__main__")
        return (tmp_path / "docs/results.md").read_text(encoding="utf-8")

    text = run()
    assert "Known failures" not in text  # files of weights have no card
    assert text.count("### The centre 1000x1000") == 1  # the photograph to show is too small for it
    assert "1 pictures; 1 left out as too small" in text
    assert text.count("### Whole pictures") == 2
    assert all(text.count(f"| {name} | ") >= 4 for name in ("one", "two", "bicubic", "lanczos"))
    assert "RFB-ESRGAN | 24.03" in text
    shown = [file.name for file in (tmp_path / "docs/results").iterdir()]
    assert shown == ["to-show.jpg"]
    assert "](results/to-show.jpg)" in text
    assert "bicubic, one, two, the original]" in text
    monkeypatch.setitem(words, "--shown", "two")
    assert "bicubic, two, the original]" in run()
    del words["--shown"]
    made = sorted((tmp_path / "work").rglob("*_x16.png"))
    assert len(made) == 6
    # Again: nothing is enlarged anew but what a changed model had made.
    torch.manual_seed(9)
    state.save(Generator(features=4, growth=4, blocks=(1, 1)), tmp_path / "two.safetensors", {})
    times = {file: file.stat().st_mtime_ns for file in made}
    assert run() != text
    assert {file: file.stat().st_mtime_ns for file in made} == times
    assert len(list((tmp_path / "work").rglob("*_x16.png"))) == 9
    # Another picture of the same name: what was made of the first does not count as made of it.
    before = set((tmp_path / "work").rglob("*_x16.png"))
    save("held-out/small.png", picture(5, 70, 80))
    run()
    new = set((tmp_path / "work").rglob("*_x16.png")) - before
    assert sorted(file.name for file in new) == ["secret_x16.png", "secret_x16.png", "small_x16.png", "small_x16.png"]
    # The set that chose nothing comes first, and says where it is to be had.
    save("fetched/a.png", picture(6, 70, 80))
    monkeypatch.setitem(words, "--held-out", tmp_path / "fetched")
    text = run()
    assert text.index("## Held-out photographs") < text.index("## Validation photographs")
    assert "benchmarks/held_out.py" in text and text.count("### Whole pictures") == 3
    monkeypatch.setitem(words, "--shown", "three")
    with pytest.raises(SystemExit, match="results: --shown three: is not one of the models"):
        run()
    one = tmp_path / "one.safetensors"
    monkeypatch.setitem(words, "--models", f"{one},{one}")
    with pytest.raises(SystemExit, match="results: --models: two models have the same name"):
        run()
    monkeypatch.setitem(words, "--models", "nothing.safetensors")
    with pytest.raises(SystemExit, match=r"results: nothing\.safetensors"):
        run()


def test_what_goes_wrong_is_told_by_the_cards() -> None:
    program = runpy.run_path(str(PROGRAM))
    names = ("medium", "compact-fidelity")
    text = "\n".join(program["head"]([program["find_model"](name) for name in names], held_out=True))
    table, told = text.split("## Known failures")
    assert all(f"| {name} |" in table for name in names)
    for name in names:
        assert f"`{name}`:\n\n- {zoo.card(name).known_failures[0]}\n" in told
        assert all(f"- {failure}" in told for failure in zoo.card(name).known_failures)
