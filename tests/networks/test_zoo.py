"""Shipped models: found, loaded exactly, refused clearly."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import pytest
import safetensors
import torch
from safetensors.torch import save_file

from sixteenfold.errors import SixteenfoldError
from sixteenfold.networks import zoo
from sixteenfold.networks.generator import Generator
from sixteenfold.networks.state import GeneratorShape, digest, save, shape_of

CARD = {
    "name": "compact",
    "purpose": "A test.",
    "shape": {"features": [6, 8, 4], "growth": [3, 4], "blocks": [2, 1]},
    "data": "None.",
    "licences": ["Apache-2.0"],
    "recipe": "Random numbers.",
    "steps": 0,
    "hardware": "A test runner.",
    "figures": {"PSNR in dB": 3.5},
    "known_failures": ["Everything."],
}


@pytest.fixture
def tiny() -> Generator:
    torch.manual_seed(3)
    return Generator(features=(6, 8, 4), growth=(3, 4), blocks=(2, 1))


@pytest.fixture
def shelf(tmp_path: Path, tiny: Generator, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder with three models in it."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("compact", "another", "fidelity"):
        save(tiny, folder / f"{name}.safetensors", {})
    (folder / "compact.json").write_text(json.dumps(CARD))
    monkeypatch.setattr(zoo, "MODELS", folder)
    return folder


def test_the_best_comes_first(shelf: Path) -> None:
    assert zoo.names() == ("compact", "fidelity", "another")
    assert zoo.default() == "compact"


def test_without_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "MODELS", tmp_path / "none")
    assert zoo.names() == ()
    with pytest.raises(SixteenfoldError, match="no model is shipped"):
        zoo.default()


def test_load_by_name_and_by_file(shelf: Path, tiny: Generator) -> None:
    for source in ("compact", str(shelf / "compact.safetensors"), shelf / "compact.safetensors"):
        found = zoo.load(source)
        assert not found.training
        assert (found.features, found.growth, found.blocks) == (tiny.features, tiny.growth, tiny.blocks)
        assert all(torch.equal(found.state_dict()[name], tensor) for name, tensor in tiny.state_dict().items())
        assert all(p.requires_grad and p.device.type == "cpu" for p in found.parameters())


def test_load_a_foreign_file(tmp_path: Path, tiny: Generator) -> None:
    torch.save({"params": tiny.state_dict()}, tmp_path / "foreign.pth")
    lr = torch.rand(1, 3, 3, 3)
    with torch.inference_mode():
        assert torch.equal(zoo.load(tmp_path / "foreign.pth")(lr), tiny(lr))


def test_loading_draws_no_random_numbers(shelf: Path) -> None:
    """A network of 33 million random numbers takes a second to make, and they would be thrown away."""
    before = torch.get_rng_state()
    zoo.load("compact")
    assert torch.equal(torch.get_rng_state(), before)


def test_an_empty_name_is_not_the_current_folder() -> None:
    for ask in (zoo.load, zoo.discriminator):
        with pytest.raises(SixteenfoldError, match=r"(model|discriminator): the name is empty"):
            ask("")
    for wrong in (None, 5, b"compact"):
        with pytest.raises(SixteenfoldError, match=r"^model: expected a name or a path, not (NoneType|int|bytes)$"):
            zoo.load(cast(Any, wrong))


def test_unknown_names_offer_near_ones(shelf: Path) -> None:
    for ask in (zoo.load, zoo.card):
        with pytest.raises(
            SixteenfoldError,
            match=r"compcat: is not a shipped model; choose from compact, fidelity, .*; did you mean 'compact'\?",
        ):
            ask("compcat")


def test_missing_and_damaged_files_give_one_line(shelf: Path, tmp_path: Path) -> None:
    with pytest.raises(SixteenfoldError, match="does not exist"):
        zoo.load("nowhere/model.safetensors")
    with pytest.raises(SixteenfoldError, match="cannot be read"):
        zoo.load(tmp_path)
    whole = (shelf / "compact.safetensors").read_bytes()
    (shelf / "compact.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SixteenfoldError, match="damaged") as caught:
        zoo.load("compact")
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_their_cards_are_refused(shelf: Path, tiny: Generator) -> None:
    (shelf / "compact.json").write_text(json.dumps({**CARD, "sha256": digest(tiny)}))
    zoo.load("compact")
    with torch.no_grad():
        tiny.up2.weight[0, 0, 0, 0] += 1e-3
    save(tiny, shelf / "compact.safetensors", {})
    with pytest.raises(SixteenfoldError, match=r"compact\.safetensors: damaged, .* install sixteenfold again"):
        zoo.load("compact")
    zoo.load(shelf / "compact.safetensors")  # a file by its path is anyone's


def test_half_precision_storage(tmp_path: Path, tiny: Generator) -> None:
    save(tiny, tmp_path / "half.safetensors", {"steps": "7"}, torch.float16)
    with safetensors.safe_open(tmp_path / "half.safetensors", "pt") as file:
        assert file.get_tensor("up1.weight").dtype == torch.float16
        assert file.metadata()["steps"] == "7"
        assert json.loads(file.metadata()["shape"]) == CARD["shape"]
    found = zoo.load(tmp_path / "half.safetensors")
    assert torch.equal(found.up1.weight, tiny.up1.weight.half().float())


def test_weights_of_any_type_have_a_digest(tiny: Generator) -> None:
    half = digest(tiny.bfloat16())
    assert len(half) == 64 and half != digest(tiny.float())


def test_save_takes_any_memory_format(tmp_path: Path, tiny: Generator) -> None:
    expected = tiny.up1.weight.clone()
    tiny.up1.weight.data = expected.to(memory_format=torch.channels_last)
    save(tiny, tmp_path / "a.safetensors", {})
    assert torch.equal(zoo.load(tmp_path / "a.safetensors").up1.weight, expected)


def test_equal_weights_are_equal_files(tmp_path: Path, tiny: Generator) -> None:
    metadata = {letter: f"a value of {letter}, é" for letter in "fedcba"}
    paths = [tmp_path / f"{number}.safetensors" for number in range(8)]
    for path in paths:
        save(tiny, path, metadata)
    assert len({path.read_bytes() for path in paths}) == 1
    with safetensors.safe_open(paths[0], "pt") as file:
        assert file.metadata() == {**metadata, "shape": json.dumps(asdict(shape_of(tiny)))}
        assert all(torch.equal(file.get_tensor(name), tensor) for name, tensor in tiny.state_dict().items())


def test_save_fails_whole(tmp_path: Path, tiny: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.safetensors"
    target.write_bytes(b"what was there")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(SixteenfoldError, match="No space left"):
            save(tiny, target, {})
    with pytest.raises(SixteenfoldError, match="part of its path is a file"):
        save(tiny, target / "a.safetensors", {})
    with pytest.raises(SixteenfoldError, match=r"end the name in \.safetensors"):
        save(tiny, tmp_path / "a.pth", {})
    with torch.no_grad():
        tiny.up2.weight[0] = 1e5
    with pytest.raises(SixteenfoldError, match=r"'up2.weight' has values that are not finite in torch.float16"):
        save(tiny, target, {}, torch.float16)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
    assert target.read_bytes() == b"what was there"


def test_cards(shelf: Path) -> None:
    card = zoo.card("compact")
    assert card.shape == GeneratorShape((6, 8, 4), (3, 4), (2, 1))
    assert card.figures == {"PSNR in dB": 3.5}
    assert card.known_failures == ("Everything.",)
    assert card.sha256 is None
    assert card.fidelity_partner is None


def pair_up(shelf: Path, partner: Generator) -> None:
    save(partner, shelf / "fidelity.safetensors", {})
    (shelf / "compact.json").write_text(json.dumps({**CARD, "fidelity_partner": "fidelity"}))
    (shelf / "fidelity.json").write_text(json.dumps({**CARD, "name": "fidelity"}))
    (shelf / "another.json").write_text(json.dumps({**CARD, "name": "another"}))


def test_a_blend_goes_from_the_perceptual_model_to_its_partner(shelf: Path, tiny: Generator) -> None:
    partner = Generator(features=(6, 8, 4), growth=(3, 4), blocks=(2, 1))
    pair_up(shelf, partner)
    ends = {0.0: tiny.state_dict(), 1.0: partner.state_dict()}
    for fidelity, state in ends.items():
        mixed = zoo.blend("compact", fidelity).state_dict()
        assert all(torch.equal(mixed[name], tensor) for name, tensor in state.items())
    quarter = zoo.blend("compact", 0.25).state_dict()
    for name, tensor in quarter.items():
        torch.testing.assert_close(tensor, 0.75 * ends[0.0][name] + 0.25 * ends[1.0][name])


@pytest.mark.parametrize("fidelity", [-0.1, 1.1, float("nan"), True])
def test_a_blend_lies_between_the_two(shelf: Path, tiny: Generator, fidelity: float) -> None:
    pair_up(shelf, tiny)
    with pytest.raises(SixteenfoldError, match=r"fidelity .*: must lie between 0 \(perceptual\) and 1 \(faithful\)"):
        zoo.blend("compact", fidelity)


def test_what_has_no_partner_is_not_blended(shelf: Path, tiny: Generator) -> None:
    pair_up(shelf, tiny)
    for name in ("another", "fidelity", str(shelf / "compact.safetensors"), "unheard of"):
        with pytest.raises(SixteenfoldError, match=r"has no fidelity partner .*that has one: compact$") as caught:
            zoo.blend(name, 0.5)
        assert str(caught.value).startswith(name)
    pair_up(shelf, Generator(features=(6, 8, 4), growth=(3, 4), blocks=(2, 2)))
    with pytest.raises(SixteenfoldError, match="fidelity does not fit it"):
        zoo.blend("compact", 0.5)


def test_a_smaller_partner_is_blended_in(shelf: Path, tiny: Generator) -> None:
    partner = Generator(features=(5, 6, 3), growth=(2, 4), blocks=(1, 1))
    with torch.no_grad():
        for parameter in partner.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    pair_up(shelf, partner)
    lr = torch.rand(1, 3, 5, 7)
    with torch.inference_mode():
        torch.testing.assert_close(zoo.blend("compact", 0.0)(lr), tiny(lr))
        torch.testing.assert_close(zoo.blend("compact", 1.0)(lr), partner(lr), atol=1e-5, rtol=1e-5)
    model = tiny.state_dict()
    with torch.device("meta"):  # a program's default changes nothing
        end = zoo.blend("compact", 1.0).state_dict()
    for name, tensor in zoo.blend("compact", 0.25).state_dict().items():
        torch.testing.assert_close(tensor, 0.75 * model[name] + 0.25 * end[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"licenses": []}, "unknown key 'licenses'; did you mean 'licences'"),
        ({"steps": None}, "not a card"),
        ({"name": "another"}, "not a card .*of another model, 'another'"),
        ({"shape": {"features": [6]}}, "not a card"),
    ],
)
def test_wrong_cards(shelf: Path, change: dict, message: str) -> None:
    (shelf / "compact.json").write_text(json.dumps({**CARD, **change}))
    with pytest.raises(SixteenfoldError, match=message):
        zoo.card("compact")
    with pytest.raises(SixteenfoldError, match="cannot be read"):
        zoo.card("another")


def test_what_is_shipped_is_as_its_card_says() -> None:
    assert zoo.names()
    for name in zoo.names():
        card, generator = zoo.card(name), zoo.load(name)
        assert card.name == name
        assert card.shape == GeneratorShape(generator.features, generator.growth, generator.blocks)
        if card.fidelity_partner is not None:
            zoo.blend(name, 0.5)
        assert card.sha256 is not None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_with_their_file(tmp_path: Path, value: float) -> None:
    generator = Generator(features=(4, 4, 4), growth=(4, 4), blocks=(1, 1))
    state = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    state["up1.bias"][2] = value
    save_file(state, tmp_path / "odd.safetensors")
    with pytest.raises(SixteenfoldError, match=r"odd\.safetensors: damaged, 'up1\.bias' has infinite or NaN values"):
        zoo.load(tmp_path / "odd.safetensors")


def test_a_name_too_long_for_a_file_is_no_model() -> None:
    with pytest.raises(SixteenfoldError, match=r"^a+: is not a shipped model"):
        zoo.load("a" * 300)
