"""What one step is, in each phase: plain functions.

Nothing here reads a number back from the device, which would make the host wait for it: whether losses and
gradients are finite is seen when they are read (`sixteenfold.training.readings`).
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from sixteenfold.metrics.lpips import LPIPS
from sixteenfold.networks.discriminator import Judgement
from sixteenfold.training.data import Batch
from sixteenfold.training.losses import (
    VGGFeatures,
    adversarial_loss,
    cutmix_loss,
    discriminator_loss,
    feature_matching_loss,
    lpips_loss,
    pixel_loss,
    vgg_loss,
)
from sixteenfold.training.phases import AdversarialPhase, Phase, PixelPhase
from sixteenfold.training.views import EVERYTHING, Views, show
from sixteenfold.upscaling.consistency import project

RAW_WEIGHT = 0.1
"""Weight of the pixel loss of the network's own output, in a phase whose losses see the projected one."""

Losses = dict[str, Tensor]
"""Each term by its name, unweighted, and the norms of the whole gradients; scalars without gradient."""


@dataclass(frozen=True)
class Player:
    """A network that learns, as Fabric has set it up, and what moves it."""

    network: Any
    optimizer: Optimizer

    @property
    def module(self) -> nn.Module:
        """The bare network."""
        return self.network.module


@dataclass(frozen=True)
class Judges:
    """Networks that do not learn; None where their term has no weight."""

    lpips: LPIPS | None
    vgg: VGGFeatures | None

    @staticmethod
    def of(phase: AdversarialPhase, device: torch.device) -> "Judges":
        """Those that the phase needs.

        Raises:
            SixteenfoldError: If weights are not to be had.
        """
        return Judges(LPIPS().to(device) if phase.lpips else None, VGGFeatures().to(device) if phase.vgg else None)


def pixel_step(fabric: Fabric, generator: Player, parts: Sequence[Batch], phase: PixelPhase) -> Losses:
    """Move the generator one step down the pixel loss.

    Touches the generator's weights and gradients and the optimizer's moments, nothing else.

    Args:
        fabric: Where and how precisely to compute.
        generator: What learns.
        parts: This process's share of the step's batch, in equal pieces.
        phase: What to do.

    Returns:
        "pixel", the loss before the step; with `projected` also "raw", that of the network's own output;
        "generator_gradient", the norm before it is clipped. If one is not finite, the weights are spoilt.
    """
    seen: list[Losses] = []
    generator.optimizer.zero_grad()
    for i, batch in enumerate(parts):
        with _together(fabric, generator, i, parts):
            sr, raw = _result(generator.network(batch.lr), batch, phase)
            terms = {"pixel": pixel_loss(sr, batch.hr, phase.loss)} | _raw_term(raw, batch.hr, phase)
            fabric.backward(_total(terms, {"pixel": 1.0, "raw": RAW_WEIGHT}) / len(parts))
        seen.append(terms)
    norm = _move(generator, phase)
    return _mean(seen) | {"generator_gradient": norm}


def adversarial_step(
    fabric: Fabric,
    generator: Player,
    discriminator: Player | None,
    judges: Judges,
    parts: Sequence[Batch],
    phase: AdversarialPhase,
    mask: Tensor | None,
    views: Views = EVERYTHING,
) -> Losses:
    """Move the generator, then the discriminator, one step each, over the same results.

    Args:
        fabric: Where and how precisely to compute.
        generator: What learns to make pictures.
        discriminator: What learns to see through them; None where no term needs it.
        judges: The frozen networks of the terms that need one.
        parts: This process's share of the step's batch, in equal pieces.
        phase: Weights and distances.
        mask: (1, 1, P, P) for a step with CutMix consistency, else None.
        views: What LPIPS and VGG are shown of each crop.

    Returns:
        The terms before the step, the generator's by their names in `AdversarialPhase`, then "generator_gradient",
        "discriminator", "consistency" and "discriminator_gradient". If one is not finite, the weights are spoilt,
        and the first of them is the cause.
    """
    if discriminator is None:
        return _generator_step(fabric, generator, None, judges, parts, phase, views)[0]
    terms, results = _generator_step(fabric, generator, discriminator.module, judges, parts, phase, views)
    return terms | _discriminator_step(fabric, discriminator, parts, results, phase, mask)


def head_start_step(
    fabric: Fabric, generator: Player, discriminator: Player, parts: Sequence[Batch], phase: AdversarialPhase
) -> Losses:
    """Move the discriminator alone one step, over what the generator makes at present.

    Arguments as for `adversarial_step`.

    Returns:
        "discriminator" and "discriminator_gradient".
    """
    with torch.no_grad(), fabric.autocast():
        outputs = [generator.module(batch.lr) for batch in parts]
    results = [_result(output, batch, phase)[0] for output, batch in zip(outputs, parts, strict=True)]
    return _discriminator_step(fabric, discriminator, parts, results, phase, None)


