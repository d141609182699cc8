"""The recipes that are shipped: what `sixteenfold train NAME` trains."""

from dataclasses import replace

from sixteenfold.networks.state import GeneratorShape
from sixteenfold.training.config import TrainConfig
from sixteenfold.training.phases import AdversarialPhase, DataConfig, PixelPhase

# Not tuned to the last: of these only "smoke" has been run to its end as it stands.
_CIPLAB = TrainConfig(pixel=PixelPhase(), adversarial=AdversarialPhase())

# Ours, for `strong`, `compact` and `medium` (docs/decisions.md): the losses see the projected picture; many small crops
# rather than few large ones; LPIPS leads, as it is what is judged. What the shipped models' runs taught
# (docs/training-log.md), in one piece and longer, and by Muon, which most of them did not have.
_OUR_PIXEL = PixelPhase(
    optimizer="muon", patch=256, loss="l1", warmup=200, gradient_clip=1.0, ema_decay=0.998, projected=True
)
_OUR_ADVERSARIAL = AdversarialPhase(
    optimizer="muon",
    patch=256,
    # Since the discriminator has a smaller say, the generator need not be slower than it for both to live on.
    learning_rate=1e-4,
    final_learning_rate=1e-6,
    discriminator_learning_rate=1e-4,
    discriminator_betas=(0.0, 0.99),
    warmup=200,
    betas=(0.9, 0.99),
    gradient_clip=1.0,
    ema_decay=0.998,
    projected=True,
    pixel=5.0,
    pixel_loss="l1",
    lpips=1.0,
    lpips_shift=16,
    # More of these two makes both the figures and the pictures worse (docs/losses.md, docs/training-log.md).
    adversarial=0.1,
    feature_matching=0.2,
    feature_matching_loss="l1",
)

# Small pictures are what people bring, and large photographs what there is to learn from (docs/training-log.md, e1).
_OUR_DATA = DataConfig(scales=(1.0, 0.5, 0.25))

# For people without a GPU: wide where a block is cheap (x1), narrow where it is dear (x8, x16).
_COMPACT = TrainConfig(
    generator=GeneratorShape(features=(64, 32, 16), growth=(32, 16), blocks=(8, 2)),
    pixel=replace(_OUR_PIXEL, steps=20_000, batch=4, learning_rate=1e-3, final_learning_rate=2e-6),
    adversarial=replace(
        _OUR_ADVERSARIAL,
        steps=10_000,
        head_start=1000,
        batch=4,
        learning_rate=4e-4,
        discriminator_learning_rate=1.5e-4,
        discriminator=(16, 32, 48, 64, 80, 96),
    ),
    data=_OUR_DATA,
)

PRESETS: dict[str, TrainConfig] = {
    # The factsheet's recipe. It names the losses but no weights: these are the published code's. For the features
    # it names no distance either: the squared one, as for pixels.
    "ciplab": _CIPLAB,
    # What the published code does, which differs: Huber distances, CutMix, clipped gradients, more steps.
    "ciplab-released": TrainConfig(
        pixel=PixelPhase(steps=75_000, batch=2, loss="huber", gradient_clip=0.1),
        adversarial=AdversarialPhase(
            steps=75_000, pixel_loss="huber", feature_matching_loss="huber", cutmix=1.0, gradient_clip=0.1
        ),
    ),
    # What the paper compares with, in the same budget: no LPIPS and no feature matching, but VGG, in ESRGAN's
    # proportions (its section 3.4: VGG 1, adversarial 5e-3, L1 1e-2).
    "vgg": replace(
        _CIPLAB,
        adversarial=AdversarialPhase(
            pixel=1e-2, pixel_loss="l1", lpips=0.0, feature_matching=0.0, adversarial=5e-3, vgg=1.0
        ),
    ),
    # For a GPU hour: a short pixel phase, for it only has to lay the ground. --minutes fits both phases to the time.
    "strong": TrainConfig(
        pixel=replace(
            _OUR_PIXEL,
            steps=8_000,
            batch=16,
            learning_rate=1e-3,
            final_learning_rate=1e-5,
            warmup=300,
            betas=(0.9, 0.99),
        ),
        adversarial=replace(_OUR_ADVERSARIAL, steps=12_000, head_start=500, batch=16),
        data=_OUR_DATA,
        validate_every=2000,
        validation_crop=512,
    ),
    "compact": _COMPACT,
    # At x1, where a block is cheap, as deep as the full network.
    "medium": replace(_COMPACT, generator=GeneratorShape(features=(64, 32, 32), growth=(32, 16), blocks=(23, 2))),
    # To see that everything works: both phases in a minute or two on two cores.
    "smoke": TrainConfig(
        generator=GeneratorShape(features=(16, 8, 8), growth=(8, 4), blocks=(1, 1)),
        pixel=PixelPhase(
            steps=500, batch=4, patch=64, loss="l1", learning_rate=2e-3, warmup=5, ema_decay=0.98, projected=True
        ),
        adversarial=AdversarialPhase(
            steps=250,
            batch=2,
            patch=64,
            learning_rate=3e-4,
            discriminator_learning_rate=3e-4,
            discriminator=(8, 8, 16, 16, 16, 16),
            gradient_clip=1.0,
            ema_decay=0.98,
            projected=True,
            pixel_loss="l1",
            lpips=1.0,
            adversarial=5e-3,
            feature_matching=0.1,
            feature_matching_loss="l1",
            cutmix=1.0,
            cutmix_ramp=100,
        ),
        validate_every=125,
        validation_crop=256,
        save_every=125,
        log_every=10,
    ),
}
