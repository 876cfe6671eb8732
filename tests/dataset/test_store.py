"""The pixel store: each picture decoded once, found by content, whole or not at all, within a limit."""

import errno
import fcntl
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fruitcnn import cache
from fruitcnn.cache import find_entries, shrink_cache
from fruitcnn.dataset import pictures, store
from fruitcnn.dataset.hashes import perceptual_hashes
from fruitcnn.dataset.records import Record
from fruitcnn.dataset.scan import scan
from fruitcnn.dataset.shelf import open_shelf
from fruitcnn.dataset.split import SplitRules
from fruitcnn.dataset.store import PixelStore
from fruitcnn.errors import TransientError
from fruitcnn.image import Picture, decode, load_pixels
from tests.conftest import REPOSITORY, Run
from tests.dataset.test_dataset import make_classes, picture


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own; as on a new machine, not even the folder around it is there."""
    monkeypatch.setenv("FRUITCNN_CACHE", str(tmp_path / "new" / "cache"))
    return tmp_path / "new" / "cache"


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    root = make_classes(tmp_path / "data", {"apple": 3, "pear": 3})
    return [Record(path.name, path, path.parent.name) for path in sorted(root.rglob("*.png"))]


def cached_files(folder: Path) -> list[Path]:
    """What is kept, longest unused first."""
    return [entry.path for entry in find_entries(folder)]


def read(records: list[Record], *sizes: int) -> tuple[PixelStore, list[Record]]:
    kept = PixelStore(sizes)
    return kept, pictures.read_pictures(records, kept)


def check(records: list[Record], *sizes: int) -> list[Record]:
    """Read, and compare every row with the one preprocessing."""
    kept, found = read(records, *sizes)
    for size in sizes:
        rows = kept.rows([record.sha256 for record in found], size)
        for record, pixels in zip(found, rows, strict=True):
            assert np.array_equal(pixels, load_pixels(record.path, size)), (record.file, size)
    return found


def decoded_since(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The files that are decoded from now on."""
    calls: list[bytes] = []
    opened = pictures.opened
    monkeypatch.setattr(pictures, "opened", lambda data, **options: (calls.append(data), opened(data, **options))[1])
    return calls


