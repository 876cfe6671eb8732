"""What a command must never do to files that are not its own, or that it reads."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fruitcnn import checkpoint
from fruitcnn.locks import LOCK
from fruitcnn.outputs import opened_output, write_text, written_together
from fruitcnn.temporaries import create_temporary
from tests.conftest import REPOSITORY
from tests.faults.conftest import SAMPLE, SHIPPED, Command, digests

_TEMPORARY = ".out.0123abcd.fruitcnn-tmp.csv"


def planted(path: Path, kind: str, victim: Path) -> None:
    """Put something at `path` that leads to the victim, or is no file."""
    make: dict[str, Callable[[], object]] = {
        "link": lambda: path.symlink_to(victim),
        "hard link": lambda: path.hardlink_to(victim),
        "text": lambda: path.write_text("of another program"),
        "fifo": lambda: os.mkfifo(path),
        "folder": lambda: path.mkdir(),
    }
    make[kind]()


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file that is nobody's business."""
    path = tmp_path / "victim.txt"
    path.write_text("dear")
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four pictures of each class."""
    for picture in SAMPLE.glob("*/*_00[0-3].jpg"):
        (tmp_path / "data" / picture.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, tmp_path / "data" / picture.parent.name)
    return tmp_path / "data"


def waiting_identify(folder: Path, *words: object) -> subprocess.Popen[bytes]:
    """`identify -` that has begun its output in the folder, and waits for standard input."""
    command = [sys.executable, "-m", "fruitcnn", "identify", "-", "--format", "csv", *map(str, words)]
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    while process.poll() is None and not list(folder.rglob(".*fruitcnn-tmp*")):
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[1]
    return process


# Of other kinds tests/test_locks.py knows.
@pytest.mark.parametrize(("name", "kind"), [(".lock", "link"), (LOCK, "link"), (LOCK, "text")])
def test_a_lock_that_is_not_ours_is_not_followed_emptied_or_removed(
    name: str, kind: str, command: Command, victim: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoints" / "mine"
    folder.mkdir(parents=True)
    planted(folder / name, kind, victim)
    before = (folder / name).lstat()
    done = command("train", SAMPLE, "--name", "mine")
    assert done.returncode in (1, 2) and len(done.stderr.splitlines()) == 1
    assert os.path.samestat((folder / name).lstat(), before) and victim.read_text() == "dear"
    assert name == ".lock" or "is not fruitcnn's; move it away" in done.stderr


def test_an_export_leaves_the_temporary_of_a_running_identify_alone(
    command: Command, finished: Path, photo: Path, tmp_path: Path, inputs_unchanged: set[Path]
) -> None:
    folder = tmp_path / "exported"
    folder.mkdir()
    (folder / _TEMPORARY).mkdir()
    os.mkfifo(folder / _TEMPORARY.replace("out", "fifo"))
    abandoned = folder / _TEMPORARY.replace("out", "abandoned")
    abandoned.write_text("half")
    inputs_unchanged.add(abandoned)
    (folder / ".lock").write_text("of another program")
    identify = waiting_identify(folder, "--model", SHIPPED, "--output", "answers.csv")
    done = command("export", finished, "--to", folder)
    assert done.returncode == 0, done.stderr
    assert identify.communicate(photo.read_bytes(), timeout=60)[1] == b"" and identify.returncode == 0
    assert len((folder / "answers.csv").read_text().splitlines()) == 2
    assert {path.name for path in folder.iterdir() if path.name.startswith(".")} == {
        ".lock", _TEMPORARY, _TEMPORARY.replace("out", "fifo")
    }  # fmt: skip


@pytest.mark.parametrize("output", ["good.jpg", "link.jpg", "/dev/stdin"])
def test_standard_input_is_not_replaced_by_the_output(
    output: str, command: Command, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "link.jpg").symlink_to(photo)
    done = command("identify", "-", "--output", output, "--force", redirect=f"< {photo}")
    assert done.returncode == 2 and "is read by this command (as standard input)" in done.stderr
    done = command("identify", photo, "--output", "/dev/stdout", redirect=f">> {photo}")
    assert done.returncode == 2 and f"is read by this command (as {photo})" in done.stderr


@pytest.mark.parametrize("kind", ["text", "link", "link to nothing"])
def test_an_output_that_came_after_the_check_is_not_replaced(
    kind: str, photo: Path, victim: Path, tmp_path: Path
) -> None:
    for force in ([], ["--force"]):
        process = waiting_identify(tmp_path, "--output", "out.csv", *force)
        output = tmp_path / "out.csv"
        planted(output, kind.partition(" ")[0], victim if kind == "link" else tmp_path / "nothing")
        _, message = process.communicate(photo.read_bytes(), timeout=60)
        if force and kind == "text":
            assert process.returncode == 0 and "good" not in output.read_text() and output.stat().st_nlink == 1
        else:
            assert process.returncode == 2 and b"out.csv: has come into being meanwhile; name another" in message
            assert output.is_symlink() or output.read_text() == "of another program"
        assert victim.read_text() == "dear" and not (tmp_path / "nothing").exists()
        assert not list(tmp_path.glob(".*"))
        output.unlink()


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_second_that_would_write_the_same_output_does_not_begin(
    force: list[str], command: Command, photo: Path, tmp_path: Path, inputs_unchanged: set[Path]
) -> None:
    first = waiting_identify(tmp_path, "--output", "out.csv", *force)
    # The first one writes its header meanwhile.
    inputs_unchanged.update(tmp_path.glob(".*fruitcnn-tmp*"))
    (tmp_path / "link.csv").symlink_to("out.csv")
    for name in ("out.csv", "link.csv"):
        done = command("identify", photo, "--output", name, *force)
        assert done.returncode == 2 and "is being written by another process; wait for it" in done.stderr
    assert command("identify", photo, "--output", "out.json", *force).returncode == 0
    first.communicate(photo.read_bytes(), timeout=60)
    assert first.returncode == 0
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 2
    assert not list(tmp_path.glob(".*"))


def test_an_output_that_a_killed_process_had_begun_is_begun_again(
    command: Command, photo: Path, tmp_path: Path, inputs_unchanged: set[Path]
) -> None:
    first = waiting_identify(tmp_path, "--output", "out.csv")
    first.kill()
    first.communicate(timeout=60)
    (left,) = tmp_path.glob(".*fruitcnn-tmp*")
    inputs_unchanged.add(left)
    done = command("identify", photo, "--output", "out.csv")
    assert done.returncode == 0, done.stderr
    assert not left.exists()
    # It gets the name that the killed one had: by it another one sees that the output is begun.
    names = []
    for _ in range(2):
        name, descriptor = create_temporary(tmp_path / "out.csv", alone=True)
        os.close(descriptor)
        names.append(name)
    assert names == [left, left]
    left.unlink()
    # Where something else has the name that tells of a writer, there is another name.
    left.mkdir()
    inputs_unchanged.add(tmp_path / "out.csv")
    done = command("identify", photo, "--output", "out.csv", "--force")
    assert done.returncode == 0 and left.is_dir(), done.stderr


def test_a_file_system_without_links_loses_nothing_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    output = tmp_path / "out.txt"
    with opened_output(output, force=False) as file:
        file.write("new")
    assert output.read_text() == "new"
    output.unlink()
    with pytest.raises(Exception, match="has come into being meanwhile"), opened_output(output, force=False):
        output.write_text("of another")
    assert output.read_text() == "of another" and list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("kind", ["fifo", "folder", "link"])
def test_what_else_stands_where_our_files_are_looked_for_is_not_waited_for(
    kind: str, command: Command, photo: Path, data: Path, victim: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    for place in (tmp_path / _TEMPORARY, cache / ".pixels.0123abcd.fruitcnn-tmp", cache / f"3-96-{'a' * 32}.pixels"):
        planted(place, kind, victim)
    before = {path: path.lstat().st_ino for path in tmp_path.rglob("*")}
    assert command("identify", photo, "--output", "out.csv").returncode == 0
    environment = {"FRUITCNN_CACHE": str(cache)}
    assert "0.0 MB in 0 files" in command("cache", environment=environment).stdout
    assert "removed 0.0 MB" in command("cache", "--clear", environment=environment).stdout
    report = tmp_path / "report"
    report.mkdir()
    planted(report / checkpoint.PREDICTIONS, kind, victim)
    done = command("evaluate", SHIPPED, "--data", data, "--report", report)
    assert done.returncode == 2 and "report: holds other files" in done.stderr
    assert {path: path.lstat().st_ino for path in before} == before


def test_several_files_get_their_names_together_or_not_at_all(tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("a.txt", "b.txt", "c.txt")]
    names[0].write_text("old")
    with pytest.raises(OSError, match="full") as caught, written_together(*names) as temporaries:
        temporaries[0].write_text("new")
        raise OSError(28, "full")
    assert caught.value.filename == str(tmp_path)
    assert list(tmp_path.iterdir()) == names[:1] and names[0].read_text() == "old"
    with written_together(*names) as temporaries:
        for temporary in temporaries:
            temporary.write_text("new")
        assert names[0].read_text() == "old" and not names[1].exists()
    assert sorted(tmp_path.iterdir()) == names and names[0].read_text() == "new"


@pytest.mark.parametrize("replace", [True, False])
def test_a_renaming_that_fails_undoes_those_before_it(replace: bool, tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("a.txt", "b.txt", "c.txt")]
    if replace:
        names[0].write_text("old")
    with pytest.raises(FileExistsError) as caught, written_together(*names, replace=replace) as temporaries:
        for temporary in temporaries:
            temporary.write_text("new")
        names[2].mkdir()
    assert caught.value.filename == str(names[2])
    assert sorted(tmp_path.iterdir()) == ([names[0], names[2]] if replace else names[2:])
    assert not replace or names[0].read_text() == "old"


_STOPPED = """
import os, signal, sys
from pathlib import Path
from fruitcnn.outputs import written_together
from fruitcnn.signals import end_on_signals

