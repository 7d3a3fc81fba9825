"""`Recipe`: the configuration of a training run, read from a TOML file."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from anybind.plugin import BadOption, prompts, tables

METHODS = ("full", "lora", "linear-probe", "prompts", "joint")
PROMPT_METHODS = ("prompts", "joint")
"""Methods that learn context vectors before class names."""
UNHASHED = ("name", "summary", "checkpoint_steps")  # a run can be resumed with others
HASHED_NAMES = {
    "ema_decay": "average",
    "pretrained": "shipped",
    "candidate_labels": "among",
    "images": "pictures",
    "subset": "part",
    "samples": "what",
    "invert": "paper",
    "first": "one",
    "second": "other",
    "template": "sentence",
}
"""Former names of renamed keys, which `Recipe.hash` uses: saved states and results contain the hash."""
HASHED_PRESETS = {
    "paper": "paper, Eq. 3 as printed",
    "paper-zscl": "paper",
    "author-code": "author-code, literal",
}
"""Names of loss presets in hashes: what `paper` was before it followed Eq. 3 as printed is now `paper-zscl`."""
HASHED_IF_SET = {
    "augment_input": {},
    "derive_each_epoch": False,
    "skip_invalid": 0.0,
    "optimiser": {"momentum_target": 0.0, "base_batch": 0},
    "student": {"context_start": "", "head": "linear-probe", "head_options": {}, "encoder": ""},
}
"""Keys added since, which are hashed only if they differ from this default."""


@dataclass(frozen=True, kw_only=True)
class StudentConfig:
    """The encoder to train.

    Attributes:
        encoder: registered name of the student, added to the binding or in place of its encoder of the modality.
            [default: the binding's]
        method: `full` trains the weights, `lora` low-rank layers added to them (peft), `linear-probe` a classification
            head on frozen embeddings, `prompts` the context vectors before class names (CoOp), `joint` both the
            weights and the context vectors.
        train: prefixes of the names of the trained parameters. [default: all parameters]
        batch_norm: `frozen` keeps the running statistics of batch norms, `batch` uses and updates batch statistics in
            the trained layers.
        input_size: side in pixels to which prepared images are resized in training; 0 for no resizing.
        ema_decay: decay a step of an exponential moving average of the weights, which is then evaluated and saved;
            0 for no average.
        options: of the encoder, over those of the binding.
        rank: of LoRA's layers.
        targets: suffixes of the names of the layers that LoRA adapts. [default: all supported layers]
        context: number of learned context vectors of `prompts` and `joint`.
        context_start: words that the context starts as, in place of `context` equal vectors: `a photo of a`.
        inverse_penalty: C of the logistic regression of `linear-probe`.
        head: registered name of the head that the method `linear-probe` fits.
        head_options: options of that head.
        weights: a safetensors file to start from.
        pretrained: start from the binding's weights of the encoder; if False, from the encoder without `weights`.
    """

    encoder: str = ""
    method: str = "full"
    train: tuple[str, ...] = ()
    batch_norm: str = "frozen"
    input_size: int = 0
    ema_decay: float = 0.0
    options: Mapping[str, object] = field(default_factory=dict)
    rank: int = 8
    targets: tuple[str, ...] = ()
    context: int = 4
    context_start: str = ""
    inverse_penalty: float = 10.0
    head: str = "linear-probe"
    head_options: Mapping[str, object] = field(default_factory=dict)
    weights: str = ""
    pretrained: bool = False


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """AdamW with a linear warm-up, then a cosine schedule to 0 (or a constant learning rate); or Eq. 4 of the paper.

    Attributes:
        lr: peak learning rate.
        weight_decay: of matrices and kernels; gains and biases have none.
        betas: of AdamW.
        warmup_epochs: may be a fraction.
        schedule: `cosine` or `constant`.
        clip: largest gradient norm; 0 for no clipping.
        base_batch: batch size that `lr` is for: at another `batch_size` it is multiplied by batch_size / base_batch;
            0 for no scaling.
        momentum_target: m of the update theta_E <- m theta_E + (1 - m) (theta_I - lr grad), Eq. 4 of the paper, in
            place of AdamW, above 0 and below 1; theta_I are the teacher's weights. 0 for AdamW.
    """

    lr: float = 1e-4
    weight_decay: float = 0.0
    betas: tuple[float, ...] = (0.9, 0.999)
    warmup_epochs: float = 0.0
    schedule: str = "cosine"
    clip: float = 0.0
    base_batch: int = 0
    momentum_target: float = 0.0


@dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """A dataset to train on or to evaluate on.

    Attributes:
        dataset: name of a registered dataset.
        path: its folder, relative to the data folder of the command.
        classes: subset of class names, or `FILE:KEY` (a path relative to the data folder). [default: all classes]
        shots: number of samples of each class, drawn by the recipe's seed; 0 for all.
        limit: approximate number of samples; 0 for all.
        options: of the dataset.
    """

    dataset: str = "folder"
    path: str = "."
    classes: str | tuple[str, ...] = ()
    shots: int = 0
    limit: int = 0
    options: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_minimum(self, "", shots=0, limit=0)


@dataclass(frozen=True, kw_only=True)
class ProbeConfig(DatasetConfig):
    """The evaluation after an epoch.

    Attributes:
        task: name of a registered task.
        candidate_labels: class names to choose among; `all` for every class of the dataset's folder. [default: the
            dataset's classes]
        every: epochs between two probes.
        held_out: exclude the training samples (few-shot learning on the same classes).
        metric: metric of the task whose highest value selects the best epoch. [default: its main metric]
        task_options: further options of the task.
    """

    task: str = "zero-shot"
    candidate_labels: str | tuple[str, ...] = ()
    every: int = 1
    held_out: bool = False
    metric: str = ""
    task_options: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_minimum(self, "", every=1)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The configuration of a training run.

    Attributes:
        binding: name or TOML file; its encoder of `modality` is the student.
        teacher: modality of the frozen teacher, an encoder of the same binding; empty for none.
        student, optimiser, data, probe: see their classes.
        losses: name of a preset, or tables, see `WeightedSum.from_recipe`.
        variants: number of versions of each sample: other crops, other simulated recordings. Epoch e uses version e
            modulo this number.
        derive: options of the student modality's `derive`, for samples derived from another modality.
        derive_each_epoch: derive other samples in each epoch; if False, a sample for each version. The teacher's
            embeddings, one for each version, are computed once in both cases.
        augment: by modality, options of its `augment`. The augmentation of the file's modality is shared by teacher
            and student and drawn once a version; that of the student's modality, if different, is drawn each epoch.
        augment_input: options of `InputAugmentation`, drawn each epoch on the student's prepared inputs.
        cache_inputs: cache the student's inputs on disk as float16; not with an augmentation drawn each epoch.
        skip_invalid: largest fraction of the samples, of training and of the probe alike, that may be left out in an
            epoch because they are invalid: unreadable, or empty once derived or augmented. They are listed in the
            log and the result; another sample takes their place in a batch. 0: the first invalid sample is an error.
        templates: prompt templates with `{}` in the place of the class name.
        epochs, batch_size: of training; `batch_size` is that of all processes together.
        seed: of all randomness, below 2**32.
        precision: a precision of Lightning Fabric.
        checkpoint_steps: steps between two saved states, beside the one at the end of each epoch.
    """

    name: str
    summary: str = ""
    binding: str = "mini"
    modality: str
    teacher: str = ""
    student: StudentConfig = field(default_factory=StudentConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    losses: str | tuple[Mapping[str, object], ...] = "paper"
    data: tuple[DatasetConfig, ...] = ()
    probe: ProbeConfig | None = None
    variants: int = 1
    derive: Mapping[str, object] = field(default_factory=dict)
    derive_each_epoch: bool = False
    augment: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    augment_input: Mapping[str, object] = field(default_factory=dict)
    cache_inputs: bool = False
    skip_invalid: float = 0.0
    templates: tuple[str, ...] = prompts.DEFAULT_TEMPLATES
    epochs: int
    batch_size: int
    seed: int = 0
    precision: str = "32-true"
    checkpoint_steps: int = 500

    def __post_init__(self) -> None:
        _check_minimum(self, "", epochs=1, batch_size=1, variants=1, seed=0, checkpoint_steps=1)
        _check_minimum(self.student, "student.", rank=1, input_size=0)
        _check_minimum(self.optimiser, "optimiser.", weight_decay=0, warmup_epochs=0, clip=0, base_batch=0)
        if self.seed >= 1 << 32:
            raise BadOption(f"seed: expected a number below 2**32, got {self.seed}")
        for name, value, choices in (
            ("student.method", self.student.method, METHODS),
            ("student.batch_norm", self.student.batch_norm, ("frozen", "batch")),
            ("optimiser.schedule", self.optimiser.schedule, ("cosine", "constant")),
        ):
            if value not in choices:
                raise BadOption(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
        if not 0 <= self.skip_invalid < 1:
            raise BadOption(f"skip_invalid: expected a fraction from 0 to below 1, got {self.skip_invalid}")
        _check_optimiser(self.optimiser)
        if self.probe is not None and self.probe.shots:
            raise BadOption("probe.shots: not supported, a probe evaluates all its samples; see probe.limit")
        if self.student.method in PROMPT_METHODS:
            if self.student.ema_decay:
                raise BadOption(f'student.ema_decay: not supported with method = "{self.student.method}"')
            object.__setattr__(self, "templates", ("{}",))  # the learned context replaces the template
        if not self.data:
            raise BadOption("recipe: expected at least one table [[data]], got none")
        drawn = [f"augment.{self.modality}"] if self.modality in self.augment else []
        drawn += ["augment_input"] if self.augment_input else []
        drawn += ["derive_each_epoch"] if self.derive_each_epoch else []
        if self.cache_inputs and drawn:
            raise BadOption(f"cache_inputs: not supported with {drawn[0]}: inputs differ in each epoch")

    @property
    def hash(self) -> str:
        """Hash of everything but the name, the summary and `checkpoint_steps`."""
        settings = dataclasses.asdict(self)
        for name in UNHASHED:
            del settings[name]
        if isinstance(self.losses, str):
            settings["losses"] = HASHED_PRESETS.get(self.losses, self.losses)
        _remove_defaults(settings, HASHED_IF_SET)
        probe = settings["probe"] or {}
        options = [data["options"] for data in settings["data"]]
        for table in (settings["student"], probe, probe.get("task_options", {}), probe.get("options", {}), *options):
            for name in HASHED_NAMES.keys() & table.keys():
                table[HASHED_NAMES[name]] = table.pop(name)
        return tables.hash_settings(settings)

    @classmethod
    def from_toml(cls, path: Path, overrides: Sequence[str] = ()) -> Self:
        """Read a recipe.

        Args:
            path: the file.
            overrides: `KEY=VALUE` texts, such as `optimiser.lr=1e-5` or `data.0.shots=2`; a value is parsed as JSON,
                and is the text itself if that fails.

        Raises:
            BadInput: the file cannot be read.
            BadOption: an unknown key (the nearest one is suggested), a missing one, or a value of the wrong type.
        """
        table = tables.read_toml(path)
        for override in overrides:
            key, equals, value = override.partition("=")
            if not (key and equals):
                raise BadOption(f"--set: expected KEY=VALUE, got {override!r}")
            _override_key(table, key, value)
        return tables.parse_table(cls, table, f"recipe {path}")


def _check_minimum(table: object, where: str, **least: int) -> None:
    for name, lowest in least.items():
        if not lowest <= getattr(table, name) < math.inf:  # false for NaN
            raise BadOption(f"{where}{name}: expected at least {lowest}, got {getattr(table, name)}")


def _check_optimiser(config: OptimiserConfig) -> None:
    if not 0 < config.lr < math.inf:  # false for NaN
        raise BadOption(f"optimiser.lr: expected a number above 0, got {config.lr}")
    if len(config.betas) != 2 or not all(0 <= beta < 1 for beta in config.betas):
        raise BadOption(f"optimiser.betas: expected two numbers in [0, 1), got {list(config.betas)}")
    if not 0 <= config.momentum_target < 1:
        raise BadOption(f"optimiser.momentum_target: expected m from 0 to below 1, got {config.momentum_target}")
    if config.momentum_target and config.weight_decay:
        raise BadOption("optimiser.momentum_target: its update has no weight decay; set optimiser.weight_decay = 0")


def _remove_defaults(settings: dict[str, Any], defaults: Mapping[str, object]) -> None:
    for name, default in defaults.items():
        if settings[name] == default:
            del settings[name]
        elif isinstance(default, Mapping):
            _remove_defaults(settings[name], default)


def _override_key(table: object, key: str, text: str) -> None:
    *outer, last = key.split(".")
    for name in outer:
        if isinstance(table, list):
            if not name.isdecimal() or int(name) >= len(table):
                raise BadOption(f"{key}: expected an index from 0 to {len(table) - 1}, got {name}")
            table = table[int(name)]
        elif isinstance(table, dict):
            table = table.setdefault(name, {})
    if not isinstance(table, dict):
        raise BadOption(f"{key}: not a key of a table")
    try:
        table[last] = json.loads(text)
    except (ValueError, RecursionError):
        table[last] = text
