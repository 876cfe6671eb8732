"""The matrix itself: no program without a row, no stale table, and a check that can fail."""

from pathlib import Path

import pytest

from tests.runtimes.check import check, model_folder, tensor_pictures
from tests.runtimes.environment import Environment
from tests.runtimes.matrix import EXAMPLES, load_matrix
from tests.runtimes.readme import read_table, write_table

MATRIX = load_matrix()


def test_every_program_of_the_examples_is_in_the_matrix() -> None:
    programs = {str(file.relative_to(EXAMPLES)) for kind in ("*.py", "*.mjs", "*.c") for file in EXAMPLES.rglob(kind)}
    assert programs == {name for row in MATRIX for name in (row.program, row.convert, row.source) if name}
    assert len({row.name for row in MATRIX}) == len(MATRIX) >= 16
    for row in MATRIX:
        assert (EXAMPLES / row.requirements).is_file()
        assert bool(row.convert) <= bool(row.modified), "a converted file is no unmodified one"
        assert row.tolerance <= (1e-4 if row.name in ("ncnn", "MNN") else 1e-5) and row.pictures <= 1e-3


def test_the_readme_shows_the_matrix_as_it_is() -> None:
    table = read_table("runtimes")
    expected = [(row.name, str(row.lines), row.graph) for row in MATRIX]
    assert [(cells[0], cells[2], cells[3]) for cells in table] == expected
    for cells, row in zip(table, MATRIX, strict=True):
        assert (cells[4] == "yes") == (not row.modified)
        assert float(cells[5]) <= row.tolerance and float(cells[6]) <= row.pictures


def test_answers_to_other_pictures_do_not_pass(tmp_path: Path) -> None:
    environment = Environment(MATRIX[0])
    tensors = tensor_pictures(tmp_path)
    with pytest.raises(AssertionError, match="another label"):
        check(environment, model_folder(tmp_path / "model"), tensors[::-1])


def test_a_table_is_written_between_its_markers_only(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("a\n<!-- one: x -->\nold\n<!-- end of one -->\n<!-- two: y -->\n<!-- end of two -->\nb\n")
    write_table("one", "| h |\n|---|\n| 1 |\n", file)
    assert file.read_text() == (
        "a\n<!-- one: x -->\n| h |\n|---|\n| 1 |\n<!-- end of one -->\n<!-- two: y -->\n<!-- end of two -->\nb\n"
    )
    assert read_table("one", file) == [["1"]] and read_table("two", file) == []
    with pytest.raises(AssertionError, match="three"):
        write_table("three", "", file)
