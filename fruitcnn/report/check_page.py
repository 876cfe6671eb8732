"""check.html: one file without a network and without a script, from what a check has found."""

import base64
import dataclasses
import io
from pathlib import Path

import jinja2

from fruitcnn import __version__
from fruitcnn.checks.finding import KINDS, CheckedSet, Finding, Kind
from fruitcnn.dataset.records import Record
from fruitcnn.errors import ImageError
from fruitcnn.image import opened
from fruitcnn.outputs import write_text
from fruitcnn.progress import Progress

# Findings of a kind, pictures of a finding, and pictures in the page at most; samples of a class.
_FINDINGS, _PICTURES, _LIMIT, _SAMPLES = 24, 6, 600, 6
_SIDE, _QUALITY = 128, 62


@dataclasses.dataclass(frozen=True)
class _Section:
    kind: Kind
    findings: list[Finding]
    total: int

    @property
    def anchor(self) -> str:
        return self.kind.name.replace(" ", "-")


class _Pictures:
    """Small pictures as data URIs, each decoded once; None for what can't be read, or is too many for a page."""

    def __init__(self, progress: Progress) -> None:
        self._sources: dict[Path, str | None] = {}
        self._progress = progress

    def source(self, record: Record) -> str | None:
        """For an <img>."""
        if record.path not in self._sources:
            if len(self._sources) >= _LIMIT:
                return None
            self._sources[record.path] = None if record.error else _data_uri(record.path)
            self._progress.advance()
        return self._sources[record.path]


def write_check_page(target: Path, checked: CheckedSet, samples: dict[str, list[Record]]) -> None:
    """Write the page. samples: pictures of each class to show."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fruitcnn.report", "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    sections = [_Section(kind, found[:_FINDINGS], len(found)) for kind in KINDS if (found := checked.of(kind.name))]
    shown = sum(min(len(one.records), _PICTURES) for section in sections for one in section.findings)
    with Progress("writing the page", min(_LIMIT, shown + sum(map(len, samples.values())))) as progress:
        content = {
            "checked": checked,
            "sections": sections,
            "clean": [kind.name for kind in KINDS if not checked.of(kind.name)],
            "samples": samples,
            "largest": max(checked.classes.values(), default=0) or 1,
            "picture": _Pictures(progress).source,
            "most": _PICTURES,
            "version": __version__,
        }
        text = environment.get_template("check.html").render(content)
    write_text(target, text.encode(errors="replace").decode())


def samples_of(records: list[Record], classes: list[str]) -> dict[str, list[Record]]:
    """A few pictures of each class, from all over it."""
    found = {}
    for label in classes:
        members = [record for record in records if record.label == label and not record.error]
        step = max(1, len(members) // _SAMPLES)
        found[label] = members[::step][:_SAMPLES]
    return found


def _data_uri(path: Path) -> str | None:
    try:
        with opened(path, at_least=2 * _SIDE) as picture:
            small = picture.thumbnail(_SIDE)
    except ImageError:
        return None
    data = io.BytesIO()
    small.save(data, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()
