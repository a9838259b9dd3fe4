"""Batches in order, in bounded number, errors passed on."""

import threading
import time

import pytest

from flaxtext.core.parallel import cores, ordered_map


def test_results_come_in_order():
    assert list(ordered_map(lambda n: (time.sleep(0.002 * (n % 3)), n)[1], range(30))) == list(range(30))


def test_few_items_are_under_way_at_a_time():
    taken = []

    def items():
        for n in range(100):
            taken.append(n)
            yield n

    for done, _ in enumerate(ordered_map(lambda n: n, items())):
        assert len(taken) - done <= 2 * cores()


def test_it_uses_threads_and_passes_errors_on():
    with pytest.raises(ZeroDivisionError):
        list(ordered_map(lambda n: 1 // n, [1, 0]))
    assert threading.current_thread().ident not in set(ordered_map(lambda _: threading.get_ident(), range(5)))
