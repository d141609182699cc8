"""Pairing, sizes, the challenge's crop."""

from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch

from sixteenfold.errors import SixteenfoldError
from sixteenfold.evaluation.protocol import Case, Sources, crop, find_cases, list_pictures, load_case
from sixteenfold.imaging.resample import downscale, round_to_8_bits

from .conftest import Save, picture


def test_pairs_by_name_whatever_the_suffix(save: Save, tmp_path: Path) -> None:
    for name in ("hr/a.png", "hr/deep/b.png", "sr/a_x16.jpg", "sr/deep/b.tif", "lr/a-x16.png", "lr/deep/b.png"):
        save(name, picture(0))
    sources = Sources(tmp_path / "hr", tmp_path / "lr", False, {"sr": tmp_path / "sr"})
    cases, missing = find_cases(sources, allow_missing=False)
    assert missing == ()
    assert [(case.name, case.lr and case.lr.name, case.results["sr"].name) for case in cases] == [
        ("a", "a-x16.png", "a_x16.jpg"),
        ("deep/b", "b.png", "b.tif"),
    ]


def test_x16_is_part_of_some_names(save: Save, tmp_path: Path) -> None:
    for name in ("box16.png", "bo.png", "0801x16.png"):
        save(f"hr/{name}", picture(0))
    assert sorted(list_pictures(tmp_path / "hr")[0]) == ["0801", "bo", "box16"]


def test_a_name_keeps_at_least_a_letter(save: Save, tmp_path: Path) -> None:
    for name in ("hr/x16.png", "hr/deep/x16.png", "sr/x16_x16.png", "sr/deep/x16.png"):
        save(name, picture(0))
    cases, _ = find_cases(Sources(tmp_path / "hr", None, False, {"sr": tmp_path / "sr"}), allow_missing=False)
    assert [case.name for case in cases] == ["deep/x16", "x16"]


def test_the_result_of_an_original_named_like_a_result_pairs_with_it(save: Save, tmp_path: Path) -> None:
    for name in ("hr/a_x16.png", "sr/a_x16_x16.png"):
        save(name, picture(0))
    cases, _ = find_cases(Sources(tmp_path / "hr", None, False, {"sr": tmp_path / "sr"}), allow_missing=False)
    assert [(case.name, case.results["sr"].name) for case in cases] == [("a", "a_x16_x16.png")]


def test_accents_pair_whichever_way_they_are_written(save: Save, tmp_path: Path) -> None:
    for name in ("hr/\u00fc.png", "sr/u\u0308.png"):
        save("a.png", picture(0))
        (tmp_path / name).parent.mkdir()
        (tmp_path / "a.png").rename(tmp_path / name)
    cases, _ = find_cases(Sources(tmp_path / "hr", None, False, {"sr": tmp_path / "sr"}), allow_missing=False)
    assert [case.name for case in cases] == ["\u00fc"]


def test_unpaired_names_are_listed(save: Save, tmp_path: Path) -> None:
    for name in ("hr/a.png", "hr/b.png", "hr/b2.png", "sr/a.png", "sr/c.png"):
        save(name, picture(0))
    sources = Sources(tmp_path / "hr", None, False, {"sr": tmp_path / "sr"})
    with pytest.raises(SixteenfoldError, match=r"sr has no b, b2; .*has no c \(sr\)"):
        find_cases(sources, allow_missing=False)
    cases, missing = find_cases(sources, allow_missing=True)
    assert [case.name for case in cases] == ["a"]
    assert len(missing) == 2


def test_tiles_are_not_evaluated(save: Save, tmp_path: Path) -> None:
    for name in ("hr/a.png", "sr/a.png", "sr/a_x16_files/0/0_0.png", "sr/a_x16_files/1/0_0.png"):
        save(name, picture(0))
    cases, missing = find_cases(Sources(tmp_path / "hr", None, False, {"sr": tmp_path / "sr"}), allow_missing=False)
    assert ([case.name for case in cases], missing) == (["a"], ())


def test_folders_that_cannot_pair(save: Save, tmp_path: Path) -> None:
    save("hr/a.png", picture(0))
    save("sr/b.png", picture(0))
    save("twice/a.png", picture(0))
    save("twice/a.jpg", picture(0))
    (tmp_path / "empty").mkdir()
    for folder, words in (("sr", "has a match"), ("twice", "same name"), ("empty", "holds no"), ("none", "not exist")):
        with pytest.raises(SixteenfoldError, match=words):
            find_cases(Sources(tmp_path / "hr", None, False, {"x": tmp_path / folder}), allow_missing=True)


