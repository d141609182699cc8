"""How fast the engines run the generator, how near to the plain network they stay, what memory they take.

    python benchmarks/speed.py [--size 64] [--model full|NAME|FILE] [--engines fp32 torch-fp32] [--repeats 3]

The plain network is `Generator.forward` in fp32 as PyTorch runs it without any preparation. Times are
taken by turns, memory in a process of its own for each. `full` is the full-size network with random
weights from a seed, scaled so that the picture's values spread as a photograph's do.
"""

import argparse
import json
import math
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from memory import peak_mib
from sixteenfold.errors import mistakes_told
from sixteenfold.networks import zoo
from sixteenfold.networks.generator import Generator
from sixteenfold.upscaling.engine import Engine, TorchParts, make_engine
from words import count

# Engines by name: `auto`, `fp32` and `bf16` are what make_engine gives for that precision; `torch-...`
# is PyTorch channels-last even where make_engine would choose otherwise.
NAMES = ("plain", "auto", "fp32", "bf16", "torch-fp32", "torch-bf16")


@dataclass(frozen=True)
class Row:
    """What was measured of one engine."""

    engine: str
    description: str
    seconds: float
    ratio: float
    """Times as fast as the plain network."""
    db: float
    max_difference: float
    peak_mib: int


@dataclass(frozen=True)
class Cpu:
    """Where it was measured."""

    model: str
    threads: int
    flags: list[str]


@mistakes_told()
def main() -> None:
    options = parse()
    if options.memory_of:
        run = prepare(options.memory_of, make_generator(options.model))[0]
        run(picture(options.size))
        print(peak_mib())
        return
    generator, lr = make_generator(options.model), picture(options.size)
    names = ["plain", *(name for name in options.engines if name != "plain")]
    prepared = {name: prepare(name, generator) for name in names}
    reference = prepared["plain"][0](lr)
    errors = {name: compare(run(lr), reference) for name, (run, _) in prepared.items()}  # and a warm-up
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(options.repeats):
        for name, (run, _) in prepared.items():
            start = time.perf_counter()
            run(lr)
            times[name].append(time.perf_counter() - start)
    rows = [
        Row(
            engine=name,
            description=prepared[name][1],
            seconds=statistics.median(times[name]),
            ratio=statistics.median(times["plain"]) / statistics.median(times[name]),
            db=errors[name][0],
            max_difference=errors[name][1],
            peak_mib=memory_of(name, options.model, options.size),
        )
        for name in names
    ]
    report(rows, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=count, default=64, help="side of the small picture")
    parser.add_argument("--model", default="full", help="full (random weights), a shipped model's name, or a file")
    parser.add_argument("--engines", nargs="+", choices=NAMES, default=["auto", "torch-fp32"])
    parser.add_argument("--repeats", type=count, default=3)
    parser.add_argument("--memory-of", choices=NAMES, help="only run this engine once and print its peak memory in MiB")
    return parser.parse_args()


def make_generator(model: str) -> Generator:
    if model != "full":
        return zoo.load(model).eval()
    torch.manual_seed(0)
    generator = Generator().eval()
    for module in generator.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            # A trained network's strength: ESRGAN's start is ten times weaker and would hide all rounding.
            nn.init.kaiming_normal_(module.weight, a=0.2)
            nn.init.normal_(module.bias, std=0.05)
    with torch.inference_mode():
        sr = generator(picture(16))
    last = generator.last
    assert last.bias is not None
    factor = 0.25 / sr.std()
    last.weight.data *= factor
    last.bias.data = last.bias.data * factor + 0.5 - sr.mean() * factor
    return generator


def picture(size: int) -> Tensor:
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(1))


def prepare(name: str, generator: Generator) -> tuple[Callable[[Tensor], Tensor], str]:
    """A function from the small picture to the large one, and what it is in words."""
    if name == "plain":
        return torch.inference_mode()(generator.forward), "Generator.forward, eager fp32 NCHW"
    if name.startswith("torch-"):
        precision = name.removeprefix("torch-")
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
        parts = TorchParts(generator, torch.device("cpu"), dtype)
        engine = Engine(parts, torch.device("cpu"), precision, f"CPU, {precision}, PyTorch channels-last")
    else:
        engine = make_engine(generator, "cpu", name)
    return lambda lr: engine.second_trunk(engine.upsample(engine.first_trunk(lr))), engine.description


def compare(sr: Tensor, reference: Tensor) -> tuple[float, float]:
    """Decibels for a range of [0, 1], and the largest difference."""
    difference = (sr - reference).double()
    mse = difference.square().mean()
    return float("inf") if mse == 0 else float(-10 * mse.log10()), float(difference.abs().max())


def memory_of(name: str, model: str, size: int) -> int:
    command = [sys.executable, __file__, "--memory-of", name, "--model", model, "--size", str(size)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


def cpu() -> Cpu:
    """Model, number of threads, and the instruction sets that matter here."""
    model, flags = platform.processor(), set[str]()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
        flags = set(next((line.split(":")[1] for line in lines if line.startswith("flags")), "").split())
    wanted = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_tile")
    return Cpu(model, torch.get_num_threads(), [flag for flag in wanted if flag in flags])


def report(rows: list[Row], options: argparse.Namespace) -> None:
    machine = cpu()
    print(f"{machine.model}, {machine.threads} threads, {' '.join(machine.flags)}; torch {torch.__version__}")
    print(f"model {options.model}, {options.size}x{options.size} to {16 * options.size}x{16 * options.size}")
    print(f"{'engine':12} {'seconds':>8} {'ratio':>6} {'dB':>6} {'max diff':>9} {'MiB':>6}  description")
    for r in rows:
        measured = f"{r.seconds:8.2f} {r.ratio:6.2f} {r.db:6.1f} {r.max_difference:9.1e} {r.peak_mib:6d}"
        print(f"{r.engine:12} {measured}  {r.description}")
    engines = [asdict(r) | {"db": r.db if math.isfinite(r.db) else None} for r in rows]
    print(json.dumps({"model": options.model, "size": options.size, "cpu": asdict(machine), "engines": engines}))


if __name__ == "__main__":
    main()
