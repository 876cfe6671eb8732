"""Videos, drawn here: a row a second, upright, damaged ones told after what could be read."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from fruitcnn.errors import ImageError
from fruitcnn.identify.camera import camera_frames
from fruitcnn.identify.identify_paths import identify_paths
from fruitcnn.identify.request import Request
from fruitcnn.identify.video import frame_count, frames, is_video, spaced
from tests.conftest import REPOSITORY, Run
from tests.terminals import run_on_terminal, seen_lines, terminal

SHIPPED = str(REPOSITORY / "checkpoints" / "fruits")
RED, BLUE, GREEN = (200, 30, 30), (30, 30, 200), (30, 200, 30)


def draw(path: Path, *, seconds: int = 4, size: tuple[int, int] = (64, 48), codec: str = "mpeg4") -> Path:
    """Ten frames a second: green above; below red, blue, red, ... a second each, but for the black right half."""
    width, height = size
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(10 * seconds):
            pixels = np.zeros((height, width, 3), np.uint8)
            pixels[:, : width // 2] = (RED, BLUE)[number // 10 % 2]
            pixels[: height // 4] = GREEN
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())
    return path


def moments(path: Path, every: float = 1) -> tuple[list[str], str]:
    """The rows' names after the @, and the error that ended them."""
    found = []
    try:
        for name, _ in frames(str(path), every):
            assert name.startswith(f"{path}@")
            found.append(name.rpartition("@")[2])
    except ImageError as error:
        assert error.value == str(path) and error.remedy
        return found, error.problem
    return found, ""


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "mpeg4"), ("a.mkv", "mpeg4"), ("a.AVI", "mpeg4")])
def test_a_frame_a_second_in_its_colours(name: str, codec: str, tmp_path: Path) -> None:
    path = draw(tmp_path / name, codec=codec)
    rows = list(frames(str(path), 1))
    assert [row for row, _ in rows] == [f"{path}@00:00:0{second}" for second in range(4)] and is_video(str(path))
    for (_, image), colour in zip(rows, (RED, BLUE, RED, BLUE), strict=True):
        assert image.size == (64, 48) and image.mode == "RGB"
        assert np.allclose(image.getpixel((8, 40)), colour, atol=8)


@dataclasses.dataclass
class Frame:
    """As PyAV's, black."""

    rotation: int = 0

    def to_image(self) -> Image.Image:
        return Image.new("RGB", (8, 8))


@pytest.mark.parametrize(("rate", "every", "count"), [(10, 0.1, 20), (30, 0.1, 20), (25, 0.2, 10), (30, 1.0, 2)])
def test_no_frame_is_lost_or_doubled_by_binary_fractions(rate: int, every: float, count: int) -> None:
    decoded = ((number / rate, Frame()) for number in range(2 * rate))
    assert len(list(spaced("a.mp4", decoded, every))) == count


