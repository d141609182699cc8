"""The Winograd code against PyTorch's convolution, for each width of vectors that this CPU can be asked for."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sixteenfold.kernels import assembly, planes
from sixteenfold.kernels.planes import Convolver, Planes, make_layer
from sixteenfold.kernels.winograd import DOUBLING, SAME_SIZE, Variant

MACHINE = assembly.this_machine()
pytestmark = pytest.mark.skipif(MACHINE is None, reason="no Winograd code for this CPU")


def conv(channels_in: int, channels_out: int) -> nn.Conv2d:
    torch.manual_seed(0)
    layer = nn.Conv2d(channels_in, channels_out, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight)
    return layer.requires_grad_(False)


@pytest.fixture(params=[(16, 12), (8, 6), (4, 12)], ids=lambda shape: f"{shape[0]} lanes")
def convolver(request) -> Convolver:
    """Narrow vectors run on every CPU; wide ones are split by the compiler where the CPU lacks them."""
    assert MACHINE is not None
    lanes, rows = request.param
    return Convolver(replace(MACHINE, lanes=lanes, rows=rows))


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (5, 3), (17, 30)])
def test_a_convolution_with_activation(convolver, size):
    layer, x = conv(7, 40), torch.randn(1, 7, *size)
    lanes = convolver.machine.lanes
    made = make_layer(layer, [7], lanes, Variant(SAME_SIZE, 0.2))
    result = convolver(
        made, [Planes(7, size[0], size[1], lanes).fill(x[0])], Planes(40, size[0], size[1], lanes)
    ).picture(40)
    torch.testing.assert_close(result, F.leaky_relu(layer(x), 0.2), atol=3e-5, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (3, 6), (9, 8)])
def test_a_convolution_of_the_doubled_picture(convolver, size):
    layer, x = conv(20, 16), torch.randn(1, 20, *size)
    lanes, doubled = convolver.machine.lanes, (2 * size[0], 2 * size[1])
    made = make_layer(layer, [20], lanes, Variant(DOUBLING))
    result = convolver(
        made, [Planes(20, size[0], size[1], lanes).fill(x[0])], Planes(16, doubled[0], doubled[1], lanes)
    ).picture(16)
    expected = layer(F.interpolate(x, scale_factor=2.0, mode="nearest"))
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=0)


def test_several_sources_a_scale_and_two_sums(convolver):
    layer, size, lanes = conv(8 + 5 + 5, 12), (6, 7), convolver.machine.lanes
    pictures = [torch.randn(1, channels, *size) for channels in (8, 5, 5, 12, 12)]
    planes = [Planes(x.shape[1], size[0], size[1], lanes).fill(x[0]) for x in pictures]
    made = make_layer(layer, [8, 5, 5], lanes, Variant(added=(0.2, 1.0)), scale=0.04)
    result = convolver(made, planes[:3], Planes(12, size[0], size[1], lanes), planes[3:]).picture(12)
    expected = 0.04 * layer(torch.cat(pictures[:3], dim=1)) + 0.2 * pictures[3] + pictures[4]
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)


def test_the_border_of_the_target_stays_zero(convolver):
    layer, lanes = conv(4, 4), convolver.machine.lanes
    target = Planes(4, 5, 6, lanes)
    convolver(make_layer(layer, [4], lanes, Variant()), [Planes(4, 5, 6, lanes).fill(torch.randn(4, 5, 6))], target)
    assert target.picture(4).count_nonzero() == 4 * 5 * 6
    target.data[:, 1:6, 1:7] = 0
    assert target.data.count_nonzero() == 0


def test_an_error_in_a_thread_reaches_the_caller(convolver, monkeypatch):
    def fail(self: Convolver, purpose: str, floats: int) -> torch.Tensor:
        raise MemoryError

    layer, lanes = conv(4, 4), convolver.machine.lanes
    source = Planes(4, 4, 4, lanes).fill(torch.zeros(4, 4, 4))
    monkeypatch.setattr(Convolver, "_memory", fail)
    with pytest.raises(MemoryError):
        convolver(make_layer(layer, [4], lanes, Variant()), [source], Planes(4, 4, 4, lanes))


class Slow:
    """Stands for the machine code, which no interrupt reaches."""

    def __init__(self) -> None:
        self.running = 0
        self.begun = threading.Event()
        self.may_end = threading.Event()

    def __call__(self, arguments: list[int]) -> None:
        self.running += 1
        self.begun.set()
        self.may_end.wait(10)
        time.sleep(0.05)
        self.running -= 1


@pytest.fixture
def slow(monkeypatch) -> Slow:
    code = Slow()
    monkeypatch.setattr(planes, "convolution_code", lambda machine, variant: code)
    return code


def slow_call(convolver: Convolver) -> None:
    lanes = convolver.machine.lanes
    convolver._threads = 2
    made = make_layer(conv(4, 4), [4], lanes, Variant())
    convolver(made, [Planes(4, 64, 64, lanes)], Planes(4, 64, 64, lanes))


def test_an_interrupt_while_work_is_given_out_leaves_no_thread_behind(convolver, slow, monkeypatch):
    """They would write into memory that is free or in use again."""
    submit = ThreadPoolExecutor.submit

    def interrupted(pool: ThreadPoolExecutor, work: Callable[[], None]) -> object:
        if slow.begun.is_set():
            slow.may_end.set()
            raise KeyboardInterrupt
        task = submit(pool, work)
        assert slow.begun.wait(10)
        return task

    monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        slow_call(convolver)
    assert slow.running == 0


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
def test_interrupts_while_threads_end_leave_none_behind(convolver, slow):
    here = threading.get_ident()

    def twice() -> None:
        assert slow.begun.wait(10)
        for _ in range(2):
            time.sleep(0.1)
            signal.pthread_kill(here, signal.SIGINT)
        slow.may_end.set()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it may have been ignored, as in the background
    interrupting = threading.Thread(target=twice)
    try:
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            slow_call(convolver)
        assert slow.running == 0
    finally:
        interrupting.join()
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="has no fork")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_forked_process_has_threads_of_its_own(convolver):
    layer, lanes = conv(4, 4), convolver.machine.lanes
    convolver._threads = 2
    made, source, target = make_layer(layer, [4], lanes, Variant()), Planes(4, 8, 8, lanes), Planes(4, 8, 8, lanes)
    source.fill(torch.randn(4, 8, 8))
    expected = convolver(made, [source], target).picture(4)
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        same = False
        try:
            same = torch.equal(convolver(made, [source], Planes(4, 8, 8, lanes)).picture(4), expected)
        finally:  # nothing of pytest runs twice
            os._exit(not same)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
