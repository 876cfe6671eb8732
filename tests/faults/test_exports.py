"""What an export does to folders that have its names, and what is left of it when it does not come to its end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fruitcnn.export.formats import FORMATS
from tests.faults.conftest import SHIPPED, Command, digests

_FOREIGN = {
    "golden": {"golden.json": json.dumps({"format": "of another program"}), "README.md": "mine"},
    "page": {"service-worker.js": 'const VERSION = "1";', "index.html": "mine", "v-0123456789abcdef/mine.txt": "mine"},
}


def plant(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize("format", _FOREIGN)
def test_a_folder_that_only_has_the_names_of_an_export_is_not_written_into(
    format: str, command: Command, finished: Path, tmp_path: Path
) -> None:
    assert set(_FOREIGN) == {row.name for row in FORMATS.values() if row.is_folder}
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "model.onnx").write_bytes((finished / "model.onnx").read_bytes())
    plant(folder / format, _FOREIGN[format])
    done = command("export", folder / "model.onnx", "--format", format)
    assert done.returncode == 2 and f"holds something other than an earlier {format} of fruitcnn" in done.stderr
    assert {path.name for path in folder.iterdir()} == {"model.onnx", format}
    mark = folder / format / next(iter(_FOREIGN[format]))
    mark.unlink()
    os.mkfifo(mark)
    done = command("export", folder / "model.onnx", "--format", format)
    assert done.returncode == 2 and "holds something other than" in done.stderr
    done = command("export", SHIPPED, "--format", format, "--to", folder)
    assert done.returncode == 2 and f"holds {format} already" in done.stderr


def test_an_earlier_export_of_a_folder_is_replaced_and_what_lies_beside_it_stays(
    command: Command, tmp_path: Path, inputs_unchanged: set[Path]
) -> None:
    words = ("export", SHIPPED, "--format", "golden", "--to", tmp_path)
    plant(tmp_path / "golden", _FOREIGN["golden"] | {"mine.txt": "mine"})
    inputs_unchanged.update(tmp_path / "golden" / name for name in _FOREIGN["golden"])
    # Asked for, it is written into a folder of anybody.
    assert command(*words, "--force").returncode == 0
    first = digests(tmp_path)
    assert len(first) == 3 + 48 + 1 and (tmp_path / "golden" / "mine.txt").read_text() == "mine"
    (tmp_path / "golden" / "pictures" / "odd.png").write_text("damaged")
    inputs_unchanged.add(tmp_path / "golden" / "pictures" / "odd.png")
    done = command(*words, "--force")
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path) == first


def test_links_in_an_earlier_export_are_not_followed(command: Command, tmp_path: Path) -> None:
    words = ("export", SHIPPED, "--format", "golden", "--to", tmp_path)
    assert command(*words).returncode == 0
    for part in ("pictures", "tensors/odd.rgb"):
        other = tmp_path / "other"
        (tmp_path / "golden" / part).rename(other)
        (tmp_path / "golden" / part).symlink_to(other)
        done = command(*words, "--force")
        assert done.returncode == 1 and f"golden/{part}: " in done.stderr, done.stderr
        (tmp_path / "golden" / part).unlink()
        other.rename(tmp_path / "golden" / part)
    assert [path.name for path in tmp_path.iterdir()] == ["golden"]


def test_what_a_killed_export_left_of_a_folder_is_removed_and_nothing_else(command: Command, tmp_path: Path) -> None:
    left, others = ".golden.0123abcd.fruitcnn-tmp", (".golden.89abcdef.fruitcnn-tmp.folder", ".x.folder")
    plant(tmp_path, {left: "", f"{left}.folder/pictures/half.png": "half", **{f"{name}/mine": "" for name in others}})
    (tmp_path / f"{left}.folder" / "link").symlink_to(tmp_path / ".x.folder")
    # What is removed was there before.
    done = subprocess.run(
        [sys.executable, "-m", "fruitcnn", "export", str(SHIPPED), "--format", "golden", "--to", "."], cwd=tmp_path
    )
    assert done.returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"golden", *others}
    assert all((tmp_path / name / "mine").exists() for name in others)


def test_an_exported_folder_is_whole_or_what_was_there_on_a_full_disk(command: Command, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], check=False).returncode:
        pytest.skip("a small disk may not be mounted here")
    try:
        words = ("export", SHIPPED, "--format", "golden", "--to", disk)
        done = command(*words)
        assert done.returncode == 1 and "disk/golden: the disk is full; make room" in done.stderr, done.stderr
        assert list(disk.iterdir()) == []
        plant(disk / "golden", {"golden.json": '{"format": "fruitcnn-golden/1"}', "README.md": "older"})
        before = digests(disk)
        done = command(*words, "--force")
        assert done.returncode == 1 and "disk/golden: the disk is full; make room" in done.stderr, done.stderr
        assert digests(disk) == before and list(disk.iterdir()) == [disk / "golden"]
    finally:
        subprocess.run(["umount", disk], check=True)
