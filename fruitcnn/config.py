"""One frozen, validated configuration from a YAML recipe and `--set a.b=c`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pydantic
import yaml
from pydantic import Field

from fruitcnn.architectures import ARCHITECTURES, choices, is_choice
from fruitcnn.errors import ConfigError
from fruitcnn.overrides import apply_overrides, nearest, read_yaml, set_value, wrong_setting
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
    """Which pictures, at which size, split how."""

    path: str | None = Field(None, description="folder or CSV of the labelled pictures")
    size: Side = Field(description="side of the model's input, in pixels (default: what the architecture was made for)")
    training_size: Side | None = Field(
        None, description="size at which training pictures are kept, so that zoomed views stay sharp (default: size)"
    )
    validation_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.15, description="of the pictures that come without a split"
    )
    calibration_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="share of the training pictures that is not learned from: temperature and familiarity are fitted "
        "on it, once there are 50 of them; 0: on the validation split, which has chosen the epoch too",
    )
    calibration_folds: Annotated[int, Field(ge=0)] = Field(
        0,
        description="parts of the training pictures, each answered by a network that was trained without it, for "
        "calibration: nothing is set aside, and training takes about as many times longer; 0: none",
    )
    near_duplicates: Annotated[Literal["group", "warn", "off"], _OFF] = Field(
        "group",
        description="group: pictures that look alike stay on one side of the split; warn: they are only warned of, "
        "where pictures of all classes look alike; off: they are not looked for",
    )
    split: str | None = Field(
        None, description="split.csv of an earlier run, whose pictures stay where they are in it; new ones are divided"
    )
    outside: str | None = Field(
        None, description="folder of pictures of no class, which network and familiarity learn to tell from the others"
    )
    fixes: str | None = Field(
        None, description="CSV of pictures to leave out or relabel, as `fruitcnn dataset check --fixes` writes it"
    )
    keep_features: bool = Field(
        False, description="keep what the last layer learns from in the checkpoint, so that it can be extended"
    )
    extend: str | None = Field(
        None, description="checkpoint with kept features, whose pictures are learned from too, without being there"
    )
    reference: Literal["photographs", "drawn"] = Field(
        "photographs", description="what the checkpoint keeps for comparisons; drawn where photographs may not travel"
    )


class ModelConfig(_Section):
    """Which network."""

    architecture: str = Field(description=choices())
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="share of the last features left out")
    weights: str = Field(
        "none", description="what it starts from: none, imagenet, or a checkpoint directory or .keras file"
    )

    @pydantic.field_validator("architecture")
    @classmethod
    def _check(cls, name: str) -> str:
        if not is_choice(name):
            raise ValueError(f"must be {choices()}")
        return name


class TrainConfig(_Section):
    """How the network learns, all of it, by gradient descent."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = Field(100, description="how often it learns from each picture")
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = Field(64, description="pictures a step")
    optimizer: Literal["adam", "adamw"] = Field("adamw", description="adamw: weight decay apart from the gradient")
    learning_rate: Positive = Field(0.003, description="the highest of the schedule")
    weight_decay: NotNegative = Field(0.0, description="of the kernels; biases and scales have none")
    schedule: Literal["one_cycle", "cosine", "inverse_time"] = Field(
        "one_cycle", description="how the rate goes over the steps; inverse_time is the original system's"
    )
    warmup: Share = Field(0.1, description="share of the steps in which the rate of a cosine schedule rises")
    layer_decay: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="factor of the learning rate from each block to the one before it; 1: all learn alike"
    )
    freeze: str = Field("", description="block (stem, block3, stage1, ...) up to which, with it, nothing changes")
    batch_norm: Literal["learned", "frozen"] = Field(
        "learned", description="frozen: its statistics stay those of the weights that training started from"
    )
    view_size: Side | None = Field(
        None, description="side of the views that are learned from, where the network takes any (default: data.size)"
    )
    head_first: bool = Field(False, description="fit the last layer alone before the first epoch (see `head`)")
    start_share: Share = Field(
        0.0, description="share of the starting weights in the final ones, averaged (Wortsman et al. 2022, WiSE-FT)"
    )
    teacher: str | None = Field(
        None, description="checkpoint whose answers to the same views are learned, in place of the labels"
    )
    teacher_temperature: Positive = Field(1.0, description="softens the teacher's and the network's answers alike")
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="share of each target that is spread over all classes"
    )
    mixup: NotNegative = Field(0.0, description="alpha of the Beta distribution; 0: off")
    cutmix: NotNegative = Field(0.0, description="alpha; with mixup on too, each batch takes one of them at random")
    class_balance: Share = Field(0.0, description="0: every picture counts alike; 1: every class does")
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="decay a step of the averaged weights; 0: off")
    best: Literal["loss", "accuracy", "last"] = Field(
        "loss", description="what of the validation picks the best epoch; last: it is the last, and nothing is picked"
    )
    compile: Annotated[Literal["off", "default", "cudagraphs"], _OFF] = Field(
        "off",
        description="torch.compile of the network's part of a step, as one graph, which takes a minute or so at first; "
        "cudagraphs: replayed on a GPU without a launch for each kernel",
    )


