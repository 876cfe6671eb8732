"""Videos as pictures, a frame every so many seconds: by PyAV, which the extra `video` brings."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

from PIL import Image

from fruitcnn.errors import ImageError, system_error
from fruitcnn.image.kinds import kind_of
from fruitcnn.regular_files import open_regular

_EXTENSIONS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".3gp")
# What is opened, whatever a file calls itself: containers that hold all that they show. (A playlist would name other
# files, and addresses.)
_OPTIONS = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts",
    "codec_whitelist": "h264,hevc,vp8,vp9,libvpx,libvpx-vp9,libdav1d,av1,mpeg1video,mpeg2video,mpeg4,h263,mjpeg,prores",
    # 8K, a decoder holds up to 16 of them.
    "max_pixels": str(7680 * 4320),
}
# Pixels of a frame: dozens wait for the network at a time, and no model sees more.
_LARGEST = 1920 * 1080
_GUESSED_RATE = 25


def is_video(name: str) -> bool:
    """Whether a path is meant as a video: its extension says so, and its first bytes are those of no picture."""
    if not name.lower().endswith(_EXTENSIONS):
        return False
    try:
        with open_regular(name) as file:
            return kind_of(file.read(64)) is None
    except (OSError, ValueError):
        # Reading it says what is wrong.
        return False


def frames(name: str, every: float) -> Iterator[tuple[str, Image.Image]]:
    """The first frame of each `every` seconds of a video, upright, RGB, named `clip.mp4@00:00:03` by its time.

    Those beyond full HD are reduced by a whole number until they are not. One frame is in memory at a time. Raises
    ImageError for what can't be read, after the frames that could be.
    """
    with _video_errors(name):
        yield from spaced(name, _decoded(name), every)


def spaced(name: str, decoded: Iterator[tuple[float, Any]], every: float) -> Iterator[tuple[str, Image.Image]]:
    """The first of the frames, which come with their seconds, of each `every` seconds."""
    last = -1
    for moment, frame in decoded:
        # Of 0.3 seconds the third tenth is over, whatever binary fractions say. What lies within a gap is not made up.
        number = math.floor(moment / every + 1e-6)
        if number > last:
            last = number
            yield frame_name(name, moment, every), _upright(frame)


def frame_name(name: str, moment: float, every: float) -> str:
    """What a frame's row is named after: the video or camera, and the seconds since its beginning."""
    return f"{name}@{_clock(moment, every)}"


def frame_count(name: str, every: float) -> int:
    """About how many frames `frames` finds, by the length that the video says it has; 1 where it can't be asked."""
    try:
        import av

        with open_regular(name) as file, av.open(file, "r", options=_OPTIONS) as container:
            return max(1, math.ceil((container.duration or 0) / av.time_base / every - 1e-6))
    except Exception:
        # Whatever is wrong with it, reading it says so in its row.
        return 1


def _decoded(name: str) -> Iterator[tuple[float, Any]]:
    """All frames with their seconds since the first."""
    import av

    with open_regular(name) as file, av.open(file, "r", options=_OPTIONS) as container:
        if not container.streams.video:
            raise ImageError("has no pictures in it", remedy="name a video")
        stream = container.streams.video[0]
        stream.codec_context.options = {"max_pixels": _OPTIONS["max_pixels"]}
        if stream.codec_context.name not in _OPTIONS["codec_whitelist"].split(","):
            raise ImageError(f"is coded as {stream.codec_context.name}, which is not read here", remedy="convert it")
        step, first, moment = 1 / float(stream.average_rate or _GUESSED_RATE), None, None
        for frame in container.decode(stream):
            if frame.time is not None:
                first = frame.time if first is None else first
                moment = frame.time - first
            else:
                moment = 0.0 if moment is None else moment + step
            yield moment, frame
        if moment is None:
            raise ImageError("has no frame that can be read", remedy="save or download it again")


def _upright(frame: Any) -> Image.Image:
    image: Image.Image = frame.to_image()
    factor = 1
    while -(-image.width // factor) * -(-image.height // factor) > _LARGEST:
        factor += 1
    image = image.reduce(factor) if factor > 1 else image
    # Phones film lying, and write down how they were held.
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image


def _clock(moment: float, every: float) -> str:
    milliseconds = round(moment * 1000)
    seconds, rest = divmod(milliseconds, 1000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return clock if every == int(every) else f"{clock}.{rest:03}"


@contextlib.contextmanager
def _video_errors(name: str) -> Iterator[None]:
    try:
        yield
    except ImageError as error:
        raise ImageError(error.problem, value=name, remedy=error.remedy) from None
    except ImportError:
        remedy = "pip install 'fruitcnn[video]', or save pictures of it"
        raise ImageError("is a video, which needs av", value=name, remedy=remedy) from None
    except Exception as error:
        if isinstance(error, OSError) and type(error).__module__ == "builtins" and error.errno is not None:
            raise system_error(error, ImageError, value=name) from error
        raise ImageError(
            f"broken video ({getattr(error, 'strerror', None) or error})",
            value=name,
            remedy="save or download it again",
        ) from error
