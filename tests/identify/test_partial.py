"""When the rows of an identification are there."""

import os
from collections.abc import Iterator

from fruitcnn.identify.rows import write_rows
from fruitcnn.identify.writers import ROW_FORMATS
from fruitcnn.progress import Progress


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
