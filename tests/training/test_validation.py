"""What the scores of a run are of."""

import pytest
import torch

from sixteenfold.training.validation import ValidationPicture, validate

from .conftest import CONFIG


def test_a_result_is_scored_as_it_is_made_to_fit_its_input() -> None:
    """As by `upscale`'s projection: a colour cast, which the small picture shows to be one, costs nothing."""
    torch.manual_seed(2)
    generator = CONFIG.generator.build()
    assert generator.last.bias is not None
    picture = ValidationPicture(torch.full((1, 3, 4, 4), 0.5), torch.full((1, 3, 64, 64), 0.5))
    scores: list[float] = []
    for grey in (0.5, 0.7):
        torch.nn.init.constant_(generator.last.bias, grey)
        scores.append(validate(generator, [picture], None).psnr)
    assert scores[1] == pytest.approx(scores[0], abs=0.1)
