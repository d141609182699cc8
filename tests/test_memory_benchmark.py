"""benchmarks/memory.py: how the programs there measure memory."""

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_what_the_parent_held_is_not_measured() -> None:
    """This process has PyTorch, and so held more than twice as much."""
    command = [sys.executable, "-c", "from memory import peak_mib; print(peak_mib())"]
    assert int(subprocess.run(command, check=True, capture_output=True, text=True, cwd=BENCHMARKS).stdout) < 100
