"""docs/serve.md is true: its requests are answered, its limits and Triton's settings are those that hold."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fruitcnn.card import ModelCard
from fruitcnn.server import limits
from tests.conftest import REPOSITORY
from tests.server.served import serving

PAGE = (REPOSITORY / "docs" / "serve.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SMALL = REPOSITORY / "checkpoints" / "fruits-small"


def test_the_requests_of_the_page_are_answered(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").symlink_to(REPOSITORY / "dataset" / "sample" / "grape" / "grape_003.jpg")
    programs = {"bash": ["bash", "-e", "-c"], "python": [sys.executable, "-W", "error", "-c"]}
    said = []
    with serving(SMALL, folder=tmp_path) as server:
        for language, mark, text in BLOCK.findall(PAGE):
            if mark == "served":
                words = [*programs[language], text.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")]
                done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
                said += done.stdout.splitlines()
            elif language in programs:
                assert mark.startswith("not-run: "), text
        with server.client() as client:
            paths = re.findall(r"^\| `(?:GET|POST) (/\w*)`", PAGE, re.MULTILINE)
            assert len(paths) == 7 and all(client.get(path).status_code in (200, 307, 405) for path in paths)
    one, several, label = said
    assert json.loads(one)["identify_rate"] == "99.66%" and '"familiarity": 0.533' in one
    assert [list(row["prediction"]) for row in json.loads(several)] == [
        ["grape", "strawberry"]
    ] * 2 and label == "grape"


def test_the_limits_of_the_page_hold() -> None:
    for words in (
        f"a body of {limits.BODY_BYTES // 1_000_000} MB",
        f"{limits.PICTURES} pictures in a form",
        f"{limits.BODY_SECONDS:.0f} seconds from the end of a request's head",
        f"{limits.HEAD_SECONDS:.0f} seconds for a head; {limits.IDLE_SECONDS} for a connection",
        f"{limits.HELD_BYTES // 1_000_000} MB of bodies in memory, and {limits.WAITING} pictures",
        f"{limits.CONNECTIONS} connections",
        f"for at most {limits.FINISH_SECONDS} seconds",
    ):
        assert words in " ".join(PAGE.split()), words


def test_triton_is_told_what_the_card_says() -> None:
    (text,) = (text for _, mark, text in BLOCK.findall(PAGE) if mark == "config.pbtxt")
    file = REPOSITORY / "checkpoints" / "fruits" / "card.json"
    shapes = ModelCard.from_json(file.read_text(), source=file).shapes()
    found = {
        name: json.loads(dims)
        for name, dims in re.findall(r'name: "(\w+)", data_type: TYPE_FP32, dims: (\[.*?\])', text)
    }
    # Triton has no output of no dimension.
    assert found == shapes | {"familiarity": [1]} and 'familiarity", data_type: TYPE_FP32, dims: [1], reshape' in text


def test_the_examples_of_deploy_are_in_step() -> None:
    deploy = REPOSITORY / "deploy"
    deployment, service = yaml.safe_load_all((deploy / "kubernetes.yaml").read_text(encoding="utf-8"))
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    assert container["securityContext"]["readOnlyRootFilesystem"] and pod["securityContext"]["runAsNonRoot"]
    assert pod["terminationGracePeriodSeconds"] > limits.FINISH_SECONDS
    recipe = (deploy / "Dockerfile").read_text(encoding="utf-8")
    assert f"USER {pod['securityContext']['runAsUser']}:" in recipe and "HEALTHCHECK" in recipe and "curl" not in recipe
    unit = (deploy / "fruitcnn.service").read_text(encoding="utf-8")
    assert int(re.findall(r"TimeoutStopSec=(\d+)", unit)[0]) > limits.FINISH_SECONDS
    arguments = [container["args"], json.loads(re.findall(r"^CMD (\[.*\])$", recipe, re.MULTILINE)[-1])]
    arguments.append(re.findall(r"bin/fruitcnn (serve .*)", unit)[0].split())
    from fruitcnn.serve_command import serve

    known = {f"--{name}" for name in serve.__annotations__}
    for words in arguments:
        assert words[0] == "serve" and {word for word in words if word.startswith("--")} <= known


def test_the_container_s_recipe_is_a_good_one() -> None:
    linter = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if linter is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([linter, REPOSITORY / "deploy/Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_image_holds_what_the_wheel_is_built_from() -> None:
    """Whatever pyproject.toml puts into the wheel is let through to the builder."""
    import tomllib

    ignored = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    readme = [one["path"] for one in project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["fragments"]]
    licences = [one.removesuffix("/*") for one in project["project"]["license-files"]]
    wanted = [*wheel["packages"], *wheel["force-include"], "pyproject.toml", *readme, *licences]
    for path in wanted:
        assert f"!{path.partition('/')[0]}" in ignored and (REPOSITORY / path).exists()
        assert not path.endswith(".keras")
