"""One step of each phase: what it moves, what it leaves, and that parts and terms add up."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric

from sixteenfold.errors import SixteenfoldError
from sixteenfold.networks.discriminator import UNetDiscriminator
from sixteenfold.networks.generator import Generator
from sixteenfold.training.data import Batch
from sixteenfold.training.losses import Distance, cutmix_mask, pixel_loss
from sixteenfold.training.phases import AdversarialPhase, PixelPhase
from sixteenfold.training.readings import Readings
from sixteenfold.training.steps import (
    Learner,
    PerceptualNetworks,
    adversarial_step,
    head_start_step,
    pixel_step,
)
from sixteenfold.training.views import View, Views, show

PHASE = AdversarialPhase(
    batch=2, patch=64, pixel=1.0, lpips=0.5, adversarial=0.1, feature_matching=0.2, cutmix=0.7, discriminator=(4,) * 6
)


PROJECTED: tuple[tuple[PixelPhase | AdversarialPhase, Distance], ...] = (
    (PixelPhase(batch=2, patch=64, loss="mse", projected=True), "mse"),
    (dataclasses.replace(PHASE, pixel_loss="l1", projected=True), "l1"),
)
"""Phases whose losses see the projected picture, and by which distance they judge."""


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


@pytest.fixture(scope="module")
def perceptual() -> PerceptualNetworks:
    return PerceptualNetworks.of(PHASE)


def batch(count: int = 2) -> Batch:
    random = torch.Generator().manual_seed(5)
    return Batch(torch.rand(count, 3, 4, 4, generator=random), torch.rand(count, 3, 64, 64, generator=random))


def halves(whole: Batch) -> list[Batch]:
    return [Batch(whole.lr[i : i + 1], whole.hr[i : i + 1]) for i in range(2)]


def learners(fabric: Fabric, learning_rate: float = 1e-2) -> tuple[Learner, Learner]:
    """Generator and discriminator, moved by plain descent so that a step shows the gradient."""
    torch.manual_seed(1)
    networks = Generator((4, 4, 4), (4, 4), (1, 1)), UNetDiscriminator((4,) * 6)
    set_up = [fabric.setup(n, torch.optim.SGD(n.parameters(), learning_rate)) for n in networks]
    return Learner(*set_up[0]), Learner(*set_up[1])


def weights(learner: Learner) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in learner.module.parameters()])


def test_parts_give_the_step_of_the_whole(fabric: Fabric, perceptual: PerceptualNetworks) -> None:
    mask = cutmix_mask(64, 64, torch.Generator().manual_seed(0))
    moved: list[tuple[torch.Tensor, torch.Tensor]] = []
    seen: list[dict[str, float]] = []
    for parts in ([batch()], halves(batch())):
        generator, discriminator = learners(fabric)
        losses = adversarial_step(fabric, generator, discriminator, perceptual, parts, PHASE, mask)
        moved.append((weights(generator), weights(discriminator)))
        seen.append({name: value.item() for name, value in losses.items()})
    terms = {"pixel", "lpips", "adversarial", "feature_matching", "discriminator", "consistency"}
    assert set(seen[0]) == terms | {"generator_gradient", "discriminator_gradient"}
    assert seen[0] == pytest.approx(seen[1], rel=1e-4)
    for whole, parted in zip(*moved, strict=True):
        assert torch.allclose(whole, parted, atol=1e-6)


def test_parts_give_the_step_of_the_whole_in_the_simpler_steps_too(fabric: Fabric) -> None:
    moved: list[tuple[torch.Tensor, torch.Tensor]] = []
    seen: list[dict[str, float]] = []
    for parts in ([batch()], halves(batch())):
        generator, discriminator = learners(fabric)
        losses = head_start_step(fabric, generator, discriminator, parts, PHASE)
        losses |= pixel_step(fabric, generator, parts, PixelPhase(batch=2, patch=64))
        moved.append((weights(generator), weights(discriminator)))
        seen.append({name: value.item() for name, value in losses.items()})
    assert set(seen[0]) == {"pixel", "discriminator", "generator_gradient", "discriminator_gradient"}
    assert seen[0] == pytest.approx(seen[1], rel=1e-4)
    for whole, parted in zip(*moved, strict=True):
        assert torch.allclose(whole, parted, atol=1e-6)


def test_each_network_learns_from_its_own_losses_alone(fabric: Fabric, perceptual: PerceptualNetworks) -> None:
    """Each one's move is that of its own weighted sum, worked out here."""
    generator, discriminator = learners(fabric)
    before = weights(generator), weights(discriminator)
    mask = cutmix_mask(64, 64, torch.Generator().manual_seed(0))
    data = batch()
    sr = generator.module(data.lr)
    fake, real = discriminator.module(sr), discriminator.module(data.hr)
    assert perceptual.lpips is not None
    matching = sum((a - b.detach()).square().mean() for a, b in zip(fake.features, real.features, strict=True)) / 12
    total = (
        (sr - data.hr).square().mean()
        + 0.5 * perceptual.lpips(sr, data.hr).mean()
        - 0.1 * (fake.encoder.mean() + fake.decoder.mean()) / 2
        + 0.2 * matching
    )
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(total, list(generator.module.parameters()))])
    sr = sr.detach()
    real, fake, mixed = map(discriminator.module, (data.hr, sr, torch.where(mask, data.hr, sr)))
    hinge = [(1 - r).relu().mean() + (1 + f).relu().mean() for r, f in zip(real.logits, fake.logits, strict=True)]
    consistency = (mixed.decoder - torch.where(mask, real.decoder, fake.decoder)).square().mean()
    total = sum(hinge) / 2 + 0.7 * consistency
    own = torch.cat([g.flatten() for g in torch.autograd.grad(total, list(discriminator.module.parameters()))])
    adversarial_step(fabric, generator, discriminator, perceptual, [data], PHASE, mask)
    assert torch.allclose(weights(generator), before[0] - 1e-2 * gradient, atol=1e-6)
    assert torch.allclose(weights(discriminator), before[1] - 1e-2 * own, atol=1e-6)
    assert consistency > 1e-4


