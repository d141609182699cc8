import math

import pytest
import torch
from torch import Tensor, nn
from torch.backends import cudnn

from sixteenfold.errors import SixteenfoldError
from sixteenfold.kernels.exact import CUDNN
from sixteenfold.networks.generator import Generator
from sixteenfold.upscaling import engine as engine_module
from sixteenfold.upscaling.engine import Engine, choose_device, make_engine


def generator(features=8, growth=4, blocks=(1, 1)) -> Generator:
    """A small network as strong as a trained one: ESRGAN's start is so weak that it hides every mistake."""
    torch.manual_seed(0)
    network = Generator(features, growth, blocks).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.kaiming_normal_(module.weight, a=0.2)
            nn.init.normal_(module.bias, std=0.1)
    return network


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def upscale(engine: Engine, lr: Tensor) -> Tensor:
    return engine.second_trunk(engine.upsample(engine.first_trunk(lr)))


def relative_error(result: Tensor, expected: Tensor) -> float:
    """The largest difference, for an expected picture scaled to a photograph's spread of 0.25."""
    return float((result - expected).abs().max() / expected.std() * 0.25)


def decibels(result: Tensor, expected: Tensor) -> float:
    return float(-20 * math.log10(float((result - expected).square().mean().sqrt() / expected.std() * 0.25)))


@pytest.mark.parametrize(
    ("features", "growth", "blocks"),
    [(8, 4, (1, 1)), ((64, 32, 16), (32, 16), (1, 1)), ((16, 20, 5), (3, 9), (0, 2)), (8, 4, (0, 0))],
)
def test_fp32_on_a_cpu_is_the_plain_network(features, growth, blocks):
    network = generator(features, growth, blocks)
    engine = make_engine(network, "cpu", "fp32")
    with torch.inference_mode():
        for part, x in (
            ("first_trunk", noise(1, 3, 9, 6)),
            ("upsample", noise(1, network.features[0], 9, 6)),
            ("second_trunk", noise(1, network.features[1], 9, 6)),
        ):
            expected = getattr(network, part)(x)
            result = getattr(engine, part)(x)
            assert result.dtype == torch.float32
            assert result.shape == expected.shape
            assert relative_error(result, expected) < 1e-5, part


@pytest.mark.skipif(engine_module.winograd_machine() is None, reason="no Winograd code for this CPU")
def test_the_strips_of_the_last_layers_do_not_show(monkeypatch):
    from sixteenfold.upscaling import planes_generator

    engine, x = make_engine(generator(), "cpu", "fp32"), noise(1, 8, 11, 7)
    monkeypatch.setattr(planes_generator, "STRIP", 4096)
    whole = engine.second_trunk(x)
    for rows in (4, 20):
        monkeypatch.setattr(planes_generator, "STRIP", rows)
        assert torch.equal(engine.second_trunk(x), whole)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_sizes_may_change_from_call_to_call(precision):
    network = generator()
    engine = make_engine(network, "cpu", precision)
    first = upscale(engine, noise(1, 3, 5, 7))
    for shape in ((2, 3, 4, 4), (1, 3, 1, 1), (1, 3, 3, 13), (1, 3, 8, 2)):
        lr = noise(*shape)
        result = upscale(engine, lr)
        with torch.inference_mode():
            assert decibels(result, network(lr)) > 40
    assert torch.equal(upscale(engine, noise(1, 3, 5, 7)), first)


def test_bf16_stays_near_the_plain_network():
    network = generator(features=16, growth=8, blocks=(1, 2))
    engine = make_engine(network, "cpu", "bf16")
    lr = noise(1, 3, 12, 12)
    with torch.inference_mode():
        expected = network(lr)
    result = upscale(engine, lr)
    assert engine.precision == "bf16"
    assert result.dtype == torch.float32
    assert decibels(result, expected) >= 48


def test_without_llvmlite_pytorch_does_it(monkeypatch):
    monkeypatch.setattr(engine_module, "winograd_machine", lambda: None)
    network, lr = generator(), noise(1, 3, 6, 5)
    engine = make_engine(network, "cpu", "fp32")
    assert "PyTorch" in engine.description
    with torch.inference_mode():
        assert relative_error(upscale(engine, lr), network(lr)) < 1e-5


