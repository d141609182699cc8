"""What a run begins with, of its own or given, and what it takes from a checkpoint."""

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sixteenfold.errors import SixteenfoldError
from sixteenfold.networks import zoo
from sixteenfold.networks.discriminator import UNetDiscriminator
from sixteenfold.networks.state import digest, shape_of
from sixteenfold.training import course, state
from sixteenfold.training.config import GeneratorShape
from sixteenfold.training.loop import train
from sixteenfold.training.presets import PRESETS
from sixteenfold.training.steps import Learner

from .conftest import ADVERSARIAL, BOTH, CONFIG, CONSOLE, PIXEL, Killed, rows, same, weights


def test_the_discriminator_may_have_betas_of_its_own() -> None:
    smoke = PRESETS["smoke"]
    assert smoke.adversarial is not None
    for betas, expected in ((None, smoke.adversarial.betas), ((0.0, 0.9), (0.0, 0.9))):
        config = dataclasses.replace(
            smoke, adversarial=dataclasses.replace(smoke.adversarial, discriminator_betas=betas)
        )
        training = state.enter("adversarial", config.generator.build(), config, torch.device("cpu"), step=0)
        assert training.discriminator_optimizer is not None
        assert training.discriminator_optimizer.param_groups[0]["betas"] == expected
        assert training.optimizer.param_groups[0]["betas"] == smoke.adversarial.betas


def test_the_average_forgets_fast_at_first() -> None:
    """Its decay rises by 2/11, 3/12, 4/13 to what the recipe gives; the first weights are taken as they are."""
    network = CONFIG.generator.build()
    average, expected = state.MovingAverage(network, decay=0.3), 0.0
    for value, decay in ((5.0, 0.0), (1.0, 2 / 11), (7.0, 3 / 12), (2.0, 0.3), (4.0, 0.3)):
        for parameter in network.parameters():
            torch.nn.init.constant_(parameter, value)
        average.update_parameters(network)
        expected = decay * expected + (1 - decay) * value
        for parameter in average.module.parameters():
            torch.testing.assert_close(parameter, torch.full_like(parameter, expected), rtol=1e-5, atol=0)


def test_how_adam_computes_is_the_device_s_not_the_checkpoint_s() -> None:
    before, after = (state.begin(CONFIG, None, None, torch.device("cpu")) for _ in range(2))
    for group in before.optimizer.param_groups:
        group["fused"] = False
    after.restore(before.state())
    assert all(group["fused"] is True for group in after.optimizer.param_groups)


def test_a_checkpoint_holds_each_field_under_its_name() -> None:
    training = state.begin(BOTH, None, None, torch.device("cpu"))
    assert set(training.state()) == {field.name for field in dataclasses.fields(state.Training)}
    told: dict[str, Any] = {"step": 3, "best": 2.5, "validated_on": "ab", "begun": 1, "seconds": 9.0}
    told |= {"recent": [{"pixel": 0.5}], "started_from": {"init": "x"}, "initial_discriminator": {"a": torch.ones(2)}}
    for name, value in told.items():
        setattr(training, name, value)
    again = state.resume(BOTH, training.state(), torch.device("cpu"))
    assert {name: getattr(again, name) for name in told} == told
    assert same(again.generator.state_dict(), training.generator.state_dict())


def test_the_start_weights_of_a_seed() -> None:
    """They are what PyTorch draws by it, and stay what they were."""
    config = dataclasses.replace(BOTH, seed=3)
    generator = state.begin(config, None, None, torch.device("cpu")).generator
    discriminator = state.enter("adversarial", generator, config, torch.device("cpu"), step=8).discriminator
    assert discriminator is not None
    made: tuple[torch.nn.Module, ...] = (generator, discriminator)
    torch.manual_seed(3)
    expected = [config.generator.build().state_dict()]
    torch.manual_seed(4)
    expected.append(UNetDiscriminator(ADVERSARIAL.discriminator).state_dict())
    assert [same(one.state_dict(), other) for one, other in zip(made, expected, strict=True)] == [True, True]
    first = [next(network.parameters()).flatten()[:3].tolist() for network in made]
    assert first == [
        pytest.approx(values, abs=1e-6)
        for values in ([-0.190809, -0.151816, -0.082429], [0.022955, 0.022745, -0.157248])
    ]


