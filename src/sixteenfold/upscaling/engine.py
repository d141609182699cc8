"""One generator made fast for one device and precision.

The choice is made once, by `make_engine`, and said in `Engine.description`. What was measured and what
was tried: docs/engine.md.
"""

import copy
from typing import Protocol

import torch
from torch import Tensor

from sixteenfold.errors import SixteenfoldError
from sixteenfold.kernels import winograd_machine
from sixteenfold.kernels.exact import true_fp32
from sixteenfold.networks.generator import Generator
from sixteenfold.networks.layout import place

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Parts(Protocol):
    """The generator's three parts, float32 in and out: what an Engine is made of, and what it and an Ensemble offer."""

    def first_trunk(self, lr: Tensor) -> Tensor: ...
    def upsample(self, features: Tensor) -> Tensor: ...
    def second_trunk(self, features: Tensor) -> Tensor: ...


class TorchParts:
    """The parts as PyTorch runs them, with the channels of a pixel side by side in memory.

    Args:
        generator: Copied, not changed.
        device: Where to run.
        dtype: What to calculate in.
    """

    def __init__(self, generator: Generator, device: torch.device, dtype: torch.dtype) -> None:
        network = copy.deepcopy(generator).eval().requires_grad_(False)
        place(network, device, dtype)
        self._network = network
        self._device, self._dtype = device, dtype

    def _placed(self, x: Tensor) -> Tensor:
        return x.to(self._device, self._dtype, memory_format=torch.channels_last)

    def first_trunk(self, lr: Tensor) -> Tensor:
        """As `Engine.first_trunk`."""
        return self._network.first_trunk(self._placed(lr)).float()

    def upsample(self, features: Tensor) -> Tensor:
        """As `Engine.upsample`."""
        return self._network.upsample(self._placed(features)).float()

    def second_trunk(self, features: Tensor) -> Tensor:
        """As `Engine.second_trunk`."""
        return self._network.second_trunk(self._placed(features)).float()


class Engine:
    """A generator ready to run, for inference only; made by `make_engine`.

    Its methods are the generator's parts, for pictures of any size, one after the other of whatever
    sizes: nothing is kept between calls but memory that the next overwrites. They take float32 from
    any device, and give float32 on `device`. The same input gives the same result. fp32 is never TF32.

    Args:
        parts: What runs.
        device: Where.
        precision: What it calculates in: fp32, bf16 or fp16.
        description: Device, precision, the reason for it and the way of running, in one line.
    """

    def __init__(self, parts: Parts, device: torch.device, precision: str, description: str) -> None:
        self._parts = parts
        self.device = device
        self.precision = precision
        self.description = description

    @true_fp32()
    @torch.inference_mode()
    def first_trunk(self, lr: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1] -> features (N, f1, H, W)."""
        return self._parts.first_trunk(lr)

    @true_fp32()
    @torch.inference_mode()
    def upsample(self, features: Tensor) -> Tensor:
        """First-trunk features (N, f1, H, W) -> second-trunk input (N, f2, 4H, 4W)."""
        return self._parts.upsample(features)

    @true_fp32()
    @torch.inference_mode()
    def second_trunk(self, features: Tensor) -> Tensor:
        """Second-trunk input (N, f2, h, w) -> picture (N, 3, 4h, 4w), near [0, 1] but not clamped."""
        return self._parts.second_trunk(features)


def make_engine(generator: Generator, device: str | torch.device = "auto", precision: str = "auto") -> Engine:
    """Optimise a generator for a device and precision.

    Args:
        generator: Its weights are copied; later changes to it do not reach the engine.
        device: auto (a CUDA GPU, else Apple's, else the CPU), or cpu, cuda, cuda:N, mps; or a torch.device.
        precision: auto, or fp32, bf16, fp16.

    Returns:
        The engine, with its choice in `description`.

    Raises:
        SixteenfoldError: If the device is not there, or cannot calculate in that precision.
    """
    chosen = choose_device(device)
    check_precision(precision)
    if chosen.type == "cpu":
        return _cpu_engine(generator, chosen, precision)
    precision, why = _gpu_precision(chosen, precision)
    line = f"{_gpu_name(chosen)}, {precision} ({why}), PyTorch channels-last"
    parts = TorchParts(generator, chosen, PRECISIONS[precision])
    return Engine(parts, chosen, precision, line)


def check_precision(precision: str) -> None:
    """Raise SixteenfoldError if the word is not a precision."""
    if precision not in ("auto", *PRECISIONS):
        raise SixteenfoldError(f"precision {precision}: not known; choose auto, {', '.join(PRECISIONS)}")


def choose_device(device: str | torch.device) -> torch.device:
    """The device that a word means, also as tensors name theirs ("mps:0"); a torch.device is checked likewise.

    Raises:
        SixteenfoldError: If the word is not a device, or the device is not there.
    """
    device = str(device)
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, colon, index = device.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (colon and not index.isdecimal()):
        raise SixteenfoldError(f"device {device}: not known; choose auto, cpu, cuda, cuda:N or mps")
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[kind]
    if int(index or 0) >= there:
        raise SixteenfoldError(f"device {device}: PyTorch finds no such device here; use auto or cpu")
    return torch.device(kind, int(index)) if index else torch.device(kind)


def _cpu_engine(generator: Generator, device: torch.device, precision: str) -> Engine:
    if precision == "fp16":
        raise SixteenfoldError("precision fp16: far too slow on a CPU; use auto, fp32 or bf16")
    name, why = precision, "as asked"
    if precision == "auto":
        name, why = _cpu_precision(winograd=winograd_machine() is not None)
    if name == "fp32" and (machine := winograd_machine()) is not None:
        from sixteenfold.upscaling.planes_generator import PlanesGenerator

        parts, how = PlanesGenerator(generator, machine), "Winograd convolutions"
    else:
        parts, how = TorchParts(generator, device, PRECISIONS[name]), "PyTorch channels-last"
    return Engine(parts, device, name, f"CPU, {name} ({why}), {how}")


def _cpu_precision(winograd: bool) -> tuple[str, str]:
    """What auto means on this CPU, and why."""
    # Private names: where a later PyTorch lacks them, the CPU counts as one without.
    amx, bf16 = (
        bool(getattr(torch.cpu, f"_is_{name}_supported", lambda: False)()) for name in ("amx_tile", "avx512_bf16")
    )
    if amx:
        return "bf16", "the CPU has AMX"
    if winograd:
        return "fp32", "with Winograd faster than bf16 here" if bf16 else "the CPU has no fast bf16"
    return ("bf16", "the CPU has AVX-512-bf16") if bf16 else ("fp32", "the CPU has no fast bf16")


def _gpu_precision(device: torch.device, precision: str) -> tuple[str, str]:
    """The precision on a GPU and the reason for it."""
    if device.type == "mps":
        if precision == "bf16":
            raise SixteenfoldError("precision bf16: not on this device (mps); use fp32 or fp16")
        return ("fp32", "the safe choice on mps") if precision == "auto" else (precision, "as asked")
    if precision != "auto":
        return precision, "as asked"
    major = torch.cuda.get_device_capability(device)[0]
    return ("bf16", "the GPU has it") if major >= 8 else ("fp16", "the GPU has no bf16")


def _gpu_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "Apple GPU"
