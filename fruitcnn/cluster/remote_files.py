"""Pictures and folders behind `s3://`, `gs://`, `hdfs://` and the like: what pyarrow opens, else what fsspec does.

Both are imported when such a name is met.
"""

import functools
import re
from collections.abc import Iterator
from typing import Any

from fruitcnn.errors import ImageError, UsageError, shortened
from fruitcnn.identify.addresses import is_address, shown_address
from fruitcnn.image.kinds import EXTENSIONS
from fruitcnn.listing import is_ignored_name, natural_key

# Bytes of a picture's file, as of one behind an address.
_LIMIT = 100_000_000
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://")
_ENDINGS = tuple(EXTENSIONS)


def is_remote(name: str) -> bool:
    """Whether a name begins like `s3://`; http and https are addresses, which are fetched one by one."""
    return _SCHEME.match(name) is not None and not is_address(name)


def remote_root(name: str) -> str:
    """Whom a remote name or an address asks: its scheme, host or bucket, and the options of its file system."""
    if is_address(name):
        scheme, _, rest = name.partition("://")
        return f"{scheme}://{re.split(r'[/?#]', rest, maxsplit=1)[0]}".casefold()
    return _divided(name)[0]


class RemotePicture:
    """A picture's bytes, fetched when they are read."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read(self, size: int = _LIMIT, /) -> bytes:
        """All bytes. Raises ImageError where there are none, or more than `size` or 100 MB."""
        limit = min(size, _LIMIT)
        try:
            system, path = _opened(self._name)
            with system.open_input_stream(path) as stream:
                data: bytes = stream.read(limit + 1)
        except UsageError as error:
            raise ImageError(error.problem, remedy=error.remedy) from error
        except FileNotFoundError:
            raise ImageError("no such file", remedy="check the path") from None
        except Exception as error:
            # A file system of others fails in every way there is; this picture can't be read, the next one may.
            raise ImageError(f"can't be read ({_one_line(error)})", remedy="check the path and its rights") from error
        if len(data) > limit:
            raise ImageError(f"more than {limit:,} bytes", remedy="give the address of the picture itself")
        return data


def remote_pictures(name: str) -> Iterator[str]:
    """The pictures at or below a remote name, a folder at a time, each in natural order. Raises UsageError.

    By their endings: to look into each file would be to read it. A file that is named itself is one.
    """
    from pyarrow import fs

    root, path = _divided(name)
    system = _system(root)
    waiting = [path.rstrip("/")]
    try:
        if system.get_file_info(waiting[0]).type != fs.FileType.Directory:
            # Where nothing is, reading it says so.
            yield name
            return
        while waiting:
            found = system.get_file_info(fs.FileSelector(waiting.pop()))
            folders = []
            for one in sorted(found, key=lambda entry: natural_key(entry.base_name)):
                if is_ignored_name(one.base_name):
                    continue
                if one.type == fs.FileType.Directory:
                    folders.append(one.path)
                elif one.base_name.lower().endswith(_ENDINGS):
                    yield _joined(root, one.path)
            waiting += reversed(folders)
    except OSError as error:
        problem = f"can't be listed ({_one_line(error)})"
        raise UsageError(problem, value=shown_address(name), remedy="check the path and its rights") from error


@functools.cache
def _system(root: str) -> Any:
    """The file system of a scheme and its host or bucket, kept: connecting takes longer than reading a picture."""
    from pyarrow import fs

    scheme = root.partition("://")[0]
    try:
        return fs.FileSystem.from_uri(root)[0]
    except Exception as first:
        # What pyarrow does not know, or can't connect to.
        try:
            import fsspec

            return fs.PyFileSystem(fs.FSSpecHandler(fsspec.filesystem(scheme)))
        except Exception as error:
            # What pyarrow says of a kind that it does know is nearer to the point.
            cause = error if "Unrecognized" in str(first) else first
            problem = f"neither pyarrow nor fsspec opens {scheme}:// here ({_one_line(cause)})"
            remedy = "install fsspec's package for it, or copy the pictures to a disk"
            raise UsageError(problem, value=shown_address(root), remedy=remedy) from error


def _opened(name: str) -> tuple[Any, str]:
    """The file system of a remote name, and the path in it."""
    root, path = _divided(name)
    return _system(root), path


def _divided(name: str) -> tuple[str, str]:
    """What tells the file system of a remote name, and the path in it."""
    scheme, _, rest = name.partition("://")
    host, _, path = rest.partition("/")
    # Options of a file system stand behind a question mark; a picture's own name may have one too.
    options = f"?{path.rpartition('?')[2]}" if re.search(r"\?\w+=", path) else ""
    path = path.removesuffix(options) if options else path
    if scheme in _OF_THE_HOST:
        return f"{scheme}://{host}/{options}", f"/{path}"
    bucket = host.rpartition("@")[2]
    return f"{scheme}://{host}{options}", f"{bucket}/{path}" if path else bucket


def _joined(root: str, path: str) -> str:
    """The name that `_divided` divides so."""
    scheme, _, rest = root.partition("://")
    host, mark, options = rest.partition("?")
    user, at, _ = host.rpartition("@")
    place = host.removesuffix("/") if scheme in _OF_THE_HOST else user + at
    return f"{scheme}://{place}{path}{mark}{options}"


# Whose paths begin below the host; elsewhere the host is a bucket, and the first part of the path.
_OF_THE_HOST = ("file", "hdfs", "viewfs")


def _one_line(error: BaseException) -> str:
    return shortened(" ".join(str(error).split()), 200)
