"""TF32 is off while anyone needs it off, and then as it was, by whichever of PyTorch's switches it was set."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.backends import cudnn

from sixteenfold.kernels.exact import CUDNN, MKLDNN, PARENTS, SETTINGS, true_fp32

ALL = (*SETTINGS, *PARENTS[1:])


def old_switch(on: bool) -> None:
    cudnn.allow_tf32 = on


def whole_switch(on: bool) -> None:
    torch.backends.fp32_precision = "tf32" if on else "ieee"  # pyright: ignore[reportAttributeAccessIssue]
    for setting in ALL:
        setting.fp32_precision = "none"  # as of a setting that nobody made


def convolutions_switch(on: bool) -> None:
    CUDNN.conv.fp32_precision = "tf32" if on else "ieee"


def old_products_switch(on: bool) -> None:
    torch.set_float32_matmul_precision("high" if on else "highest")


def products_switch(on: bool) -> None:
    SETTINGS[-1].fp32_precision = "tf32" if on else "ieee"


def cpu_switch(on: bool) -> None:
    MKLDNN.conv.fp32_precision = MKLDNN.matmul.fp32_precision = "bf16" if on else "ieee"


SWITCHES = [old_switch, whole_switch, convolutions_switch, old_products_switch, products_switch, cpu_switch]


def precisions() -> list[str]:
    return [setting.fp32_precision for setting in ALL]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = precisions()
    yield
    torch.backends.fp32_precision = CUDNN.fp32_precision = "none"  # pyright: ignore[reportAttributeAccessIssue]
    torch.set_float32_matmul_precision("highest")
    for setting, precision in zip(ALL, before, strict=True):
        setting.fp32_precision = precision


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize("switch", SWITCHES)
def test_uses_may_overlap_in_threads(switch: Callable[[bool], None], on: bool) -> None:
    switch(on)
    before = precisions()
    inside, seen = threading.Barrier(2, timeout=60), list[list[str]]()

    def use(first: bool) -> None:
        with true_fp32():
            inside.wait()
            if first:
                return
            other.join(60)
            seen.append(precisions())

    other = threading.Thread(target=use, args=(True,))
    other.start()
    use(first=False)
    assert seen == [["ieee"] * len(ALL)]
    assert precisions() == before


@pytest.mark.parametrize("before", ["tf32", "ieee", "none"])
def test_a_later_change_of_the_whole_still_reaches_what_inherits(before: str) -> None:
    whole: Any = torch.backends
    whole.fp32_precision = before
    for setting in ALL:
        setting.fp32_precision = "none"
    with true_fp32():
        pass
    for precision in ("ieee", "tf32"):
        whole.fp32_precision = precision
        assert precisions() == [precision] * len(ALL)


def test_what_was_set_apart_from_the_whole_stays_so() -> None:
    whole: Any = torch.backends
    whole.fp32_precision = "ieee"
    for setting in ALL:
        setting.fp32_precision = "tf32"
    with true_fp32():
        pass
    whole.fp32_precision = "none"
    assert precisions() == ["tf32"] * len(ALL)


PROGRAM = """
import sys
import torch
from sixteenfold.kernels.exact import PARENTS, SETTINGS, true_fp32

def precisions():
    return [setting.fp32_precision for setting in (*SETTINGS, *PARENTS[1:])]

if sys.argv[1] == "used":
    fresh = precisions()
    with true_fp32():
        assert precisions() == ["ieee"] * 5
    assert precisions() == fresh and torch.backends.cudnn.allow_tf32
    with torch.backends.flags(fp32_precision="tf32"), true_fp32():
        assert precisions() == ["ieee"] * 5
    assert precisions() == fresh and torch.backends.cudnn.allow_tf32
for whole in ("ieee", "tf32"):
    torch.backends.fp32_precision = whole
    print(*precisions())
"""


def test_what_nobody_has_set_yet_stays_so() -> None:
    """PyTorch begins in a state that no setting brings back: convolutions by TF32, and yet, in 2.13 if not in 2.11, as
    the whole says later."""
    words = [sys.executable, "-c", PROGRAM]
    used, unused = (
        subprocess.run([*words, how], check=True, timeout=300, capture_output=True, text=True).stdout
        for how in ("used", "unused")
    )
    assert used == unused and used.splitlines()[1] == "tf32 " * 4 + "tf32"


def test_products_are_as_if_nothing_was_asked_for() -> None:
    first, second = torch.rand(2, 512, 512)
    expected = first @ second
    torch.set_float32_matmul_precision("medium")
    with true_fp32():
        assert torch.equal(first @ second, expected)


def test_an_error_puts_it_back() -> None:
    cudnn.allow_tf32 = True

    @true_fp32()
    def fail() -> None:
        assert CUDNN.conv.fp32_precision == "ieee"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert cudnn.allow_tf32


def test_autocast_is_off_inside_alone() -> None:
    weight = torch.ones(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        with true_fp32():
            assert (weight @ weight).dtype == torch.float32
        assert (weight @ weight).dtype == torch.bfloat16


def test_the_older_switch_of_products_is_readable_again() -> None:
    for precision in ("high", "medium", "highest"):
        torch.set_float32_matmul_precision(precision)
        with true_fp32():
            pass
        assert torch.get_float32_matmul_precision() == precision
        assert torch.backends.cuda.matmul.allow_tf32 == (precision != "highest")
