"""Who has trained on nothing but the embedded pictures is told so by the card."""

import hashlib
from pathlib import Path

from fruitcnn.dataset.embedded import are_embedded
from fruitcnn.dataset.records import Record
from tests.conftest import REPOSITORY


def test_the_embedded_pictures_are_known_by_their_content() -> None:
    files = sorted((REPOSITORY / "dataset" / "sample").glob("*/*.jpg"), reverse=True)
    pictures = [Record(str(n), file, "any", sha256=_sha256(file)) for n, file in enumerate(files)]
    assert len(pictures) == 300 and are_embedded(pictures)
    assert are_embedded(pictures[:30]), "a part of them is a trial too"
    assert not are_embedded([*pictures, Record("own", Path("own"), "any", sha256="0" * 64)])
    assert not are_embedded([Record("own", Path("own"), "any", sha256="0" * 64)]) and not are_embedded([])


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