def test_lpips_alone_is_shown_views_and_their_mean_counts(fabric: Fabric, perceptual: PerceptualNetworks) -> None:
    data = batch()
    generator, discriminator = learners(fabric)
    with torch.no_grad():
        sr = generator.module(data.lr)
    views = [View(3, 14, 49), View(0, 1, 49, 0.75, turn=5, channels=(2, 0, 1), contrast=0.5, black=0.2)]
    losses = adversarial_step(fabric, generator, discriminator, perceptual, [data], PHASE, None, Views(views))
    assert perceptual.lpips is not None
    each = [perceptual.lpips(show(sr, view), show(data.hr, view)).mean().item() for view in views]
    assert each[0] != pytest.approx(each[1], rel=1e-2)
    assert losses["lpips"].item() == pytest.approx(sum(each) / 2, rel=1e-4)
    assert losses["pixel"].item() == pytest.approx((sr - data.hr).square().mean().item(), rel=1e-4)


def test_vgg_is_shown_its_view_in_the_runs_precision() -> None:
    seen: list[tuple[torch.Tensor, torch.dtype]] = []

    class Features(torch.nn.Conv2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            made = super().forward(input)
            seen.append((input, made.dtype))
            return made

    mixed, data = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed"), batch()
    phase = dataclasses.replace(PHASE, lpips=0.0, vgg=1.0)
    features: Any = Features(3, 4, 3).requires_grad_(False)
    perceptual, view = PerceptualNetworks(vgg=features), View(3, 14, 32)
    losses = adversarial_step(mixed, *learners(mixed), perceptual, [data], phase, None, Views(vgg=view))
    (original, first), (result, second) = seen
    assert torch.equal(original, show(data.hr, view)) and result.shape == original.shape
    assert (first, second, losses["vgg"].dtype) == (torch.bfloat16, torch.bfloat16, torch.float32)
    assert "lpips" not in losses


def test_dists_is_shown_the_view_of_vgg() -> None:
    mixed, data, view = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed"), batch(), View(3, 14, 32)
    phase = dataclasses.replace(PHASE, lpips=0.0, dists=1.0)
    perceptual = PerceptualNetworks.of(phase)
    dists = perceptual.dists
    assert dists is not None and perceptual.lpips is None
    generator, discriminator = learners(mixed)
    with torch.no_grad(), mixed.autocast():
        sr = generator.module(data.lr).float()
    expected = dists(show(sr, view), show(data.hr, view)).mean().item()
    losses = adversarial_step(mixed, generator, discriminator, perceptual, [data], phase, None, Views(vgg=view))
    # Of features in bf16; elsewhere in the crop, or of the other terms, it is another number.
    assert losses["dists"].item() == pytest.approx(expected, rel=5e-3)
    assert dists(sr, data.hr).mean().item() != pytest.approx(expected, rel=2e-2)


def test_a_discriminator_without_decoder_judges_by_its_encoder_alone(
    fabric: Fabric, perceptual: PerceptualNetworks
) -> None:
    data, phase = batch(), dataclasses.replace(PHASE, decoder=False, cutmix=0.0)
    generator, _ = learners(fabric)
    network = UNetDiscriminator((4,) * 6, decoder=False)
    with torch.no_grad():
        real, fake = network(data.hr), network(generator.module(data.lr))
    discriminator = Learner(*fabric.setup(network, torch.optim.SGD(network.parameters(), 1e-2)))
    losses = adversarial_step(fabric, generator, discriminator, perceptual, [data], phase, None)
    assert losses["adversarial"].item() == pytest.approx(-fake.encoder.mean().item(), rel=1e-4)
    hinge = (1 - real.encoder).relu().mean() + (1 + fake.encoder).relu().mean()
    assert losses["discriminator"].item() == pytest.approx(hinge.item(), rel=1e-4)
    matching = torch.stack([(a - b).square().mean() for a, b in zip(fake.features, real.features, strict=True)]).mean()
    assert losses["feature_matching"].item() == pytest.approx(matching.item(), rel=1e-4)


def test_without_its_terms_there_is_no_discriminator_and_no_lpips(fabric: Fabric) -> None:
    phase = dataclasses.replace(PHASE, adversarial=0.0, feature_matching=0.0, lpips=0.0, cutmix=0.0)
    perceptual = PerceptualNetworks.of(phase)
    assert perceptual == PerceptualNetworks()
    generator, _ = learners(fabric)
    assert set(adversarial_step(fabric, generator, None, perceptual, [batch()], phase, None)) == {
        "pixel",
        "generator_gradient",
    }


def test_a_result_may_be_judged_by_the_discriminator_alone(fabric: Fabric) -> None:
    generator, discriminator = learners(fabric)
    before, data = weights(generator), batch()
    phase = dataclasses.replace(PHASE, pixel=0.0, lpips=0.0, feature_matching=0.0)
    fake = discriminator.module(generator.module(data.lr))
    total = -0.1 * (fake.encoder.mean() + fake.decoder.mean()) / 2
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(total, list(generator.module.parameters()))])
    adversarial_step(fabric, generator, discriminator, PerceptualNetworks(), [data], phase, None)
    assert torch.allclose(weights(generator), before - 1e-2 * gradient, atol=1e-7)
    assert not torch.equal(weights(generator), before)


