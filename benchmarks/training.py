"""How fast training steps are, how fast the loader is, and what memory a full-size step takes.

    python benchmarks/training.py [--preset strong | --config FILE] [--phase pixel] [--precision bf16] [--batch N]
                                  [--rounds 3] [--compile] [--graph] [--ours-only] [--adversarial.discriminator 16 32]
    python benchmarks/training.py --memory [--batch 2]

Values of the recipe are options as of `sixteenfold train`. A step of ours is the run's own, as past the head start:
drawing, losses, CutMix as often as it comes to, weights averaged.
The straightforward loop stands for the way such code is usually written: eager fp32, contiguous
tensors, one picture decoded for each crop, the whole batch at once, gradients through every network that
a loss touches, and Adam, also where ours has Muon.
Both loops run by turns in one process and train the same network on the same crops.
Memory is the peak of a process of its own for each. One JSON line is printed.
"""

import argparse
import json
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

from memory import peak_mib
from sixteenfold.errors import SixteenfoldError, mistakes_told
from sixteenfold.metrics.lpips import LPIPS
from sixteenfold.networks.discriminator import UNetDiscriminator
from sixteenfold.training.config import AdversarialPhase, PixelPhase, TrainConfig, from_json
from sixteenfold.training.course import Step, draw, make_step
from sixteenfold.training.data import Batch, sample_batch, smallest_side
from sixteenfold.training.folder import describe_device
from sixteenfold.training.index import make_index
from sixteenfold.training.losses import pixel_loss
from sixteenfold.training.pace import Pace, pace_of
from sixteenfold.training.phases import DataConfig, Phase
from sixteenfold.training.photographs import AHEAD, Kept, Photographs, Window, decode
from sixteenfold.training.presets import PRESETS
from sixteenfold.training.processes import make_fabric, training_settings
from sixteenfold.training.speedup import check_graph, compiled
from sixteenfold.training.state import PhaseName, enter
from sixteenfold.training.steps import PerceptualNetworks
from sixteenfold.words import changed, without_parts
from words import count

Work = Callable[[int], object]
"""What is timed; takes the number of the step."""
COMPILED = ExitStack()
"""Holds what was compiled for the rest of the process."""


@mistakes_told()
@training_settings()
def main() -> None:
    options = parse()
    config = recipe(options)
    if options.peak_of:
        print(json.dumps(peak_of_step(config, options)))
    elif options.memory:
        print(json.dumps(memory(options)))
    else:
        print(json.dumps(speed(config, options)))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--preset", default="strong", choices=sorted(PRESETS))
    parser.add_argument("--config", type=Path, help="a recipe as JSON, such as a run's config.json, instead")
    parser.add_argument("--phase", default="pixel", choices=("pixel", "adversarial"))
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=count, help="another batch than the recipe's")
    parser.add_argument("--rounds", type=count, default=3, help="turns that each loop has")
    parser.add_argument("--steps", type=count, default=1, help="steps a turn")
    parser.add_argument(
        "--accumulation",
        type=count,
        default=2,
        help="pieces of our step for --memory; they divide the batch",
    )
    parser.add_argument("--compile", action="store_true", help="our networks compiled")
    parser.add_argument("--graph", action="store_true", help="our generator as CUDA graphs")
    parser.add_argument("--ours-only", action="store_true", help="to choose between ways of ours; no ratio, no loaders")
    parser.add_argument("--memory", action="store_true", help="peak memory of an adversarial step instead of speed")
    parser.add_argument("--peak-of", choices=("ours", "straightforward", "nothing"), help=argparse.SUPPRESS)
    options, options.words = parser.parse_known_args()
    if options.memory or options.peak_of:
        options.phase, options.batch = "adversarial", options.batch or 2
    return options


def recipe(options: argparse.Namespace) -> TrainConfig:
    """The recipe, with its phase as all but the first steps have it."""
    config = from_json(options.config) if options.config else PRESETS[options.preset]
    config = changed(*without_parts(config, options.words), "sixteenfold train PRESET")
    if getattr(config, options.phase) is None:
        raise SixteenfoldError(f"--phase {options.phase}: the recipe has no such phase; choose the other")
    if options.phase == "pixel":
        assert config.pixel is not None
        return replace(config, minutes=None, pixel=replace(config.pixel, batch=options.batch or config.pixel.batch))
    phase = config.adversarial
    assert phase is not None
    phase = replace(phase, batch=options.batch or phase.batch, head_start=0, cutmix_ramp=1)
    return replace(config, minutes=None, adversarial=phase)


