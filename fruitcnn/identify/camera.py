"""A camera as pictures, one every so many seconds, until Ctrl-C: by PyAV, which the extra `video` brings."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from PIL import Image

from fruitcnn.errors import ImageError
from fruitcnn.identify.video import spaced

# What FFmpeg calls the system's cameras, and the N-th of them. Windows knows them by names, which are looked up.
_LINUX = ("v4l2", "/dev/video{number}")
_FORMATS = {"linux": _LINUX, "darwin": ("avfoundation", "{number}:none"), "win32": ("dshow", "")}


def camera_name(number: int) -> str:
    """What its rows are named after."""
    return f"camera {number}"


def camera_frames(number: int, every: float) -> Iterator[tuple[str, Image.Image]]:
    """The first frame of each `every` seconds, RGB, named `camera 0@00:00:03`, until the first Ctrl-C.

    Raises ImageError where there is no such camera, or it can't be read.
    """
    name = camera_name(number)
    with _camera_errors(name), _until_interrupted() as stopped:
        for named in spaced(name, _decoded(name, number), every):
            if stopped.is_set():
                return
            yield named
            if stopped.is_set():
                return


def _decoded(name: str, number: int) -> Iterator[tuple[float, Any]]:
    import av

    format, file = _device(name, number)
    with av.open(file, "r", format=format) as container:
        first = None
        for frame in container.decode(container.streams.video[0]):
            moment = frame.time or 0.0
            first = moment if first is None else first
            yield moment - first, frame


def _device(name: str, number: int) -> tuple[str, str]:
    """FFmpeg's format and file of a camera. Raises ImageError."""
    format, file = _FORMATS.get(sys.platform, ("", ""))
    if not format:
        remedy = "give pictures or videos of it"
        raise ImageError(f"cameras are not read on {sys.platform}", value=name, remedy=remedy)
    if sys.platform == "win32":
        import av

        found = [device.name for device in av.enumerate_input_devices(format)]
        if number >= len(found):
            known = ", ".join(found) or "none is there"
            raise ImageError("no such camera", value=name, remedy=f"plug it in, or name another, from 0 ({known})")
        return format, f"video={found[number]}"
    file = file.format(number=number)
    if format == _LINUX[0]:
        _check_device(name, Path(file))
    return format, file


def _check_device(name: str, device: Path) -> None:
    if not device.exists():
        there = sorted(path.name for path in device.parent.glob("video*"))
        known = ", ".join(there) if there else "none is there"
        raise ImageError(f"no such device: {device}", value=name, remedy=f"plug it in, or name another ({known})")
    if not os.access(device, os.R_OK | os.W_OK):
        remedy = "check its permissions (most systems: be in the group video)"
        raise ImageError(f"permission denied: {device}", value=name, remedy=remedy)


@contextlib.contextmanager
def _camera_errors(name: str) -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except ImportError:
        raise ImageError("needs av", value=name, remedy="pip install 'fruitcnn[video]'") from None
    except (OSError, ValueError, IndexError) as error:
        problem = f"can't be read ({getattr(error, 'strerror', None) or error})"
        raise ImageError(
            problem, value=name, remedy="see that it is a camera, and that no other program uses it"
        ) from error


@contextlib.contextmanager
def _until_interrupted() -> Iterator[threading.Event]:
    """Within, the first Ctrl-C sets the event, so that what was written is a whole; the second one does what it did."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = signal.getsignal(signal.SIGINT)

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, before)

    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)
