"""The factsheet's comparison at a small budget: LPIPS against VGG, the U-net discriminator against its encoder.

    python benchmarks/losses.py --hr DIR... --val DIR [--steps 800] [--arms a,b] [--work DIR] [--out docs/losses.md]
    python benchmarks/losses.py --hr DIR... --norms

Every arm trains on from `compact-fidelity`, which has seen the pixel loss alone: the same crops in the same order,
as many steps, the same rates. A quarter of the steps is the discriminator's head start. The last weights count, not
the best: choosing by a metric would favour the loss that is that metric. Then all arms enlarge the photographs in
--val and are scored as `sixteenfold evaluate` does it, and --out is written, with strips of scikit-image's pictures.
A second call goes on with the runs in --work that were made from the same photographs.

VGG and LPIPS have the same say: `--norms` gives the norm of each term's gradient at the start, by which the weight of
VGG was set.
"""

import argparse
import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from results import find_model, gallery, make_photos, make_results, measured
from sixteenfold.errors import SixteenfoldError, mistakes_told
from sixteenfold.evaluation.protocol import Sources, find_cases
from sixteenfold.files.whole import write_whole
from sixteenfold.metrics.dists import DISTS
from sixteenfold.metrics.lpips import LPIPS
from sixteenfold.networks import zoo
from sixteenfold.training.config import TrainConfig, from_json
from sixteenfold.training.data import sample_batch, smallest_side
from sixteenfold.training.index import make_index
from sixteenfold.training.loop import train
from sixteenfold.training.losses import VGGFeatures, dists_loss, lpips_loss, pixel_loss, vgg_loss
from sixteenfold.training.phases import AdversarialPhase, DataConfig
from sixteenfold.training.photographs import decode
from sixteenfold.training.presets import PRESETS
from sixteenfold.upscaling.consistency import project
from words import count

START = "compact-fidelity"
METRICS = ("psnr", "ssim", "lpips", "dists", "niqe", "lr_psnr")

VGG_WEIGHT = 0.15
"""The gradient of VGG's loss at the start is about seven times as long as that of LPIPS (`--norms`)."""

ADVERSARIAL = PRESETS["compact"].adversarial
assert ADVERSARIAL is not None
LPIPS_UNET = replace(
    ADVERSARIAL,
    patch=128,
    optimizer="adam",  # whose rate the next line is
    learning_rate=1e-4,
    discriminator_learning_rate=1e-4,
    warmup=20,
    ema_decay=0.99,
    adversarial=0.5,
    feature_matching=0.0,
)
"""Adversarial + LPIPS, with the pixel loss that keeps colours, against the U-net."""
VGG_UNET = replace(LPIPS_UNET, lpips=0.0, vgg=VGG_WEIGHT)
MATCHING = replace(LPIPS_UNET, feature_matching=1.0)

ARMS: dict[str, tuple[AdversarialPhase, DataConfig]] = {
    # What the factsheet proposes: LPIPS with feature matching, and the U-net.
    "matching": (MATCHING, DataConfig()),
    # What it compares with, by halves.
    "vgg-encoder": (replace(VGG_UNET, decoder=False), DataConfig()),
    "vgg-unet": (VGG_UNET, DataConfig()),
    "lpips-encoder": (replace(LPIPS_UNET, decoder=False), DataConfig()),
    "lpips-unet": (LPIPS_UNET, DataConfig()),
    # Beyond it, each one change to "matching". How LPIPS looks:
    "matching-scales": (replace(MATCHING, lpips_scales=(1.0, 1.0, 0.875, 0.75, 0.625, 0.5)), DataConfig()),
    "matching-views": (replace(MATCHING, lpips_views=2, lpips_turned=True), DataConfig()),
    # VGG beside it, with two thirds of its say:
    "matching-vgg": (replace(MATCHING, vgg=0.1), DataConfig()),
    # Weights of feature matching and of the adversarial term:
    "matching-more": (replace(MATCHING, feature_matching=4.0), DataConfig()),
    "matching-less": (replace(MATCHING, adversarial=0.1, feature_matching=0.2), DataConfig()),
    # A discriminator twice as wide; the same pixels in one large crop; crops of the flattest third drawn again:
    "matching-wide": (replace(MATCHING, discriminator=(32, 64, 96, 128, 160, 192)), DataConfig()),
    "matching-large": (replace(MATCHING, patch=256, batch=1), DataConfig()),
    "matching-detail": (MATCHING, DataConfig(detail=3.0)),
}

SMALLEST = smallest_side(LPIPS_UNET.patch)
"""Least side of a photograph that counts. "matching-large" trains on those alone that hold its larger crops."""


