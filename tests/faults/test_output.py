"""--output: whatever it names, nobody loses a file by it."""

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fruitcnn.outputs import written_whole
from tests.faults.conftest import Command


def rows(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("how", ["same name", "link", "hard link", "in a folder", "glob", "the model"])
def test_output_never_replaces_an_input_even_with_force(
    how: str, command: Command, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "link.jpg").symlink_to(photo)
    (tmp_path / "hard.jpg").hardlink_to(photo)
    model = tmp_path / "model.onnx"
    model.write_bytes((Path(__file__).parents[2] / "checkpoints/fruits/model.onnx").read_bytes())
    named, output = {
        "same name": (photo, photo),
        "link": (photo, "link.jpg"),
        "hard link": (photo, "hard.jpg"),
        "in a folder": (tmp_path, photo),
        "glob": ("g*.jpg", photo),
        "the model": (photo, model),
    }[how]
    done = command("identify", named, "--model", model, "--output", output, "--force")
    assert done.returncode == 2 and done.stdout == "" and "is read by this command" in done.stderr


def test_output_that_exists_is_replaced_only_with_force_and_keeps_its_mode(
    command: Command, photo: Path, tmp_path: Path, inputs_unchanged: set[Path]
) -> None:
    out = tmp_path / "out.json"
    out.write_text("mine")
    out.chmod(0o600)
    done = command("identify", photo, "--output", out, "--format", "json")
    assert done.returncode == 2 and "exists already" in done.stderr and "--force" in done.stderr

    inputs_unchanged.add(out)
    assert command("identify", photo, "--output", out, "--format", "json", "--force").returncode == 0
    assert rows(out.read_text())[0]["file"] == str(photo)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert command("identify", photo, "--output", "new.json").returncode == 0
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "new.json").stat().st_mode) == 0o666 & ~umask


def test_output_through_a_link_reaches_its_target(command: Command, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "out.txt"
    link.symlink_to("elsewhere/real.txt")
    assert command("identify", photo, "--output", link).returncode == 0
    assert link.is_symlink() and "good.jpg" in (tmp_path / "elsewhere/real.txt").read_text()
    done = command("identify", photo, "--output", link)
    assert done.returncode == 2 and "exists already" in done.stderr


def test_output_to_a_fifo_or_device_is_a_stream(command: Command, photo: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_text()))
    reader.start()
    assert command("identify", photo, "--output", fifo).returncode == 0
    reader.join(60)
    assert "good.jpg" in got[0] and stat.S_ISFIFO(fifo.stat().st_mode)

    assert command("identify", photo, "--output", "/dev/null").returncode == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert "good.jpg" in command("identify", photo, "--output", "/dev/stdout").stdout
    command("identify", photo, "--output", "/dev/stdout", redirect="> shell.txt")
    assert "good.jpg" in (tmp_path / "shell.txt").read_text()


def test_output_with_a_name_as_long_as_allowed(command: Command, photo: Path, tmp_path: Path) -> None:
    name = "n" * 251 + ".csv"
    assert command("identify", photo, "--output", name).returncode == 0
    assert (tmp_path / name).is_file()
    done = command("identify", photo, "--output", name + "x")
    assert done.returncode == 1 and "name is too long" in done.stderr


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if "tmp" in path.name]


