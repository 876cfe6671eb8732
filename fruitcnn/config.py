"""One frozen, validated configuration from a YAML recipe and `--set a.b=c`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import Field

from fruitcnn.architectures import ARCHITECTURES, choices, is_choice
from fruitcnn.errors import ConfigError
from fruitcnn.overrides import apply_overrides, keys_of, nearest, read_yaml, set_value, wrong_setting
from fruitcnn.recipes import RECIPES, find_recipe
from fruitcnn.setting_errors import words_of

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Side = Annotated[int, Field(ge=16, le=1024)]
# YAML reads a bare off as false.
_OFF = pydantic.BeforeValidator(lambda value: "off" if value is False else value)


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataConfig(_Section):
    """The pictures, their size, and how they are split."""

    path: str | None = Field(None, description="Folder or CSV of the labelled pictures.")
    size: Side = Field(description="Side of the model's input, in pixels; by default the architecture's own.")
    training_size: Side | None = Field(
        None, description="Side at which training pictures are kept; larger than `size`, zoomed views stay sharp."
    )
    validation_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.15, description="Share of each class used for validation when no split is given."
    )
    calibration_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="Share of the training pictures that is set aside to calibrate probabilities and familiarity on, "
        "where that gives at least 50 pictures. 0: the validation split is used, which has chosen the epoch too.",
    )
    calibration_folds: Annotated[int, Field(ge=0)] = Field(
        0,
        description="Number of parts for calibration by cross-fitting: a network is trained without each part and "
        "answers it. Nothing is set aside, but training takes about that many times longer. 0: off.",
    )
    near_duplicates: Annotated[Literal["group", "warn", "off"], _OFF] = Field(
        "group",
        description="`group`: pictures that look alike stay on the same side of the split. `warn`: they are only "
        "reported, for data in which all pictures look alike. `off`: they are not searched for.",
    )
    split: str | None = Field(
        None, description="split.csv of an earlier run: its pictures stay where they are, new ones are divided."
    )
    outside: str | None = Field(
        None, description="Folder of pictures of other things, from which the model learns what is unknown."
    )
    fixes: str | None = Field(
        None, description="CSV of pictures to leave out or relabel, as `fruitcnn dataset check --fixes` writes it."
    )
    keep_features: bool = Field(
        False, description="Keep the pictures' features in the checkpoint, for a later run to `extend` it."
    )
    extend: str | None = Field(
        None, description="Checkpoint with kept features, to learn from its pictures too; they need not be there."
    )
    reference: Literal["photographs", "drawn"] = Field(
        "photographs", description="Pictures kept in the checkpoint for comparisons; `drawn`: no photographs."
    )


class ModelConfig(_Section):
    """The network, and the weights that it starts from."""

    architecture: str = Field(description=f"Name of the network: {choices()}.")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Share of the last layer's inputs dropped in training."
    )
    weights: str = Field(
        "none", description="Weights to start from: `none`, `imagenet`, a checkpoint folder or a .keras file."
    )

    @pydantic.field_validator("architecture")
    @classmethod
    def _check(cls, name: str) -> str:
        if not is_choice(name):
            raise ValueError(f"must be {choices()}")
        return name


class TrainConfig(_Section):
    """How the whole network learns, by gradient descent; not for recipes with `head`."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        100, description="How often each training picture is learned from."
    )
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = Field(64, description="Pictures per training step.")
    optimizer: Literal["adam", "adamw"] = Field(
        "adamw", description="`adamw` is Adam with weight decay apart from the gradient."
    )
    learning_rate: Positive = Field(0.003, description="Highest learning rate of the schedule.")
    weight_decay: NotNegative = Field(0.0, description="Weight decay of the kernels; biases and scales have none.")
    schedule: Literal["one_cycle", "cosine", "inverse_time"] = Field(
        "one_cycle",
        description="Course of the learning rate over the steps; `inverse_time` is that of the original system.",
    )
    warmup: Share = Field(0.1, description="Share of the steps in which the rate rises, with `cosine`.")
    layer_decay: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="Learning rate of each block as a share of the next block's; 1: all learn alike."
    )
    freeze: str = Field(
        "", description="Last block that stays as it starts, with all before it: stem, block3, stage1, ..."
    )
    batch_norm: Literal["learned", "frozen"] = Field(
        "learned", description="`frozen`: batch normalization keeps the statistics of the starting weights."
    )
    view_size: Side | None = Field(
        None, description="Side of the views that are learned from, where the network takes any; else `data.size`."
    )
    head_first: bool = Field(False, description="Fit the last layer alone before the first epoch, as `head` does.")
    start_share: Share = Field(
        0.0, description="Share of the starting weights in the final ones (WiSE-FT, Wortsman et al. 2022)."
    )
    teacher: str | None = Field(
        None, description="Checkpoint whose answers are learned instead of the labels (distillation)."
    )
    teacher_temperature: Positive = Field(1.0, description="Softens the answers of teacher and network; 1: not at all.")
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Share of each target spread over all classes."
    )
    mixup: NotNegative = Field(0.0, description="Blending of pictures: alpha of its Beta distribution; 0: off.")
    cutmix: NotNegative = Field(
        0.0, description="The same for CutMix, which pastes parts of pictures; with both on, each batch takes one."
    )
    class_balance: Share = Field(0.0, description="0: every picture counts alike; 1: every class does.")
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Decay per step of the averaged weights that are kept; 0: off."
    )
    best: Literal["loss", "accuracy", "last"] = Field(
        "loss", description="Validation figure that picks the epoch; `last`: the last one."
    )
    compile: Annotated[Literal["off", "default", "cudagraphs"], _OFF] = Field(
        "off",
        description="Speed training up by torch.compile, after a minute or so at the start; `cudagraphs` also records "
        "the kernels of a step and replays them at once, on a GPU.",
    )


