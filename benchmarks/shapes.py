"""What a generator's shape costs: multiply-adds a pixel of the input, and the time of a training step.

The compact model's shape was chosen with this table (docs/decisions.md). Ends with one JSON line.

    python benchmarks/shapes.py [--repeats N]
"""

import argparse
import dataclasses
import json
import os
import statistics
import time

import torch

from sixteenfold.networks.generator import Generator, parameter_count
from sixteenfold.training.config import PRESETS, GeneratorShape

with torch.device("meta"):
    FULL = Generator()

SHAPES = {
    "trial": GeneratorShape((32, 32, 32), (16, 16), (4, 4)),
    "wide at x1": GeneratorShape((64, 32, 32), (32, 16), (8, 2)),
    "wide at x1, narrow at x16": GeneratorShape((64, 32, 16), (32, 16), (8, 2)),
    "deep at x1": GeneratorShape((64, 32, 16), (32, 16), (16, 1)),
    "wider at x4": GeneratorShape((64, 48, 16), (32, 16), (8, 1)),
    "compact": PRESETS["compact"].generator,
}


def multiply_adds(generator: Generator) -> dict[str, int]:
    """Multiply-adds for each pixel of the input, by part."""
    cost = {"first trunk": 0, "enlarge": 0, "second trunk": 0, "last layers": 0}
    # Every convolution runs at one scale: this many times per pixel of the input.
    scales = {"stem": 1, "first": 1, "up1": 4, "up2": 16, "bridge": 16, "second": 16, "up3": 64}
    parts = {"stem": "first trunk", "first": "first trunk", "second": "second trunk"}
    parts |= dict.fromkeys(("up1", "up2", "bridge"), "enlarge")
    for name, parameter in generator.named_parameters():
        if parameter.ndim == 4:
            part = name.split(".")[0]
            cost[parts.get(part, "last layers")] += scales.get(part, 256) * parameter.numel()
    return cost


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="training steps timed for each shape")
    repeats = parser.parse_args().repeats
    full = sum(multiply_adds(FULL).values())
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
            "step_seconds": round(step_seconds(generator, repeats), 3),
        }
        rows.append(row)
        detail = ", ".join(f"{part} {value / 1e6:.2f} M" for part, value in cost.items())
        print(f"{name}: 1/{full / total:.1f} of the full network ({detail}); step {row['step_seconds']} s")
    print(json.dumps({"benchmark": "shapes", "full_multiply_adds": full, "shapes": rows}))


if __name__ == "__main__":
    main()
