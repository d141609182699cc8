"""What one step is, in each phase: plain functions. They change only what their docstrings name.

Nothing here reads a number back from the device, which would make the host wait for it: whether losses and
gradients are finite is seen when they are read (`sixteenfold.training.readings`).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from sixteenfold.metrics.dists import DISTS
from sixteenfold.metrics.lpips import LPIPS
from sixteenfold.networks.discriminator import DiscriminatorOutput
from sixteenfold.training.data import Batch
from sixteenfold.training.losses import (
    Distance,
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

Losses = dict[str, Tensor]
"""Each term by its name, unweighted, and the norms of the whole gradients; scalars without gradient."""


class Wrapped(Protocol):
    """What Fabric, or a CUDA graph, makes of a network."""

    @property
    def module(self) -> nn.Module:
        """The bare network."""
        ...

    def __call__(self, pictures: Tensor, /) -> Any: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...


@dataclass(frozen=True)
class Learner:
    """A network that learns and its optimizer, both as Fabric has set them up."""

    network: Wrapped
    """Its forward pass is in the run's precision, and several processes share its gradients."""
    optimizer: Optimizer

    @property
    def module(self) -> nn.Module:
        """The bare network."""
        return self.network.module


@dataclass(frozen=True)
class PerceptualNetworks:
    """The frozen networks of the perceptual losses; None where their term has no weight."""

    lpips: LPIPS | None = None
    vgg: VGGFeatures | None = None
    dists: DISTS | None = None

    @staticmethod
    def of(phase: AdversarialPhase) -> "PerceptualNetworks":
        """Those that the phase needs, on the CPU.

        Raises:
            SixteenfoldError: If weights are not to be had.
        """
        return PerceptualNetworks(
            LPIPS() if phase.lpips else None,
            VGGFeatures() if phase.vgg else None,
            DISTS() if phase.dists else None,
        )

    def move_to(self, device: torch.device) -> None:
        """Move them where they stand."""
        for network in (self.lpips, self.vgg, self.dists):
            if network is not None:
                network.to(device)


def pixel_step(fabric: Fabric, generator: Learner, parts: Sequence[Batch], phase: PixelPhase) -> Losses:
    """Move the generator one step down the pixel loss.

    Changes the generator's weights and gradients and its optimizer's moments.

    Args:
        fabric: Where and how precisely to compute.
        generator: What learns.
        parts: This process's share of the step's batch, in equal pieces.
        phase: What to do.

    Returns:
        "pixel", the loss before the step; with `projected` and `raw` also "raw", that of the network's own output;
        "generator_gradient", the norm before it is clipped. If one is not finite, the weights are spoilt.
    """
    losses: list[Losses] = []
    generator.optimizer.zero_grad()
    for i, batch in enumerate(parts):
        with _synced_in_last_part(fabric, [generator], i, parts):
            sr, raw = _result(generator.network(batch.lr), batch, phase)
            terms = {"pixel": pixel_loss(sr, batch.hr, phase.loss)} | _raw_term(raw, batch.hr, phase, phase.loss)
            fabric.backward(_weighted_sum(terms, {"pixel": 1.0, "raw": phase.raw}) / len(parts))
        losses.append(_detached(terms))
    gradient_norm = _optimizer_step(generator, phase)
    return _mean(losses) | {"generator_gradient": gradient_norm}


