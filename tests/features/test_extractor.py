"""Features in the cache: computed once, by whatever is there already only where it is theirs."""

import os
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest

from fruitcnn import cache
from fruitcnn.arrays import Float32Array
from fruitcnn.dataset.store import PixelRows
from fruitcnn.features.backbone import shipped_backbone
from fruitcnn.features.extractor import Extractor
from fruitcnn.image import Pixels
from fruitcnn.model import build_model
from fruitcnn.runtime import Session
from fruitcnn.training.start import features_graph
from tests.conftest import Run


class Forgetful(Extractor):
    """It knows what is in the cache alone, as in a process that has just begun."""

    def features(self, pixels: Pixels | PixelRows, *, mirrored: bool = False) -> Float32Array:
        self._known.clear()
        return super().features(pixels, mirrored=mirrored)


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    """A small network's."""
    return Forgetful(features_graph(build_model("fruit_net", classes=3, size=16, dropout=0.0)))


@pytest.fixture
def pixels() -> Pixels:
    """Of nine pictures, which are more than two batches."""
    return np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, which is not there yet."""
    monkeypatch.setenv("FRUITCNN_CACHE", str(tmp_path / "new" / "cache"))
    return tmp_path / "new" / "cache"


def test_the_cache_command_counts_and_clears_features(
    folder: Path, extractor: Extractor, pixels: Pixels, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = extractor.features(pixels)
    (entry,) = folder.iterdir()
    assert features.shape == (9, 256) and entry.stat().st_size > features.nbytes
    size = f"{entry.stat().st_size / 1e6:.1f} MB in 1 file"
    assert cli("cache").stdout == f"{folder}: {size} (at most 10,737 MB are kept)\n  features: {size}\n"

    os.utime(entry, (1, 1))
    before = entry.read_bytes()
    assert np.array_equal(extractor.features(pixels), features) and entry.read_bytes() == before
    assert entry.stat().st_mtime > 1, "using it makes it young"
    other = extractor.features(pixels, mirrored=True)
    assert not np.array_equal(other, features) and len(list(folder.iterdir())) == 2

    monkeypatch.setattr(cache, "LIMIT", 0)
    extractor.features(pixels[:8])
    (left,) = folder.iterdir()
    assert left != entry, "features keep the limit, too; the newest stay"
    assert cli("cache", "--clear").stdout.startswith(f"{folder}: removed 0.0 MB")
    assert list(folder.iterdir()) == []


def test_pictures_that_were_seen_before_need_neither_the_network_nor_the_cache(
    folder: Path, extractor: Extractor, pixels: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembering = Extractor(onnx.load_from_string(extractor._graph))
    whole, turned = remembering.features(pixels), remembering.features(pixels, mirrored=True)
    assert not np.array_equal(whole, turned)
    cache.describe_cache(clear=True)
    monkeypatch.setattr(Session, "answers", lambda *asked: pytest.fail("asked"))
    assert np.array_equal(remembering.features(pixels[[7, 0, 7]]), whole[[7, 0, 7]])
    assert np.array_equal(remembering.features(pixels[4:5], mirrored=True), turned[4:5])
    assert list(folder.iterdir()) == []
    with pytest.raises(pytest.fail.Exception, match="asked"):
        remembering.features(pixels[::-1, ::-1])


def test_each_core_has_a_batch_of_its_own(
    folder: Path, extractor: Extractor, pixels: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fruitcnn.features.extractor._THREADS", 2)
    expected, all_inside = extractor.features(pixels[:8]), threading.Barrier(2)
    answers = Session.answers

    def together(session: Session, names: list[str], batch: Pixels) -> list[Float32Array]:
        all_inside.wait(60)
        return answers(session, names, batch)

    monkeypatch.setattr(Session, "answers", together)
    cache.describe_cache(clear=True)
    assert np.array_equal(extractor.features(pixels[:8]), expected)


def test_the_first_batch_that_is_computed_says_how_long_one_takes(folder: Path) -> None:
    graph = shipped_backbone(64)
    known, new = np.zeros((2, 9, 64, 64, 3), np.uint8) + np.array([0, 9], np.uint8).reshape(2, 1, 1, 1, 1)
    told = list[tuple[int, float]]()
    extractor = Extractor(graph, on_first_batch=lambda *said: told.append(said))
    extractor.features(known)
    extractor.features(new[:8])
    assert [done for done, _ in told] == [4] and told[0][1] > 0, "once"
    told.clear()
    extractor = Extractor(graph, on_first_batch=lambda *said: told.append(said))
    extractor.features(known)
    assert told == [], "nothing was computed"
    extractor.features(new)
    assert [done for done, _ in told] == [9 + 4], "what the cache knew is done"


def test_damaged_features_are_computed_again(folder: Path, extractor: Extractor, pixels: Pixels) -> None:
    features = extractor.features(pixels)
    (entry,) = folder.iterdir()
    whole = entry.read_bytes()
    others = folder.with_name("others.npz")
    np.savez(others, features=features[:5])
    fewer = others.read_bytes()
    np.savez(others, features=features.astype(np.float64))
    for content in (b"", whole[:-50], whole[:40] + b"\1" + whole[41:], b"no archive", fewer, others.read_bytes()):
        entry.write_bytes(content)
        assert np.array_equal(extractor.features(pixels), features)
        assert np.array_equal(np.load(entry)["features"], features), "and kept as they are right"


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_what_else_has_the_name_of_an_entry_is_neither_read_nor_replaced(
    kind: str, folder: Path, extractor: Extractor, pixels: Pixels
) -> None:
    features = extractor.features(pixels)
    (entry,) = folder.iterdir()
    victim = folder.with_name("victim.npz")
    np.savez(victim, features=np.zeros((9, 256), np.float32))
    content = victim.read_bytes()
    entry.unlink()
    {"link": lambda: entry.symlink_to(victim), "fifo": lambda: os.mkfifo(entry), "folder": entry.mkdir}[kind]()
    before = entry.lstat().st_ino
    assert np.array_equal(extractor.features(pixels), features)
    assert entry.lstat().st_ino == before and victim.read_bytes() == content
    assert list(folder.iterdir()) == [entry]


def test_where_nothing_can_be_kept_features_are_computed_all_the_same(
    folder: Path, extractor: Extractor, pixels: Pixels
) -> None:
    features = extractor.features(pixels)
    (entry,) = folder.iterdir()
    entry.unlink()
    folder.rmdir()
    folder.write_text("not a folder")
    assert np.array_equal(extractor.features(pixels), features) and folder.read_text() == "not a folder"
