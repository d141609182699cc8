"""The loop: each phase learns, and draws what the recipe says."""

import dataclasses
import gc
import weakref
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sixteenfold.errors import SixteenfoldError
from sixteenfold.networks import zoo
from sixteenfold.networks.state import GeneratorShape, save
from sixteenfold.training import checkpoint, course, loop, steps
from sixteenfold.training.config import DataConfig
from sixteenfold.training.loop import train
from sixteenfold.training.presets import PRESETS
from sixteenfold.training.start import judges
from sixteenfold.training.state import PhaseName, enter

from .conftest import ADVERSARIAL, BOTH, CONFIG, PIXEL, rows, same, weights


def test_training_lowers_the_error(photographs: Path, tmp_path: Path) -> None:
    pixel = dataclasses.replace(PIXEL, steps=60, learning_rate=3e-3)
    model = train(
        dataclasses.replace(CONFIG, pixel=pixel, log_every=10), hr=[photographs], out=tmp_path / "run", device="cpu"
    )
    losses = [row["pixel"] for row in rows(tmp_path / "run")]
    assert len(losses) == 6 and losses[-1] < 0.7 * losses[0]
    assert zoo.load(model).features == CONFIG.generator.features


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_takes_both_its_steps(name: str, photographs: Path, tmp_path: Path) -> None:
    """Losses, clipping, averages and projection as they are, but sizes reduced."""
    preset = PRESETS[name]
    assert preset.pixel is not None and preset.adversarial is not None
    small = {"batch": 1, "warmup": 0, "patch": 64}
    # With a head start: one step of the discriminator alone, one of both.
    head_start = min(1, preset.adversarial.head_start)
    taken = {"steps": 1 + head_start, "head_start": head_start, "discriminator": (4,) * 6, "cutmix_ramp": 1}
    config = dataclasses.replace(
        CONFIG,
        pixel=dataclasses.replace(preset.pixel, **small, steps=1),
        adversarial=dataclasses.replace(preset.adversarial, **small, **taken),
    )
    train(config, hr=[photographs], out=tmp_path / "run", device="cpu")
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path / "run").values())
    assert (tmp_path / "run" / "discriminator.safetensors").exists()


def test_a_phase_without_discriminator_fine_tunes_a_model(photographs: Path, whole: Path, tmp_path: Path) -> None:
    phase = dataclasses.replace(ADVERSARIAL, adversarial=0.0, feature_matching=0.0, cutmix=0.0, patch=48, steps=3)
    config = dataclasses.replace(CONFIG, pixel=None, adversarial=phase, log_every=1)
    train(config, hr=[photographs], out=tmp_path / "run", init=whole / "pixel.safetensors", device="cpu")
    assert [set(row) for row in rows(tmp_path / "run")] == [
        {"time", "step", "group", "pixel", "lpips", "generator_gradient"}
    ] * 3
    assert not (tmp_path / "run" / "discriminator.safetensors").exists()
    assert not same(weights(tmp_path / "run"), load_file(whole / "pixel.safetensors"))


