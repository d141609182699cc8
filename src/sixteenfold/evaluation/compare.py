"""The work on each picture: enlarge, crop, score, show; several pictures at once."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from sixteenfold.errors import NoMemory, SixteenfoldError, out_of_memory_told
from sixteenfold.evaluation.baselines import interpolate
from sixteenfold.evaluation.enlarger import Enlarger, UnfitFunctionError
from sixteenfold.evaluation.pictures import Exhibit, exhibit
from sixteenfold.evaluation.protocol import Case, Pictures, Protocol, crop
from sixteenfold.evaluation.scoring import Scorer
from sixteenfold.files.ahead import one_ahead
from sixteenfold.imaging.resample import to_8_bits

PARALLEL_PIXELS = 4_000_000
"""A larger picture is scored alone, by all threads, so that memory stays bounded."""


@dataclass(frozen=True)
class Compared:
    """One picture, done."""

    name: str
    values: Mapping[str, Mapping[str, float]]
    """Scores by method and metric."""
    exhibit: Exhibit
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Comparer:
    """Everything that is the same for all pictures."""

    protocol: Protocol
    methods: Sequence[str]
    enlarger: Enlarger | None
    scorer: Scorer

    def enlarge(self, case: Case, pictures: Pictures) -> dict[str, Tensor]:
        """All methods' results, uncropped: the finished ones, and those made here.

        Raises UnfitFunctionError, or SixteenfoldError where this picture cannot be enlarged.
        """
        with _failing(case):
            return self._enlarged(pictures)

    def _enlarged(self, pictures: Pictures) -> dict[str, Tensor]:
        results = dict(pictures.results)
        for name in self.methods:
            if name in results:
                continue
            assert pictures.seen is not None  # the options were checked
            if self.enlarger and name == self.enlarger.name:
                made = self.enlarger.upscale(pictures.seen)
            else:
                made = interpolate(pictures.seen, name)
            # A caller's function may leave its result on a GPU, where neither the original nor other results are.
            results[name] = to_8_bits(made).cpu().expand(-1, 3, -1, -1)
        return results

    def score(self, case: Case, pictures: Pictures, results: Mapping[str, Tensor]) -> Compared:
        """Scores and exhibit of one picture. Raises SixteenfoldError when it cannot be scored."""
        height, width = pictures.hr.shape[2:]
        hr = crop(pictures.hr, self.protocol, case.name)
        cropped = {name: crop(results[name][:, :, :height, :width], self.protocol, case.name) for name in self.methods}
        whole = [results[name] for name in self.methods]
        with _failing(case, way_out="; leave out the metric or the picture"):
            values = self.scorer.score(hr, list(cropped.values()), pictures.lr, whole)
            shown = exhibit(case.name, {"original": hr, **cropped})
        return Compared(case.name, dict(zip(self.methods, values, strict=True)), shown, pictures.notes)


def compare_all(
    cases: Sequence[Case], load: Callable[[Case], Pictures], comparer: Comparer
) -> Iterator[Compared | SixteenfoldError]:
    """Each case's outcome, in order.

    The next picture is loaded while one is enlarged and others are scored, each by one thread:
    that uses the processor better than all threads on one picture. So one picture a thread is held,
    and two more.

    Raises UnfitFunctionError.
    """
    threads = torch.get_num_threads()
    waiting: deque[Future[Compared]] = deque()
    reader = ThreadPoolExecutor(max_workers=1)
    scorers = ThreadPoolExecutor(max_workers=threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        with reader, scorers:
            for case, loaded in one_ahead(cases, load, reader):
                try:
                    with out_of_memory_told(case.hr):
                        pictures = loaded.result()
                    results = comparer.enlarge(case, pictures)
                    alone = max(picture[0, 0].numel() for picture in results.values()) > PARALLEL_PIXELS
                    while waiting and (alone or len(waiting) >= threads):
                        yield _outcome(waiting.popleft())
                    if alone:
                        yield comparer.score(case, pictures, results)
                    else:
                        waiting.append(scorers.submit(comparer.score, case, pictures, results))
                except UnfitFunctionError:
                    raise
                except SixteenfoldError as error:
                    failed: Future[Compared] = Future()
                    failed.set_exception(error)
                    waiting.append(failed)
            while waiting:
                yield _outcome(waiting.popleft())
    finally:
        # A pool's thread also changed what later threads start with.
        torch.set_num_threads(threads)


@contextmanager
def _failing(case: Case, way_out: str = "") -> Generator[None]:
    """Name the picture in what goes wrong with it; running out of memory is its failure too, not the evaluation's."""
    try:
        with out_of_memory_told():
            yield
    except UnfitFunctionError:
        raise
    except NoMemory as error:
        raise NoMemory(f"{case.hr}: {error}") from error
    except SixteenfoldError as error:
        raise SixteenfoldError(f"{case.hr}: {error}{way_out}") from error


def _outcome(future: Future[Compared]) -> Compared | SixteenfoldError:
    try:
        return future.result()
    except SixteenfoldError as error:
        return error
