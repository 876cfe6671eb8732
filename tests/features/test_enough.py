"""The learning curve of a data set, by its command, and of a run, in its report."""

from pathlib import Path

import numpy as np

import fruitcnn
from dataset.drawing.draw import draw_dataset
from fruitcnn.calibration.learning_curve import measure_curve
from fruitcnn.evaluation.enough import Enough
from fruitcnn.features.kept import KeptFeatures
from tests.conftest import Run


def test_the_command_measures_a_folder(cli: Run, drawn: Path, tmp_path: Path) -> None:
    done = cli("dataset", "enough", drawn)
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.startswith("48 pictures of 3 classes") and "of 48 pictures no forecast can be made" in done.stdout
    )
    assert len([line for line in done.stdout.splitlines() if line.endswith("%")]) == 6
    few = tmp_path / "few.csv"
    few.write_text("file,label\n" + "".join(f"{path},{path.parent.name}\n" for path in drawn.glob("*/*_00[0-2].jpg")))
    done = cli("dataset", "enough", few)
    assert done.returncode == 1 and "fewer than five pictures of grape" in done.stderr
    assert cli("dataset", "enough", "nowhere").returncode == 1


def test_a_report_says_what_more_pictures_would_bring(drawn: Path, tmp_path: Path) -> None:
    # Labels by chance: whatever is learned from is wrong often enough.
    draw_dataset(tmp_path / "set", per_class=67, size=32, seed=3)
    listed = [f"{path},{'plum' if number % 2 else 'pear'}" for number, path in enumerate(_pictures(tmp_path / "set"))]
    assert len(listed) == 201
    data = tmp_path / "chance.csv"
    data.write_text("\n".join(["file,label", *listed]) + "\n")
    settings = {"size": 64, "penalty": 5.0, "keep_features": True, "near_duplicates": "off"}
    run = fruitcnn.train(data, name=tmp_path / "chance", **settings)
    kept = KeptFeatures.load(run.folder)
    targets = np.array([["pear", "plum"].index(label) for label in kept.labels.tolist()])
    curve = measure_curve(
        kept.features,
        targets,
        kept.groups,
        penalty=5.0,
        repetitions=3,
        seed=run.identifier.card.provenance["seed"],
    )
    expected = Enough.of(["pear", "plum"], curve)
    page = run.report.read_text(encoding="utf-8")
    section = page[page.index('<section id="more"') :].partition("</section>")[0]
    assert "parts of all 201 pictures" in section and "<code>fruitcnn dataset enough</code>" in section
    assert all(f"{error:.1%} from {size:,}" in section for size, error in expected.measured)
    rows = [expected.overall, *expected.by_label.values()]
    assert len(rows) == 3 and all(
        f"{one.value:.1%} <small>{one.low * 100:.1f} to {one.high:.1%}" in section for row in rows for one in row
    )
    assert f"More pictures would help {expected.most_helped} most. Of more than 603 nobody knows" in section
    few = fruitcnn.train(drawn, name=tmp_path / "few", size=64)
    assert 'id="more"' not in few.report.read_text(encoding="utf-8")


def _pictures(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.jpg"))
