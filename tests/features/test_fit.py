"""A last layer on the shipped network, from pictures to a finished folder, in a process that has no torch."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

import fruitcnn
from fruitcnn import Identification, Identifier, checkpoint, load_config
from fruitcnn.export import keras_model
from fruitcnn.export.exporter import export_checkpoint
from fruitcnn.export.gate import Tolerance
from fruitcnn.features.shipped import fits_shipped_network
from fruitcnn.identify.info import describe
from fruitcnn.image import load_pixels
from fruitcnn.models import choose_model
from fruitcnn.runs.folder import Claim
from fruitcnn.runs.stages import train_config
from tests.conftest import REPOSITORY
from tests.missing import without
from tests.predictions import read_predictions

WITHOUT = ("torch", "torchvision", "keras", "lightning", "onnxscript", "matplotlib", "h5py", "tqdm", "sklearn", "scipy")
SCRIPT = f"""{without(WITHOUT)}
import fruitcnn
run = fruitcnn.train(sys.argv[1], recipe="features", name=sys.argv[2], size=64, epochs=3)
print(run.metrics["held_out"]["accuracy"])
"""


@pytest.fixture(scope="module")
def said(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a run without torch, and what it printed."""
    folder = tmp_path_factory.mktemp("light") / "mine"
    words = [sys.executable, "-W", "error", "-c", SCRIPT, drawn, folder]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_the_folder_has_all_but_the_keras_model_which_an_export_adds(said: tuple[Path, str], tmp_path: Path) -> None:
    folder, text = said
    names = set(checkpoint.FILES) - set(checkpoint.OF_EPOCHS) - {checkpoint.KERAS}
    assert {path.name for path in folder.iterdir()} == names
    assert "this recipe has no epochs: its last layer is fitted to the end at once" in text
    assert f"keras: not installed here; once it is, `fruitcnn export {folder} --format keras` adds its file" in text
    keras, onnx = export_checkpoint(folder, to=tmp_path / "new")
    assert (keras.name, onnx.name) == (checkpoint.KERAS, checkpoint.ONNX)
    assert keras.logit is not None and keras.logit < 1e-5 and keras.images == 6
    assert (tmp_path / "new" / checkpoint.ONNX).read_bytes() == (folder / checkpoint.ONNX).read_bytes()


def test_each_format_is_exported_without_keras_but_its_own(said: tuple[Path, str], drawn: Path, tmp_path: Path) -> None:
    folder, _ = said

    def export(*words: str, run: Path = folder) -> subprocess.CompletedProcess[str]:
        line = ["fruitcnn", "export", str(run), "--to", str(tmp_path), "--force", *words]
        script = f"{without(WITHOUT)}\nsys.argv = {line!r}\nfrom fruitcnn.cli import main\nmain()"
        return subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)

    done = export("--format", "onnx,image,golden,fp16")
    assert (done.returncode, done.stderr) == (0, "")
    names = ["model.onnx", "image.onnx", "fp16.onnx", "golden"]
    assert sorted(line.partition(":")[0] for line in re.findall(r"(?m)^\S+: ", done.stdout)) == sorted(names)
    assert {path.name for path in tmp_path.iterdir()} == {*names, checkpoint.CARD, checkpoint.REFERENCE}
    assert (tmp_path / "model.onnx").read_bytes() == (folder / checkpoint.ONNX).read_bytes()

    # It is made; whether whole numbers hold on six pictures is the gate's to say.
    done = export("--format", "int8")
    assert "int8.onnx: " in done.stdout or "on 6 validation pictures accuracy " in done.stderr

    done = export()
    assert done.returncode == 0 and done.stdout.startswith("model.onnx: same labels on 6 pictures")
    assert done.stderr == "fruitcnn: model.keras left out: keras is not installed\n"
    # Told before the run is looked for.
    done = export("--format", "onnx,keras", run=tmp_path / "none")
    assert done.returncode == 2 and done.stdout == ""
    assert "keras is missing; run: pip install 'fruitcnn[train]'" in " ".join(done.stderr.split())


def test_a_run_on_a_part_of_the_embedded_pictures_answers_and_is_a_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for label in ("grape", "pineapple", "strawberry"):
        (tmp_path / "few" / label).mkdir(parents=True)
        for number in range(4):
            shutil.copy(REPOSITORY / f"dataset/sample/{label}/{label}_{number:03}.jpg", tmp_path / "few" / label)
    run = fruitcnn.train("few", size=64)
    answer = run.identifier.identify(tmp_path / "few" / "grape" / "grape_000.jpg")
    assert isinstance(answer, Identification) and answer.identify_label == "grape"
    assert choose_model().why == (
        "the shipped model; checkpoints/features is of the embedded pictures only, --model features for it"
    )


