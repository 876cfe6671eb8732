"""Large runs without an engine: their rows are a plain identify's, however often they are interrupted."""

import collections
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pyarrow import parquet

from fruitcnn.cluster.identify_folder import Work, identify_folder
from fruitcnn.cluster.merge import merge
from fruitcnn.cluster.parts import Job
from fruitcnn.errors import DatasetError, UsageError
from fruitcnn.identify.identify_paths import identify_paths
from fruitcnn.identify.request import Request
from fruitcnn.locks import held_folder
from tests.cluster.conftest import fill
from tests.conftest import Run
from tests.tiny import CARD, write_picture, write_tiny_model


def plain(sources: list[Path], output: Path, model: Path, **more: object) -> list[str]:
    """The lines of a plain identify."""
    format = "csv" if output.suffix == ".csv" else "json"
    identify_paths([*map(str, sources)], Request(model=str(model), format=format, output=output, **more))  # type: ignore[arg-type]
    return output.read_text().splitlines()


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("part-*"))


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_merged_parts_are_what_a_plain_identify_says(ending: str, photos: Path, tiny: Path, tmp_path: Path) -> None:
    # Folders, a pattern, a file, what is missing, and what means nothing.
    (tmp_path / "nothing").mkdir()
    sources = [photos, photos / "b" / "*_1?.png", photos / "empty.jpg", tmp_path / "missing.png", tmp_path / "nothing"]
    assert fill(tmp_path / "out", *sources, model=tiny) == 3
    assert merge(tmp_path / "out", tmp_path / f"merged.{ending}") == 53 + 5 + 1 + 1 + 1
    if ending == "parquet":
        found = parquet.read_table(tmp_path / "merged.parquet").to_pylist()
        wanted = [json.loads(line) for line in plain(sources, tmp_path / "plain.json", tiny)]
        escaped = {row["file"].encode(errors="backslashreplace").decode(): row for row in wanted}
        assert sorted({row["file"] for row in found}) == sorted(escaped)
        for row in found:
            one = escaped[row["file"]]
            assert [row[label] for label in CARD.labels] == [one.get("probabilities", {}).get(x) for x in CARD.labels]
            keys = ("familiarity", "identify_label", "identify_rate", "error")
            assert [row[key] for key in keys] == [one.get(key) for key in keys]
        return
    lines = (tmp_path / f"merged.{ending}").read_text().splitlines()
    wanted_lines = plain(sources, tmp_path / f"plain.{ending}", tiny)
    # The order is that of the list, which is natural in each folder.
    same = [line.replace(r"\\udcff\\udcfe", r"\udcff\udcfe") for line in lines]
    assert sorted(same) == sorted(wanted_lines) and (ending != "csv" or lines[0] == wanted_lines[0])


