"""How fast training steps are, how fast the loader is, and what memory a full-size step takes.

    python benchmarks/training.py [--preset strong] [--phase pixel] [--precision bf16] [--batch N] [--rounds 3]
                                  [--compile] [--graph] [--ours-only]
    python benchmarks/training.py --memory [--batch 2]

The straightforward loop stands for the way such code is usually written: eager fp32, contiguous
tensors, one picture decoded for each crop, the whole batch at once, gradients through every network that
a loss touches. Both loops run by turns in one process and train the same network on the same crops.
Memory is the peak of a process of its own for each. One JSON line is printed.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyvips
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sixteenfold.metrics.lpips import LPIPS
from sixteenfold.networks.discriminator import UNetDiscriminator
from sixteenfold.training.config import AdversarialPhase, PixelPhase, TrainConfig
from sixteenfold.training.data import Batch, sample_batch, smallest_side
from sixteenfold.training.folder import describe_device
from sixteenfold.training.index import make_index
from sixteenfold.training.losses import pixel_loss
from sixteenfold.training.phases import DataConfig, Phase
from sixteenfold.training.photographs import AHEAD, Kept, Window, decode
from sixteenfold.training.presets import PRESETS
from sixteenfold.training.processes import make_fabric, training_settings
from sixteenfold.training.speedup import compiled, graph
from sixteenfold.training.state import enter
from sixteenfold.training.steps import Learner, PerceptualNetworks, adversarial_step, pixel_step

Step = Callable[[int], object]
COMPILED = ExitStack()
"""Holds what was compiled for the rest of the process."""


@training_settings()
def main() -> None:
    options = parse()
    config = PRESETS[options.preset]
    if options.peak_of:
        print(json.dumps(peak_of_step(config, options)))
    elif options.memory:
        print(json.dumps(memory(options)))
    else:
        print(json.dumps(speed(config, options)))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="strong", choices=sorted(PRESETS))
    parser.add_argument("--phase", default="pixel", choices=("pixel", "adversarial"))
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, help="another batch than the preset's")
    parser.add_argument("--rounds", type=int, default=3, help="turns that each loop has")
    parser.add_argument("--steps", type=int, default=1, help="steps a turn")
    parser.add_argument(
        "--accumulation", type=int, default=2, help="pieces of our step when memory is measured; they divide the batch"
    )
    parser.add_argument("--compile", action="store_true", help="our networks compiled")
    parser.add_argument("--graph", action="store_true", help="our generator as CUDA graphs")
    parser.add_argument("--ours-only", action="store_true", help="to choose between ways of ours; no ratio, no loaders")
    parser.add_argument("--memory", action="store_true", help="peak memory of an adversarial step instead of speed")
    parser.add_argument("--peak-of", choices=("ours", "straightforward", "nothing"), help=argparse.SUPPRESS)
    return parser.parse_args()


def speed(config: TrainConfig, options: argparse.Namespace) -> dict[str, object]:
    """Patches a second of both loops and of the loader alone: medians over the turns."""
    phase = config.pixel if options.phase == "pixel" else config.adversarial
    assert phase is not None
    batch = options.batch or phase.batch
    fabric = make_fabric(options.device, options.precision)
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder))
        index = make_index([Path(folder)], smallest_side(phase.patch))
        kept = Kept(index.entries, fabric.device)
        window = Window(index.entries, size=4, ahead=AHEAD, crops=DataConfig().crops, seed=0)
        data = config.data
        crops = partial(
            sample_batch,
            patch=phase.patch,
            seed=0,
            detail=data.detail,
            scales=data.scales,
            whole=phase.projected,
        )

        def ours_batch(step: int) -> Batch:
            return crops(kept.at(0), step=step, indices=range(batch)).to(fabric.device)

        def plain_batch(step: int) -> Batch:
            decoded = (decode(index.entries[(step + i) % 4]) for i in range(batch))
            pairs = [crops([picture], step=step, indices=range(1)) for picture in decoded]
            lr, hr = (torch.cat([getattr(pair, name) for pair in pairs]) for name in ("lr", "hr"))
            return Batch(lr.to(fabric.device), hr.to(fabric.device))

        def window_batch(step: int) -> Batch:
            return crops(window.at(step * batch), step=step, indices=range(batch))

        ours = our_step(config, replace(phase, batch=batch), fabric, options.compile, options.graph)
        loops: dict[str, Step] = {"ours": lambda step: ours([ours_batch(step)])}
        if not options.ours_only:
            plain = straightforward_step(config, phase, fabric.device)
            loops |= {
                "straightforward": lambda step: plain(plain_batch(step)),
                "loader_kept": ours_batch,
                "loader_window": window_batch,
                "loader_straightforward": plain_batch,
            }
        rates = by_turns(loops, options.rounds, options.steps, batch)
    ratios = (
        {
            "ratio": round(rates["ours"] / rates["straightforward"], 2),
            "loader_to_training": round(rates["loader_window"] / rates["ours"], 1),
        }
        if not options.ours_only
        else {}
    )
    return {
        "preset": options.preset,
        "phase": options.phase,
        "precision": options.precision,
        "device": describe_device(fabric.device),
        "threads": torch.get_num_threads(),
        "batch": batch,
        "patch": phase.patch,
        "compile": options.compile,
        "graph": options.graph,
        **share_of_peak(config, phase, rates["ours"], fabric.device),
        "patches_per_second": {name: round(rate, 3) for name, rate in rates.items()},
        **ratios,
    }


def share_of_peak(config: TrainConfig, phase: Phase, rate: float, device: torch.device) -> dict[str, float]:
    """On a GPU: the bf16 matrix products that it does, and the share of them that the generator's arithmetic is.

    Counted are the generator's products forward, and twice as many backward; discriminator and LPIPS are not, so that
    in the adversarial phase the true share is higher.
    """
    if device.type != "cuda":
        return {}
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        config.generator.build()(torch.empty(1, 3, phase.patch // 16, phase.patch // 16))
    a, b = (torch.randn(8192, 8192, device=device, dtype=torch.bfloat16) for _ in range(2))
    times: list[float] = []
    for _ in range(13):
        synchronize()
        started = time.perf_counter()
        torch.mm(a, b)
        synchronize()
        times.append(time.perf_counter() - started)
    peak = 2 * 8192**3 / statistics.median(times[3:])
    return {
        "matrix_tflops": round(peak / 1e12, 1),
        "share_of_matrix_rate": round(3 * counter.get_total_flops() * rate / peak, 3),
    }


def write_photographs(folder: Path) -> None:
    """Four pictures of 2K, as detailed as photographs are: noise whose power falls with the square of the frequency."""
    random = np.random.default_rng(0)
    down, across = np.fft.fftfreq(1080)[:, None, None], np.fft.fftfreq(1920)[None, :, None]
    amplitude = 1 / np.maximum(np.hypot(down, across), 1 / 1920)
    for i in range(4):
        waves = np.fft.fft2(random.standard_normal((1080, 1920, 3)), axes=(0, 1)) * amplitude
        values = np.fft.ifft2(waves, axes=(0, 1)).real
        pixels = np.clip(128 + 48 * values / values.std(), 0, 255).astype(np.uint8)
        pyvips.Image.new_from_array(pixels).write_to_file(str(folder / f"{i}.png"))


def by_turns(works: dict[str, Step], rounds: int, steps: int, batch: int) -> dict[str, float]:
    """Patches a second, the median over the turns; the first turn of each is not counted."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            synchronize()
            started = time.perf_counter()
            for step in range(turn * steps, (turn + 1) * steps):
                work(step)
            synchronize()
            if turn:
                times[name].append(time.perf_counter() - started)
    return {name: batch * steps / statistics.median(spent) for name, spent in times.items()}


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def our_step(
    config: TrainConfig, phase: Phase, fabric: Fabric, compiling: bool = False, graphing: bool = False
) -> Callable[[list[Batch]], object]:
    """The package's own step function, with the networks, optimizers and average of the phase."""
    name = "pixel" if isinstance(phase, PixelPhase) else "adversarial"
    training = enter(name, config.generator.build(), config, fabric.device, step=0)
    if compiling:
        COMPILED.enter_context(compiled(training.generator, training.discriminator))
    generator = Learner(*fabric.setup(training.generator, training.optimizer))
    if graphing:
        generator = graph(generator, phase, fabric)
    if isinstance(phase, AdversarialPhase):
        perceptual, discriminator = PerceptualNetworks.of(phase, fabric.device), None
        if training.discriminator is not None and training.discriminator_optimizer is not None:
            discriminator = Learner(*fabric.setup(training.discriminator, training.discriminator_optimizer))

        def step(parts: list[Batch]) -> None:
            adversarial_step(fabric, generator, discriminator, perceptual, parts, phase, None)
            if training.average is not None:
                training.average.update_parameters(training.generator)

        return step
    assert isinstance(phase, PixelPhase)

    def pixel(parts: list[Batch]) -> None:
        pixel_step(fabric, generator, parts, phase)
        if training.average is not None:
            training.average.update_parameters(training.generator)

    return pixel