def adversarial_step(
    fabric: Fabric,
    generator: Learner,
    discriminator: Learner | None,
    perceptual: PerceptualNetworks,
    parts: Sequence[Batch],
    phase: AdversarialPhase,
    mask: Tensor | None,
    views: Views = EVERYTHING,
) -> Losses:
    """Move the generator, then the discriminator, one step each, over the same results.

    Changes both networks' weights and gradients and their optimizers' moments.

    Args:
        fabric: Where and how precisely to compute.
        generator: What learns to make pictures.
        discriminator: What learns to tell them from originals; None where no term needs it.
        perceptual: The frozen networks of the perceptual losses.
        parts: This process's share of the step's batch, in equal pieces.
        phase: Weights and distances.
        mask: (1, 1, P, P) for a step with CutMix consistency, else None.
        views: What LPIPS, VGG and DISTS are shown of each crop.

    Returns:
        The terms before the step, the generator's by their names in `AdversarialPhase`, then "generator_gradient",
        "discriminator", "consistency" and "discriminator_gradient". If one is not finite, the weights are spoilt,
        and the first of them is the cause.
    """
    learners = [generator] if discriminator is None else [generator, discriminator]
    generator_losses: list[Losses] = []
    discriminator_losses: list[Losses] = []
    for learner in learners:
        learner.optimizer.zero_grad()
    for i, batch in enumerate(parts):
        with _synced_in_last_part(fabric, learners, i, parts):
            sr, raw = _result(generator.network(batch.lr), batch, phase)
            adversarial_terms: Losses = {}
            surrogate = torch.zeros((), device=sr.device)
            if discriminator is not None:
                adversarial_terms, discriminator_terms, sr_gradient = _discriminator_pass(
                    fabric, discriminator, batch, sr, phase, mask, len(parts)
                )
                discriminator_losses.append(discriminator_terms)
                surrogate = (sr * sr_gradient).sum()  # has at sr the gradient that the adversarial terms have
            terms = _reconstruction_terms(fabric, sr, batch.hr, perceptual, phase, views)
            terms |= _raw_term(raw, batch.hr, phase, phase.pixel_loss)
            fabric.backward((_weighted_sum(terms, _loss_weights(phase)) + surrogate) / len(parts))
        generator_losses.append(_detached(terms) | adversarial_terms)
    losses = _mean(generator_losses) | {"generator_gradient": _optimizer_step(generator, phase)}
    if discriminator is not None:
        losses |= _mean(discriminator_losses) | {"discriminator_gradient": _optimizer_step(discriminator, phase)}
    return losses


def head_start_step(
    fabric: Fabric, generator: Learner, discriminator: Learner, parts: Sequence[Batch], phase: AdversarialPhase
) -> Losses:
    """Move the discriminator alone one step, over what the generator makes at present.

    Changes the discriminator's weights and gradients and its optimizer's moments; of the generator nothing.
    Arguments as for `adversarial_step`.

    Returns:
        "discriminator" and "discriminator_gradient".
    """
    losses: list[Losses] = []
    discriminator.optimizer.zero_grad()
    for i, batch in enumerate(parts):
        with torch.no_grad(), fabric.autocast():
            output = generator.module(batch.lr)
        with _synced_in_last_part(fabric, [discriminator], i, parts):
            sr, _ = _result(output, batch, phase)
            real, fake = discriminator.network(batch.hr), discriminator.network(sr)
            terms = _discriminator_backward(fabric, discriminator, batch, sr, (real, fake), phase, None, len(parts))
        losses.append(terms)
    return _mean(losses) | {"discriminator_gradient": _optimizer_step(discriminator, phase)}


def _result(output: Tensor, batch: Batch, phase: Phase) -> tuple[Tensor, Tensor]:
    """What the losses see, and the network's own output, which is the same unless the phase projects."""
    raw = output.float()
    return (project(raw, batch.lr.float()), raw) if phase.projected else (raw, raw)


def _raw_term(raw: Tensor, hr: Tensor, phase: Phase, kind: Distance) -> Losses:
    """The term of the network's own output, where the phase projects and gives it weight.

    The projection forgives whatever lies outside the null space of the reduction. Without a word on the network's
    own output that could drift from a picture altogether, and past the clamp that comes before the projection.
    """
    return {"raw": pixel_loss(raw, hr, kind)} if phase.projected and phase.raw else {}


def _reconstruction_terms(
    fabric: Fabric, sr: Tensor, hr: Tensor, perceptual: PerceptualNetworks, phase: AdversarialPhase, views: Views
) -> Losses:
    """The generator's terms that compare sr with hr, and need no discriminator."""
    terms: Losses = {}
    if phase.pixel:
        terms["pixel"] = pixel_loss(sr, hr, phase.pixel_loss)
    if perceptual.lpips is not None:
        of_views = [lpips_loss(show(sr, view), show(hr, view), perceptual.lpips) for view in views.lpips]
        terms["lpips"] = torch.stack(of_views).mean()
    if perceptual.vgg is not None:
        with fabric.autocast():
            terms["vgg"] = vgg_loss(show(sr, views.vgg), show(hr, views.vgg), perceptual.vgg)
    if perceptual.dists is not None:
        with fabric.autocast():
            terms["dists"] = dists_loss(show(sr, views.vgg), show(hr, views.vgg), perceptual.dists)
    return terms