def test_crops_are_drawn_as_the_recipe_says(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[dict[str, Any]] = []
    sample = course.sample_batch

    def spied(*args: Any, **others: Any) -> object:
        drawn.append(others)
        return sample(*args, **others)

    monkeypatch.setattr(course, "sample_batch", spied)
    data = DataConfig(scales=(1.0, 0.5), detail=0.5)
    train(dataclasses.replace(CONFIG, data=data), hr=[photographs], out=tmp_path / "run", device="cpu")
    assert {(one["scales"], one["detail"]) for one in drawn} == {((1.0, 0.5), 0.5)}


@pytest.mark.parametrize(
    ("probability", "place", "share"),
    [(0.0, 1.0, 0.0), (1.0, 1.0, 1.0), (0.3, 1.0, 0.3), (1.0, 0.6, 0.6), (1.0, 0.0, 0.0)],
)
def test_as_many_steps_mix_as_the_recipe_says(probability: float, place: float, share: float) -> None:
    """Towards its highest the share rises along the ramp; `place` is how far along."""
    phase = dataclasses.replace(ADVERSARIAL, cutmix_probability=probability, cutmix_ramp=50)
    masks = [course._mask(0, step, 50 * place, phase, torch.device("cpu")) for step in range(500)]
    mixed = [mask for mask in masks if mask is not None]
    assert len(mixed) / 500 == pytest.approx(share, abs=0.08 if 0 < share < 1 else 0)
    assert all(mask.shape == (1, 1, phase.patch, phase.patch) for mask in mixed)
    assert len({mask.numpy().tobytes() for mask in mixed}) >= len(mixed) / 2
    assert course._mask(0, 3, 50.0, dataclasses.replace(phase, cutmix=0.0), torch.device("cpu")) is None


def test_every_step_has_views_of_its_own(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def looking(*args: object) -> dict[str, torch.Tensor]:
        seen.append(args[-1])
        return {}

    monkeypatch.setattr(course, "adversarial_step", looking)
    moved = dataclasses.replace(ADVERSARIAL, lpips_shift=16, lpips_turned=True)
    train(
        dataclasses.replace(CONFIG, pixel=None, adversarial=moved), hr=[photographs], out=tmp_path / "run", device="cpu"
    )
    assert len(seen) == 6
    assert len(set(map(str, seen))) == 6


def test_the_pixel_phase_makes_room(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its network and optimizer are gone when the adversarial phase takes its first step, without Python looking for
    circles of references."""
    seen: list[weakref.ref[object]] = []
    alive: list[bool] = []

    def watched(fabric: object, generator: steps.Learner, *others: Any) -> steps.Losses:
        seen[:] = [weakref.ref(generator.module), weakref.ref(generator.optimizer.optimizer)]  # pyright: ignore
        return steps.pixel_step(fabric, generator, *others)  # pyright: ignore[reportArgumentType]

    def counted(*words: Any) -> steps.Losses:
        alive.extend(one() is not None for one in seen)
        return steps.adversarial_step(*words)

    monkeypatch.setattr(course, "pixel_step", watched)
    monkeypatch.setattr(course, "adversarial_step", counted)
    gc.disable()
    try:
        train(BOTH, hr=[photographs], out=tmp_path / "run", device="cpu")
    finally:
        gc.enable()
    assert alive == [False] * (2 * ADVERSARIAL.steps)


def test_each_network_has_a_learning_rate_of_its_own(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both follow the phase's course, the discriminator's from another height."""
    seen: list[list[float]] = []

    def looking(fabric: object, generator: steps.Learner, discriminator: steps.Learner, *others: Any) -> steps.Losses:
        seen.append([learner.optimizer.param_groups[0]["lr"] for learner in (generator, discriminator)])
        return steps.adversarial_step(fabric, generator, discriminator, *others)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(course, "adversarial_step", looking)
    adversarial = dataclasses.replace(ADVERSARIAL, learning_rate=4e-3, discriminator_learning_rate=1e-3, head_start=0)
    config = dataclasses.replace(CONFIG, pixel=None, adversarial=adversarial)
    train(config, hr=[photographs], out=tmp_path / "run", device="cpu")
    assert len({rate for rate, _ in seen}) > 1
    assert [rate / 4 for rate, _ in seen] == pytest.approx([rate for _, rate in seen])


@pytest.mark.parametrize(("room", "name"), [(course, "pixel_step"), (loop, "judges")])
def test_memory_that_runs_out_is_told_in_a_line(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: ModuleType, name: str
) -> None:
    """In a step, and before the run begins."""

    def full(*words: Any) -> steps.Losses:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(room, name, full)
    with pytest.raises(SixteenfoldError, match="out of memory: give a smaller batch"):
        train(CONFIG, hr=[photographs], out=tmp_path / "run", device="cpu")


def test_perceptual_networks_come_to_the_device_with_the_adversarial_phase() -> None:
    """Before, they would fill its memory for nothing; "meta" stands for a GPU."""
    fabric: Any = SimpleNamespace(device=torch.device("meta"), setup=lambda *words: words)
    perceptual, _, _ = judges(BOTH, None, fabric)
    assert perceptual is not None and perceptual.lpips is not None
    phases: tuple[tuple[PhaseName, str], ...] = (("pixel", "cpu"), ("adversarial", "meta"))
    for phase, where in phases:
        training = enter(phase, BOTH.generator.build(), BOTH, torch.device("cpu"), step=0)
        course.make_step(BOTH, training, fabric, perceptual, graphed=False)
        assert perceptual.lpips.shift.device.type == where


def test_mixed_precision_keeps_its_weights_whole(photographs: Path, tmp_path: Path) -> None:
    short = dataclasses.replace(
        BOTH, pixel=dataclasses.replace(PIXEL, steps=2), adversarial=dataclasses.replace(ADVERSARIAL, steps=1)
    )
    train(short, hr=[photographs], out=tmp_path / "run", device="cpu", precision="bf16")
    state, _ = checkpoint.load_latest(tmp_path / "run" / "checkpoints")
    assert state is not None
    moments = [moment["exp_avg"] for moment in state["optimizer"]["state"].values()]
    for kept in (state["generator"].values(), state["discriminator"].values(), moments):
        assert all(tensor.dtype == torch.float32 for tensor in kept)
        # Nor are they bf16's few digits in the guise of fp32.
        assert any(not torch.equal(tensor, tensor.bfloat16().float()) for tensor in kept)
    assert "bf16" in (tmp_path / "run" / "starts.jsonl").read_text()


def test_pytorchs_defaults_change_no_weight(
    photographs: Path, tmp_path: Path, other_defaults: AbstractContextManager[None]
) -> None:
    """From a smaller network, so that growing it is seen too."""
    init = tmp_path / "small.safetensors"
    save(GeneratorShape(features=(6, 4, 4), growth=(4, 3), blocks=(1, 1)).build(), init, {})
    short = dataclasses.replace(
        BOTH, pixel=dataclasses.replace(PIXEL, steps=2), adversarial=dataclasses.replace(ADVERSARIAL, steps=2)
    )
    for name, defaults in (("plain", nullcontext()), ("other", other_defaults)):
        with defaults:
            train(short, hr=photographs, val=photographs, out=tmp_path / name, init=init, device="cpu")
    assert same(weights(tmp_path / "plain"), weights(tmp_path / "other"))


def test_a_loss_that_is_not_finite_stops_the_run(photographs: Path, tmp_path: Path) -> None:
    wild = dataclasses.replace(PIXEL, learning_rate=1e30, warmup=0, gradient_clip=None)
    with pytest.raises(SixteenfoldError, match=r"step \d+: the (pixel loss|generator.s gradient) is (inf|nan)"):
        train(dataclasses.replace(CONFIG, pixel=wild), hr=[photographs], out=tmp_path / "run", device="cpu")
