"""Who may train in which folder, and which run a resume means: with real folders and real second processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fruitcnn import checkpoint, load_config
from fruitcnn.config import Config
from fruitcnn.errors import ConfigError, FruitcnnError, ModelError, UsageError
from fruitcnn.locks import LOCK, HeldError, held_folder
from fruitcnn.outputs import written_whole
from fruitcnn.runs.folder import Claim, claimed_run
from fruitcnn.temporaries import remove_temporaries

CONFIG = load_config("quick", ["train.epochs=2"])


def claim(root: Path, name: str | None = None, *, config: Config = CONFIG, resume: bool = False) -> str:
    """The name of the folder that is claimed, and let go again."""
    with claimed_run(config, Claim(name=name, resume=resume, root=root)) as folder:
        assert folder.is_dir() and (folder / LOCK).read_text() == str(os.getpid())
    assert not (folder / LOCK).exists()
    return folder.name


def begin(folder: Path, *files: str, config: Config = CONFIG) -> Path:
    """A run that was killed when it had these files."""
    folder.mkdir(parents=True)
    (folder / checkpoint.CONFIG).write_text(config.to_yaml())
    for file in files:
        (folder / file).write_text("4711" if file == LOCK else file)
    return folder


# A process that holds a folder until its standard input ends.
_HOLD = """
import sys
from pathlib import Path
from fruitcnn.locks import held_folder
with held_folder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holding(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_taken_name_is_numbered_and_a_chosen_one_refused(tmp_path: Path) -> None:
    assert claim(tmp_path / "new") == "quick"
    begin(tmp_path / "quick", checkpoint.LAST)
    (tmp_path / "quick-2").write_text("a file of the user")
    (tmp_path / "quick-3").mkdir()
    (tmp_path / "quick-3" / "notes.txt").write_text("a file of the user")
    assert claim(tmp_path) == "quick-4"
    for name in ("quick", "quick-2", "quick-3"):
        with pytest.raises(UsageError, match="exists already; choose another --name, or go on with --resume"):
            claim(tmp_path, name)
    (tmp_path / "quick-3" / "metrics.json").write_text("{}")
    with pytest.raises(UsageError, match=r"exists already; choose another --name$"):
        claim(tmp_path, "quick-3")
    assert (tmp_path / "quick-3" / "notes.txt").read_text() == "a file of the user"


@pytest.mark.parametrize(
    "files", [[], ["config.yaml"], ["config.yaml", "split.csv"], ["config.yaml", "split.csv", "metrics.csv", LOCK]]
)
def test_a_run_killed_in_its_first_epoch_is_begun_again_by_both_commands(files: list[str], tmp_path: Path) -> None:
    folder = begin(tmp_path / "quick", *files[1:])
    if not files:
        (folder / checkpoint.CONFIG).unlink()
    orphan = folder / ".last.0123abcd.fruitcnn-tmp.ckpt"
    for name, resume in ((None, False), ("quick", False), (None, True), ("quick", True)):
        orphan.write_text("")
        assert claim(tmp_path, name, resume=resume) == "quick"
        assert not orphan.exists()


def test_a_second_process_is_told_who_holds_the_folder_and_may_have_it_when_that_dies(tmp_path: Path) -> None:
    folder = begin(tmp_path / "quick", checkpoint.SPLIT)
    process = holding(folder)
    for resume in (False, True):
        with pytest.raises(HeldError, match=f"process {process.pid} is working there"):
            claim(tmp_path, "quick", resume=resume)
    assert claim(tmp_path) == "quick-2", "the next number where no name was given"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (folder / LOCK).exists()
    assert claim(tmp_path, "quick") == "quick"


def test_a_finished_run_keeps_no_lock_of_a_killed_process_but_that_of_a_living_one(tmp_path: Path) -> None:
    folder = begin(tmp_path / "quick", checkpoint.METRICS)
    process = holding(folder)
    for alive in (True, False):
        with pytest.raises(UsageError, match="is finished already"):
            claim(tmp_path, "quick", resume=True)
        assert (folder / LOCK).exists() == alive
        process.kill()
        process.communicate()


# One process that becomes four, so that they claim at the same moment; all hold until the input ends. A fork must not
# wait at its end for threads that it does not have.
_CLAIM = """
import os, sys
from pathlib import Path
from fruitcnn import load_config
from fruitcnn.runs.folder import Claim, claimed_run
os.fork()
os.fork()
with claimed_run(load_config("quick"), Claim(root=Path(sys.argv[1]))) as folder:
    os.write(1, folder.name.encode() + b"\\n")
    sys.stdin.read()
os._exit(0)
"""


def test_four_that_start_at_once_have_a_folder_each(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", _CLAIM, tmp_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        names = [process.stdout.readline() for _ in range(4)]
        process.stdin.close()
    assert sorted(names) == ["quick\n", "quick-2\n", "quick-3\n", "quick-4\n"]


def test_a_resume_looks_only_at_runs_of_its_recipe(tmp_path: Path) -> None:
    begin(tmp_path / "quick", checkpoint.SPLIT)
    for number, other in enumerate(("quicker", "quick-x", "quick-2-old", "quick-"), 1):
        os.utime(begin(tmp_path / other, checkpoint.SPLIT) / checkpoint.CONFIG, (2e9 + number, 2e9 + number))
    assert claim(tmp_path, resume=True) == "quick"
    os.utime(begin(tmp_path / "quick-2", checkpoint.SPLIT) / checkpoint.CONFIG, (1.9e9, 1.9e9))
    assert claim(tmp_path, resume=True) == "quick-2", "the newest"
    (tmp_path / "quick-2" / checkpoint.METRICS).write_text("")
    assert claim(tmp_path, resume=True) == "quick", "a finished one is not resumed"


@pytest.mark.parametrize("name", ["*", "qu[i]ck", "a?", "a b", "\N{GRAPES}", "-x", "two\nlines"])
def test_a_name_is_no_pattern(name: str, tmp_path: Path) -> None:
    begin(tmp_path / "quick", checkpoint.SPLIT)
    with pytest.raises(UsageError, match="no such run"):
        claim(tmp_path, name, resume=True)
    assert claim(tmp_path, name) == name
    begin(tmp_path / "again" / name, checkpoint.SPLIT, checkpoint.LAST)
    assert claim(tmp_path / "again", name, resume=True) == name


@pytest.mark.parametrize("name", ["../up", "a/b", "", "..", "."])
def test_names_that_would_leave_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a plain name"):
        claim(tmp_path, name)


def test_resume_refuses_what_is_not_the_same_run(tmp_path: Path) -> None:
    begin(tmp_path / "quick", checkpoint.SPLIT, checkpoint.LAST, checkpoint.METRICS)
    with pytest.raises(UsageError, match="finished already"):
        claim(tmp_path, resume=True)
    begin(tmp_path / "begun", checkpoint.SPLIT, checkpoint.LAST)
    other = load_config("quick", ["train.epochs=9"])
    with pytest.raises(ConfigError, match="other settings in: train;"):
        claim(tmp_path, "begun", config=other, resume=True)
    (tmp_path / "begun" / checkpoint.CONFIG).write_text("a: [")
    with pytest.raises(ConfigError, match=r"begun/config\.yaml: can't be read as YAML"):
        claim(tmp_path, "begun", resume=True)
    for file in (checkpoint.CONFIG, checkpoint.SPLIT):
        folder = begin(tmp_path / f"no {file}", checkpoint.SPLIT, checkpoint.LAST)
        (folder / file).unlink()
        with pytest.raises(ModelError, match=f"has a last.ckpt, but no {file}; put it back"):
            claim(tmp_path, folder.name, resume=True)
        assert not (folder / LOCK).exists()


@pytest.mark.parametrize("root", ["a file", "a file/below"])
def test_where_no_folder_can_be_made(root: str, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    with pytest.raises(FruitcnnError, match="a file"):
        claim(tmp_path / root)
    with pytest.raises(FruitcnnError, match="the name is too long; use a shorter one"):
        claim(tmp_path / "runs", "x" * 300)


def test_orphans_are_what_written_whole_leaves_and_nothing_else(tmp_path: Path) -> None:
    kept = [
        ".hidden",
        "a.tmp",
        ".a.0123abcd.tmp.png",
        ".a.0123abcg.fruitcnn-tmp.png",
        ".a.0123abcd.fruitcnn-tmpx",
        "model.onnx",
    ]
    for name in kept:
        (tmp_path / name).write_text("")
    for target in ("model.onnx", "no ending", "x" * 250 + ".png", "a.b.csv"):
        with written_whole(tmp_path / target) as temporary:
            left = temporary
            temporary.write_text("")
        left.write_text("as a killed process leaves it")
    remove_temporaries(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {*kept, "model.onnx", "no ending", "x" * 250 + ".png", "a.b.csv"}


def test_a_hold_outlives_no_context(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), held_folder(tmp_path):
        with pytest.raises(HeldError), held_folder(tmp_path):
            pass
        1 / 0  # noqa: B018
    with held_folder(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