def test_the_generator_may_change_afterwards():
    network, lr = generator(), noise(1, 3, 4, 4)
    for precision in ("fp32", "bf16"):
        engine = make_engine(network, "cpu", precision)
        before = upscale(engine, lr)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(2.0)
        assert torch.equal(upscale(engine, lr), before)


def test_results_carry_no_gradient_and_the_generator_keeps_its_own():
    network = generator()
    engine = make_engine(network, "cpu", "bf16")
    assert not upscale(engine, noise(1, 3, 4, 4)).requires_grad
    assert all(parameter.requires_grad and parameter.dtype == torch.float32 for parameter in network.parameters())


def test_not_a_number_is_not_hidden():
    network = generator()
    lr = noise(1, 3, 6, 6)
    lr[0, 0, 2, 2] = torch.nan
    assert upscale(make_engine(network, "cpu", "fp32"), lr).isnan().any()


def test_a_device_is_known_by_the_name_that_its_tensors_give_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("mps:0") == torch.device("mps", 0)
    assert choose_device("cpu:0").type == "cpu"
    assert choose_device(torch.device("mps", 0)) == torch.device("mps", 0)


def test_description_is_one_line_with_device_and_precision():
    for precision in ("auto", "fp32", "bf16"):
        engine = make_engine(generator(), "cpu", precision)
        assert engine.device == torch.device("cpu")
        assert precision in ("auto", engine.precision)
        assert engine.description.startswith(f"CPU, {engine.precision}")
        assert "\n" not in engine.description


@pytest.mark.parametrize(
    ("amx", "bf16", "winograd", "precision"),
    [
        (True, True, True, "bf16"),
        (False, True, True, "fp32"),
        (False, True, False, "bf16"),
        (False, False, True, "fp32"),
        (False, False, False, "fp32"),
    ],
)
def test_auto_on_a_cpu_follows_what_the_cpu_has(monkeypatch, amx, bf16, winograd, precision):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    if not winograd:
        monkeypatch.setattr(engine_module, "winograd_machine", lambda: None)
    elif engine_module.winograd_machine() is None:
        pytest.skip("no Winograd code for this CPU")
    assert make_engine(generator(), "cpu", "auto").precision == precision


@pytest.mark.parametrize(
    ("device", "precision", "said"),
    [
        ("cpu", "fp16", "fp16"),
        ("cpu", "int8", "int8"),
        ("gpu", "auto", "device gpu"),
        ("cuda:x", "auto", "device cuda:x"),
        ("cpu:1", "auto", "device cpu:1: PyTorch finds no such device"),
        ("cpu:", "auto", "device cpu:: not known"),
        ("cuda:99", "auto", "device cuda:99"),
        (torch.device("cuda", 99), "auto", "device cuda:99: PyTorch finds no such device"),
        (torch.device("meta"), "auto", "device meta: not known"),
    ],
)
def test_what_cannot_be_had_is_said(device, precision, said):
    with pytest.raises(SixteenfoldError, match=said) as caught:
        make_engine(generator(), device, precision)
    assert "\n" not in str(caught.value)


def test_fp32_is_not_tf32(monkeypatch):
    monkeypatch.setattr(engine_module, "winograd_machine", lambda: None)
    monkeypatch.setattr(cudnn, "allow_tf32", True)
    network, seen = generator(), []
    for conv in (network.stem, network.up1, network.last):
        conv.register_forward_hook(lambda *_: seen.append(CUDNN.conv.fp32_precision))
    upscale(make_engine(network, "cpu", "fp32"), noise(1, 3, 4, 4))
    assert seen == ["ieee"] * 3
    assert cudnn.allow_tf32


def test_fp32_is_not_a_callers_autocast(monkeypatch):
    monkeypatch.setattr(engine_module, "winograd_machine", lambda: None)
    engine, lr = make_engine(generator(), "cpu", "fp32"), noise(1, 3, 4, 4)
    expected = upscale(engine, lr)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(upscale(engine, lr), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize(("precision", "least"), [("fp32", 70), ("bf16", 40), ("fp16", 50), ("auto", 40)])
def test_on_a_gpu(precision, least):
    network, lr = generator(), noise(1, 3, 8, 8)
    engine = make_engine(network, "cuda", precision)
    result = upscale(engine, lr)
    assert result.device.type == "cuda"
    with torch.inference_mode():
        assert decibels(result.cpu(), network(lr)) > least
