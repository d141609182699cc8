import json
import math
import re
import reprlib
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from sixteenfold.errors import SixteenfoldError
from sixteenfold.training.config import (
    LONGEST,
    AdversarialPhase,
    DataConfig,
    PixelPhase,
    TrainConfig,
    from_json,
    to_json,
)
from sixteenfold.training.presets import PRESETS

NO_DISCRIMINATOR = {"adversarial": 0, "feature_matching": 0}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_json_gives_the_same_configuration_back(name: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(to_json(PRESETS[name]))
    assert from_json(path) == PRESETS[name]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"pixle": {}}, "unknown key 'pixle'; did you mean 'pixel'?"),
        ({"pixel": {"stepz": 3}}, "unknown key 'pixel.stepz'; did you mean 'pixel.steps'?"),
        ({"pixel": {"steps": "many"}}, "pixel.steps: expected int, found 'many'"),
        ({"pixel": {"steps": True}}, "pixel.steps: expected int, found True"),
        ({"pixel": None}, "pixel and adversarial are both left out; a run needs one of them"),
        ({"adversarial": {"lpisp": 1}}, "unknown key 'adversarial.lpisp'; did you mean 'adversarial.lpips'?"),
        ({"adversarial": {"discriminator": 3}}, "adversarial.discriminator: expected a list, found 3"),
        ({"adversarial": {"discriminator": [8, "wide"]}}, "adversarial.discriminator: expected int, found 'wide'"),
        ({"pixel": {"loss": "l3"}}, "pixel.loss: expected one of mse, l1, charbonnier, huber, log_mse, found 'l3'"),
        ({"generator": {"blocks": [1]}}, "generator.blocks: expected 2 values, found [1]"),
        ({"pixel": 3}, "pixel: expected an object with named values, found 3"),
        (3, "expected an object with named values, found 3"),
        ({"pixel": {"learning_rate": 10**400}}, f"pixel.learning_rate: {reprlib.repr(10**400)} is too large"),
    ],
)
def test_wrong_values_are_named(values: object, says: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values))
    with pytest.raises(SixteenfoldError) as caught:
        from_json(path)
    assert str(caught.value) == f"{path}: {says}"