def _discriminator_pass(
    fabric: Fabric,
    discriminator: Learner,
    batch: Batch,
    sr: Tensor,
    phase: AdversarialPhase,
    mask: Tensor | None,
    part_count: int,
) -> tuple[Losses, Losses, Tensor]:
    """Run the discriminator once on originals and results, for both networks' terms, in one of so many parts.

    Adds to the discriminator's gradients. Nothing goes into the generator's, whose share of the graph is not entered;
    all that the pass held is free again before the perceptual networks look.

    Returns:
        The generator's terms that need the discriminator, the discriminator's own, and the gradient of the former's
        weighted sum at sr.
    """
    leaf = sr.detach().requires_grad_()
    real, fake = discriminator.network(batch.hr), discriminator.network(leaf)
    adversarial_terms: Losses = {}
    if phase.adversarial:
        adversarial_terms["adversarial"] = adversarial_loss(fake)
    if phase.feature_matching:
        kind = phase.feature_matching_loss
        adversarial_terms["feature_matching"] = feature_matching_loss(fake.features, real.features, kind)
    fabric.backward(_weighted_sum(adversarial_terms, _loss_weights(phase)), inputs=[leaf], retain_graph=True)
    assert leaf.grad is not None
    discriminator_terms = _discriminator_backward(
        fabric, discriminator, batch, leaf.detach(), (real, fake), phase, mask, part_count
    )
    return _detached(adversarial_terms), discriminator_terms, leaf.grad


def _discriminator_backward(
    fabric: Fabric,
    discriminator: Learner,
    batch: Batch,
    sr: Tensor,
    outputs: tuple[DiscriminatorOutput, DiscriminatorOutput],
    phase: AdversarialPhase,
    mask: Tensor | None,
    part_count: int,
) -> Losses:
    """Go backward from the discriminator's own terms, in one of so many parts; the terms.

    Adds to the discriminator's gradients and frees the graph of its outputs.

    outputs: Of hr and of sr.
    """
    real, fake = outputs
    terms = {"discriminator": discriminator_loss(real, fake)}
    if mask is not None:
        mixed: DiscriminatorOutput = discriminator.network(torch.where(mask, batch.hr, sr))
        terms["consistency"] = cutmix_loss(mixed, real, fake, mask)
    total = _weighted_sum(terms, _loss_weights(phase))
    fabric.backward(total / part_count, inputs=list(discriminator.module.parameters()))
    return _detached(terms)


def _synced_in_last_part(
    fabric: Fabric, learners: Sequence[Learner], part: int, parts: Sequence[Batch]
) -> AbstractContextManager[Any]:
    """Gradients of several processes meet once a step, after the last part."""
    stack = ExitStack()
    if fabric.world_size > 1:
        for learner in learners:
            waits = cast(Any, fabric.no_backward_sync)(learner.network, enabled=part < len(parts) - 1)
            stack.enter_context(waits)
    return stack


def _loss_weights(phase: AdversarialPhase) -> dict[str, float]:
    """Weight of each term in the sum of its network."""
    generator = {name: getattr(phase, name) for name in GENERATOR_LOSSES}
    return generator | {"raw": phase.raw, "discriminator": 1.0, "consistency": phase.cutmix}


def _weighted_sum(terms: Losses, weights: Mapping[str, float]) -> Tensor:
    """The weighted sum; zero of no terms, as where the generator learns from the discriminator alone."""
    return sum((weights[name] * term for name, term in terms.items()), torch.zeros(()))


def _detached(terms: Losses) -> Losses:
    """The terms without what they were computed from, which would be kept in memory with them."""
    return {name: term.detach() for name, term in terms.items()}


def _optimizer_step(learner: Learner, phase: Phase) -> Tensor:
    """One step of the optimizer, after the whole gradient has been measured and perhaps clipped; its norm before.

    Changes the network's weights and gradients and the optimizer's moments.
    """
    norm = nn.utils.clip_grad_norm_(learner.network.parameters(), phase.gradient_clip or float("inf"))
    learner.optimizer.step()
    return norm.detach()


def _mean(losses: Sequence[Losses]) -> Losses:
    """The mean over parts."""
    return {name: torch.stack([terms[name] for terms in losses]).mean() for name in losses[0]}