def test_start_from_weights(photographs: Path, tmp_path: Path) -> None:
    one = dataclasses.replace(
        CONFIG, pixel=dataclasses.replace(PIXEL, steps=1, warmup=0, learning_rate=1e-9, final_learning_rate=0.0)
    )
    first = train(CONFIG, hr=[photographs], out=tmp_path / "first", device="cpu")
    train(one, hr=[photographs], out=tmp_path / "second", init=first, device="cpu")
    before, after = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert all(torch.allclose(before[key], after[key], atol=1e-7) for key in before)
    narrow = dataclasses.replace(CONFIG, generator=GeneratorShape((8, 8, 8), (2, 2), (1, 1)))
    with pytest.raises(SixteenfoldError, match="choose the preset of that shape"):
        train(narrow, hr=[photographs], out=tmp_path / "third", init=first, device="cpu")


def test_a_smaller_network_is_grown(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = train(CONFIG, hr=[photographs], out=tmp_path / "first", device="cpu", console=CONSOLE)
    larger = GeneratorShape((12, 10, 8), (6, 4), (2, 2))
    still = dataclasses.replace(PIXEL, steps=1, warmup=0, learning_rate=1e-9, final_learning_rate=0.0)
    second = train(
        dataclasses.replace(CONFIG, generator=larger, pixel=still, adversarial=None),
        hr=[photographs],
        out=tmp_path / "second",
        init=first,
        device="cpu",
        console=CONSOLE,
    )
    assert "grown from features" in capsys.readouterr().err
    small, large = zoo.load(first), zoo.load(second)
    assert shape_of(large) == larger
    lr = torch.rand(1, 3, 4, 6)
    with torch.inference_mode():
        torch.testing.assert_close(large(lr), small(lr), atol=1e-5, rtol=1e-5)


def test_given_weights_stay_the_result_until_something_is_better(
    photographs: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator, discriminator = whole / "pixel.safetensors", whole / "discriminator.safetensors"
    # Such steps spoil any network.
    phase = dataclasses.replace(ADVERSARIAL, steps=4, learning_rate=0.03, final_learning_rate=0.03)
    config = dataclasses.replace(CONFIG, pixel=None, adversarial=phase)
    run = tmp_path / "run"
    begin = partial(train, config, device="cpu", console=CONSOLE, init=generator, init_discriminator=discriminator)
    begin(hr=str(photographs), val=str(photographs), out=str(run))
    assert same(weights(run), load_file(generator))
    scores = [row for row in rows(run) if row["group"] == "validation"]
    assert [row["step"] for row in scores] == [0, 4] and scores[0]["lpips"] < scores[1]["lpips"]
    assert (run / "samples" / "00000000.png").exists()
    start = json.loads((run / "starts.jsonl").read_text())
    assert start["init"] == f"{generator}, sha256 {digest(zoo.load(generator))} of its weights"
    assert start["init_discriminator"] == str(discriminator)
    assert "pixel phase" not in capsys.readouterr().err


def test_given_weights_are_scored_again_by_a_run_that_took_no_step(
    photographs: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(CONFIG, pixel=dataclasses.replace(PIXEL, steps=2, warmup=0), validate_every=1)
    begin = partial(train, config, hr=photographs, val=photographs, out=tmp_path / "run", device="cpu")
    with monkeypatch.context() as patch:
        patch.setattr(course, "pixel_step", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            begin(init=whole / "pixel.safetensors")
    begin(resume=True)
    assert [row["step"] for row in rows(tmp_path / "run") if row["group"] == "validation"] == [0, 1, 2]
    starts = [json.loads(line) for line in (tmp_path / "run" / "starts.jsonl").read_text().splitlines()]
    assert starts[0]["init"] == starts[1]["init"]


def test_what_given_weights_go_through_is_said(
    photographs: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(BOTH, hr=photographs, out=tmp_path / "both", device="cpu", console=CONSOLE, init=whole / "model.safetensors")
    assert "its drawing is smoothed by the pixel phase, which comes first; --pixel None" in capsys.readouterr().err
    train(dataclasses.replace(BOTH, pixel=None), hr=photographs, out=tmp_path / "second", device="cpu", console=CONSOLE)
    assert "the adversarial phase begins with random weights" in capsys.readouterr().err


def test_a_discriminator_goes_on(photographs: Path, whole: Path, tmp_path: Path) -> None:
    phase = dataclasses.replace(ADVERSARIAL, steps=1, warmup=1)
    # By another seed, whose own start is far from what is given.
    config = dataclasses.replace(CONFIG, pixel=None, adversarial=phase, seed=CONFIG.seed + 7)
    given = whole / "discriminator.safetensors"
    train(config, hr=[photographs], out=tmp_path / "run", init_discriminator=given, device="cpu")
    train(config, hr=[photographs], out=tmp_path / "fresh", device="cpu")
    before, after, fresh = (load_file(run / given.name) for run in (whole, tmp_path / "run", tmp_path / "fresh"))
    assert all(torch.allclose(before[key], after[key], atol=2e-3) for key in before)
    assert not any(torch.allclose(before[key], fresh[key], atol=2e-3) for key in before if before[key].ndim > 1)
    model = whole / "model.safetensors"
    with pytest.raises(SixteenfoldError, match="not a discriminator of the configuration's widths"):
        train(config, hr=[photographs], out=tmp_path / "other", init_discriminator=model, device="cpu")
    encoder = dataclasses.replace(ADVERSARIAL, cutmix=0.0, decoder=False)
    config = dataclasses.replace(CONFIG, pixel=None, adversarial=encoder)
    with pytest.raises(SixteenfoldError, match="with no decoder; choose"):
        train(config, hr=[photographs], out=tmp_path / "other", init_discriminator=given, device="cpu")


def test_a_given_discriminator_waits_for_its_phase(
    photographs: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a pixel phase, which has none, the adversarial one begins with it."""
    begun_with: list[dict[str, torch.Tensor]] = []

    def first(fabric: object, generator: Learner, discriminator: Learner, *others: object) -> None:
        begun_with.append(discriminator.module.state_dict())
        raise Killed

    monkeypatch.setattr(course, "adversarial_step", first)
    config = dataclasses.replace(BOTH, pixel=dataclasses.replace(PIXEL, steps=1, warmup=0))
    given = whole / "discriminator.safetensors"
    with pytest.raises(Killed):
        train(config, hr=photographs, out=tmp_path / "run", init_discriminator=given, device="cpu")
    assert same(begun_with[0], load_file(given))


def test_a_shipped_models_discriminator_goes_by_its_name(photographs: Path, tmp_path: Path) -> None:
    assert zoo.discriminator("medium").is_file()
    assert zoo.discriminator(tmp_path / "any.safetensors") == tmp_path / "any.safetensors"
    begin = partial(train, BOTH, hr=photographs, out=tmp_path / "run", device="cpu")
    with pytest.raises(SixteenfoldError, match="compact-fidelity: was trained without a discriminator; leave it out"):
        begin(init_discriminator="compact-fidelity")
    with pytest.raises(SixteenfoldError, match=r"is a folder; give the weights in it, .*discriminator\.safetensors"):
        begin(init_discriminator=tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(bytes(100))
    with pytest.raises(SixteenfoldError, match=r"discriminator is in discriminator\.safetensors"):
        begin(init_discriminator=tmp_path / "checkpoint.pt")
    with pytest.raises(SixteenfoldError, match=r"^nothing: does not exist; check the name"):
        begin(init_discriminator="nothing")
    with pytest.raises(SixteenfoldError, match=r"medium\.safetensors: not a discriminator of the config"):
        begin(init_discriminator="medium")


def test_weights_that_cannot_begin_are_refused_before_anything_is_written(photographs: Path, tmp_path: Path) -> None:
    run, nope = tmp_path / "run", tmp_path / "nope.safetensors"
    with pytest.raises(SixteenfoldError, match="nope"):
        train(BOTH, hr=[photographs], out=run, device="cpu", init=nope)
    with pytest.raises(SixteenfoldError, match="nope"):
        train(BOTH, hr=[photographs], out=run, device="cpu", init_discriminator=nope)
    with pytest.raises(SixteenfoldError, match="this run has no discriminator"):
        train(CONFIG, hr=[photographs], out=run, device="cpu", init_discriminator=nope)
    assert not (tmp_path / "run").exists()