NO_TERMS = dict.fromkeys(("pixel", "lpips", "vgg", "dists", "adversarial", "feature_matching"), 0)
TERMS = "adversarial.pixel, adversarial.lpips, adversarial.vgg, adversarial.dists, adversarial.adversarial, "
IDLE = (
    "there is no discriminator where adversarial.adversarial and adversarial.feature_matching are 0; give one of them"
)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"seed": -1}, "seed must lie between 0 and 2^63 - 1, not -1"),
        ({"seed": 2**64}, "seed must lie between 0 and 2^63 - 1, not 18446744073709551616"),
        ({"minutes": 0}, "minutes must be positive and finite, not 0.0"),
        ({"minutes": math.inf}, "minutes must be positive and finite, not inf"),
        ({"validate_every": 0}, "validate_every must be at least 1, not 0"),
        ({"save_every": 0}, "save_every must be at least 1, not 0"),
        ({"log_every": -5}, "log_every must be at least 1, not -5"),
        ({"validation_crop": 16}, "validation_crop must be a multiple of 16 and at least 32, not 16"),
        ({"validation_crop": 100}, "validation_crop must be a multiple of 16 and at least 32, not 100"),
        (
            {"generator": {"features": [10**9, 4, 4]}},
            "generator.features must each lie between 1 and 4096, not (1000000000, 4, 4)",
        ),
        ({"generator": {"growth": [8, 0]}}, "generator.growth must each lie between 1 and 4096, not (8, 0)"),
        ({"generator": {"blocks": [-1, 1]}}, "generator.blocks must each lie between 0 and 1000, not (-1, 1)"),
        ({"generator": {"blocks": [1, 1001]}}, "generator.blocks must each lie between 0 and 1000, not (1, 1001)"),
        ({"pixel": {"steps": 0}}, "pixel.steps must lie between 1 and 10000000, not 0"),
        ({"pixel": {"batch": 10**9}}, "pixel.batch must lie between 1 and 65536, not 1000000000"),
        ({"adversarial": {"batch": 0}}, "adversarial.batch must lie between 1 and 65536, not 0"),
        ({"pixel": {"batch": 4, "accumulation": 9}}, "pixel.accumulation must lie between 1 and pixel.batch, 4, not 9"),
        ({"pixel": {"patch": 100}}, "pixel.patch must be a positive multiple of 16, not 100"),
        ({"adversarial": {"patch": 0}}, "adversarial.patch must be a positive multiple of 16, not 0"),
        ({"pixel": {"learning_rate": math.inf}}, "pixel.learning_rate must be positive and finite, not inf"),
        ({"pixel": {"learning_rate": 0}}, "pixel.learning_rate must be positive and finite, not 0.0"),
        (
            {"adversarial": {"final_learning_rate": -1e-5}},
            "adversarial.final_learning_rate must lie between 0 and adversarial.learning_rate, 1e-05, not -1e-05",
        ),
        (
            {"pixel": {"learning_rate": 1e-6}},
            "pixel.final_learning_rate must lie between 0 and pixel.learning_rate, 1e-06, not 1e-05",
        ),
        ({"pixel": {"steps": 100, "warmup": 200}}, "pixel.warmup must lie between 0 and pixel.steps, 100, not 200"),
        ({"pixel": {"betas": [0.9, 1]}}, "pixel.betas must each be at least 0 and less than 1, not (0.9, 1.0)"),
        ({"pixel": {"gradient_clip": 0}}, "pixel.gradient_clip must be positive and finite, not 0.0"),
        ({"pixel": {"raw": -1}}, "pixel.raw must be 0 or more, and finite, not -1.0"),
        ({"adversarial": {"ema_decay": 1}}, "adversarial.ema_decay must lie between 0 and 1, not 1.0"),
        ({"adversarial": {"adversarial": -1}}, "adversarial.adversarial must be 0 or more, and finite, not -1.0"),
        ({"adversarial": {"vgg": math.nan}}, "adversarial.vgg must be 0 or more, and finite, not nan"),
        ({"adversarial": {"cutmix": -1}}, "adversarial.cutmix must be 0 or more, and finite, not -1.0"),
        ({"adversarial": NO_TERMS}, f"one of {TERMS}adversarial.feature_matching must be positive"),
        (
            {"adversarial": {"discriminator_learning_rate": math.inf}},
            "adversarial.discriminator_learning_rate must be positive and finite, not inf",
        ),
        (
            {"adversarial": {"discriminator_betas": [0, 1]}},
            "adversarial.discriminator_betas must each be at least 0 and less than 1, not (0.0, 1.0)",
        ),
        (
            {"adversarial": {"cutmix_probability": 1.5}},
            "adversarial.cutmix_probability must lie between 0 and 1, not 1.5",
        ),
        ({"adversarial": {"cutmix_ramp": 0}}, "adversarial.cutmix_ramp must be at least 1, not 0"),
        (
            {"adversarial": {"cutmix": 0.5, "decoder": False}},
            "adversarial.cutmix, 0.5, needs the discriminator's decoder; without it set adversarial.cutmix to 0",
        ),
        ({"adversarial": {"discriminator": []}}, "adversarial.discriminator must hold widths of at least 2, not ()"),
        (
            {"adversarial": {"discriminator": [8, 1]}},
            "adversarial.discriminator must hold widths of at least 2, not (8, 1)",
        ),
        (
            {"adversarial": {"patch": 96}},
            "adversarial.patch must be a multiple of 64 for the discriminator, not 96",
        ),
        (
            {"adversarial": {**NO_DISCRIMINATOR, "cutmix": 0.5}},
            f"adversarial.cutmix, 0.5: {IDLE} a weight, or set adversarial.cutmix to 0",
        ),
        (
            {"adversarial": {**NO_DISCRIMINATOR, "head_start": 9}},
            f"adversarial.head_start, 9: {IDLE} a weight, or set adversarial.head_start to 0",
        ),
        (
            {"adversarial": {**NO_DISCRIMINATOR, "cutmix": 1, "head_start": 9}},
            f"adversarial.cutmix, 1.0, and adversarial.head_start, 9: {IDLE} a weight, "
            "or set adversarial.cutmix and adversarial.head_start to 0",
        ),
        (
            {"adversarial": {"steps": 10, "head_start": 10}},
            "adversarial.head_start must lie between 0 and adversarial.steps - 1, 9, not 10",
        ),
        (
            {"adversarial": {"steps": 1000, "head_start": 900, "warmup": 101}},
            "adversarial.head_start, 900, and adversarial.warmup, 101, together must not exceed "
            "adversarial.steps, 1000",
        ),
        (
            {"adversarial": {**NO_DISCRIMINATOR, "patch": 16}},
            "adversarial.patch must be at least 32 for LPIPS, not 16",
        ),
        (
            {"adversarial": {"patch": 64, "lpips_shift": 34}},
            "adversarial.lpips_shift must lie between 0 and adversarial.patch - 31, 33, not 34",
        ),
        (
            {"adversarial": {"vgg_patch": 64}},
            "adversarial.vgg_patch, 64, is of VGG and DISTS, which have no weight; give adversarial.vgg or "
            "adversarial.dists one, or leave adversarial.vgg_patch out",
        ),
        (
            {"adversarial": {"vgg": 1, "patch": 64, "vgg_patch": 65}},
            "adversarial.vgg_patch must lie between 16 and adversarial.patch, 64, not 65",
        ),
        ({"adversarial": {"lpips_views": 0}}, "adversarial.lpips_views must lie between 1 and 64, not 0"),
        ({"adversarial": {"lpips_views": 65}}, "adversarial.lpips_views must lie between 1 and 64, not 65"),
        ({"adversarial": {"lpips_scales": []}}, "adversarial.lpips_scales must hold at least one, not ()"),
        (
            {"adversarial": {"lpips_scales": [1, 0.05]}},
            "adversarial.lpips_scales must each be at most 1 and leave LPIPS at least 31 pixels, not (1.0, 0.05)",
        ),
        ({"data": {"memory": 0}}, "data.memory must be positive, not 0.0"),
        ({"data": {"window": 0}}, "data.window must be at least 1, not 0"),
        ({"data": {"crops": 0}}, "data.crops must be at least 1, not 0"),
        ({"data": {"detail": -0.5}}, "data.detail must be 0 or more, not -0.5"),
        ({"data": {"scales": []}}, "data.scales must hold at least one, not ()"),
        (
            {"data": {"scales": [1, 1, 1, 1, 1, 1, 0.06]}},
            "data.scales must each lie between 0.0625 and 1, not (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.06)",
        ),
    ],
)
def test_values_that_cannot_be_are_named_as_their_options_are(values: object, says: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values))
    with pytest.raises(SixteenfoldError) as caught:
        from_json(path)
    assert str(caught.value) == f"{path}: {says}"


