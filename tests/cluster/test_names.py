"""What sources mean, as a stream, and the list that is written of it."""

import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from fruitcnn.cluster import folder_walk, name_list
from fruitcnn.cluster.folder_walk import walked_pictures
from fruitcnn.cluster.manifest import Manifest
from fruitcnn.cluster.name_list import write_names
from fruitcnn.cluster.name_stream import streamed_names
from fruitcnn.cluster.remote_files import RemotePicture
from fruitcnn.errors import ImageError, UsageError
from fruitcnn.identify.results import Rejection
from fruitcnn.listing import find_pictures
from tests.cluster.conftest import fill
from tests.tiny import write_picture


def test_a_walk_finds_what_a_listing_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links are followed once, and not where their files are reached without them; loops end."""
    folder = tmp_path / "folder"
    for name in ("b/2.png", "b/10.png", "a/deep/er/1.png", "top.png", ".hidden/x.png", "__MACOSX/y.png", ".z.png"):
        write_picture(folder / name, (1, 2, 3))
    write_picture(tmp_path / "outside" / "sub" / "o.png", (1, 2, 3))
    write_picture(folder / "without_an_ending.png", (1, 2, 3)).rename(folder / "without_an_ending")
    (folder / "notes.txt").write_text("x")
    links = {"loop": "..", "self": ".", "c": "../outside/sub", "d": "../outside", "a_link": "a", "h": ".hidden"}
    for name, target in links.items():
        (folder / name).symlink_to(target)
    wanted = [str(path) for path in find_pictures(folder)[0]]
    for together in (folder_walk._SORTED_TOGETHER, 2):
        monkeypatch.setattr(folder_walk, "_SORTED_TOGETHER", together)
        found = list(walked_pictures(str(folder)))
        # Of a picture that two links lead to, either name will do; its file comes once.
        assert sorted(Path(name).resolve() for name in found) == sorted(Path(name).resolve() for name in wanted)
        assert len({Path(name).resolve() for name in found}) == len(found) == 7
    monkeypatch.undo()
    found = list(walked_pictures(str(folder)))
    assert [found.index(str(folder / "b" / name)) for name in ("2.png", "10.png")] == sorted(
        found.index(str(folder / "b" / name)) for name in ("2.png", "10.png")
    )


def test_lists_name_pictures_from_their_own_folder(tmp_path: Path) -> None:
    (tmp_path / "names.csv").write_bytes(
        b'\xef\xbb\xbffile,label\na.png,x\n\n"b,c.png",y\nd\xff.png,z\nhttp://h/e.png,z\n'
    )
    names = [b"a.png", b"memory://bucket/b.png", b"\xff.png"]
    parquet.write_table(pa.table({"n": [1, 2, 3], "file": names}), tmp_path / "names.parquet")
    named = ["http://h/x.png", "memory://bucket/x.png"]
    lists = [str(tmp_path / "names.csv"), str(tmp_path / "names.parquet")]
    found = list(streamed_names([*lists, *named]))
    base = f"{tmp_path}/"
    assert found == [
        *(f"{base}a.png", f"{base}b,c.png", f"{base}d\udcff.png", "http://h/e.png"),
        *(f"{base}a.png", "memory://bucket/b.png", f"{base}\udcff.png"),
        *named,
    ]
    for name, text, problem in [
        ("bad.csv", "path\na.png\n", "has no column called file"),
        ("gap.csv", "file,label\n,x\n", "gap.csv, line 2: names no file"),
        ("bad.parquet", "nothing", "can't be read as Parquet"),
        ("missing.csv", None, "no such file"),
    ]:
        if text is not None:
            (tmp_path / name).write_text(text)
        with pytest.raises(UsageError, match=problem):
            list(streamed_names([str(tmp_path / name)]))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_list_reaches_no_place_that_the_command_does_not_name(ending: str, tmp_path: Path) -> None:
    """Another host, scheme, port, bucket, or another server by an option of its file system."""
    named = ["http://host/x.png", "memory://bucket/x.png"]
    path = tmp_path / f"list.{ending}"

    def names(listed: str) -> list[object]:
        if ending == "csv":
            path.write_text(f"file\n{listed}\n")
        else:
            parquet.write_table(pa.table({"file": [listed]}), path)
        return list(streamed_names([*named, str(path)]))

    for same in ("http://HOST/other.png", "http://host?picture", "memory://bucket/deep/other.png"):
        assert names(same) == [*named, same]
    for other in (
        *("http://169.254.169.254/latest/meta-data", "https://host/x.png", "http://host:8080/x.png"),
        *("http://host@evil/x.png", "http://host\\@evil/x.png", "http://host.evil/x.png", "http:///x.png"),
        *("file:///etc/passwd", "s3://bucket/x.png", "memory://other/x.png"),
        *("memory://bucket?endpoint_override=evil/x.png", "memory://bucket/x.png?endpoint_override=evil"),
    ):
        with pytest.raises(UsageError, match=re.escape(f"stands in {path} alone, and what only a file names is not")):
            names(other)
    with pytest.raises(UsageError, match=r"^http://elsewhere/x.png: stands in .*; name a picture or folder of"):
        names("http://user:secret@elsewhere/x.png")


@pytest.mark.parametrize("cell", ["a\0b.mp4", "", None])
def test_a_cell_of_parquet_that_names_no_file_is_refused_as_in_csv(cell: str | None, tmp_path: Path) -> None:
    path = tmp_path / "names.parquet"
    parquet.write_table(pa.table({"file": ["a.png", cell]}), path)
    with pytest.raises(UsageError, match=r"names.parquet, row 2: names no file; fill it in"):
        list(streamed_names([str(path)]))


def test_texts_of_parquet_that_are_no_text_are_one_error(tmp_path: Path) -> None:
    path = tmp_path / "names.parquet"
    text = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff.png"]).buffers())
    parquet.write_table(pa.table({"file": text}), path)
    with pytest.raises(UsageError, match=r"names.parquet: can't be read as Parquet"):
        list(streamed_names([str(path)]))


def test_what_means_nothing_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    found = list(streamed_names([str(tmp_path / "nothing"), "", str(tmp_path / "*.nope")]))
    assert [one.error for one in found if isinstance(one, Rejection)] == [
        "no pictures in this folder; name a folder of photographs",
        "an empty name; name a picture, a folder or -",
        "matches no file; check the pattern",
    ]


def test_each_range_of_a_list_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it goes over several files."""
    monkeypatch.setattr(name_list, "_FILE_NAMES", 20)
    names = [Rejection(f"{number}", "why") if number % 7 == 0 else f"\udcff{number}.png" for number in range(95)]
    written = write_names(tmp_path, names, 10)
    assert written.count == 95 and len(list(tmp_path.glob("names-*.parquet"))) == 5
    assert [one for low, high in written.ranges() for one in written.read(low, high)] == names
    assert written.read(43, 48) == names[43:48]
    other = write_names(tmp_path, names[:-1], 10)
    assert other.sha256 != written.sha256