def test_a_picture_is_decoded_once_for_all_sizes_and_never_again(
    folder: Path, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = decoded_since(monkeypatch)
    first = check(records, 32, 48)
    assert sorted(calls) == sorted(record.path.read_bytes() for record in records)
    moved = [Record("other", record.path.rename(record.path.with_name(f"_{record.file}")), "") for record in records]
    calls.clear()
    second = check(moved, 48, 32)
    assert calls == [], "found by content, whatever the file is called"
    assert [record.hashes for record in first] == [record.hashes for record in second]
    assert len(cached_files(folder)) == 2


def test_a_new_photograph_decodes_itself_alone(
    folder: Path, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    check(records, 32)
    new = records[0].path.with_name("new.png")
    picture(77).save(new)
    calls = decoded_since(monkeypatch)
    check([Record("new.png", new, "apple"), *records], 32)
    assert calls == [new.read_bytes()]


def test_a_large_jpeg_has_the_pixels_of_load_pixels_at_every_size(folder: Path, tmp_path: Path) -> None:
    """Each size is decoded at the fraction that identifying would choose, in the file's own orientation."""
    noise = np.random.default_rng(0).integers(0, 256, (400, 600, 3), np.uint8)
    image = Image.fromarray(noise).resize((1504, 1000), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "large.jpg", quality=90, exif=exif)
    record = Record("large.jpg", tmp_path / "large.jpg", "")
    sizes = (16, 40, 96, 128, 400)
    (found,) = check([record], *sizes)
    assert found.hashes == perceptual_hashes(decode(record.path, at_least=2.5 * 96)), "at whatever sizes"
    assert found.hashes != perceptual_hashes(decode(record.path, at_least=2.5 * 16)), "this picture can tell"


@pytest.mark.parametrize("damage", ["cut", "row", "table", "magic", "empty"])
def test_a_damaged_shelf_is_rebuilt(
    damage: str, folder: Path, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = check(records, 32)
    (shelf,) = cached_files(folder)
    data = bytearray(shelf.read_bytes())
    whole = bytes(data)
    place = {"row": 32 * 32 * 3 * 2 + 5, "table": -60, "magic": -40}.get(damage, 0)
    data[place] ^= 0x40
    shelf.write_bytes({"cut": whole[:-100], "empty": b""}.get(damage, bytes(data)))

    assert check(records, 32) == before
    check(records, 32)
    calls = decoded_since(monkeypatch)
    check(records, 32)
    assert calls == [], "after at most two scans all is as it was"


def test_a_row_that_a_shelf_lost_since_it_was_opened_is_not_intact(folder: Path, records: list[Record]) -> None:
    check(records, 32)
    (path,) = cached_files(folder)
    shelf = open_shelf(path, 32)
    assert shelf is not None and shelf.is_intact(len(records) - 1)
    os.truncate(path, 32 * 32 * 3 * len(records) - 1)
    assert shelf.is_intact(0) and not shelf.is_intact(len(records) - 1)
    with pytest.raises(OSError, match="cut off"):
        shelf.read(len(records) - 1, np.empty((32, 32, 3), np.uint8))


def test_a_picture_that_is_broken_has_its_reason_and_no_row(folder: Path, records: list[Record]) -> None:
    records[2].path.write_bytes(records[2].path.read_bytes()[:200])
    records[4].path.unlink()
    os.mkfifo(records[4].path)
    found = read(records, 32)[1]
    assert [bool(record.error) for record in found] == [False, False, True, False, True, False]
    assert "broken picture" in found[2].error and len(found[2].sha256) == 64
    assert "FIFO" in found[4].error
    check([record for record in records if record not in (records[2], records[4])], 32)
    picture(3).save(records[2].path)
    assert not read(records, 32)[1][2].error, "mended, it takes part"


def test_what_is_not_the_pictures_fault_stops_the_scan_and_is_not_kept(
    folder: Path, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = pictures.opened

    def fails(data: bytes, **options: object) -> AbstractContextManager[Picture]:
        if data == records[3].path.read_bytes():
            raise TransientError("not enough memory", remedy="close other programs")
        return opened(data, **options)

    monkeypatch.setattr(pictures, "opened", fails)
    with pytest.raises(TransientError, match="not enough memory; close other programs") as caught:
        read(records, 32)
    assert caught.value.value == records[3].path
    monkeypatch.undo()
    monkeypatch.setenv("FRUITCNN_CACHE", str(folder))
    check(records, 32)


def test_few_file_handles_are_enough_or_named(folder: Path) -> None:
    code = (
        "import resource, sys, os\nfrom pathlib import Path\nfrom fruitcnn.dataset.scan import scan\n"
        "from fruitcnn.dataset.split import SplitRules\n"
        "import numpy.ma, numpy.random, PIL.PngImagePlugin\n"
        "extra = [os.open('/dev/null', 0) for _ in range(int(sys.argv[2]))]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (extra[-1] + 1 + int(sys.argv[3]), 4096))\n"
        "data = scan(Path(sys.argv[1]), sizes=[32], rules=SplitRules(0.3))\nprint(len(data.pictures), data.report)"
    )
    outcomes = []
    for free in (12, 1):
        command = [sys.executable, "-c", code, str(REPOSITORY / "dataset" / "sample"), "1", str(free)]
        done = subprocess.run(command, capture_output=True, text=True)
        outcomes.append(done.stdout + done.stderr)
        shutil.rmtree(folder, ignore_errors=True)
    assert outcomes[0] == "300 []\n"
    assert "too many files are open; raise the limit (ulimit -n)" in outcomes[1] and "broken" not in outcomes[1]


def test_a_folder_that_can_not_be_written_to_means_no_cache(
    folder: Path, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.parent.mkdir()
    folder.write_text("not a folder")
    data = scan(records[0].path.parents[1], sizes=[32, 48], rules=SplitRules(0.3))
    assert data.report == [f"warning: decoded pictures are not kept in {folder}: something else has this name"], "once"
    assert len(data.pixels("train", 48)) == 4
    check(records, 32, 48)
    assert folder.read_text() == "not a folder"
    monkeypatch.setenv("FRUITCNN_CACHE", str(folder.with_name("x" * 300)))
    again = scan(records[0].path.parents[1], sizes=[32], rules=SplitRules(0.3))
    assert again.report[0].endswith("the name is too long") and len(again.pixels("train", 32)) == 4


@pytest.mark.parametrize("rows", [0, 2, 6])
def test_a_disk_that_fills_up_means_no_cache(
    rows: int, folder: Path, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first row, between rows, or when all rows are there and their table is not."""
    write, written = os.pwrite, []

    def full(descriptor: int, data: bytes, offset: int) -> int:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(folder):
            if len(written) >= rows:
                raise OSError(errno.ENOSPC, "No space left on device")
            written.append(offset)
        return write(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    kept, found = read(records, 32)
    assert kept.failure == "the disk is full"
    for record, pixels in zip(found, kept.rows([record.sha256 for record in found], 32), strict=True):
        assert np.array_equal(pixels, load_pixels(record.path, 32))
    assert list(folder.iterdir()) == [], "nothing is left of what could not be finished"


def _scan(records: list[Record]) -> list[Record]:
    return check(records, 32)


def test_two_processes_at_once_share_the_cache(folder: Path, records: list[Record]) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(_scan, [records] * 4, chunksize=1)
    assert all(one == found[0] for one in found)
    assert len(list(folder.iterdir())) == 1


def test_a_killed_scan_leaves_nothing_that_the_next_one_does_not_remove(folder: Path, records: list[Record]) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom fruitcnn.dataset.store import PixelStore\n"
        "from fruitcnn.dataset.shelf import Facts\nimport numpy as np\nkept = PixelStore([32])\n"
        "kept.add(b'x' * 32, Facts((1, 2)), {32: np.zeros((32, 32, 3), np.uint8)})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    (orphan,) = folder.iterdir()
    alive = folder / ".pixels.0123abcd.fruitcnn-tmp"
    with alive.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        check(records, 32)
        assert not orphan.exists() and alive.exists(), "what another process writes is left alone"
    check(records, 32)
    assert not alive.exists() and len(list(folder.iterdir())) == 1


def test_what_was_used_longest_ago_goes_first(
    folder: Path, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, part in enumerate((records[:2], records[2:4], records[4:])):
        check(part, 32)
        for path in cached_files(folder)[-1:]:
            os.utime(path, (number + 1, number + 1))
    oldest, middle, newest = cached_files(folder)
    foreign = folder / "photo.pixels"
    foreign.write_bytes(b"mine")
    check(records[:2], 32)
    assert cached_files(folder) == [middle, newest, oldest], "using it makes it young"
    monkeypatch.setattr(cache, "LIMIT", oldest.stat().st_size + newest.stat().st_size)
    check(records[:2], 32)
    assert cached_files(folder) == [newest, oldest]
    monkeypatch.setattr(cache, "LIMIT", 0)
    check(records[:2], 32)
    assert cached_files(folder) == [oldest], "what is in use stays, however little is allowed"
    size = oldest.stat().st_size
    assert shrink_cache(folder, 0) == size
    assert list(folder.iterdir()) == [foreign], "what others put there is theirs"


def test_a_full_shelf_is_closed_and_the_next_one_begun(
    folder: Path, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_SHELF_BYTES", 2 * 32 * 32 * 3)
    check(records, 32)
    assert len(cached_files(folder)) == 3
    monkeypatch.setattr("fruitcnn.dataset.shelf._DECODER", "another")
    calls = decoded_since(monkeypatch)
    check(records, 32)
    assert len(calls) == 6 and len(cached_files(folder)) == 6, "another decoder, other pixels"


def test_rows_are_read_by_index_slice_and_list(folder: Path, records: list[Record]) -> None:
    kept, found = read(records, 32)
    rows = kept.rows([record.sha256 for record in found], 32)
    expected = np.array([load_pixels(record.path, 32) for record in records])
    assert len(rows) == 6 and rows.shape == expected.shape and rows.nbytes == expected.nbytes
    assert np.array_equal(np.asarray(rows), expected) and np.array_equal(rows[::-2], expected[::-2])
    assert np.array_equal(rows[[3, 0, 3]], expected[[3, 0, 3]]) and np.array_equal(rows[-1], expected[-1])
    assert [len(batch) for batch in rows.batches(4)] == [4, 2]
    assert np.array_equal(np.concatenate(list(rows.batches(4))), expected)
    with pytest.raises(KeyError):
        kept.rows([found[0].sha256], 48)
    with pytest.raises(IndexError):
        rows[6]


def test_the_cache_command_shows_and_clears(folder: Path, records: list[Record], cli: Run) -> None:
    assert cli("cache").stdout == f"{folder}: 0.0 MB in 0 files (at most 10,737 MB are kept)\n"
    check(records, 256)
    mine = folder / "mine.txt"
    mine.write_text("mine")
    assert cli("cache").stdout.startswith(
        f"{folder}: 1.2 MB in 1 file (at most 10,737 MB are kept)\n  pixels: 1.2 MB in 1 file\n"
    )
    assert cli("cache", "--clear").stdout == f"{folder}: removed 1.2 MB\n"
    assert list(folder.iterdir()) == [mine]
    assert cli("cache").stdout.startswith(f"{folder}: 0.0 MB in 0 files")