@pytest.mark.parametrize("projected", [False, True])
def test_in_its_head_start_the_discriminator_moves_alone_and_as_it_does_later(
    projected: bool, fabric: Fabric, perceptual: PerceptualNetworks
) -> None:
    """Over the same results, so before the generator has moved, both kinds of step move it the same way."""
    data, moved, phase = batch(), [], dataclasses.replace(PHASE, projected=projected)
    for alone in (True, False):
        generator, discriminator = learners(fabric)
        before = weights(generator)
        if alone:
            losses = head_start_step(fabric, generator, discriminator, [data], phase)
            assert set(losses) == {"discriminator", "discriminator_gradient"}
        else:
            adversarial_step(fabric, generator, discriminator, perceptual, [data], phase, None)
        assert torch.equal(weights(generator), before) == alone
        moved.append(weights(discriminator))
    assert torch.allclose(*moved, atol=1e-7)


def test_the_discriminator_learns_to_tell(fabric: Fabric) -> None:
    generator, discriminator = learners(fabric, learning_rate=0.0)
    discriminator.optimizer.param_groups[0]["lr"] = 0.2
    phase = dataclasses.replace(PHASE, lpips=0.0)
    losses = [
        adversarial_step(fabric, generator, discriminator, PerceptualNetworks(), [batch()], phase, None)
        for _ in range(30)
    ]
    assert losses[-1]["discriminator"] < 0.5 * losses[0]["discriminator"]