def straightforward_step(config: TrainConfig, phase: Phase, device: torch.device) -> Callable[[Batch], object]:
    """The recipe's terms in a loop as it is usually written.

    Not those that cost ours extra, the projection and the raw term; features are compared by their squares.
    """
    generator = config.generator.build().to(device)
    optimizer = torch.optim.Adam(generator.parameters(), phase.learning_rate)

    def pixel(batch: Batch) -> None:
        assert isinstance(phase, PixelPhase)
        loss = pixel_loss(generator(batch.lr), batch.hr, phase.loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    if not isinstance(phase, AdversarialPhase):
        return pixel
    discriminator, lpips = UNetDiscriminator(phase.discriminator).to(device), LPIPS().to(device)
    discriminator_optimizer = torch.optim.Adam(discriminator.parameters(), phase.discriminator_learning_rate)

    def adversarial(batch: Batch) -> None:
        sr = generator(batch.lr)
        fake, real = discriminator(sr), discriminator(batch.hr)
        matching = sum(nn.functional.mse_loss(a, b) for a, b in zip(fake.features, real.features, strict=True)) / 12
        loss: Tensor = (
            phase.pixel * pixel_loss(sr, batch.hr, phase.pixel_loss)
            + phase.lpips * lpips(sr, batch.hr).mean()
            + phase.feature_matching * matching
            - phase.adversarial * (fake.encoder.mean() + fake.decoder.mean()) / 2
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        fake, real = discriminator(sr.detach()), discriminator(batch.hr)
        heads = [(1 - real.encoder, 1 + fake.encoder), (1 - real.decoder, 1 + fake.decoder)]
        loss = sum((a.relu().mean() + b.relu().mean() for a, b in heads), torch.zeros((), device=device)) / 2
        discriminator_optimizer.zero_grad()
        loss.backward()
        discriminator_optimizer.step()

    return adversarial


def memory(options: argparse.Namespace) -> dict[str, object]:
    """Peak memory of one adversarial step of each loop, above that of a process that has only imported."""
    batch = options.batch or 2
    peaks: dict[str, int] = {}
    for name in ("nothing", "straightforward", "ours"):
        words = ["--peak-of", name, "--preset", options.preset, "--precision", options.precision]
        words += ["--batch", str(batch), "--accumulation", str(options.accumulation)]
        done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=True)
        peaks[name] = json.loads(done.stdout)
    ratio = (peaks["ours"] - peaks["nothing"]) / (peaks["straightforward"] - peaks["nothing"])
    return {
        "preset": options.preset,
        "batch": batch,
        "accumulation": options.accumulation,
        "precision": options.precision,
        "peak_mib": peaks,
        "ratio": round(ratio, 3),
    }


def peak_of_step(config: TrainConfig, options: argparse.Namespace) -> int:
    """Peak memory of this process in MiB after an adversarial step that is not the first: the moments are there."""
    phase, batch = config.adversarial, options.batch or 2
    assert phase is not None
    random = torch.Generator().manual_seed(0)
    side = phase.patch
    data = Batch(
        torch.rand(batch, 3, side // 16, side // 16, generator=random),
        torch.rand(batch, 3, side, side, generator=random),
    )
    if options.peak_of == "ours":
        fabric = make_fabric("cpu", options.precision)
        step = our_step(config, phase, fabric)
        parts = [
            Batch(*pair)
            for pair in zip(data.lr.chunk(options.accumulation), data.hr.chunk(options.accumulation), strict=True)
        ]
        for _ in range(2):
            step([part.to(fabric.device) for part in parts])
    elif options.peak_of == "straightforward":
        plain = straightforward_step(config, phase, torch.device("cpu"))
        for _ in range(2):
            plain(data)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