class HeadConfig(_Section):
    """The last layer alone, fitted to convergence on features of the pictures that are computed once."""

    penalty: Positive | None = Field(
        None,
        description="Penalty on the squared weights, added to the summed loss of all pictures; by default that of "
        "0.2, 1 and 5 that does best in cross-validation.",
    )
    mirrored: bool = Field(False, description="Learn from the mirror images of the pictures too.")
    folds: Annotated[int, Field(ge=2)] = Field(
        5,
        description="Number of parts for calibration by cross-fitting: a head is fitted without each part and answers "
        "it. With fewer than 500 pictures there are at least ten.",
    )


class AugmentConfig(_Section):
    """Random changes to a training picture, drawn anew each time."""

    rotation: NotNegative = Field(0.0, description="Largest rotation to either side, in degrees.")
    zoom: tuple[Positive, Positive] = Field(
        (1.0, 1.0), description="Smallest and largest side of a view, relative to the picture."
    )
    aspect: Annotated[float, Field(ge=1)] = Field(1.0, description="Largest change of the aspect ratio, as a factor.")
    shift: Share = Field(0.0, description="Largest shift to either side, as a share.")
    shear: Annotated[float, Field(ge=0, lt=90)] = Field(0.0, description="Largest shear to either side, in degrees.")
    flip: bool = Field(False, description="Mirror half of the pictures, at random.")
    fill: Literal["edge", "reflect"] = Field("edge", description="What lies beyond the picture's border.")
    brightness: Share = Field(0.0, description="Largest change of brightness, as a share.")
    contrast: Share = Field(0.0, description="Largest change of contrast, as a share.")
    saturation: Share = Field(0.0, description="Largest change of saturation, as a share.")
    tint: Share = Field(0.0, description="Largest change of each colour channel, as a share.")
    hue: NotNegative = Field(0.0, description="Largest turn of the colour wheel, in degrees.")
    grey: Share = Field(0.0, description="Probability of losing all colour.")
    cutout: Share = Field(0.0, description="Probability of a grey square.")


