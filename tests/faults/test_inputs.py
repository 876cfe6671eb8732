"""What is named to identify, or lies in a folder: nothing hangs, nothing is passed over in silence."""

import collections
import io
import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fruitcnn import Identification, Identifier
from fruitcnn.cli import main
from fruitcnn.errors import ImageError, TransientError
from fruitcnn.identify.inputs import STDIN_LIMIT
from fruitcnn.image import decode, load_pixels, picture, resize, source
from fruitcnn.image.budget import Budget
from fruitcnn.listing import find_pictures
from fruitcnn.regular_files import open_regular
from tests.faults.conftest import SAMPLE, Command, pictures
from tests.tiny import write_tiny_model


def answers(text: str) -> dict[str, str]:
    """File name -> "" where it was answered, else the error."""
    return {Path(row["file"]).name: row.get("error", "") for row in map(json.loads, text.splitlines())}


@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "link to a fifo"])
def test_what_is_no_file_is_never_opened(kind: str, command: Command, photo: Path, tmp_path: Path) -> None:
    strange = tmp_path / "strange.jpg"
    if kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            old = Path.cwd()
            os.chdir(tmp_path)
            listener.bind("strange.jpg")
            os.chdir(old)
    elif kind == "device":
        strange.symlink_to("/dev/zero")
    else:
        os.mkfifo(tmp_path / "pipe" if "link" in kind else strange)
        if "link" in kind:
            strange.symlink_to("pipe")
    for named in ([strange, photo], [tmp_path], [strange, "*ood.jpg"]):
        done = command("identify", *named, "--format", "json")
        found = answers(done.stdout)
        assert (
            done.returncode == 3
            and found["strange.jpg"].endswith("not a file; name a file")
            and found["good.jpg"] == ""
        )
    done = command("identify", photo, "--model", strange)
    assert done.returncode == 1 and "no such model" in done.stderr


def test_standard_input_without_end_is_read_up_to_a_limit(command: Command) -> None:
    done = command("identify", "-", "--format", "json", redirect="< /dev/zero")
    assert done.returncode == 3 and f"more than {STDIN_LIMIT:,} bytes" in answers(done.stdout)["-"]


def test_locked_files_and_folders_are_rows(command: Command, photo: Path, tmp_path: Path) -> None:
    inner = tmp_path / "folder" / "inner"
    locked = pictures(inner, 2) + pictures(tmp_path / "folder", 2)
    nameless = locked[2].rename(tmp_path / "folder" / "without_an_ending")
    nameless.chmod(0)
    inner.chmod(0)
    try:
        done = command("identify", "folder", inner / "picture_0.png", photo, "--format", "json", locked=True)
    finally:
        inner.chmod(0o700)
        nameless.chmod(0o600)
    found = answers(done.stdout)
    assert done.returncode == 3
    assert {name for name, error in found.items() if "permission denied" in error} == {
        *("inner", "without_an_ending", "picture_0.png")
    }
    assert found["good.jpg"] == found["picture_1.png"] == ""


def test_a_locked_folder_of_a_class_is_named(command: Command, tmp_path: Path) -> None:
    pictures(tmp_path / "set" / "open", 3)
    (closed := tmp_path / "set" / "closed").mkdir()
    closed.chmod(0)
    try:
        done = command("dataset", "check", "set", locked=True)
    finally:
        closed.chmod(0o700)
    assert done.returncode == 3 and "closed: permission denied" in done.stdout and "card.json" not in done.stdout


