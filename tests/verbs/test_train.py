"""`train`: recipes and the words that change them; its result."""

import dataclasses
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sixteenfold.cli import main
from sixteenfold.networks import zoo
from sixteenfold.verbs.train import RECIPE

from ..conftest import refused, write


def test_train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "hr" / "a.png", 160, 160)
    run = tmp_path / "run"
    assert main(["train", "smoke", "--hr", str(tmp_path / "hr"), "--out", str(run), "--steps", "6"]) == 0
    assert capsys.readouterr().out.strip() == str(run / "model.safetensors")
    assert zoo.load(run / "model.safetensors").features == (16, 8, 8)


def test_one_process_of_many_names_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sixteenfold.training import loop

    monkeypatch.setattr(loop, "train", lambda recipe, **others: tmp_path / "model.safetensors")
    for rank, said in (("0", f"{tmp_path / 'model.safetensors'}\n"), ("1", "")):
        monkeypatch.setenv("RANK", rank)
        assert main(["train", "smoke", "--hr", str(tmp_path), "--out", str(tmp_path / "run")]) == 0
        assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["smok"], "did you mean 'smoke'"),
        ([], "give a preset"),
        (["smoke", "--config", "a.json"], "two recipes; leave out one"),
        (["--config", "no/such.json"], "no/such.json"),
        (["smoke", "--steps", "0"], "steps"),
        (["smoke", "--steps", "9", "--minutes", "1"], "both set the length of the run; leave out one"),
    ],
)
def test_wrong_recipes(words: list[str], hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hint in refused(capsys, "train", *words, "--hr", tmp_path, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_training_without_its_extra(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A name whose value is None cannot be imported; the module that would import it has to be loaded anew.
    monkeypatch.setitem(sys.modules, "lightning.fabric", None)
    for name in [name for name in sys.modules if name.startswith("sixteenfold.training")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("sixteenfold.training", raising=False)
    said = refused(capsys, "train", "smoke", "--hr", tmp_path, "--out", tmp_path / "run")
    assert "pip install '.[train]'" in said


def test_a_phase_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sixteenfold.training import config, loop

    given: list[config.TrainConfig] = []
    monkeypatch.setattr(loop, "train", lambda recipe, **others: given.append(recipe))
    words = ["train", "smoke", "--hr", str(tmp_path), "--out", str(tmp_path / "run"), "--steps", "40"]
    assert main([*words, "--pixel", "None", "--adversarial.lpips", "0.5"]) == 0
    assert main([*words, "--adversarial=none"]) == 0
    assert (given[0].pixel, given[1].adversarial) == (None, None)
    adversarial, pixel = given[0].adversarial, given[1].pixel
    assert adversarial is not None and (adversarial.steps, adversarial.lpips) == (40, 0.5)
    assert pixel is not None and pixel.steps == 40
    assert "both left out" in refused(capsys, *words, "--adversarial", "None", "--pixel=None")
    pair = ["--pixel.projected", "--pixel.no-projected"]
    assert "--pixel.projected: is given twice; leave out one" in refused(capsys, *words, *pair)
    for mistake in (["--pixel", "x"], ["--pixel=x"], ["--pixel", "--seed"]):
        said = refused(capsys, *words, *mistake)
        assert "--pixel: can only be None (not '" in said and "set its values with --pixel.NAME" in said
    assert "can only be None, which skips the phase; set its values" in refused(capsys, *words, "--adversarial")
    assert "pixel=None" in refused(capsys, *words, "pixel=None")
    assert refused(capsys, *words, "--generator", "None") and refused(capsys, *words, "--data=None")
    said = refused(capsys, *words, "--pixel", "None", "--pixel.patch=64")
    assert "--pixel.patch=64: this recipe has no pixel phase" in said
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"pixel": null, "adversarial": {}}')
    assert main(["train", "--config", str(recipe), *words[2:-2], "--pixel", "None"]) == 0


def test_any_value_of_the_recipe_is_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sixteenfold.training import config, loop, presets

    assert tuple(field.name for field in dataclasses.fields(config.TrainConfig)) == RECIPE
    given: list[config.TrainConfig] = []
    monkeypatch.setattr(loop, "train", lambda recipe, **others: given.append(recipe))
    words = ["--pixel.betas", "0.8", "0.9", "--seed=7", "--save-every", "3", "--adversarial.lpips", "0"]
    assert main(["train", "smoke", *words, "--hr", str(tmp_path), "--out", str(tmp_path / "run")]) == 0
    smoke = presets.PRESETS["smoke"]
    assert smoke.pixel is not None and smoke.adversarial is not None
    pixel, adversarial = replace(smoke.pixel, betas=(0.8, 0.9)), replace(smoke.adversarial, lpips=0.0)
    assert given == [replace(smoke, pixel=pixel, adversarial=adversarial, seed=7, save_every=3)]


def test_help_names_every_preset_and_every_value(capsys: pytest.CaptureFixture[str]) -> None:
    from sixteenfold.training import presets

    assert main(["train", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", "").split())
    assert f"before any option: {', '.join(presets.PRESETS)}; or" in said
    assert main(["train", "strong", "-h"]) == 0
    said = capsys.readouterr().out
    assert "--hr DIR..." in said
    phase = presets.PRESETS["strong"].adversarial
    assert phase is not None
    for field in dataclasses.fields(phase):
        option = f"--adversarial.{field.name.replace('_', '-')}"
        assert f"{option} " in said or f"{option}, {option.replace('.', '.no-')} " in said
    assert "(default: 12000)" in said
    assert "did you mean 'strong'?" in refused(capsys, "train", "strnog", "--help")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--pixel.step", "5"], "--pixel.steps"),
        (["--pixel.steps", "many"], "--pixel.steps: 'many' is not a whole number; see"),
        (["--adversarial.lpips", "much"], "--adversarial.lpips: 'much' is not a number; see"),
        (["--minutes", "1h"], "--minutes: '1h' is not a number; see"),
        (["--adversarial.vgg-patch", "32.5"], "--adversarial.vgg-patch: '32.5' is not a whole number; see"),
        (
            ["--adversarial.lpips-scales", "1,0.5"],
            " it cannot be '1,0.5'; separate several values with spaces; see",
        ),
        (["--adversarial.discriminator-betas", "0", "x"], "it cannot be '0', 'x'; separate several values"),
        (["--adversarial.discriminator-betas", "0"], "betas: it cannot be '0'; separate several values"),
        (["--pixel.steps", "9" * 400], "pixel.steps must lie between 1 and 10000000, not 9999"),
        (["--pixel.betas", "0", "x"], "it cannot be '0', 'x'; separate several values"),
        (["--adversarial.patch", "100"], "adversarial.patch must be a positive multiple of 16, not 100"),
    ],
)
def test_wrong_values_of_the_recipe(
    words: list[str], hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hint in refused(capsys, "train", "smoke", *words, "--hr", tmp_path, "--out", tmp_path / "run")