class Config(_Section):
    """A whole recipe with all its settings. It is checked, and it can't be changed: `model_copy` makes another.

    Its sections and their keys are those of the recipe.
    """

    name: str = Field(exclude=True)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(0, description="The same seed gives the same run and split.")
    data: DataConfig
    model: ModelConfig
    train: TrainConfig = TrainConfig()
    head: HeadConfig | None = Field(None, description="Fit the last layer alone.")
    augment: AugmentConfig = AugmentConfig()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_size(cls, fields: Any) -> Any:
        """A recipe without `data.size` takes the architecture's; one that is malformed is refused by its fields."""
        data, model = fields.get("data"), fields.get("model")
        if not isinstance(data, dict) or not isinstance(model, dict) or "size" in data:
            return fields
        row = ARCHITECTURES.get(str(model.get("architecture")))
        return {**fields, "data": {"size": row.size, **data}} if row else fields

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Config":
        if self.augment.zoom[0] > self.augment.zoom[1]:
            raise ValueError("augment.zoom must be [smallest, largest]")
        # Whoever asks for so many epochs of any recipe is told what this one does instead.
        learning = "augment" in self.model_fields_set or self.train.model_fields_set - {"epochs"}
        if self.head and learning:
            raise ValueError("train and augment have no meaning where only the head is fitted: take them out, or head")
        if self.head and (self.data.calibration_share or self.data.calibration_folds):
            raise ValueError("data.calibration_* has no meaning with head: calibration is out of its folds there")
        if not self.head and (self.data.keep_features or self.data.extend):
            raise ValueError("data.keep_features and data.extend have a meaning only where a head alone is fitted")
        if self.data.calibration_folds == 1:
            raise ValueError("data.calibration_folds must be 0, or 2 and more")
        if self.data.calibration_share and self.data.calibration_folds:
            raise ValueError("data.calibration_folds needs no data.calibration_share: set that to 0")
        return self

    def to_yaml(self) -> str:
        """Return the recipe as YAML, which `load_config` reads back to an equal Config."""
        without = {"train", "augment"} if self.head else set()
        return yaml.safe_dump(self.model_dump(mode="json", exclude=without), sort_keys=False, allow_unicode=True)


def load_config(
    recipe: str | Path, overrides: Iterable[str] | Mapping[str, object] = (), *, data: str | Path | None = None
) -> Config:
    """Read a recipe, and change single settings of it.

    Args:
        recipe: A YAML file, or the name of a recipe that comes with fruitcnn.
        overrides: Values by key, as `{"train.epochs": 3}` or `{"epochs": 3}`, or texts, as `["train.epochs=3"]`.
        data: The labelled pictures, in place of the recipe's `data.path`.

    Returns:
        The recipe with all its settings.

    Raises:
        ConfigError: A key is unknown, or a value is not valid. It names the setting, or the file and the key.
    """
    path = find_recipe(recipe)
    fields = read_yaml(path)
    if not isinstance(fields, dict):
        raise ConfigError("holds no keys", value=path, remedy=f"start from {RECIPES / 'quick.yaml'}")
    said = apply_overrides(fields, overrides, keys_of(Config))
    if data is not None:
        set_value(fields, "data.path", str(data))
    try:
        return Config.model_validate({**fields, "name": path.stem})
    except pydantic.ValidationError as error:
        raise _readable(error, path, said) from None


def setting_keys() -> list[str]:
    """All keys of a recipe, sections too: `data`, `data.size`, ..."""
    return keys_of(Config)


def _readable(error: pydantic.ValidationError, path: Path, said: dict[str, str]) -> ConfigError:
    """The first mistake. said: settings over the file, by their keys."""
    first = error.errors()[0]
    key, message = ".".join(str(part) for part in first["loc"]), words_of(first)
    wrong = wrong_setting(key, said) if key else _wrong_together(message, path, said)
    value = wrong or path
    if first["type"] == "extra_forbidden":
        # A key below a section stands for no section.
        known = [name for name in keys_of(Config) if "." in name or "." not in key]
        return ConfigError(f"unknown key {key!r}", value=value, remedy=f"did you mean {nearest(key, known)!r}?")
    # What was said has its key before it already.
    problem = message if not key or key in said else f"{key}: {message}"
    return ConfigError(problem, value=value, remedy="mend the value")


def _wrong_together(message: str, path: Path, said: dict[str, str]) -> str:
    """All settings, where the file without them is free of this mistake, which is of no single key; else ""."""
    try:
        Config.model_validate({**read_yaml(path), "name": path.stem})
    except pydantic.ValidationError as error:
        if message in error.errors()[0]["msg"]:
            return ""
    return ", ".join(said.values())