def speed(config: TrainConfig, options: argparse.Namespace) -> dict[str, object]:
    """Patches a second of both loops and of the loader alone: medians over the turns."""
    phase = config.pixel if options.phase == "pixel" else config.adversarial
    assert phase is not None
    fabric = make_fabric(options.device, options.precision)
    if options.graph:
        check_graph(fabric, config)
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder))
        index = make_index([Path(folder)], smallest_side(phase.patch))
        kept = Kept(index.entries, fabric.device)
        window = Window(index.entries, size=4, ahead=AHEAD, crops=DataConfig().crops, seed=0)
        step, pace = our_step(config, options.phase, fabric, options.compile, options.graph)
        crops = partial(
            sample_batch,
            patch=phase.patch,
            seed=config.seed,
            detail=config.data.detail,
            scales=config.data.scales,
            whole=phase.projected,
        )

        def plain_batch(step: int) -> Batch:
            decoded = (decode(index.entries[(step + i) % 4]) for i in range(phase.batch))
            pairs = [crops([picture], step=step, indices=range(1)) for picture in decoded]
            lr, hr = (torch.cat([getattr(pair, name) for pair in pairs]) for name in ("lr", "hr"))
            return Batch(lr.to(fabric.device), hr.to(fabric.device))

        def our_batch(photographs: Photographs, step: int) -> Batch:
            pictures = photographs.at(step * phase.batch)
            return crops(pictures, step=step, indices=range(phase.batch), device=fabric.device).to(fabric.device)

        loops: dict[str, Work] = {"ours": lambda _: step(pace, draw(config, fabric, kept, pace))}
        if not options.ours_only:
            plain = straightforward_step(config, phase, fabric.device)
            loops |= {
                "straightforward": lambda step: plain(plain_batch(step)),
                "loader_kept": partial(our_batch, kept),
                "loader_window": partial(our_batch, window),
                "loader_straightforward": plain_batch,
            }
        rates = by_turns(loops, options.rounds, options.steps, phase.batch)
    ratios = (
        {
            "ratio": round(rates["ours"] / rates["straightforward"], 2),
            "loader_to_training": round(rates["loader_window"] / rates["ours"], 1),
        }
        if not options.ours_only
        else {}
    )
    return {
        "recipe": [str(options.config or options.preset), *options.words],
        "phase": options.phase,
        "precision": options.precision,
        "device": describe_device(fabric.device),
        "threads": torch.get_num_threads(),
        "batch": phase.batch,
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


def by_turns(works: dict[str, Work], rounds: int, steps: int, batch: int) -> dict[str, float]:
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
    config: TrainConfig, phase: PhaseName, fabric: Fabric, compiling: bool = False, graphing: bool = False
) -> tuple[Step, Pace]:
    """The run's own step at the phase's beginning, and where the phase then is."""
    training = enter(phase, config.generator.build(), config, fabric.device, step=0)
    if compiling:
        COMPILED.enter_context(compiled(training.generator, training.discriminator))
    perceptual = None
    if phase == "adversarial" and config.adversarial is not None:
        perceptual = PerceptualNetworks.of(config.adversarial)
    return make_step(config, training, fabric, perceptual, graphed=graphing), pace_of(config, training)


def straightforward_step(config: TrainConfig, phase: Phase, device: torch.device) -> Callable[[Batch], object]:
    """The recipe's terms in a loop as it is usually written.

    Not those that cost ours extra: the projection, the raw term, CutMix, several views; features are compared by their
    squares.
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
    peaks: dict[str, int] = {}
    for name in ("nothing", "straightforward", "ours"):
        words = ["--peak-of", name, "--preset", options.preset, "--precision", options.precision, *options.words]
        words += ["--batch", str(options.batch), "--accumulation", str(options.accumulation)]
        words += ["--config", str(options.config)] if options.config else []
        done = subprocess.run([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True, check=True)
        peaks[name] = json.loads(done.stdout)
    ratio = (peaks["ours"] - peaks["nothing"]) / (peaks["straightforward"] - peaks["nothing"])
    return {
        "recipe": [str(options.config or options.preset), *options.words],
        "batch": options.batch,
        "accumulation": options.accumulation,
        "precision": options.precision,
        "peak_mib": peaks,
        "ratio": round(ratio, 3),
    }


def peak_of_step(config: TrainConfig, options: argparse.Namespace) -> int:
    """Peak memory of this process in MiB after an adversarial step that is not the first: the moments are there."""
    phase = config.adversarial
    assert phase is not None
    random = torch.Generator().manual_seed(0)
    side = phase.patch
    data = Batch(
        torch.rand(phase.batch, 3, side // 16, side // 16, generator=random),
        torch.rand(phase.batch, 3, side, side, generator=random),
    )
    if options.peak_of == "ours":
        fabric = make_fabric("cpu", options.precision)
        step, pace = our_step(config, "adversarial", fabric)
        parts = [
            Batch(*pair)
            for pair in zip(data.lr.chunk(options.accumulation), data.hr.chunk(options.accumulation), strict=True)
        ]
        for _ in range(2):
            step(pace, [part.to(fabric.device) for part in parts])
    elif options.peak_of == "straightforward":
        plain = straightforward_step(config, phase, torch.device("cpu"))
        for _ in range(2):
            plain(data)
    return peak_mib()


if __name__ == "__main__":
    main()