@mistakes_told()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hr", type=Path, nargs="+", required=True, help="folders of photographs to train on")
    parser.add_argument("--val", type=Path, help="photographs to score on")
    parser.add_argument("--steps", type=count, default=800)
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--norms", action="store_true", help="only measure the gradients of the terms")
    parser.add_argument("--work", type=Path, default=Path("build/losses"), help="for the runs; a stopped one goes on")
    parser.add_argument("--out", type=Path, default=Path("docs/losses.md"))
    options = parser.parse_args()
    if options.norms:
        return norms(options.hr)
    if options.val is None:
        raise SixteenfoldError("name photographs to score on by --val")
    find_cases(Sources(options.val, None, True, {}), allow_missing=False)  # or says now, not after the training
    names = options.arms.split(",")
    if unknown := [name for name in names if name not in ARMS]:
        raise SixteenfoldError(f"no arm is named {unknown[0]!r}; choose among {', '.join(ARMS)}")
    runs = options.work / digest_of(options.hr)[:16]
    files = [run(name, options.steps, options.hr, runs / name) for name in names]
    return write(files, options.val, options.work, options.out, " ".join(sys.argv[1:]))


def digest_of(hr: Sequence[Path]) -> str:
    """SHA-256 of what runs are made from: the photographs, in the order in which training takes them, and the start.

    It is in the path of the runs, so that those made from others do not count as made from these.
    """
    digest = hashlib.sha256(find_model(START).digest.encode())
    for entry in make_index(hr, SMALLEST).entries:
        digest.update(hashlib.sha256(entry.path.read_bytes()).digest())
    return digest.hexdigest()


def run(name: str, steps: int, hr: Sequence[Path], folder: Path) -> Path:
    """The arm's weights after its steps, under the arm's name.

    What is there already counts if it was made by the same recipe; the training refuses to go on with another's.
    """
    phase, data = ARMS[name]
    config = TrainConfig(
        generator=PRESETS["compact"].generator,
        pixel=None,
        adversarial=replace(phase, steps=steps, head_start=steps // 4),
        data=data,
        save_every=200,
    )
    target, recipe = folder / f"{name}.safetensors", folder / "run" / "config.json"
    begun = recipe.exists()
    if not (target.exists() and begun and from_json(recipe) == config):
        file = train(
            config, hr=hr, out=recipe.parent, init=START, precision="bf16", resume=begun, console=Console(stderr=True)
        )
        write_whole(target, file.read_bytes())
    return target


def norms(hr: Sequence[Path]) -> None:
    """Print each term and the norm of its gradient at what the start makes of eight crops."""
    index = make_index(hr, SMALLEST)
    pictures = [decode(entry) for entry in index.entries[:: max(1, len(index.entries) // 10)]]
    batch = sample_batch(pictures, LPIPS_UNET.patch, seed=0, step=0, indices=range(8), whole=True)
    with torch.no_grad():
        sr = project(zoo.load(START)(batch.lr), batch.lr)
    lpips, vgg, dists = LPIPS(), VGGFeatures(), DISTS()
    losses: dict[str, Callable[[Tensor], Tensor]] = {
        "pixel (L1)": lambda sr: pixel_loss(sr, batch.hr, "l1"),
        "lpips": lambda sr: lpips_loss(sr, batch.hr, lpips),
        "vgg": lambda sr: vgg_loss(sr, batch.hr, vgg),
        "dists": lambda sr: dists_loss(sr, batch.hr, dists),
    }
    for name, loss in losses.items():
        at = sr.clone().requires_grad_(True)
        value = loss(at)
        value.backward()
        assert at.grad is not None
        print(f"{name}: {value.item():.4f}, norm of its gradient {at.grad.norm().item():.4f}")


def _other(phase: AdversarialPhase, data: DataConfig) -> list[str]:
    """What the table's columns do not say of an arm."""
    said = {
        f"DISTS {phase.dists:g}": phase.dists > 0,
        f"LPIPS at sizes of {phase.lpips_scales}": len(phase.lpips_scales) > 1,
        f"LPIPS in {phase.lpips_views} views, turned": phase.lpips_turned,
        f"discriminator of {phase.discriminator}": phase.discriminator != MATCHING.discriminator,
        f"{phase.batch} crop of {phase.patch}": phase.patch != MATCHING.patch,
        f"crops of detail {data.detail:g} or more": data.detail > 0,
    }
    return [words for words, true in said.items() if true]


def write(files: Sequence[Path], val: Path, work: Path, out: Path, words: str) -> None:
    """Score every arm and the start, and write the document."""
    models = [find_model(str(file)) for file in files] + [find_model(START)]
    lines = [
        "# Which losses, which discriminator",
        "",
        f"Written by `python benchmarks/losses.py {words}`; not edited.",
        "",
    ]
    lines += ["| arm | pixel (L1) | LPIPS | VGG | adversarial | feature matching | discriminator | other |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: | --- | --- |"]
    for file in files:
        phase, data = ARMS[file.stem]
        kind = "U-net" if phase.decoder else "encoder"
        other = _other(phase, data)
        weights = (phase.pixel, phase.lpips, phase.vgg, phase.adversarial, phase.feature_matching)
        lines += [f"| {file.stem} | {' | '.join(f'{weight:g}' for weight in weights)} | {kind} | {', '.join(other)} |"]
    lines += measured(make_results(val, models, work / "scored"), METRICS, ["ntire2020"])
    shown = make_results(make_photos(work / "photos"), models, work / "shown")
    lines += gallery(shown, list(shown.sr), out)
    out.write_text("\n".join([*lines, ""]), encoding="utf-8")
    print(out)


if __name__ == "__main__":
    main()
