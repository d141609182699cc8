"""Views of a crop: what they show, and that they are drawn over all that the phase asks for."""

from collections.abc import Sequence

import pytest
import torch
from torch.nn import functional as F

from sixteenfold.training.phases import MOST_VIEWS, AdversarialPhase
from sixteenfold.training.views import WHOLE, View, Views, draw_views, show


def picture() -> torch.Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))


def drawn(**options: object) -> Views:
    phase = AdversarialPhase(patch=64, **options)  # pyright: ignore[reportArgumentType]
    return draw_views(torch.Generator().manual_seed(1), phase)


def views(count: int, **options: object) -> Sequence[View]:
    """So many or a few more, drawn in as many steps as that takes."""
    random = torch.Generator().manual_seed(1)
    phase = AdversarialPhase(patch=64, lpips_views=MOST_VIEWS, **options)  # pyright: ignore[reportArgumentType]
    return [view for _ in range(-(-count // MOST_VIEWS)) for view in draw_views(random, phase).lpips]


def test_the_whole_is_the_crop_itself() -> None:
    assert torch.equal(show(picture(), WHOLE), picture())
    whole = WHOLE._replace(side=64)
    assert drawn() == Views([whole], whole)


def test_a_square_is_cut_and_reduced() -> None:
    cut = picture()[..., 3:52, 14:63]
    assert torch.equal(show(picture(), View(3, 14, 49)), cut)
    whole = picture().contiguous(memory_format=torch.channels_last)
    assert show(whole, View(3, 14, 49)).stride() == whole.stride()  # nothing is copied
    small = F.interpolate(cut, (37, 37), mode="bilinear", antialias=True)
    assert torch.equal(show(picture(), View(3, 14, 49, 0.75)), small)


@pytest.mark.parametrize("turn", range(8))
def test_the_eight_directions_are_eight(turn: int) -> None:
    others = [show(picture(), View(turn=other)) for other in range(8) if other != turn]
    seen = show(picture(), View(turn=turn))
    assert not any(torch.equal(seen, other) for other in others)
    assert torch.equal(seen.flatten().sort().values, picture().flatten().sort().values)


def test_channels_change_places_and_contrast_is_lowered() -> None:
    seen = show(picture(), View(channels=(2, 0, 1), contrast=0.5, black=0.25))
    assert torch.allclose(seen[:, 0], 0.25 + 0.5 * picture()[:, 2])
    assert torch.allclose(seen[:, 1], 0.25 + 0.5 * picture()[:, 0])


def test_all_that_is_asked_for_is_drawn_and_nothing_else() -> None:
    plain = views(400, lpips_shift=16, lpips_scales=(1.0, 0.75))
    assert {view.top for view in plain} == {view.left for view in plain} == set(range(16))
    assert {view.scale for view in plain} == {1.0, 0.75}
    assert {view.side for view in plain} == {49}
    assert {view[4:] for view in plain} == {WHOLE[4:]}
    turned = views(400, lpips_turned=True)
    assert {view.turn for view in turned} == set(range(8))
    assert len({view.channels for view in turned}) == 6
    assert all(0.4 <= view.contrast <= 1 and 0 <= view.black <= 1 - view.contrast for view in turned)
    assert {(view.top, view.left, view.scale) for view in turned} == {(0, 0, 1.0)}


def test_turned_views_stay_between_black_and_white() -> None:
    for view in views(20, lpips_turned=True, lpips_shift=16):
        assert 0 <= show(torch.zeros(1, 3, 64, 64), view).min() <= show(torch.ones(1, 3, 64, 64), view).max() <= 1


def test_vgg_is_shown_a_square_somewhere_in_the_crop() -> None:
    random, phase = torch.Generator().manual_seed(1), AdversarialPhase(patch=64, vgg=1.0, vgg_patch=60)
    shown = [draw_views(random, phase).vgg for _ in range(200)]
    assert {(view.top, view.left) for view in shown} == {(top, left) for top in range(5) for left in range(5)}
    assert {view[2:] for view in shown} == {WHOLE._replace(side=60)[2:]}
