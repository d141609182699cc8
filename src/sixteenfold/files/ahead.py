"""Reading the next file while one is worked on."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def one_ahead(
    items: Sequence[Item], read: Callable[[Item], Result], pool: Executor
) -> Iterator[tuple[Item, Future[Result]]]:
    """Each item with what `read` gives for it, or raises; in the pool, the next has begun by then."""
    following = [pool.submit(read, item) for item in items[:1]]
    for i, item in enumerate(items):
        current = following.pop()
        following = [pool.submit(read, after) for after in items[i + 1 : i + 2]]
        yield item, current
