"""Tiles, bands and the projection put together give what the whole picture gives."""

import gc
import pickle
import weakref
from collections.abc import Callable
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.resample import downscale, extended, resize
from sixteenfold.networks import zoo
from sixteenfold.networks.generator import Generator
from sixteenfold.networks.state import digest, save
from sixteenfold.upscaling import enlargement, upscaler as upscaler_module
from sixteenfold.upscaling.consistency import project
from sixteenfold.upscaling.rows import RowStream
from sixteenfold.upscaling.runner import Runner
from sixteenfold.upscaling.upscaler import Upscaler


def picture(height: int, width: int, channels: int = 3) -> Tensor:
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(height * width))


def whole(network: Generator, lr: Tensor) -> Tensor:
    """The network's result in one piece, seen with the picture's mirrored border."""
    border = enlargement.BORDER
    seen = extended(extended(lr, -2, border), -1, border)
    with torch.no_grad():
        return network(seen)[..., 16 * border : -16 * border, 16 * border : -16 * border]


def upscaler(network: Generator, **options) -> Upscaler:
    return Upscaler(network, device="cpu", precision="fp32", **options)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 40), (36, 21)])
def test_tiles_give_what_the_whole_picture_gives(network: Generator, height: int, width: int):
    lr = picture(height, width)
    sr = upscaler(network, tile=16, consistency=False)(lr)
    torch.testing.assert_close(sr, whole(network, lr).clamp(0, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("model", ["medium", "compact", "compact-fidelity"])
def test_a_white_picture_stays_white_to_its_corners(model: str, monkeypatch: pytest.MonkeyPatch):
    """A network takes what lies beyond the border for black: single pixels in the corners came out grey."""
    monkeypatch.setattr(enlargement, "keep_flat", lambda sr, lr, rows: sr)  # or nothing of it were the network's
    sr = Upscaler(model, device="cpu", precision="fp32")(torch.ones(1, 3, 12, 12))
    assert (sr > 0.98).all()


@pytest.mark.parametrize(("height", "width"), [(1, 2), (2, 50), (50, 9), (75, 3)])
def test_bands_are_projected_as_the_whole_picture_is(network: Generator, height: int, width: int):
    lr = picture(height, width)
    sr = upscaler(network, tile=11)(lr)
    expected = project(whole(network, lr).clamp(0, 1), lr).clamp(0, 1)
    torch.testing.assert_close(sr, expected, rtol=0, atol=1e-5)


def test_fidelity_is_for_shipped_models(network: Generator):
    with pytest.raises(SixteenfoldError, match="fidelity: mixes two shipped models"):
        upscaler(network, fidelity=0.5)


@pytest.mark.parametrize("tile", [0, -3, 1.5, "8", True])
def test_a_tile_is_a_number_of_pixels(network: Generator, tile: Any):
    with pytest.raises(SixteenfoldError, match=rf"^tile {tile!r}: must be a whole number, at least 1$"):
        upscaler(network, tile=tile)


def test_what_is_said_goes_to_a_function(network: Generator):
    with pytest.raises(SixteenfoldError, match=r"^say: None is not a function"):
        upscaler(network, say=None)


def test_weights_that_change_later_change_nothing(network: Generator):
    """A continued picture must not be made of two networks, nor a tile that is made again."""
    changing = deepcopy(network)
    before = upscaler(changing)
    sr = before(picture(4, 4))
    with torch.no_grad():
        for weight in changing.parameters():
            weight.mul_(1.5)
    after = upscaler(changing)
    torch.testing.assert_close(before(picture(4, 4)), sr, rtol=0, atol=0)
    assert before.fingerprint == upscaler(network).fingerprint != after.fingerprint


def test_a_pickled_one_is_the_same(tmp_path: Path, network: Generator):
    """For workers and other machines: also if the file of its weights is gone there."""
    file = tmp_path / "tiny.safetensors"
    save(network, file, {})
    before = Upscaler(file, device="cpu", precision="fp32", tile=5, consistency=False, ensemble=True)
    file.unlink()
    after = pickle.loads(pickle.dumps(before))
    assert torch.equal(after(picture(6, 7)), before(picture(6, 7)))
    assert (after.model, after.tile, after.fingerprint) == (str(file), 5, before.fingerprint)


def test_other_networks_are_refused():
    with pytest.raises(SixteenfoldError, match=r"^model: Conv2d is not a Generator, a model name or a file$"):
        Upscaler(torch.nn.Conv2d(3, 3, 1))  # pyright: ignore[reportArgumentType]


def test_the_result_downscales_to_the_input(network: Generator):
    lr = picture(20, 20) * 0.2 + 0.4  # white noise: harder than any photograph
    assert (downscale(upscaler(network)(lr)) - lr).square().mean() < 1e-4
    assert (downscale(upscaler(network, consistency=False)(lr)) - lr).square().mean() > 1e-3


def test_a_large_picture_takes_the_first_trunk_in_tiles(network: Generator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(enlargement, "FIRST_TILE", 24)
    lr = picture(40, 26)
    sr = upscaler(network, tile=16, consistency=False)(lr)
    torch.testing.assert_close(sr, whole(network, lr).clamp(0, 1), rtol=0, atol=1e-5)


def test_a_wide_picture_has_lower_bands(network: Generator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(enlargement, "BAND_BYTES", 16 * 16 * 40 * 3 * 4 * 10)
    monkeypatch.setattr(enlargement, "SECOND_MARGIN", 2)
    assert enlargement._tile_shape(20, 40, 3) == (10, 40)
    assert enlargement._tile_shape(20, 4000, 3)[0] == enlargement.LOWEST_BAND
    lr = picture(30, 40)
    torch.testing.assert_close(
        upscaler(network, tile=20, consistency=False)(lr), whole(network, lr).clamp(0, 1), rtol=0, atol=1e-2
    )


def test_bands_come_top_to_bottom_with_the_rows_that_are_foretold(network: Generator):
    lr = picture(37, 5)
    bands = list(upscaler(network, tile=10).bands(lr))
    assert tuple(band.shape[2] for band in bands) == Upscaler.band_rows(37) == (256, 256, 80)
    assert all(band.shape[:2] == (1, 3) and band.shape[3] == 80 for band in bands)


@pytest.mark.parametrize("taken", [0, 1, 4])
def test_nothing_outlives_the_bands(network: Generator, monkeypatch: pytest.MonkeyPatch, taken: int):
    made: list[weakref.ref[enlargement.Enlargement]] = []
    init = enlargement.Enlargement.__init__

    def noted(self: enlargement.Enlargement, *arguments) -> None:
        made.append(weakref.ref(self))
        init(self, *arguments)

    monkeypatch.setattr(enlargement.Enlargement, "__init__", noted)
    one = upscaler(network, tile=10)
    gc.disable()
    try:
        bands = one.bands(picture(37, 5))
        list(islice(bands, taken))
        runner = weakref.ref(one._runner)
        del bands, one
        assert [enlarging() for enlarging in made] == [None]
        assert runner() is None
    finally:
        gc.enable()


def test_only_the_rows_in_use_are_held(network: Generator, monkeypatch: pytest.MonkeyPatch):
    streams: list[RowStream] = []
    init = RowStream.__init__

    def noted(self: RowStream, *arguments) -> None:
        streams.append(self)
        init(self, *arguments)

    monkeypatch.setattr(RowStream, "__init__", noted)
    monkeypatch.setattr(enlargement, "FIRST_TILE", 16)
    for _ in upscaler(network, tile=16).bands(picture(200, 3)):
        held = [sum(rows.shape[2] for rows in stream._held.values()) // stream._scale for stream in streams]
        assert len(held) == 4 and max(held) <= 48, held


@pytest.mark.parametrize("consistency", [True, False])
@pytest.mark.parametrize("skip", [1, 2, 4, 5])
def test_bands_from_the_middle_are_the_same_to_the_bit(network: Generator, consistency: bool, skip: int):
    lr = picture(70, 6)
    one = upscaler(network, tile=10, consistency=consistency)
    bands = list(one.bands(lr))
    later = list(one.bands(lr, skip=skip))
    assert len(later) == len(bands) - skip
    assert all(torch.equal(a, b) for a, b in zip(later, bands[skip:], strict=True))


@pytest.mark.parametrize("size", [(1200, 70), (333, 96), (140, 12), (1, 1)])
def test_a_reduced_result_is_the_large_one_reduced(network: Generator, size: tuple[int, int]):
    lr = picture(75, 6)
    one = upscaler(network, tile=40)
    reduced = list(one.bands(lr, size=size))
    assert tuple(band.shape[2] for band in reduced) == Upscaler.band_rows(75, size[0])
    torch.testing.assert_close(torch.cat(reduced, dim=2), resize(one(lr), size).clamp(0, 1), rtol=0, atol=1e-5)
    later = list(one.bands(lr, size=size, skip=len(reduced) // 2))
    assert all(torch.equal(a, b) for a, b in zip(later, reduced[len(reduced) // 2 :], strict=True))


def test_the_fingerprint_tells_what_decides_a_result(network: Generator, other_network: Generator):
    same = upscaler(network).fingerprint
    assert upscaler(network).fingerprint == same
    others = [
        upscaler(other_network),
        upscaler(network, tile=9),
        upscaler(network, consistency=False),
        upscaler(network, ensemble=True),
        Upscaler(network, device="cpu", precision="bf16"),
    ]
    assert len({same, *(other.fingerprint for other in others)}) == 6


@pytest.mark.parametrize("size", [(0, 16), (16, 33), (17, 32)])
def test_impossible_sizes_are_refused(network: Generator, size: tuple[int, int]):
    with pytest.raises(SixteenfoldError, match="cannot reduce"):
        upscaler(network).bands(picture(1, 2), size=size)


@pytest.mark.parametrize("size", [(16, 16, 16), (16,), (), 16, 0, "16", (16.0, 16), ("16", "16"), (True, True)])
def test_other_things_than_sizes_are_refused(network: Generator, size: Any):
    with pytest.raises(SixteenfoldError, match=r"^size: expected \(height, width\) in whole pixels, not "):
        upscaler(network).bands(picture(1, 2), size=size)


@pytest.mark.parametrize("skip", [-1, 1.0, "1", None, True])
def test_bands_to_skip_are_counted_from_the_top(network: Generator, skip: Any):
    with pytest.raises(SixteenfoldError, match=r"^skip .*: must be a whole number, at least 0$"):
        upscaler(network).bands(picture(1, 2), skip=skip)


@pytest.mark.parametrize("heights", [(0,), (-3,), (2.5,), ("3",), (3, 0), (3, -4), (3, 4.5), (3, 49)])
def test_rows_are_foretold_of_pictures_alone(heights: tuple[Any, ...]):
    with pytest.raises(
        SixteenfoldError, match=r"^(height|new_height) .*: must be a whole|^cannot reduce 48 rows to 49"
    ):
        Upscaler.band_rows(*heights)


def test_it_says_what_it_was_made_with(network: Generator):
    of_weights = digest(network)
    plain = upscaler(network)
    assert (plain.model, plain.sha256, plain.device) == (None, of_weights, torch.device("cpu"))
    assert (plain.tile, plain.consistency, plain.ensemble, plain.fidelity) == (None, True, False, None)
    other = upscaler(network, tile=8, consistency=False, ensemble=True)
    assert (other.tile, other.consistency, other.ensemble) == (8, False, True)
    # Trained on, the caller's network is no longer the one that enlarges.
    with torch.no_grad():
        network.last.weight.mul_(2)
    assert plain.sha256 == of_weights != digest(network)
    named, mixed = (Upscaler("compact", device="cpu", fidelity=fidelity) for fidelity in (None, 0.5))
    assert (named.model, named.fidelity) == ("compact", None)
    assert named.sha256 == zoo.card("compact").sha256
    assert (mixed.model, mixed.fidelity) == ("compact", 0.5)
    assert mixed.sha256 == digest(zoo.blend("compact", 0.5)) != named.sha256


def test_grey_stays_grey(network: Generator):
    lr = picture(20, 10, channels=1)
    sr = upscaler(network, tile=8, consistency=False)(lr)
    expected = whole(network, lr.expand(-1, 3, -1, -1)).mean(dim=1, keepdim=True).clamp(0, 1)
    torch.testing.assert_close(sr, expected, rtol=0, atol=1e-5)
    assert upscaler(network)(lr).shape == (1, 1, 320, 160)


def test_several_pictures_at_once(network: Generator):
    lr = torch.cat((picture(5, 4), 1 - picture(5, 4)))
    sr = upscaler(network)(lr)
    torch.testing.assert_close(sr[1:], upscaler(network)(lr[1:]), rtol=0, atol=0)
    assert sr.shape == (2, 3, 80, 64)
    assert (sr[0] - sr[1]).abs().max() > 0.1


def test_alpha_is_enlarged_with_the_same_options_but_for_the_ensemble(
    network: Generator, monkeypatch: pytest.MonkeyPatch
):
    made: list[tuple[Any, ...]] = []

    class Seen(Runner):
        def __init__(self, generator: Generator, *options: Any) -> None:
            made.append(options)
            super().__init__(generator, *options)

    monkeypatch.setattr(upscaler_module, "Runner", Seen)
    said: list[str] = []
    own = Upscaler(network, device="cpu", precision="bf16", tile=7, consistency=False, ensemble=True, say=said.append)
    masks = own.for_masks
    assert made == [("cpu", "bf16", True, said.append), ("cpu", "bf16", False, said.append)]
    assert (masks.model, masks.description) == ("compact-fidelity", own.description)
    assert (masks.tile, masks.consistency, masks.ensemble) == (7, False, False)


def test_ensemble_of_a_turned_picture_is_the_turned_ensemble(network: Generator):
    lr = picture(9, 14)
    one = upscaler(network, tile=6, ensemble=True)
    turned = one(torch.rot90(lr, 1, (-2, -1)))
    torch.testing.assert_close(torch.rot90(one(lr), 1, (-2, -1)), turned, rtol=0, atol=1e-5)
    assert (one(lr) - upscaler(network)(lr)).abs().max() > 1e-4


def test_results_may_be_trained_on(network: Generator):
    scale = torch.ones(1, requires_grad=True)
    (upscaler(network)(picture(2, 2)) * scale).sum().backward()
    assert scale.grad is not None


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (1, 2, 4, 4), (3, 4, 4), (1, 3, 0, 4)])
def test_other_shapes_are_refused(network: Generator, shape: tuple[int, ...]):
    with pytest.raises(SixteenfoldError, match=r"expected a tensor \(1, 3 or 1, H, W\), not \("):
        upscaler(network).bands(torch.zeros(shape))


@pytest.mark.filterwarnings("error")
def test_a_tensor_that_asks_for_gradients_gets_none(network: Generator):
    assert not upscaler(network)(picture(4, 4).requires_grad_()).requires_grad


def test_no_pictures_give_none(network: Generator):
    assert upscaler(network)(torch.rand(0, 3, 4, 5)).shape == (0, 3, 64, 80)


@pytest.mark.parametrize(
    "lr", [torch.zeros(3, 4, 4), torch.zeros(2, 4, 4, 4), torch.zeros(1, 3, 4, 4).numpy(), "photo.png"]
)
def test_what_is_no_batch_of_pictures_is_refused(network: Generator, lr: Tensor):
    with pytest.raises(
        SixteenfoldError, match=r"expected a tensor \(N, 3 or 1, H, W\), not (\(\d, 4, 4.*\)|ndarray|str)$"
    ):
        upscaler(network)(lr)


@pytest.mark.parametrize("change", [lambda x: x.to(torch.float8_e4m3fn), Tensor.to_sparse, lambda x: x.to("meta")])
def test_tensors_without_numbers_to_read_are_told(network: Generator, change: Callable[[Tensor], Tensor]):
    with pytest.raises(SixteenfoldError, match=r"not (torch\.float8\w+; convert|sparse .* dense|on the device meta)"):
        upscaler(network)(change(picture(4, 4)))


def test_values_of_another_scale_are_told(network: Generator):
    """A little beyond 1, as an enlargement may give, is clamped; 0 to 255 would come out white."""
    upscaler(network)(1.2 * picture(4, 4))
    with pytest.raises(
        SixteenfoldError, match=r"expected floats in \[0, 1\], not up to 2\d\d.*; divide by the largest"
    ):
        upscaler(network)(255 * picture(4, 4))
    with pytest.raises(SixteenfoldError, match=r"not from -0\.\d+; convert -1 to 1 by \(x \+ 1\) / 2"):
        upscaler(network)(2 * picture(4, 4) - 1)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_not_blamed_on_the_weights(network: Generator, value: float):
    lr = picture(4, 4)
    lr[0, 0, 1, 2] = value
    with pytest.raises(SixteenfoldError, match="not infinities or NaN"):
        upscaler(network)(lr)
