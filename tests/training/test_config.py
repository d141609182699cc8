import json
from dataclasses import replace
from pathlib import Path

import pytest

from sixteenfold.errors import SixteenfoldError
from sixteenfold.training.config import (
    PRESETS,
    AdversarialPhase,
    DataConfig,
    GeneratorShape,
    PixelPhase,
    TrainConfig,
    from_json,
    to_json,
)

NO_DISCRIMINATOR = {"adversarial": 0, "feature_matching": 0}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_json_gives_the_same_configuration_back(name: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(to_json(PRESETS[name]))
    assert from_json(path) == PRESETS[name]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"pixle": {}}, "nearest known one is 'pixel'"),
        ({"pixel": {"stepz": 3}}, "nearest known one is 'steps'"),
        ({"pixel": {"steps": "many"}}, "expected int"),
        ({"pixel": {"steps": True}}, "expected int"),
        ({"pixel": {"steps": 0}}, "steps must lie between 1"),
        ({"pixel": {"patch": 100}}, "multiple of 16"),
        ({"pixel": None}, "both null"),
        ({"minutes": 0}, "minutes must be positive"),
        ({"minutes": float("inf")}, "minutes must be positive and finite"),
        ({"adversarial": {"lpisp": 1}}, "nearest known one is 'lpips'"),
        ({"adversarial": {"patch": 96}}, "adversarial: .*multiple of 64"),
        ({"adversarial": {"adversarial": -1}}, "adversarial.adversarial must be 0 or more, and finite, not -1"),
        ({"adversarial": {"vgg": float("nan")}}, "adversarial.vgg must be 0 or more, and finite, not nan"),
        ({"adversarial": {"cutmix": 1, "decoder": False}}, "set adversarial.cutmix to 0"),
        ({"adversarial": {"discriminator": 3}}, "expected a list"),
        ({"adversarial": {"discriminator": [8, "wide"]}}, "expected int"),
        ({"pixel": {"loss": "l3"}}, "expected one of mse, l1, charbonnier, huber"),
        ({"generator": {"blocks": [1]}}, "expected 2 values"),
        ({"pixel": 3}, "expected an object"),
        ({"pixel": {"batch": 10**9}}, "batch must lie between 1 and 65536, not 1000000000"),
        ({"generator": {"features": [10**9, 4, 4]}}, "no network has the sizes features 1000000000"),
        ({"generator": {"blocks": [1, 10**9]}}, "no network has the sizes .* blocks 1.1000000000"),
        ({"pixel": {"learning_rate": 10**400}}, "learning_rate: 1000.* is too large"),
        ({"pixel": {"learning_rate": float("inf")}}, "learning rates must be positive, finite"),
        ({"adversarial": {"discriminator_learning_rate": float("inf")}}, "positive and finite"),
        ({"pixel": {"steps": 100, "warmup": 200}}, "pixel.warmup must lie between 0 and pixel.steps, 100, not 200"),
        ({"adversarial": {"steps": 1000, "head_start": 900, "warmup": 101}}, "together must not exceed steps"),
        ({"adversarial": {**NO_DISCRIMINATOR, "cutmix": 0.5}}, "no discriminator .*, or set adversarial.cutmix to 0$"),
        (
            {"adversarial": {**NO_DISCRIMINATOR, "head_start": 9}},
            "no discriminator .* set adversarial.head_start to 0$",
        ),
        (
            {"adversarial": {**NO_DISCRIMINATOR, "cutmix": 1, "head_start": 9}},
            "set adversarial.cutmix and adversarial.head_start to 0$",
        ),
    ],
)
def test_wrong_values_are_named(values: object, says: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values))
    with pytest.raises(SixteenfoldError, match=says):
        from_json(path)


def test_a_name_that_stands_twice_is_told(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"pixel": {"steps": 5, "batch": 2, "steps": 50}}')
    with pytest.raises(SixteenfoldError, match="'steps' stands twice in one object"):
        from_json(path)


def test_not_json(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for text in ("{", "[" * 100_000):
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
    with pytest.raises(SixteenfoldError, match="head_start"):
        AdversarialPhase(steps=10, head_start=10)
    with pytest.raises(SixteenfoldError, match="must be positive"):
        AdversarialPhase(pixel=0.0, lpips=0.0, adversarial=0.0, feature_matching=0.0, cutmix=1.0)
    with pytest.raises(SixteenfoldError, match="decoder"):
        AdversarialPhase(decoder=False, cutmix=1.0)
    with pytest.raises(SixteenfoldError, match="discriminator_betas"):
        AdversarialPhase(discriminator_betas=(0.0, 1.0))


def test_views_that_no_loss_sees_or_no_machine_bears() -> None:
    for views in (0, 65):
        with pytest.raises(SixteenfoldError, match=f"lpips_views must lie between 1 and 64, not {views}"):
            AdversarialPhase(lpips_views=views)
    hint = r"vgg_patch .* give adversarial\.vgg or adversarial\.dists one, or leave vgg_patch out"
    with pytest.raises(SixteenfoldError, match=hint):
        AdversarialPhase(vgg_patch=64)
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


def test_impossible_sizes_and_seeds() -> None:
    with pytest.raises(SixteenfoldError, match="no network has the sizes"):
        TrainConfig(generator=GeneratorShape(features=(0, 8, 8)))
    with pytest.raises(SixteenfoldError, match="no network has the sizes"):
        TrainConfig(generator=GeneratorShape(blocks=(-1, 1)))
    with pytest.raises(SixteenfoldError, match="seed"):
        TrainConfig(seed=2**64)


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


def test_a_configuration_from_before_the_adversarial_phase(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"pixel": {"steps": 7, "batch": 4}, "seed": 3}')
    assert from_json(path) == TrainConfig(pixel=PixelPhase(steps=7, batch=4), seed=3)
