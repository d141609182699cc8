"""TF32 is off while anyone needs it off, and then as it was, by whichever of PyTorch's switches it was set."""

import threading
from collections.abc import Callable, Iterator

import pytest
import torch
from torch.backends import cudnn

from sixteenfold.kernels.exact import CUDNN, true_fp32


def old_switch(on: bool) -> None:
    cudnn.allow_tf32 = on


def whole_switch(on: bool) -> None:
    torch.backends.fp32_precision = "tf32" if on else "ieee"  # pyright: ignore[reportAttributeAccessIssue]
    CUDNN.conv.fp32_precision = CUDNN.rnn.fp32_precision = "none"  # as of a setting that nobody made


def convolutions_switch(on: bool) -> None:
    CUDNN.conv.fp32_precision = "tf32" if on else "ieee"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    conv, rnn = CUDNN.conv.fp32_precision, CUDNN.rnn.fp32_precision
    yield
    torch.backends.fp32_precision = "none"  # pyright: ignore[reportAttributeAccessIssue]
    CUDNN.conv.fp32_precision, CUDNN.rnn.fp32_precision = conv, rnn


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize("switch", [old_switch, whole_switch, convolutions_switch])
def test_uses_may_overlap_in_threads(switch: Callable[[bool], None], on: bool) -> None:
    switch(on)
    before = CUDNN.conv.fp32_precision
    inside, seen = threading.Barrier(2, timeout=60), list[str]()

    def use(first: bool) -> None:
        with true_fp32():
            inside.wait()
            if first:
                return
            other.join(60)
            seen.append(CUDNN.conv.fp32_precision)

    other = threading.Thread(target=use, args=(True,))
    other.start()
    use(first=False)
    assert seen == ["ieee"]
    assert CUDNN.conv.fp32_precision == before


def test_an_error_puts_it_back() -> None:
    cudnn.allow_tf32 = True

    @true_fp32()
    def fail() -> None:
        assert CUDNN.conv.fp32_precision == "ieee"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert cudnn.allow_tf32
