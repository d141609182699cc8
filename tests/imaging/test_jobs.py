"""Every picture that is meant gets one place for its result, and never its own."""

import re
from pathlib import Path

import pytest

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging import jobs as module
from sixteenfold.imaging.folders import Found
from sixteenfold.imaging.jobs import Job, Plan, plan_jobs


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def plan(
    folder: Path, inputs: list[str], out: str | None, *, suffix: str | None = None, keep: bool = False
) -> dict[str, str]:
    """What is to be made of which input; files that are named and not there are made first."""
    touch(folder, *(name for name in inputs if not (folder / name).exists()))
    target = folder / out if out else None
    jobs = plan_jobs([folder / name for name in inputs], target, ending="_x16", suffix=suffix, keep_suffix=keep).jobs
    return {str(job.source.relative_to(folder)): str(job.target.relative_to(folder)) for job in jobs}


def test_beside_the_source(tmp_path: Path) -> None:
    assert plan(tmp_path, ["a.jpg", "b/c.tif"], None) == {"a.jpg": "a_x16.png", "b/c.tif": "b/c_x16.png"}


def test_a_file_for_one_input(tmp_path: Path) -> None:
    assert plan(tmp_path, ["a.jpg"], "large.tif") == {"a.jpg": "large.tif"}


def test_the_suffix_that_is_asked_for(tmp_path: Path) -> None:
    assert plan(tmp_path, ["a.jpg"], "out", suffix=".webp", keep=True) == {"a.jpg": "out/a_x16.webp"}


def test_a_folder_that_is_named_like_a_picture(tmp_path: Path) -> None:
    (tmp_path / "large.png").mkdir()
    assert plan(tmp_path, ["a.jpg"], "large.png") == {"a.jpg": "large.png/a_x16.png"}


