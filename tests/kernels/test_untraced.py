"""`torch.compile` around our results, in a process of its own, as what it should not look into warns or ends it."""

import subprocess
import sys

import pytest

PREPARED = """
import torch
from sixteenfold import LPIPS, Generator, Upscaler
from sixteenfold.metrics.consistency import lr_psnr
from sixteenfold.metrics.dists import DISTS
from sixteenfold.metrics.fidelity import psnr, ssim
from sixteenfold.metrics.niqe import niqe
from sixteenfold.metrics.together import Together
"""
ENLARGES = """
upscaler = Upscaler(Generator(features=16, growth=8, blocks=(1, 1)), device="cpu", consistency=False)
inputs = (torch.rand(1, 3, 9, 13),)
def computed(x): return upscaler(x / 2) + torch.cat(list(upscaler.bands(x / 3)), dim=2)
"""
MEASURES = """
lpips, dists, together = LPIPS(), DISTS(), Together(["lpips"])
inputs = tuple(torch.rand(2, 1, 3, 96, 192))
def computed(x, y):
    figures = psnr(x, y) + ssim(x, y) + lr_psnr(x, y[..., :6, :12]) + niqe(x)
    return lpips(x, y) + dists(x, y) + together(x, y)["lpips"] + figures
"""
COMPARED = "\nassert torch.equal(torch.compile(computed, backend='eager')(*inputs), computed(*inputs))"


@pytest.mark.parametrize("work", [ENLARGES, MEASURES], ids=["enlarges", "measures"])
def test_a_compiled_function_may_use_ours(work: str) -> None:
    program = [sys.executable, "-c", PREPARED + work + COMPARED]
    ended = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
