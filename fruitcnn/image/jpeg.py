"""Whether a JPEG's data are whole: libjpeg fills what is missing with grey, and Pillow keeps its warnings to itself."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

# Bytes that the decoder looks ahead of the last block, as bits that are no code: they can stand for no picture, and the
# few blocks that they might are too small to see.
_PADDING = b"\xff\0" * 8
# So many bytes that the decoder has not asked for yet, when the last pixel is there, are too many.
_SURPLUS = 2
_CHUNK = 1 << 16
# Bytes up to which a first scan is looked for.
_LONGEST_HEAD = 1 << 24
_END = b"\xff\xd9"
_HUFFMAN = {0xC0: False, 0xC1: False, 0xC2: True}
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_COEFFICIENTS = 64
_SCAN, _INTERVAL, _TABLES = 0xDA, 0xDD, 0xC4
# The table of codes that most cameras and programs write (ITU T.81, K.3): how many codes there are of each length, and
# the first of the values. With it, even a flat picture's data repeat after three bytes at least, never after one.
_USUAL_TABLE = bytes((0, 0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, *range(12)))
# So many equal bytes after each other are none of such a picture's data: 0 of 542 photographs have them.
_RUN = 12

_MISSING = "its data end before its last pixel: part of it is missing"
_WRONG = "its data are damaged: part of it may be wrong"
_NO_END = "its end is missing: part of it may be less sharp"


class _Scan(NamedTuple):
    """Of which components and coefficients a scan brings bits, and how many low bits are still to come after it."""

    components: frozenset[int]
    first: int
    last: int
    bits: int


class _Header(NamedTuple):
    """What stands before the data of the first scan; `restarts` is how many restart markers one of all of it has.

    usual: whether the picture has the usual table of codes.
    """

    usual: bool
    progressive: bool
    components: frozenset[int]
    scan: _Scan
    restarts: int


class JpegWatch:
    """Hands a JPEG's bytes to its decoder, and sees whether there are too few or too many of them for its pixels.

    A picture of one scan is watched while it is decoded, at no cost: the decoder has to ask for all its data, and for
    nothing more, as it does while pixels are missing; and no stretch of them may be overwritten with one value. Of
    progressive ones all scans must be there, with all bits. Not noticed are other wrong bytes that stand for (nearly)
    as many blocks as the right ones did, which is about half of short damages, what lies between two restart markers,
    and a progressive picture's last scan that ends early. What only lacks its end marker is whole.
    """

    def __init__(self, image: Image.Image) -> None:
        self.warning = ""
        self._image = image
        self._pieces = self._given()
        image.load_read = self._next  # type: ignore[attr-defined]

    def _next(self, _: int) -> bytes:
        return next(self._pieces, b"")

    def _given(self) -> Iterator[bytes]:
        """The pieces of the file as the decoder asks for them: what follows a `yield` runs when it asks again."""
        file: Any = self._image.fp  # type: ignore[attr-defined]
        head, found = b"", None
        while found is None and len(head) < _LONGEST_HEAD and (piece := file.read(_CHUNK)):
            head += piece
            found = _header(head)
        if found is None:
            yield from _chunks(head, file)
            return
        header, start = found
        yield head[:start]
        pieces = _chunks(head[start:], file)
        if header.scan.components == header.components and not header.progressive:
            yield from self._one_scan(pieces, header)
        else:
            yield from self._scans(b"".join(pieces), header)

    def _one_scan(self, pieces: Iterator[bytes], header: _Header) -> Iterator[bytes]:
        kept, rest, restarts, overwritten = b"", b"", 0, False
        # It stands if the decoder has all pixels before it has all data.
        self.warning = _WRONG
        for piece in pieces:
            data = kept + piece
            end = data.find(_END)
            whole, rest = (data, b"") if end < 0 else (data[:end], data[end:])
            given = max(0, len(whole) - _SURPLUS)
            restarts += len(_RESTART.findall(whole, 0, given + 1))
            overwritten = overwritten or _has_run(whole)
            kept = whole[given:]
            yield whole[:given]
            if rest:
                break
        restarts += len(_RESTART.findall(kept))
        lost = header.restarts and restarts != header.restarts
        self.warning = _WRONG if lost or (header.usual and overwritten) else ""
        yield kept + _PADDING
        self.warning = _MISSING
        if rest:
            yield rest
            yield from pieces

    def _scans(self, data: bytes, header: _Header) -> Iterator[bytes]:
        complete, ended = _is_complete(data, header)
        if not complete:
            self.warning = _MISSING
        elif not ended:
            self.warning = _NO_END
        yield data
        if complete and not ended:
            yield _END


def _chunks(first: bytes, file: Any) -> Iterator[bytes]:
    piece = first or file.read(_CHUNK)
    while piece:
        yield piece
        piece = file.read(_CHUNK)


def _header(head: bytes) -> tuple[_Header, int] | None:
    """What the segments before the first scan's data say, and where these begin; None for a kind that isn't watched."""
    interval, frame, progressive, usual = 0, b"", False, False
    for marker, segment, end in _segments(head, 2):
        if marker in _HUFFMAN:
            frame, progressive = segment, _HUFFMAN[marker]
        elif marker == _TABLES:
            usual = usual or _USUAL_TABLE in segment
        elif marker == _INTERVAL:
            interval = int.from_bytes(segment[:2], "big")
        elif marker == _SCAN and len(frame) >= 9:
            restarts = (_units(frame) - 1) // interval if interval else 0
            return _Header(usual, progressive, frozenset(frame[6::3]), _scan(segment), restarts), end
    return None


def _has_run(data: bytes) -> bool:
    """Whether a byte comes _RUN times after each other."""
    values = np.frombuffer(data, np.uint8)
    equal, length = values[1:] == values[:-1], 2
    while length < _RUN:
        # Where two runs of a length overlap or meet, there is a longer one.
        step = min(length - 1, _RUN - length)
        equal, length = equal[step:] & equal[:-step], length + step
    return bool(equal.any())


def _segments(data: bytes, at: int) -> Iterator[tuple[int, bytes, int]]:
    """The segments from a place on, up to a scan's header and with it: (marker, what it says, where it ends)."""
    marker = 0
    while marker != _SCAN and at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != _END[1]:
        marker = data[at + 1]
        if marker == 0xFF:
            # Markers may be filled up in front.
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if at + 2 + length > len(data):
            return
        yield marker, data[at + 4 : at + 2 + length], at + 2 + length
        at += 2 + length


