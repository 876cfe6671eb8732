"""What a card says of the weights that a training has started from."""

from pathlib import Path

from fruitcnn import checkpoint
from fruitcnn.runs.results import started_from
from tests.conftest import REPOSITORY

LITE0 = "EfficientNet-Lite0 by Google, trained on ImageNet, Apache-2.0"


def test_the_licence_stays_with_the_weights_and_no_path_is_told(tmp_path: Path) -> None:
    shipped = REPOSITORY / "checkpoints" / "fruits"
    (tmp_path / "theirs.keras").touch()
    of_a_run = f"efficientnet_lite0, fruits, which started from {LITE0}"
    assert started_from("efficientnet_lite0", "imagenet") == LITE0
    assert started_from("efficientnet_lite0", str(shipped)) == of_a_run
    assert started_from("efficientnet_lite0", str(shipped / checkpoint.KERAS)) == of_a_run
    assert started_from("fruit_net", str(tmp_path / "theirs.keras")) == "fruit_net, theirs.keras"
    assert started_from("fruit_net", "none") == ""
