"""Work done ahead: in order, bounded, and over when its reader is."""

from __future__ import annotations

import signal
import threading
import time
import traceback
from collections.abc import Iterator

import pytest

from fastconv.data.prefetch import prefetch


def alive() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("fastconv-data")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert alive() == []


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_order(workers: int) -> None:
    def work(step: int, stop: threading.Event) -> int:
        time.sleep(0.002 * (3 - step % 4))  # later steps are done first
        return step * step

    assert list(prefetch(work, range(3, 20), workers)) == [step * step for step in range(3, 20)]
    assert list(prefetch(work, [], workers)) == []


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_than_workers_and_one_ahead(workers: int) -> None:
    begun: list[int] = []
    work = prefetch(lambda step, stop: begun.append(step) or step, range(50), workers)
    for step in range(10):
        assert next(work) == step
        time.sleep(0.01)
        assert max(begun) <= step + workers + 1
    work.close()


def test_nothing_starts_before_the_first_result_is_wanted() -> None:
    prefetch(lambda step, stop: step, range(5), 2)
    assert alive() == []


def test_closing_is_prompt_and_tells_the_workers() -> None:
    seen = []

    def work(step: int, stop: threading.Event) -> int:
        if step:
            seen.append(stop.wait(30))
        return step

    running = prefetch(work, range(9), 2)
    assert next(running) == 0
    begin = time.perf_counter()
    running.close()
    assert time.perf_counter() - begin < 2
    assert seen and all(seen)


def test_break_stops_the_threads() -> None:
    for step in prefetch(lambda step, stop: step, range(100), 3):
        if step == 3:
            break
    assert alive() == []


def test_an_exception_in_the_reader_stops_the_threads() -> None:
    with pytest.raises(ZeroDivisionError):
        for step in prefetch(lambda step, stop: step, range(100), 3):
            step / 0
    assert alive() == []


def test_ctrl_c_while_waiting() -> None:
    main = threading.get_ident()

    def work(step: int, stop: threading.Event) -> int:
        if step == 4:
            time.sleep(0.1)  # by then the reader waits for this step
            signal.pthread_kill(main, signal.SIGINT)
            stop.wait(30)
        return step

    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        list(prefetch(work, range(9), 2))
    assert time.perf_counter() - begin < 5
    assert alive() == []


@pytest.mark.parametrize("workers", [0, 2])
def test_errors_come_in_their_turn_with_their_traceback(workers: int) -> None:
    def breaks_here(step: int) -> int:
        if step == 3:
            raise LookupError("step 3")
        return step

    got = []
    with pytest.raises(LookupError, match="step 3") as caught:
        for one in prefetch(lambda step, stop: breaks_here(step), range(9), workers):
            got.append(one)
    assert got == [0, 1, 2]
    assert "breaks_here" in "".join(traceback.format_tb(caught.value.__traceback__))
