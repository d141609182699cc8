"""What a generator's shape costs: multiply-adds a pixel of the input, time of upscaling, time of a training step.

The shapes of the compact and the medium model were chosen with this table (docs/decisions.md). Ends with one JSON line.

    python benchmarks/shapes.py [--repeats N]
"""

import argparse
import dataclasses
import json
import os
import statistics
import time

import torch

from sixteenfold.errors import mistakes_told
from sixteenfold.networks.generator import Generator, parameter_count
from sixteenfold.training.config import GeneratorShape
from sixteenfold.training.presets import PRESETS
from sixteenfold.upscaling.engine import make_engine
from sixteenfold.upscaling.enlargement import BORDER
from words import count

with torch.device("meta"):
    FULL = Generator()

SHAPES = {
    "trial": GeneratorShape((32, 32, 32), (16, 16), (4, 4)),
    "wide at x1": GeneratorShape((64, 32, 32), (32, 16), (8, 2)),
    "wide at x1, narrow at x16": GeneratorShape((64, 32, 16), (32, 16), (8, 2)),
    "deep at x1": GeneratorShape((64, 32, 16), (32, 16), (16, 1)),
    "deeper at x1": GeneratorShape((64, 32, 16), (32, 16), (23, 2)),
    "wider at x4": GeneratorShape((64, 48, 16), (32, 16), (8, 1)),
    "deeper at x4": GeneratorShape((64, 32, 32), (32, 16), (23, 4)),
    "compact": PRESETS["compact"].generator,
    "medium": PRESETS["medium"].generator,
}
SIDE = 64
"""Of the input that the time of upscaling is of; the network sees it with the upscaler's border."""


def multiply_adds(generator: Generator) -> dict[str, int]:
    """Multiply-adds for each pixel of the input, by part."""
    cost = {"first trunk": 0, "upsample": 0, "second trunk": 0, "last layers": 0}
    # Every convolution runs at one scale: this many times per pixel of the input.
    scales = {"stem": 1, "first": 1, "up1": 4, "up2": 16, "bridge": 16, "second": 16, "up3": 64}
    parts = {"stem": "first trunk", "first": "first trunk", "second": "second trunk"}
    parts |= dict.fromkeys(("up1", "up2", "bridge"), "upsample")
    for name, parameter in generator.named_parameters():
        if parameter.ndim == 4:
            part = name.split(".")[0]
            cost[parts.get(part, "last layers")] += scales.get(part, 256) * parameter.numel()
    return cost


def upscale_seconds(repeats: int) -> dict[str, float]:
    """Least time of making 1024x1024 of 64x64 by the engine for this CPU, by shape, taken by turns; "full" too."""
    engines = {name: make_engine(shape.build().eval(), "cpu") for name, shape in SHAPES.items()}
    engines["full"] = make_engine(Generator().eval(), "cpu")
    lr = torch.rand(1, 3, SIDE + 2 * BORDER, SIDE + 2 * BORDER)
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(repeats + 1):  # the first warms up
        for name, engine in engines.items():
            start = time.perf_counter()
            engine.second_trunk(engine.upsample(engine.first_trunk(lr)))
            times[name].append(time.perf_counter() - start)
    return {name: min(seconds[1:]) for name, seconds in times.items()}


def step_seconds(generator: Generator, repeats: int) -> float:
    """Median time of one optimizer step on four 256x256 crops, channels-last fp32."""
    generator.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    optimizer = torch.optim.Adam(generator.parameters())
    lr = torch.rand(4, 3, 16, 16).to(memory_format=torch.channels_last)
    hr = torch.rand(4, 3, 256, 256).to(memory_format=torch.channels_last)
    times: list[float] = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        optimizer.zero_grad()
        (generator(lr) - hr).abs().mean().backward()
        optimizer.step()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


@mistakes_told()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=count, default=3, help="how often each is timed")
    repeats = parser.parse_args().repeats
    full = sum(multiply_adds(FULL).values())
    upscaling = upscale_seconds(repeats)
    rows: list[dict[str, object]] = []
    print(f"{torch.get_num_threads()} threads, {os.cpu_count()} CPUs, PyTorch {torch.__version__}")
    for name, shape in SHAPES.items():
        generator = shape.build()
        cost = multiply_adds(generator)
        total = sum(cost.values())
        row: dict[str, object] = {
            "name": name,
            "shape": dataclasses.asdict(shape),
            "parameters": parameter_count(generator),
            "multiply_adds": cost,
            "part_of_full": round(total / full, 4),
            "upscale_seconds": round(upscaling[name], 3),
            "times_as_fast_as_full": round(upscaling["full"] / upscaling[name], 1),
            "step_seconds": round(step_seconds(generator, repeats), 3),
        }
        rows.append(row)
        detail = ", ".join(f"{part} {value / 1e6:.2f} M" for part, value in cost.items())
        print(
            f"{name}: 1/{full / total:.1f} of the full network's multiply-adds ({detail}); upscales {SIDE}x{SIDE} in ",
            end="",
        )
        print(f"{row['upscale_seconds']} s, {row['times_as_fast_as_full']} times as fast; step {row['step_seconds']} s")
    print(
        json.dumps(
            {"benchmark": "shapes", "full_multiply_adds": full, "full_seconds": upscaling["full"], "shapes": rows}
        )
    )


if __name__ == "__main__":
    main()
