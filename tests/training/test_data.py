import json
import os
import struct
import zlib
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import pyvips
import torch

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.resample import downscale, round_to_8_bits
from sixteenfold.training import data
from sixteenfold.training.data import mean_step, sample_batch, smallest_side
from sixteenfold.training.index import Entry, Index, find_pictures, make_index
from sixteenfold.training.validation import read_validation


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(256, (3, height, width), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


@pytest.fixture(scope="module")
def photographs() -> list[torch.Tensor]:
    return [noise(160, 130), noise(140, 200, 1)]


def save(path: Path, height: int, width: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path.write_bytes(pyvips.Image.new_from_array(pixels).write_to_buffer(path.suffix))


def test_a_batch_is_a_function_of_its_address(photographs: list[torch.Tensor]) -> None:
    def batch(seed: int = 3, step: int = 7) -> torch.Tensor:
        return sample_batch(photographs, 64, seed=seed, step=step, indices=range(3)).hr

    assert torch.equal(batch(), batch())
    assert not torch.equal(batch(), batch(step=8))
    assert not torch.equal(batch(), batch(seed=4))


def test_processes_share_a_global_batch(photographs: list[torch.Tensor]) -> None:
    whole = sample_batch(photographs, 64, seed=0, step=1, indices=range(4))
    parts = [sample_batch(photographs, 64, seed=0, step=1, indices=range(i, i + 2)) for i in (0, 2)]
    assert torch.equal(whole.lr, torch.cat([part.lr for part in parts]))
    assert torch.equal(whole.hr, torch.cat([part.hr for part in parts]))


def test_the_low_resolution_crop_is_that_of_the_whole_picture() -> None:
    """Away from the picture's border no trace of the crop's own border is left."""
    side = smallest_side(128)
    picture = noise(side, side)
    batch = sample_batch([picture], 128, seed=0, step=0, indices=range(1))
    # One possible place, so the crop is the picture's middle in one of eight orientations.
    surrounded = torch.nn.functional.pad(batch.hr, (32, 32, 32, 32), mode="reflect")
    own_border = round_to_8_bits(downscale(surrounded))[..., 2:-2, 2:-2]
    middle = own_border[..., 1:-1, 1:-1]
    # The kernel reaches one and a half pixels past its own: the inner pixels see only the crop.
    inner = batch.lr[..., 2:-2, 2:-2]
    assert inner.shape[-2:] == (4, 4) and torch.equal(inner, middle[..., 1:-1, 1:-1])
    whole = round_to_8_bits(downscale(picture[None].float() / 255))[..., 2:-2, 2:-2]
    orientations = [torch.rot90(whole, k, (-2, -1)) for k in range(4)]
    orientations += [turned.flip(-1) for turned in orientations]
    assert any(torch.equal(batch.lr, turned) for turned in orientations)


def test_a_whole_crop_is_a_picture_of_its_own(photographs: list[torch.Tensor]) -> None:
    batch = sample_batch(photographs, 64, seed=0, step=0, indices=range(2), whole=True)
    assert torch.equal(batch.lr, round_to_8_bits(downscale(batch.hr)))
    surrounded = sample_batch(photographs, 64, seed=0, step=0, indices=range(2))
    assert torch.equal(batch.hr, surrounded.hr)
    assert not torch.equal(batch.lr, surrounded.lr)


def test_all_eight_orientations_occur() -> None:
    side = smallest_side(16)
    photographs = [noise(side, side)]
    seen = {sample_batch(photographs, 16, seed=0, step=s, indices=range(1)).hr.numpy().tobytes() for s in range(80)}
    assert len(seen) == 8


def test_flat_crops_are_drawn_again() -> None:
    """Half of the picture is flat; of the crops that are kept hardly one is."""
    picture = noise(400, 400)
    picture[:, :, :200] = 128
    drawn = {
        detail: [
            mean_step((255 * sample_batch([picture], 16, seed=0, step=s, indices=range(1), detail=detail).hr[0]).byte())
            for s in range(60)
        ]
        for detail in (0.0, 40.0)
    }
    assert sum(int(value < 1) for value in drawn[0.0]) > 12
    assert sum(int(value < 1) for value in drawn[40.0]) < 3


def test_of_ten_flat_crops_the_least_flat_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(data, "mean_step", lambda crop: seen.append(crop) or mean_step(crop))
    hr = sample_batch([noise(400, 400)], 64, seed=0, step=0, indices=range(1), detail=255.0).hr[0]
    assert len(seen) == 10
    assert torch.equal(hr, max(seen, key=mean_step)[:, 32:-32, 32:-32].float() / 255)


def test_no_accelerator_is_asked_for_the_detail_of_a_crop() -> None:
    """The host would wait for it; "meta", which has no values to be asked for, stands for one here."""
    meta = torch.device("meta")
    batch = sample_batch([noise(300, 300)], 64, seed=0, step=0, indices=range(2), detail=10.0, device=meta)
    assert batch.hr.shape == (2, 3, 64, 64) and batch.hr.device == meta


def test_crops_of_reduced_photographs() -> None:
    """At a scale of 1/2 a crop shows twice as much to each side, reduced as `downscale` reduces it."""
    side = smallest_side(64)
    picture = noise(2 * side, 2 * side)
    hr = sample_batch([picture], 64, seed=0, step=0, indices=range(1), scales=(0.5,)).hr
    reduced = round_to_8_bits(downscale(picture[None].float() / 255, 2))[..., 32:-32, 32:-32]
    orientations = [torch.rot90(reduced, k, (-2, -1)) for k in range(4)]
    orientations += [turned.flip(-1) for turned in orientations]
    assert any(torch.equal(hr, turned) for turned in orientations)


def test_crops_are_reduced_on_the_device_that_is_to_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that did it would keep a GPU waiting; "meta" stands for one here."""
    seen: list[str] = []
    for name in ("resize", "downscale"):
        reduce = getattr(data, name)
        monkeypatch.setattr(
            data, name, lambda image, *size, reduce=reduce: seen.append(image.device.type) or reduce(image, *size)
        )
    pictures, meta = [noise(300, 300)], torch.device("meta")
    batch = sample_batch(pictures, 64, seed=0, step=0, indices=range(2), scales=(0.5,), device=meta)
    assert seen == ["meta"] * 3 and batch.lr.device == batch.hr.device == meta


def test_a_photograph_too_small_for_a_scale_is_reduced_less() -> None:
    side = smallest_side(64)
    for height, width in ((side + 8, side + 40), (side + 40, side + 8)):
        picture = noise(height, width)
        hr = sample_batch([picture], 64, seed=0, step=0, indices=range(8), scales=(0.25,)).hr
        assert hr.shape == (8, 3, 64, 64)
        # Reduced at all: a mean of pixels, as noise shows by its lower contrast.
        assert hr.std() < 0.95 * picture.float().std() / 255
    assert torch.equal(
        sample_batch([noise(side, side)], 64, seed=0, step=0, indices=range(2), scales=(0.25,)).hr,
        sample_batch([noise(side, side)], 64, seed=0, step=0, indices=range(2)).hr,
    )


def test_a_seed_gives_the_crops_that_it_gave_before_there_were_scales() -> None:
    """Pixels are numbered, so that a crop says where it was cut."""
    numbered = torch.arange(3 * 200 * 200).reshape(3, 200, 200).remainder(251).to(torch.uint8)
    batch = sample_batch([numbered, numbered.flip(1)], 16, seed=5, step=9, indices=range(3))
    assert (255 * batch.hr[:, 0, 0, :2]).round().int().tolist() == [[124, 123], [151, 202], [143, 92]]


def test_each_scale_is_as_likely() -> None:
    """Noise has the less contrast the more it was reduced."""
    picture = noise(600, 600)
    batch = sample_batch([picture], 16, seed=0, step=0, indices=range(90), scales=(1.0, 0.5, 0.25))
    contrast = batch.hr.flatten(1).std(1)
    counts = torch.bucketize(contrast, torch.tensor([0.09, 0.2])).bincount(minlength=3)
    assert counts.min() > 15, counts


def test_mean_step() -> None:
    crop = torch.zeros(3, 2, 3, dtype=torch.uint8)
    crop[:, :, 2] = 200
    # Across: steps 0 and 200 in each of two rows; down: none in three columns.
    assert mean_step(crop) == pytest.approx(3 * 400 / (3 * (4 + 3)))


def test_unfit_pictures_are_left_out_and_listed(tmp_path: Path) -> None:
    save(tmp_path / "good.png", 160, 170)
    save(tmp_path / "small.png", 40, 300)
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "notes.txt").write_text("no picture's name")
    (tmp_path / "photo.bmp").write_text("of a format that is not read")
    index = make_index([tmp_path], 128, "a crop")
    assert [(entry.path.name, entry.height, entry.width) for entry in index.entries] == [("good.png", 160, 170)]
    assert len(index.skipped) == 2
    assert any("300x40 is smaller than 128x128" in line for line in index.skipped)
    assert index.unread == (tmp_path / "photo.bmp",)
    index.save(tmp_path / "index.json")
    assert Index.load(tmp_path / "index.json") == index


def test_pictures_of_any_name_are_measured_as_they_are_read(tmp_path: Path) -> None:
    """A name that is no text, an SVG behind a picture's name, and more pixels than are read."""
    name = os.fsdecode(b"caf\xe9.png")
    save(tmp_path / name, 160, 170)
    (tmp_path / "drawing.png").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="999" height="999"></svg>')
    header = struct.pack(">I4sIIBBBBB", 13, b"IHDR", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I", zlib.crc32(header[4:]))
    (tmp_path / "huge.png").write_bytes(bomb + struct.pack(">I4sI", 0, b"IDAT", zlib.crc32(b"IDAT")))
    index = make_index([tmp_path], 128, "a crop")
    assert [entry.path.name for entry in index.entries] == [name]
    assert "drawing.png: is not a picture in a known format" in index.skipped[0]
    assert "huge.png: declares 60000 x 60000 pixels" in index.skipped[1]
    index.save(tmp_path / "index.json")
    assert Index.load(tmp_path / "index.json") == index


def test_tiles_are_not_trained_on(tmp_path: Path) -> None:
    for name in ("a.png", "a_x16_files/0/0_0.png", "a_x16_files/1/0_0.png", ".hidden/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        save(tmp_path / name, 1, 1)
    assert find_pictures([tmp_path, tmp_path / "a.png"]) == ([tmp_path / "a.png"] * 2, [])


def test_results_of_upscale_are_not_trained_on(tmp_path: Path) -> None:
    """Known as `upscale` knows them: by the photograph's name, with a size after it, beside the photograph."""
    for name in ("a.png", "a_x16.png", "a_x4.jpg", "a_300x200.png", "b_x16.png", "deep/a_x16.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save(tmp_path / name, 40, 40)
    index = make_index([tmp_path, tmp_path / "a.png"], 40, "a crop")
    assert [entry.path.name for entry in index.entries] == ["a.png", "b_x16.png", "a_x16.png"]
    assert index.earlier == tuple(tmp_path / name for name in ("a_300x200.png", "a_x16.png", "a_x4.jpg"))
    assert index.skipped == ()
    assert len(read_validation(tmp_path, 32).pictures) == 3
    index.save(tmp_path / "index.json")
    assert Index.load(tmp_path / "index.json") == index
    # Who names a file means it.
    named = make_index([tmp_path / "a.png", tmp_path / "a_x16.png"], 40, "a crop")
    assert [entry.path.name for entry in named.entries] == ["a.png", "a_x16.png"] and named.earlier == ()
    # So also beside its folder, however it is spelled; and no file counts twice.
    both = make_index([tmp_path, tmp_path / "deep" / ".." / "a_x16.png"], 40, "a crop")
    assert [entry.path.name for entry in both.entries] == ["a.png", "a_x16.png", "b_x16.png", "a_x16.png"]
    assert len(set(both.entries)) == 4 and tmp_path / "a_x16.png" not in both.earlier
    # A small one's result is large enough, and yet none to train on: that has to be said.
    save(tmp_path / "deep" / "a.png", 4, 4)
    with pytest.raises(SixteenfoldError, match=r"it is 4x4; 1 left out, named like what upscale or train makes"):
        make_index([tmp_path / "deep"], 40, "a crop")


def test_samples_of_earlier_runs_are_not_trained_on(tmp_path: Path) -> None:
    for name in ("a.png", "run/samples/00000100.png", "mine/samples/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        save(tmp_path / name, 40, 40)
    for name in ("config.json", "lock"):
        (tmp_path / "run" / name).touch()
    index = make_index([tmp_path], 40, "a crop")
    assert [entry.path.name for entry in index.entries] == ["a.png", "b.png"]
    sheet = tmp_path / "run" / "samples" / "00000100.png"
    assert index.earlier == (sheet,)
    assert [entry.path for entry in make_index([sheet], 40, "a crop").entries] == [sheet]


def test_an_index_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "index.json"
    index = Index((Entry(Path("/a.png"), 40, 50),), ("b.png: small",), (Path("/c.png"),), (Path("/d.bmp"),))
    index.save(file)
    assert Index.load(file) == index
    content = json.loads(file.read_text())
    for name in content:
        file.write_text(json.dumps({key: value for key, value in content.items() if key != name}))
        with pytest.raises(SixteenfoldError, match=rf"not the run's index of photographs \(KeyError\('{name}'\)\)"):
            Index.load(file)


def test_no_pictures(tmp_path: Path) -> None:
    good, folder = tmp_path / "good", tmp_path / "folder"
    for path in (good, folder):
        path.mkdir()
    save(good / "good.png", 160, 170)
    # One that is wrong is told, whatever else there is.
    with pytest.raises(SixteenfoldError, match="folder: holds no picture in a supported format; check the name"):
        find_pictures([good, folder])
    (folder / "notes.txt").write_text("no picture")
    (folder / "drawing.svg").write_text("no picture that is read")
    with pytest.raises(SixteenfoldError, match=r"folder: holds no picture in a supported format, but 1 \.svg; conv"):
        find_pictures([folder, good])
    with pytest.raises(
        SixteenfoldError, match=r"notes\.txt: neither a folder nor a picture in a supported format; name"
    ):
        find_pictures([folder / "notes.txt"])
    with pytest.raises(SixteenfoldError, match="missing: does not exist; check the name"):
        find_pictures([tmp_path / "missing"])
    assert find_pictures([good / "good.png"]) == ([good / "good.png"], [])
    save(folder / "small.png", 20, 30)
    save(folder / "smaller.png", 10, 900)
    (folder / "broken.jpg").write_text("no picture")
    said = (
        "folder: none of 3 pictures has the 128x128 pixels of a crop; the largest is 30x20; 1 skipped, .*; "
        r"1 cannot be read: .*folder.broken\.jpg: is not a picture in a known format"
    )
    with pytest.raises(SixteenfoldError, match=said):
        make_index([folder], 128, "a crop")
    for name, why in (
        ("small.png", "does not have the 128x128 pixels of a crop; it is 30x20$"),
        ("broken.jpg", r"cannot be read: .*broken\.jpg: is not a picture in a known format"),
    ):
        with pytest.raises(SixteenfoldError, match=f"{name}: the only picture {why}"):
            make_index([folder / name], 128, "a crop")


def test_pictures_of_which_none_can_be_read_are_named(tmp_path: Path) -> None:
    """The first few, each with its reason: by their headers, or where only what follows is damaged."""
    broken, half = tmp_path / "broken", tmp_path / "half"
    for folder in (broken, half):
        folder.mkdir()
    for i in range(5):
        (broken / f"{i}.png").write_text("no picture")
    reason = "is not a picture in a known format[^/]*"
    said = f"broken: none of 5 pictures can be read: {'; '.join(f'.*{i}.png: {reason}' for i in range(3))}; and 2 more$"
    for look in (lambda: make_index([broken], 128, "a crop"), lambda: read_validation(broken, 64)):
        with pytest.raises(SixteenfoldError, match=said):
            look()
    save(half / "0.png", 160, 170)
    (half / "0.png").write_bytes((half / "0.png").read_bytes()[:1000])
    with pytest.raises(SixteenfoldError, match=r"half: none of its pictures can be read: .*0\.png: "):
        read_validation(half, 64)


def test_photographs_in_a_closed_folder(public: Path, as_nobody: AbstractContextManager[None]) -> None:
    (public / "shut").mkdir(0)
    with as_nobody, pytest.raises(SixteenfoldError, match="shut/photos: is not readable; change its permissions"):
        find_pictures([public / "shut" / "photos"])


def test_an_index_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("[]")
    with pytest.raises(SixteenfoldError, match="not the run's index"):
        Index.load(tmp_path / "index.json")
