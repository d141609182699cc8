"""What a message is."""

import subprocess
import sys
from pathlib import Path

import pytest

from sixteenfold.errors import SixteenfoldError, did_you_mean, first_few, mistakes_told, one_line


@pytest.mark.parametrize("breaking", ["\n", "\r", "\t", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029"])
def test_a_message_is_one_line_whatever_a_name_holds(breaking: str) -> None:
    escape = repr(breaking)[1:-1]
    assert str(SixteenfoldError(f"a{breaking}b.png: damaged")) == f"a{escape}b.png: damaged"


def test_letters_stay() -> None:
    for text in ("caf\u00e9 \u5199\u771f \U0001f4f7.png", "caf\udce9.png", "a b"):
        assert one_line(text) == text


def test_of_many_the_first_are_named() -> None:
    assert first_few(["a", "b", "c"]) == "a; b; c"
    assert first_few(["a", "b", "c", "d", "e"]) == "a; b; c; and 2 more"


def test_the_nearest_word_is_asked_for() -> None:
    assert did_you_mean("lpisp", ["pixel", "lpips", "lpips_vgg"]) == "; did you mean 'lpips'?"
    assert did_you_mean("PSNR", ["psnr", "ssim"]) == "; did you mean 'psnr'?"
    assert did_you_mean("xyz", ["pixel", "lpips"]) == ""
    assert did_you_mean("xyz", ["pixel", "lpips"], cutoff=0.0) == "; did you mean 'pixel'?"


def test_programs_end_with_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a user's mistake, a file that cannot be, or a process that failed; what is our own mistake is seen whole."""
    monkeypatch.setattr(sys, "argv", ["benchmarks/some.py"])
    with pytest.raises(SystemExit, match=r"^some: a\\nb: damaged$"), mistakes_told():
        raise SixteenfoldError("a\nb: damaged")
    with pytest.raises(SystemExit, match=r"^some: .*No such file or directory: '.*none'$"), mistakes_told():
        (tmp_path / "none").read_text()
    with pytest.raises(SystemExit, match=r"^some: a process that it started failed \(status 3\)$"), mistakes_told():
        subprocess.run([sys.executable, "-c", "raise SystemExit(3)"], check=True)
    with pytest.raises(ValueError), mistakes_told():
        raise ValueError
