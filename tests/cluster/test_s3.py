"""Pictures in the buckets of a real S3 server on the loopback, by the command."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import fs, parquet

from tests.conftest import Run
from tests.tiny import write_picture

PICTURES = {"2026/red.png": (255, 0, 0), "2026/a b/blue+é.png": (0, 0, 255)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT of a server with a bucket `pictures`."""
    log = tmp_path_factory.mktemp("s3") / "log"
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"]
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            while process.poll() is None and not (found := re.search(r"Running on http://(\S+)", log.read_text())):
                time.sleep(0.05)
            assert found, log.read_text()
            fill(found[1], tmp_path_factory.mktemp("drawn") / "picture.png")
            yield found[1]
        finally:
            process.kill()


def fill(server: str, picture: Path) -> None:
    """Put drawn pictures into a bucket."""
    keys = {"access_key": "key", "secret_key": "hidden", "region": "us-east-1"}
    system = fs.S3FileSystem(endpoint_override=server, scheme="http", allow_bucket_creation=True, **keys)
    system.create_dir("pictures")
    for name, colour in PICTURES.items():
        with system.open_output_stream(f"pictures/{name}") as stream:
            stream.write(write_picture(picture, colour).read_bytes())


def test_a_bucket_is_listed_and_its_pictures_are_identified(server: str, tiny: Path, cli: Run, tmp_path: Path) -> None:
    options = f"?endpoint_override={server}&scheme=http&region=us-east-1"
    done = cli("identify", f"s3://key:hidden@pictures/2026{options}", "-m", tiny, "-o", "out/")
    assert done.returncode == 0, done.stderr
    (part,) = (tmp_path / "out").glob("part-*")
    rows = {row["file"]: row["identify_label"] for row in parquet.read_table(part).to_pylist()}
    labels = dict(zip(PICTURES, ("red", "blue"), strict=True))
    assert rows == {f"s3://pictures/{name}{options}": label for name, label in labels.items()}
    manifest = (tmp_path / "out" / "manifest.json").read_text()
    assert "s3://pictures/2026" in manifest and "hidden" not in manifest + done.stderr + done.stdout


def test_what_is_not_in_the_bucket_is_a_row(server: str, tiny: Path, cli: Run, tmp_path: Path) -> None:
    missing = f"s3://key:hidden@pictures/no.png?endpoint_override={server}&scheme=http&region=us-east-1"
    assert cli("identify", missing, "-m", tiny, "-o", "out/").returncode == 3
    (part,) = (tmp_path / "out").glob("part-*")
    (row,) = parquet.read_table(part).to_pylist()
    assert row["error"] == "no such file; check the path" and "hidden" not in str(row)