class HeadConfig(_Section):
    """The last layer, fitted to convergence on features that are computed once."""

    penalty: Positive | None = Field(
        None,
        description="of the squared weights, beside the summed loss of all pictures (default: the one of 0.2, 1 and 5 "
        "that answers best out of fold)",
    )
    mirrored: bool = Field(False, description="learn from the pictures' mirror images too")
    folds: Annotated[int, Field(ge=2)] = Field(
        5,
        description="parts of the training pictures, each answered by a head that has not met it, for calibration; ten "
        "at least where there are fewer than 500 pictures",
    )


class AugmentConfig(_Section):
    """Random changes to a training picture; see `fruitcnn.training.augmentation`."""

    rotation: NotNegative = Field(0.0, description="degrees to either side")
    zoom: tuple[Positive, Positive] = Field((1.0, 1.0), description="side of the view, as a share of the picture's")
    aspect: Annotated[float, Field(ge=1)] = Field(1.0, description="largest change of the aspect ratio, as a factor")
    shift: Share = Field(0.0, description="share of the side, to either side")
    shear: Annotated[float, Field(ge=0, lt=90)] = Field(0.0, description="degrees to either side")
    flip: bool = Field(False, description="mirror every other picture")
    fill: Literal["edge", "reflect"] = Field("edge", description="what lies beyond the picture's border")
    brightness: Share = Field(0.0, description="largest change, as a share")
    contrast: Share = Field(0.0, description="largest change, as a share")
    saturation: Share = Field(0.0, description="largest change, as a share")
    tint: Share = Field(0.0, description="gain of each colour channel")
    hue: NotNegative = Field(0.0, description="degrees to either side on the colour wheel")
    grey: Share = Field(0.0, description="probability of losing all colour")
    cutout: Share = Field(0.0, description="probability of a grey square")


class Config(_Section):
    """A whole recipe, resolved."""

    name: str = Field(exclude=True)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(0, description="of all that is drawn at random")
    data: DataConfig
    model: ModelConfig
    train: TrainConfig = TrainConfig()
    head: HeadConfig | None = Field(None, description="fit this alone; the rest of the network stays as it starts")
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
        """The recipe as YAML that `load_config` reads back to an equal Config."""
        without = {"train", "augment"} if self.head else set()
        return yaml.safe_dump(self.model_dump(mode="json", exclude=without), sort_keys=False, allow_unicode=True)


def load_config(
    recipe: str | Path, overrides: Iterable[str] | Mapping[str, object] = (), *, data: str | Path | None = None
) -> Config:
    """Read a recipe, a YAML file or the name of one that comes with fruitcnn, and change single settings of it.

    overrides: texts `train.epochs=3`, or values by name: {"train.epochs": 3}, {"epochs": 3}. data: replaces data.path.
    Raises ConfigError naming the setting over the recipe that is wrong, else the file and the key, with the nearest
    known one for an unknown key.
    """
    path = find_recipe(recipe)
    fields = read_yaml(path)
    if not isinstance(fields, dict):
        raise ConfigError("holds no keys", value=path, remedy=f"start from {RECIPES / 'quick.yaml'}")
    said = apply_overrides(fields, overrides, _keys(Config))
    if data is not None:
        set_value(fields, "data.path", str(data))
    try:
        return Config.model_validate({**fields, "name": path.stem})
    except pydantic.ValidationError as error:
        raise _readable(error, path, said) from None


def setting_keys() -> list[str]:
    """All keys of a recipe, sections too: `data`, `data.size`, ..."""
    return _keys(Config)


def _readable(error: pydantic.ValidationError, path: Path, said: dict[str, str]) -> ConfigError:
    """The first mistake. said: settings over the file, by their keys."""
    first = error.errors()[0]
    key, message = ".".join(str(part) for part in first["loc"]), words_of(first)
    wrong = wrong_setting(key, said) if key else _wrong_together(message, path, said)
    value = wrong or path
    if first["type"] == "extra_forbidden":
        # A key below a section stands for no section.
        known = [name for name in _keys(Config) if "." in name or "." not in key]
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


def _keys(section: type[pydantic.BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, field in section.model_fields.items():
        keys.append(prefix + name)
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
                keys += _keys(kind, f"{prefix}{name}.")
    return keys
