"""`upscale`: what its options reach, what it skips, says and refuses."""

import json
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch

from sixteenfold.cli import main
from sixteenfold.imaging.image import Metadata
from sixteenfold.imaging.read import read
from sixteenfold.imaging.write import rows_to_file
from sixteenfold.networks import zoo
from sixteenfold.networks.generator import Generator
from sixteenfold.networks.state import save
from sixteenfold.upscaling.upscaler import Upscaler

from ..conftest import refused, shell, write


def test_upscale_a_file(tmp_path: Path, model: str) -> None:
    photo = write(tmp_path / "photo.png", 5, 7)
    assert main(["upscale", str(photo), "--model", model]) == 0
    assert read(tmp_path / "photo_x16.png").pixels.shape == (80, 112, 3)


def test_upscale_a_folder_and_go_on_past_a_bad_file(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in" / "a.png", 3, 3)
    write(tmp_path / "in" / "deeper" / "c.png", 3, 4)
    (tmp_path / "in" / "b.png").write_text("no picture")
    assert main(["upscale", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--model", model]) == 1
    said = capsys.readouterr()
    assert "b.png" in said.out + said.err
    made = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert [path.parent for path in made] == [Path(), Path("deeper")]


def test_existing_results_are_skipped_unless_overwritten(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = write(tmp_path / "photo.png", 3, 3)
    target = tmp_path / "result.png"
    words = ["upscale", str(photo), "-o", str(target), "--model", model]
    assert main(words) == 0
    first = target.stat().st_mtime_ns
    assert main(words) == 0
    assert target.stat().st_mtime_ns == first
    assert f"1 skipped, already existing: {target}; use --overwrite to replace" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert target.stat().st_mtime_ns > first


def test_rows_of_a_stopped_overwrite_are_told_where_its_result_is_skipped(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = write(tmp_path / "result.png", 1, 1)
    words = ["upscale", str(write(tmp_path / "photo.png", 2, 3)), "-o", str(target), "--model", model]
    rows = tmp_path / ".result.png.rows"

    def said(*options: str) -> list[str]:
        assert main([*words, *options]) == 0
        return capsys.readouterr().err.splitlines()

    with suppress(RuntimeError), rows_to_file(target, 48, 32, 3, np.uint8, Metadata(), "settings") as writer:
        writer.write(np.zeros((1, 48, 3), np.uint8))
        assert len(said()) == 1  # a run that still writes is none that was stopped
        raise RuntimeError
    skipped, left = said()
    assert skipped.startswith("1 skipped, already existing")
    way = "repeat that command to continue, or delete its .rows and .key files"
    assert left == f"1 left unfinished by a stopped --overwrite run: {rows}; {way}"
    assert said("--quiet") == [] and rows.exists()
    said("--overwrite")
    assert not rows.exists() and len(said()) == 1


def test_what_computes_is_told_once_and_only_where_something_is_computed(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "c.png"):
        write(tmp_path / "in" / name, 2, 3)
    (tmp_path / "in" / "b.png").write_text("no picture")
    (tmp_path / "file").touch()

    def lines(*words: object) -> list[str]:
        main(["upscale", *map(str, words), "--model", model, "--device", "cpu"])
        return capsys.readouterr().err.splitlines()

    for source, target in (("in/b.png", "result.png"), ("in/a.png", "file/result.png")):
        (line,) = lines(tmp_path / source, "-o", tmp_path / target)
        assert line.startswith("sixteenfold: ")
    told, failed = lines(tmp_path / "in", "-o", tmp_path / "out")
    assert told == Upscaler(model, device="cpu").description and "b.png" in failed
    skipped, failed = lines(tmp_path / "in", "-o", tmp_path / "out")
    assert skipped.startswith("2 skipped") and "b.png" in failed


def test_options_reach_the_upscaler(tmp_path: Path, model: str) -> None:
    photo = write(tmp_path / "photo.png", 6, 6)
    results = {}
    for name, options in {
        "plain": [],
        "raw": ["--no-consistency"],
        "mean": ["--ensemble"],
        "tiled": ["--tile", "3"],
    }.items():
        target = tmp_path / f"{name}.png"
        assert main(["upscale", str(photo), "-o", str(target), "--model", model, "--device", "cpu", *options]) == 0
        results[name] = read(target).pixels.astype(int)
    assert np.abs(results["raw"] - results["plain"]).max() > 0
    assert np.abs(results["mean"] - results["plain"]).max() > 0
    assert np.abs(results["tiled"] - results["plain"]).max() <= 1


def test_format_chooses_the_suffix(tmp_path: Path, model: str) -> None:
    photo = write(tmp_path / "photo.png", 2, 3)
    assert main(["upscale", str(photo), "--format", "webp", "--model", model]) == 0
    assert read(tmp_path / "photo_x16.webp").pixels.shape == (32, 48, 3)


def test_a_folder_again_in_another_size_and_format(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "photo.png", 2, 3)
    words = ["upscale", str(tmp_path), "--model", model, "--device", "cpu"]
    for options in ([], ["--scale", "2.5"], ["--size", "20x20"], ["--format", "jpg"]):
        assert main([*words, *options]) == 0
    names = {"photo_x16.png", "photo_x2.5.png", "photo_20x20.png", "photo_x16.jpg"}
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", *names}
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"3 left out, named like results of earlier runs, such as {tmp_path / 'photo_'}")
    assert main(["upscale", str(tmp_path / "photo_20x20.png"), *words[2:], "--scale", "2"]) == 0
    assert read(tmp_path / "photo_20x20_x2.png").pixels.shape == (40, 40, 3)


def test_a_result_that_is_named_beside_its_source(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(write(tmp_path / name, 2, 3)) for name in ("a.png", "a_x4.png", "a_x2.png")]
    assert main(["upscale", *names, "--model", model, "--scale", "2"]) == 0
    assert read(tmp_path / "a_x4_x2.png").pixels.shape == (4, 6, 3)  # who names a file means it
    assert not (tmp_path / "a_x2_x2.png").exists()
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == (
        f"1 left out, the result of another input: {tmp_path / 'a_x2.png'}; to use one as an input, give it alone"
    )


def test_deep_zoom_and_pyramid(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "album"
    write(folder / "photo.png", 20, 30)
    words = ["upscale", str(folder), "--model", model, "--device", "cpu"]
    assert main([*words, "--format", "dzi"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["photo.png", "photo_x16.dzi", "photo_x16_files"]
    # The second time its tiles are no pictures to enlarge, and the result is there.
    capsys.readouterr()
    assert main([*words, "--format", "dzi"]) == 0
    assert "1 skipped" in capsys.readouterr().err
    assert main([*words, "--format", "tif", "--pyramid"]) == 0
    with tifffile.TiffFile(folder / "photo_x16.tif") as file:
        assert [page.shape[:2] for page in file.pages] == [(320, 480), (160, 240)]


def test_fidelity_mixes_two_shipped_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "MODELS", tmp_path)
    shape = {"features": [4, 4, 4], "growth": [4, 4], "blocks": [1, 1]}
    texts = dict.fromkeys(("purpose", "data", "recipe", "hardware"), "A test.")
    lists = {"licences": [], "known_failures": [], "figures": {}, "steps": 0}
    for seed, name in enumerate(("compact", "compact-fidelity")):
        torch.manual_seed(seed)
        save(Generator(features=4, growth=4, blocks=(1, 1)), tmp_path / f"{name}.safetensors", {})
        card = {"name": name, "shape": shape, **texts, **lists}
        if not seed:
            card["fidelity_partner"] = "compact-fidelity"
        (tmp_path / f"{name}.json").write_text(json.dumps(card))
    photo = write(tmp_path / "photo.png", 3, 4)

    def result(*options: str) -> bytes:
        target = tmp_path / "result.png"
        assert main(["upscale", str(photo), "-o", str(target), "--device", "cpu", "--overwrite", *options]) == 0
        return target.read_bytes()

    assert result("--fidelity", "0") == result()
    assert result("--fidelity", "1") == result("--model", "compact-fidelity")
    assert result("--fidelity", "0.5") not in (result(), result("--fidelity", "1"))


def test_smaller_results(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    photo = write(tmp_path / "photo.png", 3, 4)
    words = ["upscale", str(photo), "--model", model, "--device", "cpu"]
    assert main([*words, "--scale", "2.5"]) == 0
    assert read(tmp_path / "photo_x2.5.png").pixels.shape == (8, 10, 3)
    assert main([*words, "--size", "30x40"]) == 0
    assert read(tmp_path / "photo_30x40.png").pixels.shape == (40, 30, 3)
    for spelled in ("20X10", "20\N{MULTIPLICATION SIGN}10"):
        assert main([*words, "--size", spelled]) == 0
        made = tmp_path / "photo_20x10.png"  # the name does not depend on how the size was spelled
        assert read(made).pixels.shape == (10, 20, 3)
        made.unlink()
    assert "at most 64x48" in refused(capsys, *words, "--size", "65x10")


def test_quiet_says_only_what_goes_wrong(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    good = write(tmp_path / "good.png", 2, 2)
    words = ["upscale", str(good), str(tmp_path / "missing.png"), "--model", model, "--quiet"]
    for _ in range(2):  # made, then skipped
        assert main(words) == 1
        said = capsys.readouterr()
        assert said.out == ""
        (line,) = said.err.splitlines()
        assert "missing.png" in line


def test_json_tells_programs_the_course(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    photo = write(tmp_path / "photo.png", 2, 3)
    assert main(["upscale", str(photo), "--model", model, "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["planned", "started", "advanced", "advanced", "written"]
    assert events[-1]["target"] == str(tmp_path / "photo_x16.png")


def test_json_tells_programs_of_inputs_that_give_no_picture(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    missing, empty = tmp_path / "missing.png", tmp_path / "empty"
    empty.mkdir()
    assert main(["upscale", str(missing), str(empty), "--model", model, "--json"]) == 2
    said = capsys.readouterr()
    *failed, planned = [json.loads(line) for line in said.out.splitlines()]
    assert planned == {"event": "planned", "pictures": 0, "skipped": []}
    assert [(event["event"], event["source"]) for event in failed] == [
        ("failed", str(missing)),
        ("failed", str(empty)),
    ]
    assert said.err.splitlines() == [f"sixteenfold: {event['reason']}" for event in failed]


def test_huge_pictures_are_read_when_allowed(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sixteenfold.imaging.read.MAX_PIXELS", 5)
    words = ["upscale", str(write(tmp_path / "photo.png", 2, 3)), "--model", model]
    refused(capsys, *words)
    assert main([*words, "--allow-huge"]) == 0


def test_one_bad_file_among_good_ones(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    good = write(tmp_path / "good.png", 2, 2)
    words = ["upscale", str(tmp_path / "missing.png"), str(good), "-o", str(tmp_path / "out"), "--model", model]
    assert main(words) == 1
    said = capsys.readouterr()
    assert "missing.png" in said.out + said.err
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_the_target_is_a_file_where_a_folder_must_be(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = write(tmp_path / "photo.png", 2, 2)
    (tmp_path / "out").write_text("in the way")
    said = refused(capsys, "upscale", photo, "-o", tmp_path / "out" / "result.png", "--model", model)
    assert "out" in said
    assert (tmp_path / "out").read_text() == "in the way"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that not even root may write to")
def test_an_unwritable_target(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    photo = write(tmp_path / "photo.png", 2, 2)
    assert "/proc/result.png" in refused(capsys, "upscale", photo, "-o", "/proc/result.png", "--model", model)


def test_a_full_disk(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = write(tmp_path / "photo.png", 2, 2)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    said = refused(capsys, "upscale", photo, "-o", tmp_path / "result.png", "--model", model)
    assert "result.png" in said
    assert sorted(tmp_path.iterdir()) == [photo]


def test_a_format_that_cannot_hold_the_result(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    photo = write(tmp_path / "wide.png", 1, 1100)
    said = refused(capsys, "upscale", photo, "--format", "webp", "--model", model)
    assert "16,383" in said
    assert ".png" in said
    assert sorted(tmp_path.iterdir()) == [photo]


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--model", "compactt"], "compactt"),
        (["--model", "no/such/file.safetensors"], "no/such/file.safetensors"),
        (["--device", "gpu"], "gpu"),
        (["--tile", "0"], "tile"),
        (["--device", "cpu", "--precision", "fp16"], "fp16"),
        (["--fidelity", "1.5"], "fidelity 1.5: must lie between 0"),
        (["--fidelity", "0.5"], "has no fidelity partner"),
        (["--pyramid"], "photo_x16.png: only a TIFF holds a pyramid"),
    ],
)
def test_unusable_settings(
    options: list[str], hint: str, tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = write(tmp_path / "photo.png", 2, 2)
    given = options if "--model" in options else ["--model", model, *options]
    assert hint in refused(capsys, "upscale", photo, *given)
    assert sorted(tmp_path.iterdir()) == [photo]
    # Also when there is nothing to do.
    (tmp_path / "photo_x16.png").touch()
    assert hint in refused(capsys, "upscale", photo, *given)


def test_a_broken_model_file_from_a_shell(tmp_path: Path) -> None:
    photo = write(tmp_path / "photo.png", 2, 2)
    (tmp_path / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{broken")
    done = shell("upscale", photo, "--model", tmp_path / "model.safetensors")
    assert done.returncode == 2
    assert "model.safetensors" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
