"""The run folder: what it tells of the run, and what it refuses."""

import dataclasses
import errno
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import sixteenfold
from sixteenfold.errors import SixteenfoldError
from sixteenfold.networks.discriminator import UNetDiscriminator
from sixteenfold.training import checkpoint, folder, loop, start
from sixteenfold.training.config import TrainConfig, from_json, to_json
from sixteenfold.training.loop import train

from .conftest import ADVERSARIAL, BOTH, CONFIG, PIXEL, rows, same, weights


def test_a_run_folder_tells_the_run(whole: Path) -> None:
    assert from_json(whole / "config.json") == BOTH
    said = rows(whole)
    groups = ("pixel", "adversarial", "validation")
    steps = [[row["step"] for row in said if row["group"] == group] for group in groups]
    assert steps == [[5, 8], [10, 14], [4, 8, 12, 14]]
    assert [row["step"] for row in said if "lpips" in row and "psnr" in row] == [12, 14]
    assert [row["step"] for row in said if "psnr" in row and "lpips" not in row] == [4, 8]
    assert {"pixel", "lpips", "adversarial", "feature_matching", "discriminator"} <= set(said[-2])
    assert [path.stem for path in sorted((whole / "samples").iterdir())] == [f"{s:08d}" for s in (4, 8, 12, 14)]
    start = json.loads((whole / "starts.jsonl").read_text())
    assert start["torch"] == torch.__version__ and start["processes"] == 1 and start["step"] == 0
    assert any((whole / "tensorboard").iterdir())
    assert UNetDiscriminator((4,) * 6).load_state_dict(load_file(whole / "discriminator.safetensors"))
    with safe_open(whole / "model.safetensors", "pt") as file:
        assert file.metadata()["phase"] == "adversarial"


def test_a_clone_of_something_else_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True)

    installed = tmp_path / "venv" / "sixteenfold"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "theirs")
    monkeypatch.setattr(sixteenfold, "__file__", str(installed / "__init__.py"))
    assert folder._git_state() is None
    git("add", "--force", ".")
    git("commit", "-q", "-m", "ours")
    commit = folder._git_state()
    assert commit is not None and len(commit) == 40
    (installed / "__init__.py").write_text("changed")
    assert folder._git_state() == commit + "+changes"


def test_a_used_folder_is_left_alone(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SixteenfoldError, match="not empty; choose another folder"):
        train(CONFIG, hr=[photographs], out=tmp_path, device="cpu")
    with pytest.raises(SixteenfoldError, match="not a folder"):
        train(CONFIG, hr=[photographs], out=tmp_path / "mine.txt", device="cpu")
    with pytest.raises(SixteenfoldError, match="no run to resume"):
        train(CONFIG, hr=[photographs], out=tmp_path / "new", resume=True, device="cpu")


@pytest.mark.parametrize("place", ["hr", "val", "out"])
def test_an_empty_name_is_not_the_current_folder(place: str, photographs: Path, tmp_path: Path) -> None:
    folders: dict[str, Any] = {"hr": photographs, "out": tmp_path / "run", place: ""}
    with pytest.raises(SixteenfoldError, match=r"^hr: no folder of photographs is given"):
        train(CONFIG, hr=[], out=tmp_path / "run")
    with pytest.raises(
        SixteenfoldError, match=r"^config: 'smoke' is not a TrainConfig; presets are sixteenfold\.PRESETS"
    ):
        train(cast(Any, "smoke"), hr=photographs, out=tmp_path / "run")
    with pytest.raises(SixteenfoldError, match=f"^{place}: the name is empty"):
        train(CONFIG, device="cpu", **folders)


