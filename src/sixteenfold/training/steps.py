"""What one step is, in each phase: plain functions.

Nothing here reads a number back from the device, which would make the host wait for it: whether losses and
gradients are finite is seen when they are read (`sixteenfold.training.readings`).
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, cast

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from sixteenfold.metrics.dists import DISTS
from sixteenfold.metrics.lpips import LPIPS
from sixteenfold.networks.discriminator import Judgement
from sixteenfold.training.data import Batch
from sixteenfold.training.losses import (
    VGGFeatures,
    adversarial_loss,
    cutmix_loss,
    discriminator_loss,
    dists_loss,
    feature_matching_loss,
    lpips_loss,
    pixel_loss,
    vgg_loss,
)
from sixteenfold.training.phases import GENERATOR_LOSSES, AdversarialPhase, Phase, PixelPhase
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

    lpips: LPIPS | None = None
    vgg: VGGFeatures | None = None
    dists: DISTS | None = None

    @staticmethod
    def of(phase: AdversarialPhase, device: torch.device) -> "Judges":
        """Those that the phase needs.

        Raises:
            SixteenfoldError: If weights are not to be had.
        """
        return Judges(
            LPIPS().to(device) if phase.lpips else None,
            VGGFeatures().to(device) if phase.vgg else None,
            DISTS().to(device) if phase.dists else None,
        )


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
        with _together(fabric, [generator], i, parts):
            sr, raw = _result(generator.network(batch.lr), batch, phase)
            terms = {"pixel": pixel_loss(sr, batch.hr, phase.loss)} | _raw_term(raw, batch.hr, phase)
            fabric.backward(_total(terms, {"pixel": 1.0, "raw": RAW_WEIGHT}) / len(parts))
        seen.append(_values(terms))
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
        views: What LPIPS, VGG and DISTS are shown of each crop.

    Returns:
        The terms before the step, the generator's by their names in `AdversarialPhase`, then "generator_gradient",
        "discriminator", "consistency" and "discriminator_gradient". If one is not finite, the weights are spoilt,
        and the first of them is the cause.
    """
    players = [generator] if discriminator is None else [generator, discriminator]
    seen: list[Losses] = []
    lessons: list[Losses] = []
    for player in players:
        player.optimizer.zero_grad()
    for i, batch in enumerate(parts):
        with _together(fabric, players, i, parts):
            sr, raw = _result(generator.network(batch.lr), batch, phase)
            opinion: Losses = {}
            pull = torch.zeros((), device=sr.device)
            if discriminator is not None:
                opinion, lesson, gradient = _judge(fabric, discriminator, batch, sr, phase, mask, len(parts))
                lessons.append(lesson)
                pull = (sr * gradient).sum()  # whose gradient at the result is just that
            terms = _terms(fabric, sr, batch.hr, judges, phase, views) | _raw_term(raw, batch.hr, phase)
            fabric.backward((_total(terms, _weights(phase)) + pull) / len(parts))
        seen.append(_values(terms) | opinion)
    losses = _mean(seen) | {"generator_gradient": _move(generator, phase)}
    if discriminator is not None:
        losses |= _mean(lessons) | {"discriminator_gradient": _move(discriminator, phase)}
    return losses


def head_start_step(
    fabric: Fabric, generator: Player, discriminator: Player, parts: Sequence[Batch], phase: AdversarialPhase
) -> Losses:
    """Move the discriminator alone one step, over what the generator makes at present.

    Arguments as for `adversarial_step`.

    Returns:
        "discriminator" and "discriminator_gradient".
    """
    lessons: list[Losses] = []
    discriminator.optimizer.zero_grad()
    for i, batch in enumerate(parts):
        with torch.no_grad(), fabric.autocast():
            output = generator.module(batch.lr)
        with _together(fabric, [discriminator], i, parts):
            sr, _ = _result(output, batch, phase)
            real, made = discriminator.network(batch.hr), discriminator.network(sr)
            lessons.append(_teach(fabric, discriminator, batch, sr, (real, made), phase, None, len(parts)))
    return _mean(lessons) | {"discriminator_gradient": _move(discriminator, phase)}


def _result(output: Tensor, batch: Batch, phase: Phase) -> tuple[Tensor, Tensor]:
    """What the losses see, and the network's own output, which is the same unless the phase projects."""
    raw = output.float()
    return (project(raw, batch.lr.float()), raw) if phase.projected else (raw, raw)


def _raw_term(raw: Tensor, hr: Tensor, phase: Phase) -> Losses:
    """The projection forgives whatever lies outside the null space of the reduction. Without a word on the network's
    own output that could drift from a picture altogether, and past the clamp that comes before the projection."""
    return {"raw": pixel_loss(raw, hr, "l1")} if phase.projected else {}