def test_a_full_disk_leaves_the_rows_so_far_and_says_so(
    command: Command, photo: Path, tmp_path: Path, inputs_unchanged: set[Path]
) -> None:
    inputs_unchanged.add(tmp_path / "out.txt.partial")
    many = [photo] * 40
    done = command("identify", *many, "--output", "out.txt", limits="-f 1")
    assert done.returncode == 1 and "out.txt: the file would be larger than is allowed" in done.stderr
    assert left_over(tmp_path) == [] and not (tmp_path / "out.txt").exists()
    assert "out.txt.partial has the rows so far: go on with --resume" in done.stderr
    assert command("identify", *many, "--output", "out.txt", "--resume").returncode == 0
    assert len((tmp_path / "out.txt").read_text().splitlines()) == 40

    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", disk], capture_output=True).returncode:
        pytest.skip("a small disk may not be mounted here")
    try:
        done = command("identify", *many * 3, "--output", disk / "out.txt")
        assert done.returncode == 1 and "the disk is full; make room" in done.stderr
        assert [path.name for path in disk.iterdir()] == ["out.txt.partial"]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_disk_that_is_full_while_pictures_are_sorted(command: Command, photo: Path, tmp_path: Path) -> None:
    done = command("identify", photo, "--sort", "sorted", "--output", "out.txt", limits="-f 1")
    assert done.returncode == 1 and "good.jpg: the file would be larger than is allowed" in done.stderr
    # What had been put away before is listed, no part of a picture is there, and no output of a part of the pictures.
    assert [path.name for path in (tmp_path / "sorted").rglob("*") if path.is_file()] == ["sorted.csv"]
    assert left_over(tmp_path) == [] and not (tmp_path / "out.txt").exists()


def test_a_disk_that_is_full_while_pictures_are_explained(command: Command, tmp_path: Path) -> None:
    noise = np.random.default_rng(5).integers(256, size=(300, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    done = command("identify", "noise.png", "--explain", "e", "--output", "out.txt", limits="-f 1")
    assert done.returncode == 1 and "e/noise.jpg: the file would be larger than is allowed" in done.stderr
    assert list((tmp_path / "e").iterdir()) == [] and left_over(tmp_path) == []


def test_a_folder_that_may_not_be_written_is_said_before_the_work(
    command: Command, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    done = command("identify", photo, "--output", "locked/out.txt", locked=True)
    assert done.returncode == 1 and "locked/out.txt: permission denied; check its permissions" in done.stderr
    done = command("identify", photo, "--output", "/proc/out.txt")
    assert done.returncode == 1 and "/proc/out.txt" in done.stderr


@pytest.mark.parametrize(
    ("redirect", "status", "message"),
    [
        (">&-", 1, "standard output: is closed"),
        ("> /dev/full", 1, "standard output: the disk is full"),
        ("2>&-", 0, ""),
    ],
)
def test_standard_output_that_is_closed_or_full(
    redirect: str, status: int, message: str, command: Command, photo: Path
) -> None:
    for arguments in (
        ("identify", photo, "--model", "fruits"),
        ("info", Path(__file__).parents[2] / "checkpoints/fruits"),
    ):
        done = command(*arguments, redirect=redirect)
        assert done.returncode == status and message in done.stderr and len(done.stderr.splitlines()) <= 1
        assert "fruitcnn:" not in done.stdout, "a message must not land among the results"


def test_closed_standard_input_is_one_rejected_picture(command: Command, photo: Path) -> None:
    done = command("identify", "-", photo, "--format", "json", redirect="<&-")
    assert done.returncode == 3
    assert ["error" in row for row in rows(done.stdout)] == [True, False] and "closed" in str(rows(done.stdout)[0])


def test_output_is_written_while_standard_output_is_closed(command: Command, photo: Path, tmp_path: Path) -> None:
    assert command("identify", photo, "--output", "out.txt", redirect=">&- 2>&- <&-").returncode == 0
    assert len((tmp_path / "out.txt").read_text().splitlines()) == 1


def test_a_reader_that_has_seen_enough_ends_it_quietly(photo: Path, tmp_path: Path) -> None:
    words = f"{sys.executable} -m fruitcnn identify --model fruits " + f"{photo} " * 500
    script = f"{words} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    line, status = done.stdout.splitlines()
    assert "good.jpg" in line and done.stderr == "" and status in ("141", "0")


def test_a_failed_writer_removes_its_temporary(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("old")
    with pytest.raises(ZeroDivisionError), written_whole(tmp_path / "x.txt") as temporary:
        temporary.write_text("half")
        _ = 1 / 0
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"] and (tmp_path / "x.txt").read_text() == "old"