def test_linked_folders_are_followed_once_and_loops_cut(command: Command, tmp_path: Path) -> None:
    pictures(tmp_path / "outside", 2)
    pictures(tmp_path / "folder" / "real", 3)
    for name, target in {"z_loop": "..", "b_self": ".", "c_outside": "../outside", "d_outside": "../outside"}.items():
        (tmp_path / "folder" / name).symlink_to(target)
    (tmp_path / "folder" / "a_real").symlink_to("real")
    (tmp_path / "folder" / "dangling").symlink_to("nowhere")
    found, others = find_pictures(tmp_path / "folder")
    names = [path.relative_to(tmp_path / "folder").as_posix() for path in found]
    real = [f"real/picture_{number}.png" for number in range(3)]
    assert sorted(names) == [f"c_outside/picture_{number}.png" for number in range(2)] + real
    assert [path.name for path in others] == ["dangling"]
    assert command("identify", "folder").returncode == 0


def test_names_that_are_empty_too_long_or_no_text(command: Command, photo: Path, tmp_path: Path) -> None:
    strange = [b"\xff\xfe.jpg", b"\x1b[31m\n.jpg", "🍇.jpg".encode(), b"good[1]*.jpg"]
    for name in strange:
        (tmp_path / os.fsdecode(name)).write_bytes(photo.read_bytes())
    arguments = ["", "x" * 300 + ".jpg", "y" * 5000, *map(os.fsdecode, strange), str(photo)]
    for coding in ("ascii", "utf-8"):
        environment = {"PYTHONIOENCODING": coding, "PYTHONUTF8": "0"}
        done = command("identify", *arguments, "--format", "json", environment=environment)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == 3 and [row["file"] for row in found] == arguments
        assert ["error" in row for row in found] == [True] * 3 + [False] * 5
        assert "empty name" in found[0]["error"] and "name is too long" in found[1]["error"]
        shown = command("identify", *arguments, environment=environment).stdout
        assert "\x1b" not in shown and len(shown.splitlines()) == len(arguments)
        assert command("identify", *arguments, "--format", "csv", environment=environment).returncode == 3
    done = command("identify", "missing\x1b[31m", "--output", "no\x1b[31m/out")
    assert done.returncode == 2 and "\x1b" not in done.stderr and r"no\x1b[31m" in done.stderr


def test_glob_characters_in_the_name_of_a_folder(command: Command, tmp_path: Path) -> None:
    pictures(tmp_path / "set[1]", 3)
    pictures(tmp_path / "set1", 2)
    for argument, count in {"set[1]": 3, "set[1]/*.png": 3, "set[1]/picture_0.png": 1, "set?/*_0.png": 1}.items():
        done = command("identify", argument)
        assert done.returncode == 0 and len(done.stdout.splitlines()) == count, argument


def test_twelve_file_handles_are_enough(command: Command, tmp_path: Path) -> None:
    pictures(tmp_path / "folder", 200)
    done = command("identify", "folder", limits="-n 12")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 200


def test_too_few_file_handles_are_said_to_be_that(command: Command, photo: Path) -> None:
    # What Python itself needs to start is free again when the picture is opened: 5 does not do for the model.
    for count in (6, 7, 8):
        done = command("identify", photo, limits=f"-n {count}")
        assert done.returncode == 0 or "too many files are open; raise the limit (ulimit -n)" in done.stderr