def _terms(fabric: Fabric, sr: Tensor, hr: Tensor, judges: Judges, phase: AdversarialPhase, views: Views) -> Losses:
    """The generator's terms that need no discriminator."""
    terms: Losses = {}
    if phase.pixel:
        terms["pixel"] = pixel_loss(sr, hr, phase.pixel_loss)
    if judges.lpips is not None:
        seen = [lpips_loss(show(sr, view), show(hr, view), judges.lpips) for view in views.lpips]
        terms["lpips"] = torch.stack(seen).mean()
    if judges.vgg is not None:
        with fabric.autocast():
            terms["vgg"] = vgg_loss(show(sr, views.vgg), show(hr, views.vgg), judges.vgg)
    if judges.dists is not None:
        with fabric.autocast():
            terms["dists"] = dists_loss(show(sr, views.vgg), show(hr, views.vgg), judges.dists)
    return terms


def _judge(
    fabric: Fabric,
    discriminator: Player,
    batch: Batch,
    sr: Tensor,
    phase: AdversarialPhase,
    mask: Tensor | None,
    count: int,
) -> tuple[Losses, Losses, Tensor]:
    """Judge originals and results once, for both networks; the discriminator's gradient stays with it.

    All that the judgements hold is free again afterwards, before the other judges look.

    Returns:
        The generator's terms, the discriminator's, and the gradient of the former's weighted sum at the results.
    """
    shown = sr.detach().requires_grad_()
    real, made = discriminator.network(batch.hr), discriminator.network(shown)
    opinion: Losses = {}
    if phase.adversarial:
        opinion["adversarial"] = adversarial_loss(made)
    if phase.feature_matching:
        opinion["feature_matching"] = feature_matching_loss(made.features, real.features, phase.feature_matching_loss)
    fabric.backward(_total(opinion, _weights(phase)), inputs=[shown], retain_graph=True)
    assert shown.grad is not None
    lesson = _teach(fabric, discriminator, batch, shown.detach(), (real, made), phase, mask, count)
    return _values(opinion), lesson, shown.grad


def _teach(
    fabric: Fabric,
    discriminator: Player,
    batch: Batch,
    sr: Tensor,
    judgements: tuple[Judgement, Judgement],
    phase: AdversarialPhase,
    mask: Tensor | None,
    count: int,
) -> Losses:
    """Add what one of so many parts says to the discriminator's gradient; the terms.

    judgements: Of the originals and of the results.
    """
    real, made = judgements
    terms = {"discriminator": discriminator_loss(real, made)}
    if mask is not None:
        mixed: Judgement = discriminator.network(torch.where(mask, batch.hr, sr))
        terms["consistency"] = cutmix_loss(mixed, real, made, mask)
    fabric.backward(_total(terms, _weights(phase)) / count, inputs=list(discriminator.module.parameters()))
    return _values(terms)


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


def _together(
    fabric: Fabric, players: Sequence[Player], part: int, parts: Sequence[Batch]
) -> AbstractContextManager[Any]:
    """Gradients of several processes meet once a step, after the last part."""
    stack = ExitStack()
    if fabric.world_size > 1:
        for player in players:
            waits = cast(Any, fabric.no_backward_sync)(player.network, enabled=part < len(parts) - 1)
            stack.enter_context(waits)
    return stack


def _weights(phase: AdversarialPhase) -> dict[str, float]:
    """Weight of each term in the sum of its network."""
    own = {name: getattr(phase, name) for name in GENERATOR_LOSSES}
    return own | {"raw": RAW_WEIGHT, "discriminator": 1.0, "consistency": phase.cutmix}


def _total(terms: Losses, weights: Mapping[str, float]) -> Tensor:
    """The weighted sum; zero of none, where a result is judged by the discriminator alone."""
    return sum((weights[name] * term for name, term in terms.items()), torch.zeros(()))


def _values(terms: Losses) -> Losses:
    """The terms without what they were computed from, which would be kept in memory with them."""
    return {name: term.detach() for name, term in terms.items()}


def _move(player: Player, phase: Phase) -> Tensor:
    """One step of the optimizer, after the whole gradient has been measured and perhaps shortened; its norm."""
    norm = nn.utils.clip_grad_norm_(player.network.parameters(), phase.gradient_clip or float("inf"))
    player.optimizer.step()
    return norm.detach()


def _mean(seen: Sequence[Losses]) -> Losses:
    return {name: torch.stack([terms[name] for terms in seen]).mean() for name in seen[0]}