def test_pictures_that_hardly_differ_are_learned_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Greys of one colour each: what torch and onnxruntime round otherwise is seen in the fifth digit."""
    monkeypatch.chdir(tmp_path)
    # So that it does not depend on the processor whether it is more than is allowed anyway.
    monkeypatch.setattr(keras_model, "TOLERANCE", Tolerance(1e-9, 1e-9))
    rng = np.random.default_rng(0)
    for label in range(3):
        (tmp_path / "greys" / f"grey_{label}").mkdir(parents=True)
        for number in range(30):
            grey = Image.new("RGB", (64, 64), tuple((100 + 10 * label + rng.integers(-4, 5, 3)).tolist()))
            grey.save(tmp_path / "greys" / f"grey_{label}" / f"{number}.png")
    assert (fruitcnn.train(tmp_path / "greys", size=96).folder / "model.keras").is_file()
    assert re.search("model.keras: same labels .* no more than rounding alone changes", capsys.readouterr().out)


def test_its_answers_are_what_the_file_says_to_the_same_pictures(said: tuple[Path, str], drawn: Path) -> None:
    """By onnxruntime alone, and by the rows of predictions.csv."""
    folder, _ = said
    rows = [row for row in read_predictions(folder / checkpoint.PREDICTIONS).rows if row.split == "validation"]
    pixels = np.stack([load_pixels(drawn / row.file, 64) for row in rows]).transpose(0, 3, 1, 2).astype(np.float32)
    session = onnxruntime.InferenceSession(folder / checkpoint.ONNX, providers=["CPUExecutionProvider"])
    probabilities, familiarity = session.run(["probabilities", "familiarity"], {"image": pixels})
    assert np.abs(probabilities - [row.probabilities for row in rows]).max() < 1e-5
    assert np.abs(familiarity - [row.familiarity for row in rows]).max() < 1e-3
    card = Identifier.load(folder).card
    assert card.provenance["accuracy"]["held_out"] == round(
        json.loads((folder / checkpoint.METRICS).read_text())["held_out"]["accuracy"], 4
    )
    assert card.provenance["parameters"] > 3_000_000
    assert card.provenance["weights"].endswith("trained on ImageNet, Apache-2.0")


@pytest.mark.parametrize(
    ("settings", "fits"),
    [
        ([], True),
        (["data.size=100"], False),
        (["model.weights=none"], False),
        (["model.architecture=efficientnet_lite1"], False),
    ],
)
def test_which_recipes_need_no_torch(settings: list[str], fits: bool, drawn: Path) -> None:
    assert fits_shipped_network(load_config("features", settings, data=drawn)) == fits


def test_a_recipe_by_gradient_is_none_of_them(drawn: Path) -> None:
    assert not fits_shipped_network(load_config("transfer", data=drawn))


@pytest.mark.parametrize(("per_class", "held_out"), [(4, 0), (16, 6)])
def test_few_pictures_are_all_learned_from_and_judged_out_of_fold(
    per_class: int, held_out: int, tmp_path: Path, drawn: Path
) -> None:
    """Their figures are those of layers that had not met them, and the report says so."""
    few = tmp_path / "few"
    for folder in sorted(path for path in drawn.iterdir() if path.is_dir()):
        (few / folder.name).mkdir(parents=True)
        for picture in sorted(folder.iterdir())[:per_class]:
            shutil.copy(picture, few / folder.name)
    said: list[str] = []
    config = load_config("features", ["data.size=64"], data=few)
    found = train_config(config, Claim(root=tmp_path), device="cpu", print_line=lambda line: said.append(str(line)))
    rows = read_predictions(found / checkpoint.PREDICTIONS).rows
    assert sum(row.split == "validation" for row in rows) == held_out
    assert all(row.held_out for row in rows if row.split == "train")
    card = Identifier.load(found).card
    assert card.calibrated_on == len(rows) - held_out
    assert card.refuses_members == max(0.05, 1 / (1 + len(rows) - held_out))
    alone = "these pictures were learned from; each is answered by a model that has not met it (out of fold)"
    assert (alone in (found / checkpoint.REPORT).read_text("utf-8")) is not bool(held_out)
    told = any("all are learned from, and none held out for validation" in line for line in said)
    promised = any(
        "12 pictures can't promise that at most 5% of new members are refused: 7.7% may be" in line for line in said
    )
    assert told is promised is not bool(held_out)
    assert ("7.7% of new pictures of its classes" in describe(str(found))) is not bool(held_out)
