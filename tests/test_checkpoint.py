"""Files appear whole or not at all."""

from pathlib import Path

import pytest

from fruitcnn.outputs import write_text, written_whole


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    write_text(path, "old")
    with pytest.raises(RuntimeError), written_whole(path) as temporary:
        temporary.write_text("half of the n")
        assert path.read_text() == "old"
        raise RuntimeError
    assert path.read_text() == "old"
    write_text(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["card.json"] and path.read_text() == "new"