def test_little_memory_is_said_to_be_that(command: Command, photo: Path, tmp_path: Path) -> None:
    Image.new("RGB", (13_000, 13_000)).save(tmp_path / "large.png")
    done = command("identify", "large.png", photo, "--format", "json", limits="-v 900000")
    found = answers(done.stdout)
    assert done.returncode == 3, done.stderr
    assert found["large.png"].startswith("not enough memory") and found["good.jpg"] == ""
    for limit in (400_000, 250_000):
        done = command("identify", photo, limits=f"-v {limit}")
        assert done.returncode == 0 or (done.returncode == 1 and len(done.stderr.splitlines()) == 1)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            ImportError("some.so: failed to map segment from shared object"),
            "a library can't be loaded (some.so: failed",
        ),
        (ImportError("cannot import name 'this'"), "internal error: ImportError: cannot import name 'this'; run again"),
    ],
)
def test_a_library_for_which_there_is_no_room_is_no_error_of_ours(
    error: ImportError, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("fruitcnn.identify.identify_paths.identify_paths", fail)
    monkeypatch.setattr(sys, "argv", ["fruitcnn", "identify", "photo.jpg"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1 and capsys.readouterr().err.replace("\n", " ").startswith(f"fruitcnn: {told}")


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


def test_what_does_not_fit_is_rejected_by_its_size_before_it_is_decoded() -> None:
    with pytest.raises(ImageError, match="3,600 megapixels, more than the limit of 178 megapixels"):
        decode(png_header(60_000, 60_000))
    for bits, samples, photometric, side, needed in ((8, 3, 2, 24_000, "1,728"), (16, 1, 1, 28_000, "1,568")):
        tags = [(256, 4, 64), (257, 4, 64), (258, 3, bits), (259, 3, 8), (262, 3, photometric), (277, 3, samples),
                (322, 4, side // 2), (323, 4, side * 2), (324, 4, 8), (325, 4, 8)]  # fmt: skip
        fields = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
        tiff = b"II*\0" + struct.pack("<IH", 8, len(tags)) + fields + bytes(4)
        with pytest.raises(ImageError, match=f"64 x 64 pixels take {needed} MB to decode, more than the limit of"):
            decode(tiff)


def test_pictures_that_fit_alone_wait_for_each_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    paths = []
    for number in range(6):
        paths.append(tmp_path / f"{number}.png")
        Image.new("RGBA", (500, 500), (number, 9, 9, 200)).save(paths[-1])
    alone = [load_pixels(path, 16) for path in paths]
    held: list[int] = []
    budget = Budget(7_000_000)
    monkeypatch.setattr(picture, "_budget", budget)
    original = picture.rgb_strips

    def watched(*arguments):  # type: ignore[no-untyped-def]
        held.append(budget.limit - budget._left)
        return original(*arguments)

    monkeypatch.setattr(picture, "rgb_strips", watched)
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda path: load_pixels(path, 16), paths))
    assert held == [4_048_000] * 6, "one at a time: two do not fit"
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
    with pytest.raises(ImageError, match="900 x 900 pixels take 10 MB to decode, more than the limit of 7 MB"):
        decode(png_header(900, 900))
    assert budget._left == budget.limit


def test_a_progressive_jpeg_holds_all_coefficients_at_whatever_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "_budget", Budget(2_000_000))
    for progressive in (False, True):
        with io.BytesIO() as file:
            Image.new("RGB", (1000, 800)).save(file, "JPEG", progressive=progressive)
            data = file.getvalue()
        if not progressive:
            assert decode(data, at_least=100).size == (250, 200)
    with pytest.raises(ImageError, match="1,000 x 800 pixels take 5 MB to decode"):
        decode(data, at_least=100)


def test_a_strip_at_a_time_gives_the_pixels_of_the_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for mode in ("RGBA", "LA", "P", "L"):
        whole = Image.fromarray(rng.integers(0, 256, (700, 333, 4), np.uint8), "RGBA")
        whole = whole.convert("RGB").convert(mode) if mode == "P" else whole.convert(mode)
        path = tmp_path / f"{mode}.png"
        whole.save(path)
        flat = Image.open(path).convert("RGBA")
        flat = Image.alpha_composite(Image.new("RGBA", flat.size, "white"), flat).convert("RGB")
        assert np.array_equal(load_pixels(path, 96), resize(flat, 96)), mode
        assert np.array_equal(np.asarray(decode(path)), np.asarray(flat)), mode
        monkeypatch.setattr(picture, "_COPIED", 1000)
        assert np.abs(load_pixels(path, 96).astype(int) - resize(flat, 96)).max() <= 1, mode
        monkeypatch.undo()


def test_a_lack_of_memory_or_handles_is_not_the_pictures_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)
    for error in (MemoryError(), OSError(24, "Too many open files"), OSError(5, "Input/output error")):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(source, "open_regular", fail)
        with pytest.raises(TransientError):
            load_pixels(path, 8)


def test_a_lack_of_memory_or_handles_that_passes_costs_no_picture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in range(6):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
    opened, lock = collections.Counter[Path](), threading.Lock()

    def fail_once(path: Path, *arguments: Any, **options: Any) -> Any:
        with lock:
            opened[path] += 1
        if opened[path] == 1 and path.name in ("1.png", "4.png"):
            raise OSError(24, "Too many open files")
        return open_regular(path, *arguments, **options)

    identifier = Identifier.load(write_tiny_model(tmp_path / "model.onnx"), threads=3)
    monkeypatch.setattr(source, "open_regular", fail_once)
    found = list(identifier.identify_many(sorted(tmp_path.glob("*.png"))))
    assert [Path(one.file).name for one in found if isinstance(one, Identification)] == [f"{n}.png" for n in range(6)]
    assert sorted(opened.values()) == [1, 1, 1, 1, 2, 2]


TEN_KINDS = ["empty", "cut", "text", "noise", "huge", "fifo", "dangling", "float", "folder link", "half header"]


def spoil(path: Path, kind: str, rng: random.Random) -> None:
    whole = (SAMPLE / "grape" / "grape_000.jpg").read_bytes()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind in ("dangling", "folder link"):
        path.symlink_to("nowhere" if kind == "dangling" else "/dev/zero")
    elif kind == "float":
        Image.new("F", (4, 4)).save(path, "TIFF")
    else:
        path.write_bytes(
            {
                "empty": b"",
                "cut": whole[: len(whole) // 2],
                "text": b"this is no picture",
                "noise": rng.randbytes(5000),
                "huge": png_header(60_000, 60_000),
                "half header": whole[:100],
            }[kind]
        )


# A process between the tests and the command: Linux counts the memory of who starts a program towards its peak.
_PEAK = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def peak_of(*arguments: object, cwd: Path) -> tuple[int, int]:
    """The exit status of a command, and its resident memory at most, in bytes."""
    words = [sys.executable, "-c", _PEAK, sys.executable, "-m", "fruitcnn", *map(str, arguments)]
    status, peak = subprocess.run(words, cwd=cwd, stdout=subprocess.PIPE, check=True).stdout.split()
    return int(status), int(peak)


@pytest.mark.parametrize("count", [200, pytest.param(5000, marks=pytest.mark.long)])
def test_bad_pictures_among_good_ones(count: int, command: Command, tmp_path: Path) -> None:
    rng = random.Random(5)
    paths = pictures(tmp_path / "folder", count)
    bad = set(rng.sample(range(count), count // 100))
    for place, number in enumerate(sorted(bad)):
        paths[number].unlink()
        spoil(paths[number], TEN_KINDS[place % 10], rng)
    done = command("identify", "folder", "--format", "json", "--model", "fruits")
    found = answers(done.stdout)
    assert done.returncode == 3 and len(found) == count and done.stderr == ""
    assert {name for name, error in found.items() if error} == {paths[number].name for number in bad}
    # No more than a few are in memory at a time.
    _, few = peak_of("identify", *paths[:64], "--output", "few.txt", cwd=tmp_path)
    status, peak = peak_of("identify", "folder", "--output", "all.txt", cwd=tmp_path)
    assert status == 3 and peak < 1.15 * few, (peak, few)


@pytest.mark.long
def test_eight_pictures_of_177_megapixels_keep_to_the_budget(tmp_path: Path) -> None:
    Image.new("RGBA", (13_300, 13_300), (200, 30, 40, 128)).save(tmp_path / "0.png")
    for number in range(1, 8):
        (tmp_path / f"{number}.png").hardlink_to(tmp_path / "0.png")
    status, peak = peak_of("identify", tmp_path, "--format", "json", "--output", "out.json", cwd=tmp_path)
    assert status == 0 and set(answers((tmp_path / "out.json").read_text()).values()) == {""}
    assert peak <= 1.5e9
