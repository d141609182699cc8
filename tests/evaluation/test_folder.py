"""The report's folder: what a mistake leaves of it, and folders that are not to be had."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from sixteenfold.errors import SixteenfoldError
from sixteenfold.evaluation.folder import report_folder, write_parts
from sixteenfold.evaluation.run import evaluate
from sixteenfold.metrics import weights

from .conftest import Save, picture


@pytest.mark.parametrize(
    "wrong",
    [
        {"metrics": ["pnsr"]},
        {"sr": "nowhere"},
        {"sr": "unpaired"},
        {"sr": "small"},
        {"sr": "corrupt"},
        {"also": {"other": "nowhere"}},
        {"baselines": ["bilinear"]},
        {"device": "cuda:99"},
        {"sr": None, "model": "nothing"},
        {"metrics": ["lpips"]},
    ],
    ids=str,
)
def test_a_mistake_leaves_no_folder_behind(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]
) -> None:
    for name in ("hr/a.png", "sr/a.png", "unpaired/b.png"):
        save(name, picture(0))
    save("small/a.png", picture(0, 32, 32))
    save("corrupt/a.png", picture(0)).write_text("no picture")
    (tmp_path / "there").mkdir()

    def nothing(*_: object) -> None:
        raise SixteenfoldError("no weights")

    monkeypatch.setattr(weights, "_package_directory", nothing)
    options: dict[str, Any] = {"sr": "sr", "synthesize": True, "metrics": ["psnr"], **wrong}
    options["sr"] = options["sr"] and tmp_path / options["sr"]
    if "also" in wrong:
        options["also"] = {name: tmp_path / folder for name, folder in wrong["also"].items()}
    for out in ("new/report", "there/report", "there"):
        with pytest.raises(SixteenfoldError):
            evaluate(tmp_path / "hr", out=tmp_path / out, **options)
    assert not (tmp_path / "new").exists()
    assert list((tmp_path / "there").iterdir()) == []


def test_part_of_a_report_is_not_taken_away(tmp_path: Path) -> None:
    def stopped(out: Path) -> None:
        with report_folder(out, overwrite=False):
            write_parts(out / "scores.json", ["{}"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped(tmp_path / "a/b")
    assert (tmp_path / "a/b/scores.json").read_text() == "{}"


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def parts() -> Any:
        yield "half"
        raise OSError(28, "No space left on device")

    (tmp_path / "report.md").write_text("earlier")
    with pytest.raises(OSError, match="No space"):
        write_parts(tmp_path / "report.md", parts())
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("report.md", "earlier")]


def test_folders_that_are_not_to_be_had(public: Path, as_nobody: AbstractContextManager[None]) -> None:
    """As root every folder is open, so the test steps down for the attempt."""
    for part, mode in (("shut", 0), ("fixed", 0o555)):
        (public / part).mkdir()
        (public / part).chmod(mode)
    with as_nobody:
        for out, words in (
            ("shut", "shut: cannot be listed: Permission denied"),
            ("shut/new", "shut/new: cannot be created: Permission denied"),
            ("fixed", "fixed: cannot be written to: Permission denied"),
            ("fixed/new", "fixed/new: cannot be created: Permission denied"),
            ("n" * 300, "n: cannot be created: File name too long"),
        ):
            with pytest.raises(SixteenfoldError, match=words), report_folder(public / out, overwrite=False):
                pass
