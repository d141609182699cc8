"""TF32 is off while anyone needs it off, and then as it was."""

import pytest
from torch.backends import cudnn

from sixteenfold.kernels.exact import true_fp32


@pytest.mark.parametrize("before", [True, False])
def test_threads_may_overlap(monkeypatch: pytest.MonkeyPatch, before: bool) -> None:
    monkeypatch.setattr(cudnn, "allow_tf32", before)
    first, second = true_fp32(), true_fp32()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not cudnn.allow_tf32
    second.__exit__(None, None, None)
    assert cudnn.allow_tf32 is before


def test_an_error_puts_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cudnn, "allow_tf32", True)

    @true_fp32()
    def fail() -> None:
        assert not cudnn.allow_tf32
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert cudnn.allow_tf32