def _units(frame: bytes) -> int:
    """Of how many units a scan of all components consists (ITU T.81, A.2.3)."""
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    factors = frame[7::3] if len(frame) > 9 else b"\x11"
    across, down = max(factor >> 4 for factor in factors), max(factor & 15 for factor in factors)
    return -(-width // (8 * across)) * -(-height // (8 * down))


def _scan(segment: bytes) -> _Scan:
    count = segment[0]
    # One that is too short brings nothing.
    first, last, bits = segment[1 + 2 * count : 4 + 2 * count] if len(segment) >= 4 + 2 * count else (0, -1, 0)
    return _Scan(frozenset(segment[1 : 1 + 2 * count : 2]), first, last, bits & 15)


def _is_complete(data: bytes, header: _Header) -> tuple[bool, bool]:
    """Of the data of several scans: whether these have all bits of all coefficients, and whether their end is there."""
    to_come = {component: [1] * _COEFFICIENTS for component in header.components}
    scan: _Scan | None = header.scan
    at = 0
    while scan is not None:
        for component in scan.components & to_come.keys():
            to_come[component][scan.first : scan.last + 1] = [scan.bits] * (scan.last + 1 - scan.first)
        found = _MARKER.search(data, at)
        if found is None:
            return not any(map(any, to_come.values())), False
        scan, at = None, found.start()
        for marker, segment, end in _segments(data, at):
            scan, at = _scan(segment) if marker == _SCAN else None, end
    return not any(map(any, to_come.values())), data[at : at + 2] == _END
