"""`torch.compile` around our results, in a process of its own, as what it should not look into ends the process."""

import subprocess
import sys

import pytest

PREPARED = """
import torch
from sixteenfold import LPIPS, Generator, Upscaler
from sixteenfold.metrics.dists import DISTS
"""
ENLARGES = """
upscaler = Upscaler(Generator(features=16, growth=8, blocks=(1, 1)), device="cpu", consistency=False)
inputs = (torch.rand(1, 3, 9, 13),)
def computed(x): return upscaler(x / 2) + torch.cat(list(upscaler.bands(x / 3)), dim=2)
"""
MEASURES = """
lpips, dists = LPIPS(), DISTS()
inputs = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
def computed(x, y): return lpips(x, y) + dists(x, y)
"""
COMPARED = "\nassert torch.equal(torch.compile(computed, backend='eager')(*inputs), computed(*inputs))"


@pytest.mark.parametrize("work", [ENLARGES, MEASURES], ids=["enlarges", "measures"])
def test_a_compiled_function_may_use_ours(work: str) -> None:
    program = [sys.executable, "-c", PREPARED + work + COMPARED]
    ended = subprocess.run(program, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