def test_folders_that_cannot_be_read(save: Save, public: Path, as_nobody: AbstractContextManager[None]) -> None:
    """None is passed over as if it were empty. As root every folder is open, so the test steps down."""
    for part in ("half", "half/shut", "deep/shut", "deep/.hidden"):
        (public / part).mkdir(parents=True)
        save("a.png", picture(0)).rename(public / part / f"{part[:4]}.png")
    (public / "loop").symlink_to("loop")
    (public / "half/shut").chmod(0)
    with as_nobody:
        assert list(list_pictures(public / "deep")[0]) == ["shut/deep"]
        for path, words in (
            ("half", "half/shut: cannot be listed"),
            ("half/shut", "half/shut: cannot be listed"),
            ("half/shut/half.png", r"half\.png: is not readable; change its permissions"),
            ("loop", r"loop: cannot be read \(Too many levels"),
            ("n" * 300, r"n: cannot be read \(File name too long"),
        ):
            with pytest.raises(SixteenfoldError, match=words):
                list_pictures(public / path)


def test_synthesized_pictures_are_matlabs(save: Save) -> None:
    pixels = picture(1, 70, 95)
    file = save("hr/a.png", pixels)
    loaded = load_case(Case("a", file, None, {"sr": save("sr/a.png", pixels)}), synthesize=True)
    cropped = pixels[:64, :80].transpose(2, 0, 1)
    assert np.array_equal(loaded.hr[0], cropped)
    assert np.array_equal(loaded.results["sr"][0], cropped)
    expected = round_to_8_bits(downscale(torch.from_numpy(cropped.astype(np.float32) / 255)[None]))
    assert loaded.lr is not None
    assert torch.equal(loaded.lr.float() / 255, expected)


@pytest.mark.parametrize(("small", "common"), [((4, 5), (64, 80)), ((5, 6), (70, 95))])
def test_small_pictures_rounded_down_or_up(save: Save, small: tuple[int, int], common: tuple[int, int]) -> None:
    file, lr = save("hr/a.png", picture(1, 70, 95)), save("lr/a.png", picture(2, *small))
    sr = save("sr/a.png", picture(3, 16 * small[0], 16 * small[1]))
    loaded = load_case(Case("a", file, lr, {"sr": sr}), synthesize=False)
    assert tuple(loaded.hr.shape[2:]) == common
    assert tuple(loaded.results["sr"].shape[2:]) == (16 * small[0], 16 * small[1])


def test_sizes_that_do_not_belong_together_are_both_named(save: Save) -> None:
    hr, other = save("hr/a.png", picture(1, 64, 80)), save("sr/a.png", picture(1, 64, 64))
    with pytest.raises(SixteenfoldError, match=r"sr/a\.png: 64x64 differs from the 80x64 of .*hr/a\.png"):
        load_case(Case("a", hr, None, {"sr": other}), synthesize=False)
    large = save("large/a.png", picture(1, 70, 95))
    enlarged = save("sr/b.png", picture(2, 64, 80))
    with pytest.raises(SixteenfoldError, match=r"80x64 differs from the 95x70 of .*; give what it was made from too"):
        load_case(Case("b", large, None, {"sr": enlarged}), synthesize=False)
    words = r"sr/a\.png: 64x64 differs from the 95x70 of .*large/a\.png, and from its compared part, 80x64"
    with pytest.raises(SixteenfoldError, match=words):
        load_case(Case("a", large, None, {"sr": other}), synthesize=True)
    with pytest.raises(SixteenfoldError, match=r"64x64 is not 1/16 of the 80x64"):
        load_case(Case("a", hr, other, {}), synthesize=False)
    for side in (5, 7):  # one pixel too few or too many in one direction
        tall, wide = save("lr/tall.png", picture(2, side, 6)), save("lr/wide.png", picture(2, 6, side))
        for small in (tall, wide):
            with pytest.raises(SixteenfoldError, match=r"is not 1/16 of the 96x96"):
                load_case(Case("a", save("hr/c.png", picture(1, 96, 96)), small, {}), synthesize=False)
    with pytest.raises(SixteenfoldError, match=r"12x40 is too small"):
        load_case(Case("a", save("small/a.png", picture(1, 40, 12)), None, {}), synthesize=True)


def test_grey_is_spread_and_alpha_named(save: Save) -> None:
    grey = picture(1)[..., :1]
    loaded = load_case(Case("a", save("hr/a.png", grey), None, {}), synthesize=False)
    assert np.array_equal(loaded.hr[0, 2], grey[..., 0])
    with_alpha = np.concatenate((picture(1), grey), axis=-1)
    files = save("hr/b.png", with_alpha), save("sr/b.png", with_alpha)
    loaded = load_case(Case("b", files[0], None, {"sr": files[1]}), synthesize=False)
    assert loaded.notes == tuple(f"{file}: transparency ignored" for file in files)


def test_the_centre() -> None:
    tall = torch.arange(1005 * 1000).reshape(1, 1, 1005, 1000)
    assert torch.equal(crop(tall, "ntire2020", "a"), tall[:, :, 2:1002])
    assert crop(tall, "full", "a") is tall
    with pytest.raises(SixteenfoldError, match="a: 999x1005 has no centre"):
        crop(tall[..., :999], "ntire2020", "a")
