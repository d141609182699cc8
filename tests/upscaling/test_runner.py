"""Faults of devices: tiles become smaller, overflown tiles are done again, each said once."""

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.resample import SCALE
from sixteenfold.networks.generator import Generator
from sixteenfold.upscaling import engine, enlargement, runner
from sixteenfold.upscaling.engine import Engine
from sixteenfold.upscaling.runner import Fitting
from sixteenfold.upscaling.tiles import Tile, plan_tiles
from sixteenfold.upscaling.upscaler import Upscaler

LR = torch.rand(1, 3, 32, 20, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    ],
)
def test_out_of_memory_goes_on_with_smaller_tiles(
    network: Generator, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    plain = Upscaler(network, device="cpu", precision="fp32", tile=28)(LR)
    run = Engine.second_trunk

    def with_little_memory(self: Engine, features: Tensor) -> Tensor:
        if features.shape[-2] * features.shape[-1] > 90 * 70:
            raise error
        return run(self, features)

    monkeypatch.setattr(Engine, "second_trunk", with_little_memory)
    said: list[str] = []
    small = Upscaler(network, device="cpu", precision="fp32", tile=28, say=said.append)(LR)
    torch.testing.assert_close(small, plain, rtol=0, atol=1e-5)
    assert len(said) == 1 and "out of memory" in said[0] and "tiles of" in said[0]


def test_a_size_that_did_not_fit_is_not_tried_again():
    tried: list[int] = []
    said: list[str] = []

    def work(tile: Tile) -> Tensor:
        tried.append(tile.rows.length)
        if tile.rows.length > 10:
            raise torch.OutOfMemoryError
        return torch.zeros(())

    fitting = Fitting(margin=2, say=said.append)
    for band in plan_tiles(40, 20, (20, 20), 2):
        kept = [piece for tile in band.tiles for piece, _ in fitting.run(tile, (40, 20), work)]
        assert sum(piece.rows.length * piece.columns.length for piece in kept) == 20 * 20
    assert tried == [20] + [10] * 8
    assert said == ["out of memory: continuing with tiles of 10 pixels"]


def test_no_memory_at_all_is_one_clear_error(network: Generator, monkeypatch: pytest.MonkeyPatch):
    def without_memory(self: Engine, features: Tensor) -> Tensor:
        raise torch.OutOfMemoryError(features.shape)

    monkeypatch.setattr(Engine, "second_trunk", without_memory)
    with pytest.raises(SixteenfoldError, match="out of memory"):
        Upscaler(network, device="cpu", precision="fp32")(LR)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (Tensor, "to"),
        (Tensor, "new_empty"),
        (enlargement, "downscale"),
        (enlargement, "resize"),
        (enlargement, "reduce"),
    ],
)
def test_no_memory_beside_the_tiles_is_one_clear_error(
    network: Generator, monkeypatch: pytest.MonkeyPatch, place: object, name: str
):
    run = getattr(place, name)

    def without_memory(*arguments) -> Tensor:
        # The features have a buffer too: it is made within a tile's work, as they are.
        if name == "new_empty" and arguments[-1] != SCALE * LR.shape[3]:
            return run(*arguments)
        raise torch.OutOfMemoryError("CUDA out of memory.")

    upscaler = Upscaler(network, device="cpu", precision="fp32")
    monkeypatch.setattr(place, name, without_memory)
    with pytest.raises(SixteenfoldError, match=r"^out of memory: free some"):
        next(upscaler.bands(LR, size=(64, 40)))


def test_other_errors_are_not_taken_for_lack_of_memory(network: Generator, monkeypatch: pytest.MonkeyPatch):
    def broken(*arguments) -> Tensor:
        raise RuntimeError("a defect")

    for place, name in ((enlargement, "resize"), (Engine, "second_trunk")):
        monkeypatch.setattr(place, name, broken)
        with pytest.raises(RuntimeError, match="a defect"):
            Upscaler(network, device="cpu", precision="fp32")(LR)


@pytest.mark.parametrize("ensemble", [False, True])
def test_an_overflown_tile_is_done_again_in_fp32(network: Generator, monkeypatch: pytest.MonkeyPatch, ensemble: bool):
    expected = Upscaler(network, device="cpu", precision="fp32", tile=16, ensemble=ensemble)(LR)
    run = Engine.second_trunk

    def overflowing(self: Engine, features: Tensor) -> Tensor:
        result = run(self, features)
        return result if self.precision == "fp32" else torch.full_like(result, float("nan"))

    monkeypatch.setattr(Engine, "second_trunk", overflowing)
    said: list[str] = []
    result = Upscaler(network, device="cpu", precision="bf16", tile=16, ensemble=ensemble, say=said.append)(LR)
    assert torch.isfinite(result).all()
    torch.testing.assert_close(result, expected, rtol=0, atol=2e-2)
    assert len(said) == 1 and "fp32" in said[0]


def test_damaged_weights_are_one_clear_error(network: Generator):
    network.last.weight.data[1] = float("inf")
    with pytest.raises(SixteenfoldError, match="weights are damaged"):
        Upscaler(network, device="cpu", precision="fp32")(LR)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_bad_number_is_seen(value: float):
    image = torch.rand(1, 3, 40, 40)
    assert runner._is_finite(image)
    image[0, 1, 20, 30] = value
    assert not runner._is_finite(image)


def test_huge_numbers_are_finite():
    assert runner._is_finite(torch.full((1, 3, 40, 40), 3e38))


@pytest.mark.parametrize("size", [None, (100, 60)])
def test_a_device_without_float64(
    network: Generator, monkeypatch: pytest.MonkeyPatch, apple_gpu: TorchFunctionMode, size: tuple[int, int] | None
):
    monkeypatch.setattr(engine, "winograd_machine", lambda: None)
    upscaler = Upscaler(network, device="cpu", precision="fp32", tile=16)
    with apple_gpu:
        assert sum(band.shape[2] for band in upscaler.bands(LR, size=size)) == (size or (512, 320))[0]
