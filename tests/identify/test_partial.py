"""What an identification that goes on begins with, and when its rows are there."""

import os
from collections.abc import Iterator

import pytest

from fruitcnn import Rejection
from fruitcnn.identify.partial import going_on
from fruitcnn.identify.rows import write_rows
from fruitcnn.identify.writers import ROW_FORMATS
from fruitcnn.progress import Progress

BROKEN = Rejection("4", "broken picture")


@pytest.mark.parametrize(
    ("done", "begins"),
    [(0, "0123"), (2, "0123"), (3, "0123"), (4, "3456"), (5, "5678"), (7, "5678"), (8, "5678"), (9, "89")],
)
def test_the_batch_that_was_under_way_is_answered_as_a_whole(done: int, begins: str) -> None:
    """In batches of three; the fifth picture, which is rejected, ends one."""
    sources = [BROKEN if number == 4 else (str(number), b"") for number in range(10)]
    left, again = going_on(iter(sources), done, batch=3)
    names = "".join(source.file if isinstance(source, Rejection) else source[0] for source in left)
    assert names.startswith(begins) and names == "0123456789"[done - again :]


def test_each_row_is_there_for_its_reader_as_soon_as_it_is_known() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def lines() -> Iterator[str]:
        for line in ("one\n", "two\n"):
            yield line
            assert os.read(reading, 80).decode() == line

    with os.fdopen(writing, "w") as stream:
        write_rows(lines(), stream, ROW_FORMATS["csv"], Progress("identifying", 2))
    os.close(reading)
