"""One 3x3 convolution with ReLU: the compiled code against PyTorch's, in one thread's processor time.

    python benchmarks/convolution.py [--repeats 4]

Strips as `evaluate` gives them to VGG16, and channels-last for PyTorch; the weights' expansion is counted,
the copies into planes and out of them are shown apart.
"""

import argparse
import json
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from sixteenfold.errors import mistakes_told
from sixteenfold.kernels import winograd_machine
from sixteenfold.kernels.planes import Convolver, Planes, make_layer
from sixteenfold.kernels.strips import RELU
from words import count

# in channels, out channels, rows, columns
SHAPES = ((64, 64, 36, 512), (64, 128, 36, 256), (128, 128, 36, 256), (256, 256, 20, 128), (512, 512, 12, 64))


def cpu_time(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


@torch.no_grad()
def measure(convolver: Convolver, shape: tuple[int, int, int, int], repeats: int) -> dict[str, object]:
    """Milliseconds, the least of all repeats (one way after the other), and the largest difference of the results."""
    inputs, outputs, height, width = shape
    conv = nn.Conv2d(inputs, outputs, 3, padding=1)
    conv.weight.data = conv.weight.data.contiguous(memory_format=torch.channels_last)
    picture = torch.randn(1, inputs, height, width).contiguous(memory_format=torch.channels_last)
    layer = make_layer(conv, [inputs], convolver.machine.lanes, RELU)
    source, target = (Planes(n, height, width, convolver.machine.lanes) for n in (inputs, outputs))
    source.fill(picture[0])
    result = torch.empty_like(conv(picture))
    works: dict[str, Callable[[], object]] = {
        "pytorch": lambda: F.relu(conv(picture)),
        "compiled": lambda: convolver(layer, [source], target),
        "copies": lambda: (source.fill(picture[0]), target.copy_to(result[0])),
    }
    best = {name: 1000 * min(cpu_time(work) for _ in range(repeats)) for name, work in works.items()}
    difference = (F.relu(conv(picture)) - result).abs().max().item()
    return {
        "shape": shape,
        **{f"{name}_ms": round(value, 2) for name, value in best.items()},
        "ratio": round(best["pytorch"] / best["compiled"], 2),
        "difference": difference,
    }


@mistakes_told()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=count, default=4)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    machine = winograd_machine()
    if machine is None:
        raise SystemExit("no compiled convolution for this CPU, or llvmlite is not installed")
    convolver = Convolver(machine)
    rows = [measure(convolver, shape, repeats) for shape in SHAPES]
    print(*rows, sep="\n")
    print(json.dumps({"benchmark": "convolution", "cpu": machine.name, "layers": rows}))


if __name__ == "__main__":
    main()