def test_pictures_behind_a_file_system(tiny: Path, tmp_path: Path) -> None:
    """One that pyarrow knows, one that fsspec knows, and one that nobody does."""
    import fsspec

    red = write_picture(tmp_path / "there" / "red.png", (255, 0, 0))
    write_picture(tmp_path / "there" / "sub" / "blue.png", (0, 0, 255))
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/in memory?.png", red.read_bytes())
    sources = [f"file://{tmp_path}/there", "memory://bucket", "memory://bucket/missing.png"]
    assert fill(tmp_path / "out", *sources, model=tiny) == 3
    (part,) = (tmp_path / "out").glob("part-*")
    rows = {row["file"]: row["identify_label"] or row["error"] for row in parquet.read_table(part).to_pylist()}
    assert [label for name, label in rows.items() if name.endswith(".png")][:3] == ["red", "blue", "red"]
    assert Manifest.read(tmp_path / "out").names.count == len(rows)
    with pytest.raises(ImageError, match="neither pyarrow nor fsspec opens gopher"):
        RemotePicture("gopher://host/a.png").read()
    with pytest.raises(ImageError, match="more than 10 bytes"):
        RemotePicture(f"file://{red}").read(10)


_HARNESS = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:]); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


@pytest.mark.long
@pytest.mark.parametrize("engine", [[], ["--engine", "dask", "--workers", "2"]])
def test_two_hundred_thousand_names_in_350_megabytes(engine: list[str], tiny: Path, tmp_path: Path) -> None:
    """Of the largest of all processes; each hundredth name is a picture."""
    write_picture(tmp_path / "red.png", (255, 0, 0))
    with (tmp_path / "names.csv").open("w") as file:
        file.write("file\n")
        for number in range(200_000):
            file.write("red.png\n" if number % 100 == 0 else f"a/folder/of/missing/pictures/number_{number:09}.png\n")
    words = ["identify", tmp_path / "names.csv", "-m", tiny, "-o", f"{tmp_path / 'out'}/", *engine]
    command = [sys.executable, "-c", _HARNESS, sys.executable, "-m", "fruitcnn", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(list((tmp_path / "out").glob("part-*"))) == 49
    assert int(done.stdout) * 1024 < 350e6
