"""What an identification that goes on begins with."""

import pytest

from fruitcnn import Rejection
from fruitcnn.identify.partial import going_on

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