def test_a_slash_makes_a_folder_of_a_name_like_a_picture(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    (job,) = plan_jobs([tmp_path / "a.png"], f"{tmp_path}/large.png/", ending="_x16").jobs
    assert job.target == tmp_path / "large.png" / "a_x16.png"


@pytest.mark.parametrize("out", ["album.2024", "v1.5", "trip.new", "large.dir", "a.photos", ".hidden"])
def test_a_folder_whose_name_has_a_dot(tmp_path: Path, out: str) -> None:
    assert plan(tmp_path, ["a.jpg"], out) == {"a.jpg": f"{out}/a_x16.png"}


def test_a_folder_is_walked_and_mirrored(tmp_path: Path) -> None:
    touch(tmp_path / "in", "b.png", "a.jpg", "deep/er/c.webp", "notes.txt", ".b.png.rows", ".hidden/d.png")
    assert plan(tmp_path, ["in"], "out") == {
        "in/a.jpg": "out/a_x16.png",
        "in/b.png": "out/b_x16.png",
        "in/deep/er/c.webp": "out/deep/er/c_x16.png",
    }


def test_pictures_of_formats_that_are_not_read_are_told_of(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.png", "in/b.BMP", "in/deep/c.ppm", "in/d.dzi", "in/notes.txt", "in/.e.bmp", "in/f.apng")
    touch(tmp_path, "in/deep/g.bmp")
    inputs = [tmp_path / "in", tmp_path / "in" / "deep" / ".." / "deep" / "g.bmp", tmp_path / "in" / "a.png"]
    found = plan_jobs(inputs, tmp_path / "out", ending="_x16")
    assert found.unread == (tmp_path / "in" / "b.BMP", tmp_path / "in" / "deep" / "c.ppm")
    # A file that is named itself is tried, as its first bytes tell its format.
    assert [job.source.name for job in found.jobs] == ["a.png", "f.apng", "g.bmp"]


@pytest.mark.parametrize("out", [None, "in/large"])
def test_results_of_an_earlier_run_are_no_sources(tmp_path: Path, out: str | None) -> None:
    touch(tmp_path / "in", "a.jpg", "deep/b.png")
    first = plan(tmp_path, ["in"], out)
    touch(tmp_path, *first.values())
    assert plan(tmp_path, ["in"], out) == first


@pytest.mark.parametrize("out", [None, "in/large", "large"])
def test_results_of_another_size_or_format_are_no_sources(tmp_path: Path, out: str | None) -> None:
    touch(tmp_path / "in", "a.jpg", "b.jpg", "b.png", "deep/er/c.2024.tif", "new\nline.png")
    endings = re.compile(r"_x\d+\Z")

    def planned(ending: str, suffix: str) -> Plan:
        goal = None if out is None else tmp_path / out
        return plan_jobs([tmp_path / "in"], goal, ending=ending, endings=endings, suffix=suffix)

    first = planned("_x16", ".png")
    assert first.earlier == () and len(first.jobs) == 5
    touch(tmp_path, *(str(job.target) for job in first.jobs))
    # As results they are told of by their existence.
    assert planned("_x16", ".png") == first
    for ending, suffix in (("_x4", ".png"), ("_x16", ".webp")):
        again = planned(ending, suffix)
        assert [job.source for job in again.jobs] == [job.source for job in first.jobs]
        assert sorted(again.earlier) == ([] if out == "large" else sorted(job.target for job in first.jobs))


def test_what_is_named_itself_is_no_earlier_result(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "a_x4.png", "b_x4.png", "deep/a_x4.png")
    endings = re.compile(r"_x\d+\Z")
    for names in (["a_x4.png"], ["b_x4.png"], ["deep/a_x4.png"], ["a.png", "deep/../a_x4.png"], ["a_x4.png", "a.png"]):
        plan = plan_jobs([tmp_path / name for name in names], None, ending="_x16", endings=endings)
        assert [job.source for job in plan.jobs] == [tmp_path / name for name in names]
        assert plan.earlier == plan.made == ()
    plan = plan_jobs([tmp_path, tmp_path / "a_x4.png"], None, ending="_x16", endings=endings)
    assert plan.earlier == () and tmp_path / "a_x4.png" in [job.source for job in plan.jobs]
    plan = plan_jobs([tmp_path], tmp_path / "out", ending="_x16", endings=endings)
    assert plan.earlier == (tmp_path / "a_x4.png",)
    assert [job.source.name for job in plan.jobs] == ["a.png", "b_x4.png", "a_x4.png"]


def test_what_the_command_makes_of_another_is_no_source_though_it_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "a_x16.png", "out/a_x16.png")
    for inputs, out in ((["a.png", "a_x16.png"], None), (["a.png", "out/a_x16.png"], "out")):
        goal = None if out is None else tmp_path / out
        plan = plan_jobs([tmp_path / name for name in inputs], goal, ending="_x16", endings=re.compile(r"_x\d+\Z"))
        assert [job.source for job in plan.jobs] == [tmp_path / "a.png"]
        assert (plan.made, plan.earlier) == ((tmp_path / inputs[1],), ())
    # Where it is only found in a folder, there is nothing to explain.
    assert plan_jobs([tmp_path], None, ending="_x16", endings=re.compile(r"_x\d+\Z")).made == ()


def test_no_picture_twice(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.png")
    assert plan(tmp_path, ["in/a.png", "in", "in/a.png"], None) == {"in/a.png": "in/a_x16.png"}


def test_two_sources_of_one_name_get_two_results(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.jpg", "a.png", "b.png")
    assert plan(tmp_path, ["in"], "out") == {
        "in/a.jpg": "out/a.jpg_x16.png",
        "in/a.png": "out/a.png_x16.png",
        "in/b.png": "out/b_x16.png",
    }


@pytest.mark.parametrize(
    ("sources", "ending", "shared"),
    [
        # Two folders whose pictures share name and suffix, into one.
        (("one/a.png", "two/a.png"), "_x16", "a_x16.png"),
        (("one/a.png", "two/a.png"), "", "a.png"),
        # With a third of another suffix, which the suffixes tell apart from these.
        (("one/a.png", "two/a.png", "one/a.jpg"), "_x16", "a.png_x16.png"),
        # The name that one gets for its suffix, to be told from a third, is that of another.
        (("one/a.png", "one/a.png.tif", "one/a.jpg"), "_x16", "a.png_x16.png"),
    ],
)
def test_results_of_one_name_are_refused(tmp_path: Path, sources: tuple[str, ...], ending: str, shared: str) -> None:
    paths = [tmp_path / name for name in sources]
    touch(tmp_path, *sources)
    with pytest.raises(SixteenfoldError) as caught:
        plan_jobs(paths, tmp_path / "out", ending=ending)
    assert str(caught.value) == (
        f"{paths[0]} and {paths[1]}: both results would be {tmp_path / 'out' / shared}; "
        "process one of them separately, into another OUT"
    )


def test_a_folder_without_pictures_does_not_stop_the_others(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.png", "others/b.BMP", "others/deep/c.bmp", "others/deep/d.svg", "others/notes.txt")
    (tmp_path / "empty").mkdir()
    inputs = [tmp_path / name for name in ("empty", "in", "others")]
    found = plan_jobs(inputs, tmp_path / "out", ending="_x16")
    assert [job.source for job in found.jobs] == [tmp_path / "in" / "a.png"]
    assert list(found.refused) == [tmp_path / "empty", tmp_path / "others"] and not found.alone
    assert found.refused[tmp_path / "others"].endswith("but 2 .bmp, 1 .svg; convert to PNG")
    # One name for the result is meant for one input, and that may be the one that gives no picture.
    for several in (inputs, [tmp_path / "missing.png", tmp_path / "in"]):
        with pytest.raises(SixteenfoldError, match=r"one\.png: is one file; not all inputs .*; .*check the name"):
            plan_jobs(several, tmp_path / "one.png", ending="_x16")


@pytest.mark.parametrize("out", [None, "new"])
def test_what_is_not_there_is_known_before_a_result_may_lie_there(tmp_path: Path, out: str | None) -> None:
    touch(tmp_path, "ok.png", "file", "new_x16.png")
    (tmp_path / "empty").mkdir()
    bad = {
        "new": "does not exist; check the name",
        "file/a.png": "does not exist: part of its path is a file; check the name",
        f"{'n' * 300}.png": "cannot be read (File name too long); check the name",
        "empty": "holds no picture in a supported format; check the name",
    }
    refused = {tmp_path / name: f"{tmp_path / name}: {said}" for name, said in bad.items()}
    goal = None if out is None else tmp_path / out
    found = plan_jobs([tmp_path / "ok.png", *refused], goal, ending="_x16")
    assert ([job.source for job in found.jobs], found.refused) == ([tmp_path / "ok.png"], refused)
    assert not found.alone
    # Where no input gives a picture, that is the command's failure.
    found = plan_jobs(list(refused), goal, ending="_x16")
    assert (found.jobs, found.refused, found.alone) == ((), refused, True)


def test_no_result_lies_among_the_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where /dev/stdin is redirected from a file."""
    stdin, goal = Path("/dev/stdin"), tmp_path / "a.png"
    monkeypatch.setattr(module, "pictures_at", lambda path: Found([path], [], path.parent, {}))
    refused = {stdin: "/dev/stdin: no result is written to /dev; name one with -o OUT"}
    assert plan_jobs([stdin], None, ending="_x16").refused == refused
    assert plan_jobs([stdin], goal, ending="_x16").jobs == (Job(stdin, goal),)


def test_a_source_is_one_however_its_name_is_spelled(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    again = tmp_path / ".." / tmp_path.name / "a.png"
    assert len(plan_jobs([tmp_path / "a.png", again], tmp_path / "out", ending="_x16").jobs) == 1


def test_suffixes_that_cannot_be_written_become_png(tmp_path: Path) -> None:
    sources = ["a.jpeg", "b.heic", "c.gif", "d"]
    found = plan(tmp_path, sources, "out", keep=True)
    assert list(found.values()) == ["out/a_x16.jpeg", "out/b_x16.png", "out/c_x16.png", "out/d_x16.png"]


@pytest.mark.parametrize(
    ("inputs", "out", "suffix", "cause"),
    [
        ([], "out", None, "no INPUT"),
        (["a.png", "b.png"], "out.png", None, "one file for several"),
        (["in"], "out.png", None, "one file for several"),
        (["a.png"], "out.jpg", ".png", "the format png"),
        (["a.png"], "out.bmp", None, r"out\.bmp: cannot write format '\.bmp'.*\.png, .*create it first"),
        (["a.png"], "out.heic", None, "cannot write format '.heic'"),
        (["a.png"], "out.pgn", ".png", r"did you mean '\.png'\?"),
        (["in"], "out.gif", None, "one file for several"),
    ],
)
def test_refused(tmp_path: Path, inputs: list[str], out: str, suffix: str | None, cause: str) -> None:
    touch(tmp_path / "in", "a.png", "b.png")
    with pytest.raises(SixteenfoldError, match=cause):
        plan(tmp_path, inputs, out, suffix=suffix)


@pytest.mark.parametrize("out", ["a.png", ""])
def test_a_source_is_never_replaced(tmp_path: Path, out: str) -> None:
    touch(tmp_path, "a.png")
    with pytest.raises(SixteenfoldError, match="would overwrite it"):
        plan_jobs([tmp_path / "a.png"], tmp_path / out, ending="", keep_suffix=True)


def test_a_source_among_the_results_is_told_as_that_whoever_shares_its_name(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.png", "out/a.png")
    for inputs in (["in/a.png", "out/a.png"], ["out/a.png", "in/a.png"]):
        with pytest.raises(SixteenfoldError, match=r"out/a\.png: its result would overwrite it; choose another OUT"):
            plan_jobs([tmp_path / name for name in inputs], tmp_path / "out", ending="", keep_suffix=True)


def test_jpg_and_jpeg_are_one_format(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    assert plan_jobs([tmp_path / "a.png"], tmp_path / "b.jpeg", ending="", suffix=".jpg").jobs == (
        Job(tmp_path / "a.png", tmp_path / "b.jpeg"),
    )


def test_a_dash_is_no_folder() -> None:
    with pytest.raises(SixteenfoldError, match="-o -: results are written to files"):
        plan_jobs([Path("a.png")], Path("-"), ending="")