def test_a_name_that_stands_twice_is_told(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"pixel": {"steps": 5, "batch": 2, "steps": 50}}')
    with pytest.raises(SixteenfoldError, match="'steps' stands twice in one object"):
        from_json(path)


def test_not_json(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for text in ("{", "[" * 100_000, " " * LONGEST + "{}"):  # the last stands for a device, which never ends
        path.write_text(text)
        with pytest.raises(SixteenfoldError, match="not a readable JSON"):
            from_json(path)
    with pytest.raises(SixteenfoldError, match=r"nowhere\.json: does not exist; check the name"):
        from_json(tmp_path / "nowhere.json")


def test_a_long_or_deep_value_is_told_in_brief(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for value in ("[" * 500 + "]" * 500, str(list(range(10_000)))):
        path.write_text(f'{{"seed": {value}}}')
        with pytest.raises(SixteenfoldError, match=r"seed: expected int, found \[.*\.\.\..*\]") as caught:
            from_json(path)
        assert len(str(caught.value)) < 300


def test_the_factsheet_s_recipe() -> None:
    config = PRESETS["ciplab"]
    assert config.pixel == PixelPhase(
        steps=50_000, batch=3, patch=384, loss="mse", learning_rate=1e-5, final_learning_rate=1e-5
    )
    assert config.adversarial is not None
    assert (config.adversarial.steps, config.adversarial.batch, config.adversarial.patch) == (60_000, 2, 384)
    assert config.adversarial.learning_rate == config.adversarial.discriminator_learning_rate == 1e-5
    generator = config.generator
    assert (generator.features, generator.growth, generator.blocks) == ((64, 64, 64), (32, 32), (23, 23))


def test_a_phase_without_the_discriminator_s_terms_has_none() -> None:
    # A crop that the discriminator could not halve six times is then allowed.
    assert not AdversarialPhase(adversarial=0.0, feature_matching=0.0, patch=96).has_discriminator
    assert AdversarialPhase(adversarial=0.0).has_discriminator


@pytest.mark.parametrize("name", ["generator", "pixel", "adversarial", "data"])
def test_a_list_is_no_tuple(name: str) -> None:
    """Otherwise the run could not be resumed: what its folder says would not be what the caller gives."""
    config = replace(TrainConfig(), adversarial=AdversarialPhase(discriminator_betas=(0.0, 0.9)))
    part = getattr(config, name)
    tuples = {field: value for field, value in vars(part).items() if isinstance(value, tuple)}
    assert tuples
    for field, value in tuples.items():
        with pytest.raises(SixteenfoldError) as caught:
            replace(config, **{name: replace(part, **{field: list(value)})})
        assert str(caught.value).startswith(f"training configuration: {name}.{field} must be a tuple, not [")


def test_vgg_patch_may_be_of_either_of_its_losses() -> None:
    for phase in (AdversarialPhase(vgg_patch=64, dists=1.0), AdversarialPhase(vgg_patch=64, vgg=1.0)):
        assert phase.vgg_patch == 64


@pytest.mark.parametrize("scales", [(), (1.5,), (1.0, 0.05), (0.0,), (float("nan"),), (float("inf"),)])
def test_scales_that_lpips_cannot_have(scales: tuple[float, ...]) -> None:
    with pytest.raises(SixteenfoldError, match="lpips_scales must"):
        AdversarialPhase(lpips_scales=scales)


@pytest.mark.parametrize("scales", [(), (1.5,), (1.0, 0.0), (0.06,), (float("nan"),)])
def test_scales_that_photographs_cannot_have(scales: tuple[float, ...]) -> None:
    with pytest.raises(SixteenfoldError, match=r"data\.scales must"):
        DataConfig(scales=scales)


def test_another_number_of_steps_keeps_the_phases_proportion() -> None:
    config = PRESETS["ciplab"].with_steps(11)
    assert config.pixel is not None and config.adversarial is not None
    assert (config.pixel.steps, config.adversarial.steps, config.steps) == (5, 6, 11)
    alone = TrainConfig(pixel=PixelPhase(steps=100, warmup=50)).with_steps(20)
    assert alone.pixel == PixelPhase(steps=20, warmup=10)
    with pytest.raises(SixteenfoldError, match="steps must be at least 2, one for each phase, not 1"):
        PRESETS["ciplab"].with_steps(1)
    with pytest.raises(SixteenfoldError, match="steps must lie between 1 and 10000000, not 10000000000"):
        PRESETS["ciplab"].with_steps(10**10)
    with pytest.raises(SixteenfoldError, match="steps must lie between 1 and 10000000, not 0"):
        TrainConfig(pixel=PixelPhase(steps=100)).with_steps(0)
    uneven = TrainConfig(pixel=PixelPhase(steps=99), adversarial=AdversarialPhase(steps=1)).with_steps(2)
    assert uneven.pixel is not None and uneven.adversarial is not None
    assert (uneven.pixel.steps, uneven.adversarial.steps) == (1, 1)


def test_another_number_of_steps_keeps_the_course_of_each_phase() -> None:
    """What is counted in steps is a share of them, as it is of the time by the clock."""
    pixel = PixelPhase(steps=1000, warmup=100)
    adversarial = AdversarialPhase(steps=500, warmup=50, head_start=200, cutmix_ramp=1500)
    for steps, times in ((150, 0.1), (4500, 3)):
        scaled = TrainConfig(pixel=pixel, adversarial=adversarial).with_steps(steps)
        assert scaled.pixel == replace(pixel, steps=1000 * times, warmup=100 * times)
        assert scaled.adversarial == replace(
            adversarial, steps=500 * times, warmup=50 * times, head_start=200 * times, cutmix_ramp=1500 * times
        )


def test_a_few_steps_leave_room_for_all_that_is_counted_in_them() -> None:
    adversarial = AdversarialPhase(steps=10, warmup=5, head_start=5, cutmix_ramp=3)
    few = TrainConfig(pixel=None, adversarial=adversarial).with_steps(2)
    assert few.adversarial == replace(adversarial, steps=2, warmup=1, head_start=1, cutmix_ramp=1)


def test_what_a_file_leaves_out_is_as_by_default(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"pixel": {"steps": 7, "batch": 4}, "seed": 3}')
    assert from_json(path) == TrainConfig(pixel=PixelPhase(steps=7, batch=4), seed=3)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"pixel": replace(PixelPhase(), loss=cast(Any, "l3"))}, "pixel.loss: expected one of mse, l1, "),
        ({"pixel": replace(PixelPhase(), projected=cast(Any, "no"))}, "pixel.projected: expected bool, found 'no'"),
        ({"pixel": "x"}, "pixel must be a PixelPhase, not 'x'"),
        ({"pixel": AdversarialPhase()}, "pixel must be a PixelPhase, not AdversarialPh"),
        ({"pixel": PixelPhase}, "pixel must be a PixelPhase, not <class"),
        ({"generator": {}}, "generator must be a GeneratorShape, not {}"),
        ({"validate_every": 1.5}, "validate_every: expected int, found 1.5"),
        ({"data": None}, "data must be a DataConfig, not None"),
    ],
)
def test_values_of_a_wrong_kind_are_told_in_python_too(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(SixteenfoldError, match=f"^training configuration: {re.escape(says)}"):
        TrainConfig(**changes)