def test_a_run_that_cannot_begin_leaves_no_folder(photographs: Path, tmp_path: Path) -> None:
    large = dataclasses.replace(CONFIG, pixel=dataclasses.replace(PIXEL, patch=256))
    with pytest.raises(SixteenfoldError, match=r"none of 3 pictures has the 320x320 .* the largest is 150x140$"):
        train(large, hr=[photographs], out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_missing_weights_of_the_validation_are_told_before_the_first_step(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise SixteenfoldError("no weights of LPIPS")

    monkeypatch.setattr(start, "LPIPS", missing)
    config = dataclasses.replace(BOTH, adversarial=dataclasses.replace(ADVERSARIAL, lpips=0.0))
    with pytest.raises(SixteenfoldError, match="no weights of LPIPS"):
        train(config, hr=[photographs], val=photographs, out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_photographs_that_only_begin_well_leave_no_run_folder(photographs: Path, tmp_path: Path) -> None:
    """Their headers tell sizes; that nothing can be decoded shows only then."""
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("0.png", "1.png"):
        content = (photographs / name).read_bytes()
        (broken / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(SixteenfoldError, match=r"no usable picture: .*0\.png: .*; .*1\.png: "):
        train(CONFIG, hr=[broken], out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
    shutil.copy(photographs / "2.png", broken)
    phase = dataclasses.replace(PIXEL, steps=1, warmup=0)
    train(dataclasses.replace(CONFIG, pixel=phase), hr=[broken], out=tmp_path / "run", device="cpu")


def test_two_runs_into_one_folder(photographs: Path, whole: Path) -> None:
    with folder.locked(whole), pytest.raises(SixteenfoldError, match="another process trains"):
        train(BOTH, hr=[photographs], val=photographs, out=whole, resume=True, device="cpu")


def test_a_run_that_another_process_began_meanwhile_is_not_begun_over(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins after the folder was found free, and has ended before the lock is asked for."""
    find = start.make_index

    def begun(out: Path, config: TrainConfig, *, resume: bool) -> dict[Path, bytes]:
        """What the first left, as it is after the second has begun with this configuration."""
        left: dict[Path, bytes] = {}

        def meanwhile(*words: Any) -> Any:
            monkeypatch.setattr(start, "make_index", find)
            train(CONFIG, hr=[photographs], out=out, resume=resume, device="cpu")
            left.update({path: path.read_bytes() for path in (out / "config.json", *out.glob("checkpoints/*"))})
            return find(*words)

        monkeypatch.setattr(start, "make_index", meanwhile)
        train(config, hr=[photographs], out=out, resume=resume, device="cpu")
        return left

    with pytest.raises(SixteenfoldError, match="not empty; go on with --resume"):
        begun(tmp_path / "new", dataclasses.replace(CONFIG, seed=1), resume=False)
    assert from_json(tmp_path / "new" / "config.json") == CONFIG
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "config.json").write_text(to_json(CONFIG))
    left = begun(tmp_path / "killed", CONFIG, resume=True)
    assert len(left) == 1 + checkpoint.KEPT and all(path.read_bytes() == content for path, content in left.items())
    assert len(list((tmp_path / "killed" / "checkpoints").iterdir())) == checkpoint.KEPT


@pytest.mark.parametrize("name", [*folder.FILES, *folder.FOLDERS])
def test_something_else_under_a_name_of_the_run(name: str, photographs: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    path = run / name
    if path.is_dir():
        shutil.rmtree(path)
        path.touch()
    else:
        path.unlink()
        path.mkdir()
    with pytest.raises(SixteenfoldError, match=f"{name}: (not the f|.*undo what was changed)"):
        train(BOTH, hr=[photographs], val=photographs, out=run, resume=True, device="cpu")


def test_closed_folders(photographs: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the system tells them; who runs the tests may be allowed everything."""
    for closed in (whole / "checkpoints", whole):
        monkeypatch.setattr(os, "access", lambda path, mode, closed=closed: path != closed)
        with pytest.raises(SixteenfoldError, match=f"{closed.name}: cannot be read and written; change its perm"):
            train(BOTH, hr=[photographs], val=photographs, out=whole, resume=True, device="cpu")

    scandir = os.scandir

    def refused(folder: Path) -> Iterator[os.DirEntry[str]]:
        if Path(folder) == photographs:
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(SixteenfoldError, match=r"cannot be listed \(Permission denied\); change its permissions"):
        train(BOTH, hr=[photographs], out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_damaged_record_of_the_run(photographs: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    again = partial(train, BOTH, hr=[photographs], val=photographs, out=run, resume=True, device="cpu")
    checkpoint.list_checkpoints(run / "checkpoints")[0].unlink()  # so that there is something to do
    (run / "checkpoints" / "checkpoint-99999999-0123456789abcdef.pt").mkdir()
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b'\xff\xfe\n[1]\n{"step": "x"}\n{"st')
    starts = run / "starts.jsonl"
    starts.write_bytes(starts.read_bytes()[:-9])
    index = run / "photographs.json"
    kept = index.read_bytes()
    for damage in (kept[:-20], b"", b"\xff", b'{"photographs": [], "skipped": []}', b"[" * 100_000):
        index.write_bytes(damage)
        with pytest.raises(SixteenfoldError, match=r"photographs.json: .*remove it, then the same command"):
            again()
    index.unlink()
    again()
    assert index.read_bytes() == kept and same(weights(run), weights(whole))
    assert [row["step"] for row in rows(run)] == [row["step"] for row in rows(whole)]
    assert folder.last_precision(run) == "32-true"
    (run / "config.json").write_bytes((run / "config.json").read_bytes()[:100])
    with pytest.raises(SixteenfoldError, match=r"config.json: not a readable .* undo what was changed"):
        again()


def test_what_the_system_refuses_is_one_line(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "run/starts.jsonl")

    monkeypatch.setattr(folder, "_git_state", refused)
    with pytest.raises(SixteenfoldError, match=r"^run/starts.jsonl: Permission denied; mend that.* --resume"):
        train(CONFIG, hr=[photographs], out=tmp_path / "run", device="cpu")


def test_a_full_disk_is_one_line(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(loop.Record, "numbers", full)
    with pytest.raises(SixteenfoldError, match=r"the disk is full; free some.* --resume"):
        train(
            dataclasses.replace(CONFIG, save_every=1, log_every=2), hr=[photographs], out=tmp_path / "run", device="cpu"
        )
    found, _ = checkpoint.load_latest(tmp_path / "run" / "checkpoints")
    assert found is not None and found["step"] == 1  # losses are noted after the second


def test_a_link_in_the_lock_s_place_is_not_followed(photographs: Path, tmp_path: Path) -> None:
    """Nothing else may lie in a folder that a run begins in."""
    (tmp_path / "run").mkdir()
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "run" / "lock").symlink_to("../precious")
    train(CONFIG, hr=[photographs], out=tmp_path / "run", device="cpu")
    assert (tmp_path / "precious").read_text() == "precious"