def _generator_step(
    fabric: Fabric,
    generator: Player,
    critic: nn.Module | None,
    judges: Judges,
    parts: Sequence[Batch],
    phase: AdversarialPhase,
    views: Views,
) -> tuple[Losses, list[Tensor]]:
    """Move the generator; give its terms and the results they were of."""
    weights = {name: getattr(phase, name) for name in ("pixel", "lpips", "vgg", "adversarial", "feature_matching")}
    weights["raw"] = RAW_WEIGHT
    seen: list[Losses] = []
    results: list[Tensor] = []
    if critic is not None:
        critic.requires_grad_(False)
    generator.optimizer.zero_grad()
    for i, batch in enumerate(parts):
        with _together(fabric, generator, i, parts):
            sr, raw = _result(generator.network(batch.lr), batch, phase)
            terms = _generator_terms(fabric, sr, batch.hr, critic, judges, phase, views)
            terms |= _raw_term(raw, batch.hr, phase)
            fabric.backward(_total(terms, weights) / len(parts))
        seen.append(terms)
        results.append(sr.detach())
    norm = _move(generator, phase)
    if critic is not None:
        critic.requires_grad_(True)
    return _mean(seen) | {"generator_gradient": norm}, results


def _result(output: Tensor, batch: Batch, phase: Phase) -> tuple[Tensor, Tensor]:
    """What the losses see, and the network's own output, which is the same unless the phase projects."""
    raw = output.float()
    return (project(raw, batch.lr.float()), raw) if phase.projected else (raw, raw)


def _raw_term(raw: Tensor, hr: Tensor, phase: Phase) -> Losses:
    """The projection forgives whatever lies outside the null space of the reduction. Without a word on the network's
    own output that could drift from a picture altogether, and past the clamp that comes before the projection."""
    return {"raw": pixel_loss(raw, hr, "l1")} if phase.projected else {}


def _generator_terms(
    fabric: Fabric,
    sr: Tensor,
    hr: Tensor,
    critic: nn.Module | None,
    judges: Judges,
    phase: AdversarialPhase,
    views: Views,
) -> Losses:
    terms: Losses = {}
    if phase.pixel:
        terms["pixel"] = pixel_loss(sr, hr, phase.pixel_loss)
    if judges.lpips is not None:
        seen = [lpips_loss(show(sr, view), show(hr, view), judges.lpips) for view in views.lpips]
        terms["lpips"] = torch.stack(seen).mean()
    if judges.vgg is not None:
        with fabric.autocast():
            terms["vgg"] = vgg_loss(show(sr, views.vgg), show(hr, views.vgg), judges.vgg)
    if critic is not None:
        with fabric.autocast():
            made: Judgement = critic(sr)
        if phase.adversarial:
            terms["adversarial"] = adversarial_loss(made)
        if phase.feature_matching:
            with fabric.autocast(), torch.no_grad():
                real: Judgement = critic(hr)
            terms["feature_matching"] = feature_matching_loss(made.features, real.features, phase.feature_matching_loss)
    return terms


def _discriminator_step(
    fabric: Fabric,
    discriminator: Player,
    parts: Sequence[Batch],
    results: Sequence[Tensor],
    phase: AdversarialPhase,
    mask: Tensor | None,
) -> Losses:
    weights = {"discriminator": 1.0, "consistency": phase.cutmix}
    seen: list[Losses] = []
    discriminator.optimizer.zero_grad()
    for i, (batch, sr) in enumerate(zip(parts, results, strict=True)):
        with _together(fabric, discriminator, i, parts):
            real: Judgement = discriminator.network(batch.hr)
            made: Judgement = discriminator.network(sr)
            terms = {"discriminator": discriminator_loss(real, made)}
            if mask is not None:
                mixed: Judgement = discriminator.network(torch.where(mask, batch.hr, sr))
                terms["consistency"] = cutmix_loss(mixed, real, made, mask)
            fabric.backward(_total(terms, weights) / len(parts))
        seen.append(terms)
    norm = _move(discriminator, phase)
    return _mean(seen) | {"discriminator_gradient": norm}


def learning_rate_factor(place: float, phase: Phase, first: int) -> float:
    """Share of the phase's learning rate: a linear rise over the warm-up, then a half cosine down.

    Args:
        place: How far the phase is, 0 to its `steps`; between two steps the rise waits at the first.
        phase: Whose rates are in question.
        first: Where the rise begins.
    """
    top = first + phase.warmup
    if place < top:
        return (math.floor(place) - first + 1) / phase.warmup
    progress = (place - top) / max(1, phase.steps - top)
    end = phase.final_learning_rate / phase.learning_rate
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * progress))


def _together(fabric: Fabric, player: Player, part: int, parts: Sequence[Batch]) -> AbstractContextManager[Any]:
    """Gradients of several processes meet once a step, after the last part."""
    if fabric.world_size == 1:
        return nullcontext()
    return cast(AbstractContextManager[Any], fabric.no_backward_sync(player.network, enabled=part < len(parts) - 1))


def _total(terms: Losses, weights: Mapping[str, float]) -> Tensor:
    return torch.stack([weights[name] * term for name, term in terms.items()]).sum()


def _move(player: Player, phase: Phase) -> Tensor:
    """One step of the optimizer, after the whole gradient has been measured and perhaps shortened; its norm."""
    norm = nn.utils.clip_grad_norm_(player.network.parameters(), phase.gradient_clip or float("inf"))
    player.optimizer.step()
    return norm.detach()


def _mean(seen: Sequence[Losses]) -> Losses:
    return {name: torch.stack([terms[name].detach() for terms in seen]).mean() for name in seen[0]}
