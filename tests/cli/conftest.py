"""What the tests of the command line share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import fastconv


@pytest.fixture(autouse=True)
def same_thread_count() -> Iterator[None]:
    before = fastconv.get_num_threads()
    yield
    fastconv.set_num_threads(before)
