"""Eight orientations, each turned back."""

import torch

from sixteenfold.networks.generator import Generator
from sixteenfold.upscaling.engine import make_engine
from sixteenfold.upscaling.ensemble import Ensemble


def test_it_is_the_mean_over_turned_and_mirrored_pictures(network: Generator):
    engine = make_engine(network, "cpu", "fp32")
    ensemble = Ensemble(engine)
    lr = torch.rand(1, 3, 5, 7)
    expected = torch.zeros(1, 3, 80, 112)
    for mirrored in (False, True):
        for turns in range(4):
            seen = torch.rot90(lr.flip(-1) if mirrored else lr, turns, (-2, -1))
            sr = engine.second_trunk(engine.upsample(engine.first_trunk(seen)))
            sr = torch.rot90(sr, -turns, (-2, -1))
            expected += (sr.flip(-1) if mirrored else sr) / 8
    result = ensemble.second_trunk(ensemble.upsample(ensemble.first_trunk(lr)))
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-6)
    alone = engine.second_trunk(engine.upsample(engine.first_trunk(lr)))
    assert (result - alone).abs().max() > 1e-4
