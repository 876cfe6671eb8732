"""`fruitcnn dataset fetch`: what it says, what it leaves, and that training and evaluating go on from there."""

import collections
import csv
import shlex
import subprocess
from pathlib import Path

import pytest

from fruitcnn.errors import DatasetError, UsageError
from fruitcnn.fetch import manifest as manifests
from fruitcnn.fetch.fetch import fetch
from fruitcnn.fetch.manifest import SETS, blob_sha1, find_set, read_manifest
from tests.conftest import REPOSITORY, Run
from tests.fetch.server import serving, unlike


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def test_the_manifest_of_the_fruits_is_all_of_them() -> None:
    files = read_manifest(SETS["fruits"].manifest)
    splits = collections.Counter(file.split for file in files)
    assert len({file.path for file in files}) == 2009 and splits == {"train": 1457, "validation": 262, "test": 290}
    assert {file.label for file in files} == {"grape", "pineapple", "strawberry"}
    assert all(file.path.startswith(f"{file.label}/") and len(file.blob) == 40 for file in files)
    groups: dict[str, set[str]] = collections.defaultdict(set)
    for file in files:
        groups[file.group].add(file.split)
    assert all(len(sides) == 1 for sides in groups.values()), "near-duplicates on both sides"
    assert "850c99d1d89d598b1fe7d2b817d332492e6b21f9" in SETS["fruits"].address


def test_the_hash_is_that_of_git(tmp_path: Path) -> None:
    for data in (b"", b"what is up, doc?"):
        (tmp_path / "file").write_bytes(data)
        git = subprocess.run(["git", "hash-object", "file"], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert blob_sha1(data) == git.stdout.strip()


@pytest.mark.parametrize(
    "path",
    [
        *("../x.jpg", "a/../../x.jpg", "/etc/x.jpg", "a//x.jpg", "a/./x.jpg", "x.jpg", "a/", ".a/x.jpg", "a\\b/x.jpg"),
        *("C:/x.jpg", "a/nul.jpg", "a/x.jpg ", "a/x\n.jpg"),
    ],
)
def test_no_path_of_a_manifest_leads_out_of_the_folder(path: str, tmp_path: Path) -> None:
    row = ["path,label,git_blob_sha1,bytes,duplicate_group,split", f'"{path}",a,{"0" * 40},1,0,train']
    (tmp_path / "m.csv").write_text("\n".join(row), encoding="utf-8")
    with pytest.raises(DatasetError, match="no place inside a folder"):
        read_manifest(tmp_path / "m.csv")


def test_the_three_commands_that_repeat_the_results(drawn: Path, tmp_path: Path, cli: Run) -> None:
    """Those of docs/results.md, with drawn pictures from the loopback in the place of the fruits."""
    page = (REPOSITORY / "docs/results.md").read_text(encoding="utf-8")
    lines = page.split("```sh\n")[1].split("```")[0].replace("fruits", "drawn").splitlines()
    fetching, training, evaluating = (shlex.split(line)[1:] for line in lines)
    assert fetching == ["dataset", "fetch", "drawn"]
    with serving(drawn) as server:
        # Names as people give them, too.
        server.files["grape/Trauben süß 1.jpg"] = server.files.pop("grape/grape_000.jpg")
        listed = server.write_manifest(tmp_path / "manifest.csv")
        done = subprocess.run(server.command(listed), cwd=tmp_path, capture_output=True, text=True)
        again = subprocess.run(server.command(listed), cwd=tmp_path, capture_output=True, text=True)
        folder = tmp_path / "drawn"
        assert (done.returncode, done.stderr) == (0, "") and unlike(folder, server) == []
    assert len(server.seen) == 48 and again.returncode == 0, "what was there was fetched again"
    assert done.stdout.startswith("Drawn by a program.\n48 pictures: 48 fetched (")
    assert again.stdout.endswith("48 pictures: 0 fetched (0.0 MB), 48 were there; list: drawn/photos.csv\n")
    train = cli(*training, "--size", "64", "--device", "cpu")
    assert train.returncode == 0, train.stderr
    evaluate = cli(*evaluating)
    with (folder / "photos.csv").open(encoding="utf-8") as rows:
        held_back = sum(row["split"] == "test" for row in csv.DictReader(rows))
    assert evaluate.returncode == 0 and "again on 8 labelled pictures of the test split" in evaluate.stdout
    split = (tmp_path / "checkpoints/again/split.csv").read_text(encoding="utf-8")
    assert "Trauben süß 1.jpg" in split and split.count(",test") == held_back == 8


def test_mistakes_are_told_before_anything_is_fetched(drawn: Path, tmp_path: Path, cli: Run) -> None:
    assert "No licence is given" in find_set("fruits").rights
    for words, problem in {
        ("cats",): "cats: no such data set; choose from: fruits",
        ("fruits", "--from", "file:///etc"): "file:///etc: is no address of a folder; give the http(s) address",
        ("fruits", "--from", "https://u:s3cret@host/x?token=s3cret"): "https://host/x?token=...: is no address",
        ("fruits", "deep/er"): "deep: no such folder; make it first",
    }.items():
        done = cli("dataset", "fetch", *words)
        assert done.returncode == 2 and problem in done.stderr and "s3cret" not in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []
    with serving(drawn) as server:
        known = manifests.RemoteSet(server.write_manifest(tmp_path / "m.csv"), server.address, "")
        manifests.SETS["drawn"] = known
        try:
            (tmp_path / "mine").mkdir()
            (tmp_path / "mine" / "photos.csv").write_text("file,label\n")
            with pytest.raises(UsageError, match="is there already, and is another list"):
                fetch("drawn", tmp_path / "mine")
            (tmp_path / "linked").mkdir()
            (tmp_path / "linked" / "grape").symlink_to(tmp_path)
            with pytest.raises(UsageError, match="leads out of the folder"):
                fetch("drawn", tmp_path / "linked")
        finally:
            del manifests.SETS["drawn"]
        assert server.seen == []
    assert (tmp_path / "mine" / "photos.csv").read_text() == "file,label\n"


def test_a_proxy_that_cannot_be_used_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Run) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:9")
    done = cli("dataset", "fetch", "fruits")
    assert done.returncode == 2 and "proxy" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not list(tmp_path.iterdir())