end_on_signals()
renamings = []

def watch(event, arguments):
    if event == "os.rename":
        renamings.append(arguments)
        if len(renamings) == 2:
            os.kill(os.getpid(), signal.SIGTERM)

sys.addaudithook(watch)
with written_together(*(Path(name) for name in "abc")) as temporaries:
    for temporary in temporaries:
        temporary.write_text("new")
"""


def test_a_signal_between_two_renamings_undoes_them(tmp_path: Path) -> None:
    for name in "ac":
        (tmp_path / name).write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", _STOPPED], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}
    )
    assert done.returncode == 143
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "old", "c": "old"}


_STOPPED_AFTER = """
import os, signal, sys
from pathlib import Path
from fruitcnn import temporaries
from fruitcnn.outputs import write_text
from fruitcnn.signals import end_on_signals

end_on_signals()
rename = temporaries.rename_over_file

def rename_and_be_stopped(temporary, path):
    rename(temporary, path)
    os.kill(os.getpid(), signal.SIGTERM)

temporaries.rename_over_file = rename_and_be_stopped
write_text(Path("a"), "new")
"""


@pytest.mark.parametrize("there", [True, False])
def test_a_signal_just_after_a_file_was_replaced_does_not_take_it(there: bool, tmp_path: Path) -> None:
    if there:
        (tmp_path / "a").write_text("old")
    words = [sys.executable, "-c", _STOPPED_AFTER]
    done = subprocess.run(words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(REPOSITORY)})
    assert done.returncode == 143
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == ({"a": "new"} if there else {})


def test_a_link_is_never_written_through_in_a_folder_of_ours(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "metrics.json").symlink_to(victim)
    with pytest.raises(FileExistsError) as caught:
        write_text(tmp_path / "metrics.json", "{}")
    assert caught.value.filename == str(tmp_path / "metrics.json")
    assert victim.read_text() == "dear" and (tmp_path / "metrics.json").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.json", "victim.txt"]


@pytest.mark.parametrize("what", ["config.yaml", "split.csv", "split.csv by a link", "a picture"])
def test_a_training_never_writes_over_what_it_reads(what: str, command: Command, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "checkpoints" / "R"
    run.mkdir(parents=True)
    recipe, given = "quick", data
    if what == "config.yaml":
        recipe = str(shutil.copy(REPOSITORY / "configs" / "quick.yaml", run / "config.yaml"))
    elif what == "a picture":
        (run / "metrics.csv").hardlink_to(data / "grape" / "grape_000.jpg")
    else:
        rows = [f"{path},{path.parent.name}" for path in sorted(data.rglob("*.jpg"))]
        (run / "split.csv").write_text("\n".join(["file,label", *rows]))
        (tmp_path / "linked.csv").symlink_to(run / "split.csv")
        given = tmp_path / "linked.csv" if "link" in what else run / "split.csv"
    done = command("train", given, "-r", recipe, "--name", "R", "--set", "data.size=16")
    assert done.returncode == 2 and "is read by this command (as " in done.stderr, done.stderr
    assert len(list(run.iterdir())) == 1


def test_an_evaluation_never_writes_over_what_it_reads(command: Command, data: Path, tmp_path: Path) -> None:
    assert command("evaluate", SHIPPED, "--data", data, "--report", "R").returncode == 0
    done = command("evaluate", SHIPPED, "--data", "R/predictions.csv", "--report", "R")
    assert done.returncode == 2 and "R/predictions.csv: is read by this command" in done.stderr
    (tmp_path / "R" / "metrics.json").unlink()
    (tmp_path / "R" / "metrics.json").symlink_to(SAMPLE / "grape" / "grape_000.jpg")
    done = command("evaluate", SHIPPED, "--data", data, "--report", "R")
    assert done.returncode == 2 and "R: holds other files" in done.stderr


def test_explained_pictures_and_the_output_do_not_meet(command: Command, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    for output in ("e/good.jpg", "new/../e/rows.csv", tmp_path / "e" / "deep" / "x"):
        done = command("identify", photo, "--explain", "e", "--output", output)
        assert done.returncode == 2 and "lies in a folder that is for pictures alone" in done.stderr
    assert list((tmp_path / "e").iterdir()) == []


def test_an_export_elsewhere_never_writes_over_the_run(command: Command, finished: Path, tmp_path: Path) -> None:
    before = digests(finished)
    for kind, message in (("hard link", "is read by this command"), ("link", "is read by this command")):
        folder = tmp_path / kind
        folder.mkdir()
        planted(folder / checkpoint.CARD, kind, finished / checkpoint.CARD)
        done = command("export", finished, "--to", folder)
        assert done.returncode == 2 and "holds card.json already" in done.stderr
        done = command("export", finished, "--to", folder, "--force")
        assert done.returncode == 2 and message in done.stderr
        assert [path.name for path in folder.iterdir()] == [checkpoint.CARD]
    assert digests(finished) == before


def test_a_report_on_a_full_disk_is_whole_or_what_was_there(command: Command, data: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24k,nr_inodes=9", "none", disk], check=False).returncode:
        pytest.skip("a small disk may not be mounted here")
    try:
        words = ("evaluate", SHIPPED, "--data", data, "--report", disk / "R")
        done = command(*words)
        assert done.returncode == 1 and "disk/R: the disk is full; make room" in done.stderr
        assert list(disk.iterdir()) == [], "not even an empty folder"
        (disk / "R").mkdir()
        for name in ("predictions.csv", "metrics.json", "report.html"):
            (disk / "R" / name).write_text("file,split,label,answer,familiarity,error\n")
        before = digests(disk)
        done = command(*words)
        assert done.returncode == 1 and "disk/R: the disk is full; make room" in done.stderr
        assert digests(disk) == before
        # No room for one more name; there still is for bytes.
        for number in range(9):
            with contextlib.suppress(OSError):
                (disk / f"{number}").touch()
        done = command("identify", SAMPLE / "grape" / "grape_000.jpg", "--output", disk / "out.csv")
        assert done.returncode == 1 and "disk/out.csv: the disk is full; make room" in done.stderr
        done = command(*words)
        assert done.returncode == 1 and "disk/R: the disk is full; make room" in done.stderr
        assert not list(disk.rglob("*tmp*"))
    finally:
        subprocess.run(["umount", disk], check=True)
