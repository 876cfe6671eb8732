"""Threads that work ahead of their reader."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from fruitcnn.ahead import mapped_ahead


def test_no_more_is_begun_than_a_few_items_before_the_reader() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(4) as pool:
        results = mapped_ahead(pool, lambda number: number * number, items(), ahead=5)
        assert not taken
        for number in range(50):
            assert next(results) == number * number
            assert len(taken) == min(50, number + 6)
        assert next(results, None) is None


def test_what_is_tried_again_has_the_machine_to_itself() -> None:
    lock, others = threading.Lock(), threading.Event()
    at_work: list[int] = []
    alone: list[bool] = []

    def work(number: int) -> str:
        with lock:
            at_work.append(number)
            is_again = number == 0 and alone == [False]
        if number == 0:
            # The first time beside at least one of the others, which end a moment later.
            others.wait(60)
            with lock:
                alone.append(at_work == [0])
        else:
            others.set()
            threading.Event().wait(0.1)
        with lock:
            at_work.remove(number)
        return "right" if is_again or number else "wrong"

    with ThreadPoolExecutor(3) as pool:
        results = list(mapped_ahead(pool, work, range(6), ahead=6, again=lambda result: result == "wrong"))
    assert results == ["right"] * 6 and alone == [False, True]


def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    gate = threading.Event()
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number:
            gate.wait(60)
        return number

    with ThreadPoolExecutor(1) as pool:
        results = mapped_ahead(pool, work, range(20), ahead=19)
        assert next(results) == 0
        results.close()
        gate.set()
    assert len(begun) <= 2