def test_every_so_many_seconds(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mp4")
    assert moments(path, 3) == (["00:00:00", "00:00:03"], "")
    assert moments(path, 1.5) == (["00:00:00.000", "00:00:01.500", "00:00:03.000"], "")
    assert len(moments(path, 0.01)[0]) == 40, "a frame is a row once"


def test_a_phone_that_was_held_upright(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mp4")
    data = path.read_bytes()
    one = bytes.fromhex("00010000")
    at = data.index(one + bytes(12) + one, data.index(b"tkhd"))
    turned = bytes.fromhex("00000000 00010000 00000000 ffff0000 00000000 00000000 00000000 00000000 40000000")
    path.write_bytes(data[:at] + turned + data[at + 36 :])
    image = next(frames(str(path), 1))[1]
    corners = [image.getpixel(place) for place in ((4, 4), (44, 4), (44, 60), (4, 60))]
    assert image.size == (48, 64) and np.allclose(corners, [RED, GREEN, GREEN, (0, 0, 0)], atol=8)


def test_large_frames_are_reduced(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mp4", seconds=1, size=(2560, 1440))
    assert next(frames(str(path), 1))[1].size == (1280, 720)


def test_damaged_videos_are_told_after_what_could_be_read(tmp_path: Path) -> None:
    data = draw(tmp_path / "a.mp4", seconds=8, size=(320, 240)).read_bytes()
    damaged = tmp_path / "b.mp4"
    damaged.write_bytes(data[: len(data) * 6 // 10])
    found, problem = moments(damaged)
    assert 1 < len(found) < 8 and problem.startswith("broken video (")
    # The index of what is in it is gone; no video at all; a list of other files, which stay closed.
    list_of_others = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{tmp_path / 'a.mp4'}\n#EXT-X-ENDLIST\n"
    for content in (data[:99], b"", bytes(5000), list_of_others.encode(), b"ffconcat version 1.0\nfile a.mp4\n"):
        damaged.write_bytes(content)
        found, problem = moments(damaged)
        assert not found and problem.startswith(("broken video (", "has no ")) and "Errno" not in problem


def test_a_video_among_pictures_is_rows_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    clip, photo = draw(tmp_path / "clips" / "a.mp4", seconds=2), tmp_path / "clips" / "b.png"
    next(frames(str(clip), 1))[1].save(photo)
    (tmp_path / "clips" / "c.mp4").write_bytes(photo.read_bytes())
    output = tmp_path / "rows.json"

    def rows(*paths: Path | str, **options: object) -> list[dict[str, object]]:
        request = Request(model=SHIPPED, format="json", output=output, force=True, **options)  # type: ignore[arg-type]
        identify_paths([str(path) for path in paths], request)
        return [json.loads(line) for line in output.read_text().splitlines()]

    named = rows(clip, photo, clip.parent / "c.mp4", sort=tmp_path / "sorted")
    assert [Path(str(row["file"])).name for row in named] == ["a.mp4@00:00:00", "a.mp4@00:00:01", "b.png", "c.mp4"]
    probabilities = [list(dict(row["probabilities"]).values()) for row in named]  # type: ignore[call-overload]
    assert np.allclose(probabilities[0], probabilities[2:], atol=1e-5), "a frame is answered as its picture is"
    pictures = sorted(path.name for path in (tmp_path / "sorted").rglob("a.mp4*"))
    assert pictures == ["a.mp4@00_00_00.png", "a.mp4@00_00_01.png"]
    assert "a.mp4@00:00:00" not in json.dumps(rows(clip.parent)), "a folder means its pictures"
    assert len(rows(str(clip.parent / "a*"), every=0.5)) == 4


def test_on_a_terminal_the_rows_of_videos_have_their_names_a_bar_and_a_sum(tmp_path: Path) -> None:
    draw(tmp_path / "clip.mp4", seconds=6)
    next(frames(str(tmp_path / "clip.mp4"), 1))[1].save(tmp_path / "photo.png")
    for names, count in ((["clip.mp4"], 6), (["clip.mp4", "photo.png"], 7)):
        words = [sys.executable, "-m", "fruitcnn", "identify", *names, "--model", SHIPPED]
        _, received = run_on_terminal(words, cwd=tmp_path)
        assert [f"clip.mp4@00:00:0{second}  " in received for second in range(6)] == [True] * 6, received
        shares = [int(share) for share in re.findall(r"(\d+)%(?:  \S+ left)? *\r", received)]
        assert list(dict.fromkeys(shares)) == [round(100 * number / count) for number in range(count + 1)]
        last = [line for line in seen_lines(received) if line][-1]
        assert re.fullmatch(rf"({count} \w+|\d \w+, \d \w+), [\d.]+/s", last), last


def test_frames_are_counted_before_they_are_read(tmp_path: Path) -> None:
    path = str(draw(tmp_path / "a.mp4"))
    for every in (0.1, 0.3, 1, 1.5, 3, 9):
        assert frame_count(path, every) == len(list(frames(path, every)))
    (tmp_path / "b.mp4").write_bytes(b"none")
    assert frame_count(str(tmp_path / "b.mp4"), 1) == 1 == frame_count(str(tmp_path / "gone.mp4"), 1)


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = draw(tmp_path / "a.mp4", seconds=1)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImageError, match=r"is a video, which needs av; pip install 'fruitcnn\[video\]'"):
        next(frames(str(path), 1))


def test_a_camera_is_rows_until_ctrl_c(cli: Run, tmp_path: Path) -> None:
    """With FFmpeg's virtual device instead of a real one, whose frames have no pace."""
    code = """
import os, signal, sys
from pathlib import Path
from fruitcnn.identify import camera, identify_paths
from fruitcnn.identify.request import Request
# As in a terminal: children of a shell in the background ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
camera._FORMATS = {sys.platform: ("lavfi", "testsrc=size=64x48:rate=10:duration={number},setpts=PTS+9/TB")}
seen = []
def told(self, result):
    seen.append(result)
    if len(seen) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGINT)
add = identify_paths.Tally.add
identify_paths.Tally.add = lambda self, result: (add(self, result), told(self, result))
request = Request(model=sys.argv[1], format="json", camera=8, output=Path("rows.json"), sort=Path("sorted"))
sys.exit(identify_paths.identify_paths([], request))
"""
    for stop, expected in ((3, 3), (99, 8)):
        place = tmp_path / str(stop)
        place.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", code, SHIPPED, str(stop)], cwd=place, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        rows = [json.loads(line)["file"] for line in (place / "rows.json").read_text().splitlines()]
        assert rows == [f"camera 8@00:00:0{second}" for second in range(expected)]
        assert len(list((place / "sorted").rglob("camera 8@*.png"))) == expected
        assert not list(place.glob("*.partial"))


def test_a_camera_has_its_rows_counted_and_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    formats = {sys.platform: ("lavfi", "testsrc=size=64x48:rate=10:duration={number},setpts=PTS+9/TB")}
    monkeypatch.setattr("fruitcnn.identify.camera._FORMATS", formats)
    monkeypatch.setattr("fruitcnn.progress._PAUSE", 0)
    photo = tmp_path / "photo.png"
    Image.new("RGB", (8, 8)).save(photo)
    with terminal(monkeypatch) as lines:
        identify_paths([str(photo)], Request(model=SHIPPED, format="csv", camera=3, output=tmp_path / "rows.csv"))
    bars = [line.strip() for line in lines if line.startswith("identifying pictures")]
    assert bars[0] == "identifying pictures" and "%" not in "".join(bars)
    assert re.match(r"identifying pictures: [1234, a-z]+, [\d.]+/s", bars[-1])
    assert re.search(r"\d \w+, [\d.]+/s$", "\n".join(lines).strip())


def test_a_camera_that_is_not_there_says_so(cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = cli("identify", "--camera", "93", "-m", SHIPPED)
    assert done.returncode == 3 and "rejected  camera 93: " in " ".join(done.stdout.split("   ")), done.stdout
    assert "no such device: /dev/video93; plug it in, or name another (" in done.stdout
    done = cli("identify", "-m", SHIPPED)
    assert done.returncode == 2 and "nothing to identify; give a PATH" in done.stderr
    done = cli("identify", "--camera", "0", "-o", "x", "--resume", "-m", SHIPPED)
    assert done.returncode == 2 and "--camera: can't be read again" in done.stderr

    def problem(number: int = 0) -> str:
        with pytest.raises(ImageError) as raised:
            list(camera_frames(number, 1))
        assert raised.value.value == f"camera {number}" and raised.value.remedy
        return raised.value.problem

    # A device that is none, one that may not be read, a system whose cameras FFmpeg does not know, and no av.
    monkeypatch.setattr("fruitcnn.identify.camera._FORMATS", {sys.platform: ("v4l2", f"{tmp_path}/video{{number}}")})
    (tmp_path / "video0").write_bytes(bytes(9))
    assert problem().startswith("can't be read (")
    if os.geteuid():
        (tmp_path / "video0").chmod(0)
        assert problem() == f"permission denied: {tmp_path}/video0"
    monkeypatch.setattr("fruitcnn.identify.camera._FORMATS", {})
    assert problem() == f"cameras are not read on {sys.platform}"
    monkeypatch.setitem(sys.modules, "av", None)
    assert problem() == "needs av"
