"""Rights of files, for the tests of every room: root has them all, so a test steps down for an attempt."""

import os
import tempfile
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest


@pytest.fixture
def as_nobody() -> AbstractContextManager[None]:
    """`with as_nobody:`, once a test: what follows has the rights of an ordinary user."""
    return _as_nobody()


@contextmanager
def _as_nobody() -> Generator[None]:
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        os.setegid(65534)
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        os.setegid(group)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)
