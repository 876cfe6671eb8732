"""Every program of examples/ gives the golden answers, in a process and an environment of its own."""

from pathlib import Path

import pytest

from tests.runtimes.check import check, model_folder, tensor_pictures
from tests.runtimes.environment import Environment, UnavailableError
from tests.runtimes.matrix import Runtime, load_matrix


@pytest.fixture(scope="session")
def tensors(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return tensor_pictures(tmp_path_factory.mktemp("tensors"))


def rows() -> list:
    return [
        pytest.param(
            row, id=row.name.replace(" ", "-").replace(",", ""), marks=[] if row.quick else pytest.mark.runtimes
        )
        for row in load_matrix()
    ]


@pytest.mark.parametrize("runtime", rows())
def test_a_runtime_gives_the_golden_answers(runtime: Runtime, tmp_path: Path, tensors: list[Path]) -> None:
    try:
        environment = Environment(runtime)
    except UnavailableError as reason:
        pytest.skip(f"{runtime.name} can't be had here: {reason}")
    check(environment, model_folder(tmp_path / "model"), tensors)
