"""Doing numbered work ahead of time in threads, and handing it over in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from threading import Event
from typing import TypeVar

__all__ = ["prefetch"]

Result = TypeVar("Result")


def prefetch(
    work: Callable[[int, Event], Result], steps: Iterable[int], workers: int
) -> Iterator[Result]:
    """Yield `work(step, stop)` for each of `steps`, in order.

    `workers` threads are at most `workers + 1` steps ahead; with 0 the caller does it all. What
    `work` raises is raised here, when its turn comes. Closing the generator sets `stop`, which long
    work should look at, and returns when the threads have ended.
    """
    stop = Event()
    if workers == 0:
        for step in steps:
            yield work(step, stop)
        return
    remaining = iter(steps)
    ahead: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="fastconv-data")
    try:
        for step in islice(remaining, workers + 1):
            ahead.append(pool.submit(work, step, stop))
        while ahead:
            result = ahead.popleft().result()
            for step in islice(remaining, 1):
                ahead.append(pool.submit(work, step, stop))
            yield result
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