def test_a_rerun_does_what_is_missing_and_nothing_else(photos: Path, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert fill(folder, photos, model=tiny) == 3
    before = {name: (folder / name).stat().st_mtime_ns for name in parts(folder)}
    assert len(before) == 7 and json.loads((folder / "manifest.json").read_text())["list"]["pictures"] == 53
    first, second, *rest = before
    (folder / second).unlink()
    (folder / f".{Path(first).stem}.0123abcd.fruitcnn-tmp.parquet").write_bytes(b"of a killed one")
    (folder / f".{Path(second).stem}.0123abcd.fruitcnn-tmp.parquet").write_bytes(b"of a killed one")
    assert fill(folder, photos, model=tiny) == 3
    after = {name: (folder / name).stat().st_mtime_ns for name in parts(folder)}
    assert after.keys() == before.keys() and after[second] > before[second]
    assert all(after[name] == before[name] for name in (first, *rest))
    assert not list(folder.glob(f".{Path(second).stem}*"))


def test_another_model_list_or_setting_is_refused_by_its_difference(photos: Path, tiny: Path, tmp_path: Path) -> None:
    folder, listed = tmp_path / "out", tmp_path / "list.csv"
    listed.write_text(f"file\n{photos / 'a' / 'photo_0.png'}\n")
    fill(folder, listed, model=tiny)
    other = write_tiny_model(tmp_path / "other.onnx", CARD.__class__(**{**vars(CARD), "labels": ("r", "g", "b")}))
    with pytest.raises(UsageError, match=r"begun with the model tiny \([0-9a-f]{12}\), not other \("):
        fill(folder, listed, model=other)
    with pytest.raises(UsageError, match=r"begun with .*list.csv, not .*photos"):
        fill(folder, photos, model=tiny)
    with pytest.raises(UsageError, match="begun with 1 sources, not 2"):
        fill(folder, listed, photos, model=tiny)
    with pytest.raises(UsageError, match="--per-part 8, not 9"):
        fill(folder, listed, model=tiny, per_part=9)
    with pytest.raises(UsageError, match=r"--refuse-below unset, not 0.5"):
        identify_folder([str(listed)], f"{folder}/", Request(model=str(tiny), refuse_below=0.5), Work(per_part=8))
    listed.write_text(listed.read_text() * 2)
    with pytest.raises(UsageError, match=r"list .*list.csv as it was, which has changed since"):
        fill(folder, listed, model=tiny)
    assert len(parts(folder)) == 1


def test_shares_together_are_the_whole_and_two_of_one_are_safe(photos: Path, tiny: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fruitcnn", "identify", photos, "-m", tiny, "-o", "out/", "--per-part", "4"]
    # All at once: one writes the list, the others wait for it.
    shares = ["1/3", "2/3", "2/3", "3/3"]
    running = [
        subprocess.Popen([*map(str, command), "--part", share], cwd=tmp_path, stderr=subprocess.PIPE)
        for share in shares
    ]
    # Those that wait for the list say so, once.
    said = [process.communicate()[1].splitlines() for process in running]
    waits = [[line.startswith(b"waiting for the list of out: ") for line in lines] for lines in said]
    assert all(one in ([False], [True, False]) for one in waits), said
    assert {process.returncode for process in running} <= {0, 3}
    assert len(parts(tmp_path / "out")) == 14 and not list((tmp_path / "out").glob(".*"))
    assert fill(tmp_path / "whole", photos, model=tiny) == 3
    merge(tmp_path / "out", tmp_path / "out.csv")
    merge(tmp_path / "whole", tmp_path / "whole.csv")
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_part_that_another_is_at_comes_last(photos: Path, tiny: Path, tmp_path: Path) -> None:
    """Two runs of one share divide it between them; what the other died over is done all the same."""
    folder = tmp_path / "out"
    fill(folder, photos, model=tiny)
    names = parts(folder)
    for name in names[:2]:
        (folder / name).unlink()
    order = []

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.link" and str(arguments[1]).startswith(str(folder)):
            order.append(Path(str(arguments[1])).name)

    holder = (
        "import pathlib, sys; from fruitcnn.temporaries import create_temporary; "
        f"create_temporary(pathlib.Path({str(folder / names[0])!r}), alone=True); print(flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout and process.stdin and process.stdout.readline()
    sys.addaudithook(watch)
    try:
        # One after the other.
        request = Request(model=str(tiny), threads=1)
        identify_folder([str(photos)], f"{folder}/", request, Work(per_part=8))
    finally:
        process.communicate()
    assert order == [names[1], names[0]]


def test_a_part_whose_file_another_machine_took_for_abandoned_is_written_again(
    photos: Path, tiny: Path, tmp_path: Path
) -> None:
    """As on a network disk whose locks end at each machine."""
    fill(tmp_path / "out", photos, model=tiny)
    whole = tmp_path / "out" / parts(tmp_path / "out")[0]
    wanted = parquet.read_table(whole)
    whole.unlink()
    taken: list[Path] = []
    told = collections.Counter[str]()

    def take(counts: dict[str, int]) -> None:
        told.update(counts)
        for path in whole.parent.glob(".part-*") if not taken else []:
            path.unlink()
            taken.append(path)

    counts = Job(whole.parent, threads=1).write_part(0, 8, watch=take)
    assert taken and counts == +told and told.total() == 8
    assert parquet.read_table(whole).equals(wanted)


def test_who_waits_for_the_list_of_another_says_so_once(photos: Path, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    command = ["fruitcnn", "identify", photos, "-m", tiny, "-o", "out/", "--per-part", "8"]
    with held_folder(folder):
        process = subprocess.Popen(
            [sys.executable, "-m", *map(str, command)], cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr
        first = process.stderr.readline()
        # For a second look at least.
        time.sleep(1.2)
    assert first == f"waiting for the list of out: process {os.getpid()} is working there\n"
    assert process.communicate()[1].count("\n") == 1 and process.returncode == 3


def test_merged_rows_never_take_the_place_of_what_they_come_from(photos: Path, tiny: Path, tmp_path: Path) -> None:
    """By any name: its own, a link to it, one that a part could have."""
    folder = tmp_path / "out"
    fill(folder, photos, model=tiny)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (tmp_path / "link.json").symlink_to(folder / "manifest.json")
    (tmp_path / "twin.parquet").hardlink_to(folder / "names-000000000000.parquet")
    for name in [
        *("out/manifest.json", "out/names-000000000000.parquet", f"out/{parts(folder)[0]}", "link.json"),
        *("out/part-000000000000-000000000099.parquet", "out/../out/names-000000000099.parquet", "twin.parquet"),
    ]:
        with pytest.raises(UsageError, match=r"is a name of the folder's own files|is read by this command"):
            merge(folder, tmp_path / name, force=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert merge(folder, folder / "all.csv") == 53


def test_a_folder_of_others_is_left_alone(photos: Path, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match=r"mine: has other files in it \(thesis.txt\)"):
        fill(tmp_path / "mine", photos, model=tiny)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="file/: is no folder"):
        fill(tmp_path / "file", photos, model=tiny)


def test_a_damaged_part_and_one_of_another_run_are_named(photos: Path, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    fill(folder, photos, model=tiny)
    first = parts(folder)[0]
    whole = (folder / first).read_bytes()
    (folder / first).write_bytes(whole[:-20])
    with pytest.raises(DatasetError, match=f"{first}: can't be read"):
        merge(folder, tmp_path / "all.csv")
    fill(tmp_path / "other", photos / "a", model=tiny)
    (folder / first).write_bytes((tmp_path / "other" / first).read_bytes())
    with pytest.raises(DatasetError, match=f"{first}: belongs to another run"):
        merge(folder, tmp_path / "all.csv")
    (folder / first).unlink()
    with pytest.raises(UsageError, match="lacks 1 of 7 parts"):
        merge(folder, tmp_path / "all.csv")
    assert not (tmp_path / "all.csv").exists()


def test_parts_top_and_threshold_reach_the_rows(photos: Path, tiny: Path, tmp_path: Path) -> None:
    more = {"top": 2, "refuse_below": 0.9}
    request = Request(model=str(tiny), **more)  # type: ignore[arg-type]
    identify_folder([str(photos / "a")], f"{tmp_path / 'out'}/", request, Work(per_part=10))
    merge(tmp_path / "out", tmp_path / "merged.jsonl")
    wanted = plain([photos / "a"], tmp_path / "plain.jsonl", tiny, **more)
    assert sorted((tmp_path / "merged.jsonl").read_text().splitlines()) == sorted(wanted)


def test_options_that_do_not_go_together(cli: Run, photos: Path, tiny: Path, tmp_path: Path) -> None:
    for words, problem in {
        "--part 1/2": "standard output: is no folder",
        "-o file --engine dask": "file: is no folder",
        "-o out/ --part 3/2": "3/2: is no share",
        "-o out/ --part 1/2 --engine dask": "--part: is for runs without an engine",
        "-o out/ --workers 2": "--workers: is for an engine",
        "-o out/ --explain x": "--explain: is not for a folder of parts",
        "-o out/ --format csv": "csv: is no format of parts",
        "-o no/such/": "no: no such folder",
    }.items():
        done = cli("identify", photos, "-m", tiny, *words.split())
        assert done.returncode == 2 and problem in done.stderr and len(done.stderr.splitlines()) == 1, words
    assert not list(tmp_path.iterdir())


def test_parquet_of_a_small_run(cli: Run, photos: Path, tiny: Path, tmp_path: Path) -> None:
    done = cli("identify", photos / "a", "-m", tiny, "--format", "parquet", "--output", "small.parquet")
    assert (done.returncode, done.stdout) == (3, "")
    table = parquet.read_table(tmp_path / "small.parquet")
    assert table.num_rows == 26 and table.schema.names[3:6] == list(CARD.labels)
    with (tmp_path / "piped.parquet").open("wb") as file:
        words = ["identify", photos / "a", "-m", tiny, "--format", "parquet"]
        piped = subprocess.run([sys.executable, "-m", "fruitcnn", *words], stdout=file, check=False)
    assert piped.returncode == 3 and parquet.read_table(tmp_path / "piped.parquet").equals(table)


def test_a_list_of_names_starts_in_its_own_folder(tiny: Path, tmp_path: Path, cli: Run) -> None:
    write_picture(tmp_path / "set" / "red.png", (255, 0, 0))
    (tmp_path / "set" / "list.csv").write_text("label,file\nx,red.png\ny,missing.png\n")
    assert cli("identify", "set/list.csv", "-m", tiny, "-o", "out/").returncode == 3
    rows = parquet.read_table(next((tmp_path / "out").glob("part-*"))).to_pylist()
    assert [(row["file"], row["identify_label"]) for row in rows] == [("set/red.png", "red"), ("set/missing.png", None)]