def test_the_gradient_is_clipped(fabric: Fabric) -> None:
    generator, _ = learners(fabric, learning_rate=1.0)
    before = weights(generator)
    pixel_step(fabric, generator, [batch()], PixelPhase(gradient_clip=0.01))
    assert (weights(generator) - before).norm().item() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("term", ["pixel", "lpips", "discriminator"])
def test_a_term_that_is_not_finite_is_named(term: str, fabric: Fabric, perceptual: PerceptualNetworks) -> None:
    generator, discriminator = learners(fabric)
    data = batch()
    only = {"adversarial": 0.0, "feature_matching": 1e-9, "pixel": 0.0, "lpips": 0.0}
    if term == "discriminator":
        # An infinite bias of the pixel head leaves every feature, and so the generator's terms, finite.
        discriminator.module.get_parameter("decoder_head.bias").data.fill_(math.inf)
        phase = dataclasses.replace(PHASE, **only)
    else:
        data.hr[0, 0, 0, 0] = math.nan
        phase = dataclasses.replace(PHASE, **only | {term: 1.0, "feature_matching": 0.0, "cutmix": 0.0})
        discriminator = None
    readings = Readings(fabric)
    readings.add(7, adversarial_step(fabric, generator, discriminator, perceptual, [data], phase, None))
    with pytest.raises(SixteenfoldError, match=f"step 7: the {term} loss is (nan|inf)"):
        readings.read()


def test_the_first_step_and_the_first_term_are_named(fabric: Fabric) -> None:
    readings = Readings(fabric)
    for step, gradient in ((3, 1.0), (4, math.inf), (5, math.nan)):
        readings.add(step, {"pixel": torch.tensor(0.5), "generator_gradient": torch.tensor(gradient)})
    advice = r"in a new run, lower the learning rate, or clip gradients to a smaller norm \(gradient_clip\); what"
    with pytest.raises(SixteenfoldError, match=f"step 4: the generator's gradient is inf: {advice}"):
        readings.read()


def test_readings_give_each_step_its_own(fabric: Fabric) -> None:
    readings = Readings(fabric)
    readings.add(1, {"pixel": torch.tensor(0.5)})
    readings.add(2, {"pixel": torch.tensor(0.25), "consistency": torch.tensor(2.0)})
    assert readings.due
    assert readings.read(1.0, 8.0) == ([(1, {"pixel": 0.5}), (2, {"pixel": 0.25, "consistency": 2.0})], [1.0, 8.0])
    assert not readings.due


def test_a_projected_phase_does_not_see_what_the_projection_mends(
    fabric: Fabric, perceptual: PerceptualNetworks
) -> None:
    """A colour cast is gone after the projection: only the term of the network's own output has it."""
    data = batch()
    for phase, kind in PROJECTED:
        seen: list[dict[str, float]] = []
        for cast in (0.0, 0.5):
            generator, discriminator = learners(fabric)
            last = generator.module.last
            assert isinstance(last, torch.nn.Conv2d) and last.bias is not None
            last.bias.data += cast
            with torch.no_grad():
                raw = pixel_loss(generator.module(data.lr), data.hr, kind).item()
            if isinstance(phase, AdversarialPhase):
                losses = adversarial_step(fabric, generator, discriminator, perceptual, [data], phase, None)
            else:
                losses = pixel_step(fabric, generator, [data], phase)
            seen.append({name: value.item() for name, value in losses.items()})
            assert seen[-1]["raw"] == pytest.approx(raw, rel=1e-4)
        assert seen[0]["pixel"] == pytest.approx(seen[1]["pixel"], rel=1e-3)
        assert abs(seen[0]["raw"] - seen[1]["raw"]) > 0.05


def test_the_network_s_own_output_has_the_weight_that_its_phase_gives(
    fabric: Fabric, perceptual: PerceptualNetworks
) -> None:
    data = batch()
    for phase, _ in PROJECTED:
        gradients: list[float] = []
        for weight in (0.0, 0.1, 100.0):
            generator, discriminator = learners(fabric)
            weighted = dataclasses.replace(phase, raw=weight)
            if isinstance(weighted, AdversarialPhase):
                losses = adversarial_step(fabric, generator, discriminator, perceptual, [data], weighted, None)
            else:
                losses = pixel_step(fabric, generator, [data], weighted)
            assert ("raw" in losses) == (weight > 0)
            gradients.append(losses["generator_gradient"].item())
        assert gradients[0] != gradients[1] and gradients[2] > 10 * gradients[1]
