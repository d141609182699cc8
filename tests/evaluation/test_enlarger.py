"""What enlarges in an evaluation: its name, and what the report says of it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

from sixteenfold.errors import SixteenfoldError
from sixteenfold.evaluation.compare import Comparer
from sixteenfold.evaluation.enlarger import of_function
from sixteenfold.evaluation.protocol import Case, Pictures
from sixteenfold.evaluation.report import in_markdown
from sixteenfold.evaluation.run import evaluate
from sixteenfold.evaluation.scores import Scores
from sixteenfold.evaluation.scoring import Scorer
from sixteenfold.imaging.resample import resize
from sixteenfold.networks import state, zoo
from sixteenfold.networks.state import digest
from sixteenfold.upscaling.upscaler import Upscaler

from .conftest import Save, pairs, picture, tiny


def test_a_generator_as_a_file_of_its_weights(save: Save, tmp_path: Path) -> None:
    save("hr/0.png", picture(0))
    file = tmp_path / "tiny.safetensors"
    generator = tiny()
    state.save(generator, file, {})
    given, loaded = (
        evaluate(tmp_path / "hr", synthesize=True, model=model, metrics="psnr", out=tmp_path / f"out{i}")
        for i, model in enumerate((generator, file))
    )
    assert (given.methods[0].name, loaded.methods[0].name) == ("model", "tiny")
    assert given.methods[0].images == loaded.methods[0].images
    assert given.facts["model hash"] == loaded.facts["model hash"]
    assert given.facts["model"] == "model (a generator given by the caller)"


def test_a_runs_model_is_named_as_its_folder_is(save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save("hr/0.png", picture(0))
    save("model/0.png", picture(1))
    for seed, run in enumerate(("first_*run*", "compact")):
        (tmp_path / "runs" / run).mkdir(parents=True)
        state.save(tiny(seed), tmp_path / "runs" / run / "model.safetensors", {})
    state.save(tiny(), tmp_path / "runs/best.safetensors", {})
    monkeypatch.chdir(tmp_path / "runs/first_*run*")
    for i, (model, name) in enumerate(
        (
            ("model.safetensors", "first_*run*"),
            ("../compact/model.safetensors", "compact"),
            (Path("../compact/../first_*run*/./model.safetensors"), "first_*run*"),
            ("../best.safetensors", "best"),
        )
    ):
        out = tmp_path / f"out{i}"
        scores = evaluate(
            "../../hr", synthesize=True, model=model, also={"model": "../../model"}, metrics="psnr", out=out
        )
        assert [method.name for method in scores.methods] == [name, "model"]
        tree = json.loads((out / "scores.json").read_text())
        assert list(tree["methods"]) == [name, "model"]
        told = f"{name} ({model})"
        assert tree["facts"]["model"] == told
        assert f"<li>model: {told}</li>" in (out / "report.html").read_text()
        assert f"- {in_markdown(f'model: {told}')}\n" in (out / "report.md").read_text()
    with pytest.raises(SixteenfoldError, match="two methods are named 'compact'"):
        evaluate(
            "../../hr", synthesize=True, model="../compact/model.safetensors", also={"compact": "../../model"}, out="o"
        )


def test_a_shipped_model_keeps_its_name(save: Save, tmp_path: Path) -> None:
    save("hr/0.png", picture(0, 16, 16))
    scores = evaluate(tmp_path / "hr", synthesize=True, model="compact", metrics="psnr", out=tmp_path / "out")
    assert scores.methods[0].name == scores.facts["model"] == "compact"


def test_a_method_is_named_as_its_folder_is(save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs(save, 1)
    (tmp_path / "theirs").symlink_to("sr")
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path / "sr")
    for i, (sr, name) in enumerate((("../theirs", "theirs"), (".", "sr"), ("../other/../sr", "sr"))):
        scores = evaluate(Path("../hr"), sr=Path(sr), metrics=["psnr"], out=tmp_path / f"out{i}")
        assert scores.methods[0].name == name
    with pytest.raises(SixteenfoldError, match=r"loop: cannot be read \(Too many levels"):
        evaluate(Path("../hr"), sr=Path("../loop"), metrics=["psnr"], out=tmp_path / "out")


def test_what_is_evaluated_bears_the_name_it_is_given(save: Save, tmp_path: Path) -> None:
    pairs(save, 1)
    for i, (options, told) in enumerate(
        (
            ({"upscale": lambda lr: resize(lr, (64, 80))}, "ours (a function given by the caller)"),
            ({"model": tiny()}, "ours (a generator given by the caller)"),
            ({"model": "compact"}, "ours (compact)"),
            ({"sr": tmp_path / "other"}, "none: finished results were given"),
        )
    ):
        out = tmp_path / f"out{i}"
        common: dict[str, Any] = {**options, "also": {"other": tmp_path / "sr"}, "synthesize": True, "metrics": "psnr"}
        scores = evaluate(tmp_path / "hr", name="ours", **common, out=out)
        assert [method.name for method in scores.methods] == ["ours", "other"]
        assert scores.facts["model"] == told
        projected = "model" in options
        assert ("back-projected" in scores.facts.get("consistency", "")) == projected
        assert ("- consistency: the model's results are" in (out / "report.md").read_text()) == projected
        assert "Evaluation of ours" in (out / "report.html").read_text()
        for wrong, hint in (("other", "two methods are named 'other'"), ("", "empty name"), ("original", "no method")):
            with pytest.raises(SixteenfoldError, match=hint):
                evaluate(tmp_path / "hr", name=wrong, **common, out=tmp_path / "o")


def test_what_is_no_generator_is_sent_to_upscale(save: Save, tmp_path: Path) -> None:
    save("hr/0.png", picture(0))
    model: Any = torch.nn.Conv2d(3, 3, 1)
    with pytest.raises(SixteenfoldError, match=r"^model: Conv2d is not a Generator, .* as upscale="):
        evaluate(tmp_path / "hr", synthesize=True, model=model, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_upscaler_enlarges_as_it_was_made(save: Save, tmp_path: Path) -> None:
    pixels = picture(0)
    save("hr/0.png", pixels)
    upscaler = Upscaler("compact", device="cpu", fidelity=0.25, ensemble=True, consistency=False)

    def run(out: str, **options: Any) -> Scores:
        return evaluate(tmp_path / "hr", synthesize=True, metrics="psnr", out=tmp_path / out, **options)

    scores = run("out", model=upscaler)
    assert scores.methods[0].name == scores.facts["model"] == "compact"
    assert scores.methods[0].images == run("function", upscale=upscaler.__call__).methods[0].images
    assert scores.facts["model hash"] == f"sha256 {digest(zoo.blend('compact', 0.25))} of its weights, as mixed"
    assert scores.facts["engine"] == upscaler.description
    assert scores.facts["fidelity"].startswith("0.25: ") and "eight flips" in scores.facts["ensemble"]
    assert "no back-projection" in scores.facts["consistency"] and "tile" not in scores.facts
    plain = run("plain", model=Upscaler(tiny(), device="cpu", tile=3))
    assert plain.facts["model"] == "model (a generator given by the caller)"
    assert "are back-projected" in plain.facts["consistency"] and plain.facts["tile"].startswith("3 pixels")
    assert not {"fidelity", "ensemble"} & plain.facts.keys()
    for options, hint in (
        ({"model": upscaler, "device": "cpu"}, "the Upscaler has its own device and precision .*leave these out"),
        ({"model": upscaler, "precision": "fp32"}, "the Upscaler has its own device and precision"),
        ({"upscale": upscaler}, "upscale: an Upscaler is a model, .*pass it as model="),
        ({"model": upscaler, "sr": tmp_path / "hr"}, "finished results are not enlarged again"),
    ):
        with pytest.raises(SixteenfoldError, match=f"^{hint}"):
            run("other", **options)
    assert not (tmp_path / "other").exists()


def test_a_device_as_pytorch_names_it(save: Save, tmp_path: Path) -> None:
    save("hr/0.png", picture(0))
    made = evaluate(
        tmp_path / "hr",
        synthesize=True,
        model=tiny(),
        metrics="psnr",
        device=torch.device("cpu"),
        out=tmp_path / "out",
    )
    assert made.facts["engine"].startswith("CPU")


def test_a_functions_result_may_lie_on_another_device(apple_gpu: TorchFunctionMode) -> None:
    made, small = torch.rand(1, 3, 16, 32), torch.zeros(1, 3, 1, 2)
    pictures = Pictures(hr=(made * 255).byte(), lr=None, seen=small, results={}, notes=())
    comparer = Comparer("full", ["result"], of_function("result", lambda _: made), Scorer([]))
    with apple_gpu:
        results = comparer.enlarge(Case("0", Path("0.png"), None, {}), pictures)
        results["result"].double()  # which a CPU has, and the device has not
        with pytest.raises(TypeError, match="MPS"):
            made.double()
