"""Which places a report shows, and how much room they take."""

import numpy as np
import pyvips
import torch

from sixteenfold.evaluation.pictures import BUDGET, CROP, OVERVIEW, exhibit, find_places


def test_places_are_where_results_differ_most() -> None:
    hr = torch.full((1, 3, 600, 800), 100, dtype=torch.uint8)
    first, second = hr.clone(), hr.clone()
    first[:, :, 330:400, 500:600] = 200
    second[:, :, 40:60, 30:60] = 0
    (x, y), (x2, y2) = find_places([hr, first, second], 160)
    assert x <= 500 and y <= 330 and x + 160 >= 600 and y + 160 >= 400
    assert x2 <= 30 and y2 <= 40 and x2 + 160 >= 60 and y2 + 160 >= 60


def test_places_do_not_overlap_and_a_small_picture_has_one() -> None:
    random = torch.Generator().manual_seed(0)
    pictures = [torch.randint(0, 256, (1, 3, 330, 330), generator=random, dtype=torch.uint8) for _ in range(2)]
    (x, y), (x2, y2) = find_places(pictures, 160)
    assert max(abs(x - x2), abs(y - y2)) >= 160
    assert find_places([picture[:, :, :50, :70] for picture in pictures], 50)[0][1] == 0


def test_overviews_of_noise_keep_within_the_budget_and_crops_are_exact() -> None:
    random = np.random.default_rng(0)
    names = ("original", "ours", "bicubic", "lanczos", "other")
    smooth = np.add.outer(np.arange(500), np.arange(900))[..., None] % 256 + np.zeros(3)
    pictures = {
        name: torch.from_numpy((smooth * 0.6 + random.integers(0, 100, smooth.shape)).astype(np.uint8))
        .permute(2, 0, 1)[None]
        .contiguous()
        for name in names
    }
    shown = exhibit("a", pictures)
    assert list(shown.overviews) == list(names)
    assert sum(map(len, shown.overviews.values())) <= BUDGET
    overview = pyvips.Image.new_from_buffer(shown.overviews["original"], "")
    assert max(overview.width, overview.height) == OVERVIEW
    assert len(shown.crops) == 2
    for crop in shown.crops:
        for name, image in crop.images.items():
            decoded = pyvips.Image.new_from_buffer(image, "").numpy()
            there = pictures[name][0, :, crop.top : crop.top + CROP, crop.left : crop.left + CROP]
            assert np.array_equal(decoded, there.permute(1, 2, 0).numpy())
