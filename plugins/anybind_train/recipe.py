"""`Recipe`: everything that shapes a training run, as a TOML file says it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from anybind.plugin import BadOption, prompts, tables

METHODS = ("full", "lora", "linear-probe", "prompts")


@dataclass(frozen=True, kw_only=True)
class StudentConfig:
    """The encoder that learns.

    Attributes:
        method: `full` trains the weights themselves, `lora` low-rank additions to them (peft), `linear-probe` a linear
            classifier on frozen vectors, `prompts` the context words in front of class names (CoOp).
        train: beginnings of names of the module's parameters that are trained; all by default.
        batch_norm: `frozen` keeps the statistics that batch norms have, `batch` uses and updates them in the layers
            that are trained.
        input_size: side that prepared pictures are scaled to while training, 0 for as they are.
        average: decay a step of an exponential average of the weights, which is then what is asked and saved; 0: none.
        options: of the encoder, over those that the binding gives.
        rank: of LoRA's additions.
        targets: endings of names of the layers that LoRA adds to.
        context: number of learned context vectors of `prompts`.
        inverse_penalty: C of the logistic regression of `linear-probe`.
        weights: a safetensors file to start from.
        shipped: start from the weights that the binding gives its encoder; else from those it has without.
    """

    method: str = "full"
    train: tuple[str, ...] = ()
    batch_norm: str = "frozen"
    input_size: int = 0
    ema_decay: float = 0.0
    options: Mapping[str, object] = field(default_factory=dict)
    rank: int = 8
    targets: tuple[str, ...] = ()
    context: int = 4
    inverse_penalty: float = 10.0
    weights: str = ""
    pretrained: bool = False


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """AdamW, a warm-up that rises linearly, then a cosine that falls to 0 (or a constant rate).

    Attributes:
        lr: highest learning rate.
        warmup_epochs: may be a fraction.
        schedule: `cosine` or `constant`.
        clip: largest norm of the gradient; 0 for any.
    """

    lr: float = 1e-4
    weight_decay: float = 0.0
    betas: tuple[float, ...] = (0.9, 0.999)
    warmup_epochs: float = 0.0
    schedule: str = "cosine"
    clip: float = 0.0


@dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """One data set to train on or to be asked about.

    Attributes:
        dataset: its kind, by name.
        path: its folder, below the data folder that the command is given.
        classes: keep only these: names, or `FILE:KEY` (a path below the data folder).
        shots: keep this many samples of each class, drawn by the recipe's seed; 0 for all.
        limit: keep about this many samples; 0 for all.
        options: of the data set.
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
    """The question asked after every epoch, of classes that are not trained on.

    Attributes:
        task: by name.
        among: class names asked for; those of the data by default, `all` for every class of its folder.
        every: epochs between two probes.
        held_out: leave out the samples that are trained on (few-shot learning on the same classes).
        metric: which of the task's metrics picks the best epoch; the task's main one by default.
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
    """Everything that shapes a training run.

    Attributes:
        binding: by name or TOML file; its encoder of `modality` is the student.
        teacher: modality of the frozen encoder, of the same binding, whose vectors the student is taught; empty
            for none.
        losses: a preset's name, or tables that `WeightedSum.from_recipe` takes.
        variants: how many versions of each sample there are: other parts of pictures, other simulated recordings.
            Epoch e takes version e modulo this number.
        derive: options of the student modality's `derive`, where samples are made from another modality.
        augment: by modality, options of its `augment`. That of the file's modality changes what teacher and student
            both see, once a version; that of the student's, if it is another, changes what it sees, anew each epoch.
        cache_inputs: keep prepared student inputs on disk as float16; not with an augmentation that is drawn anew.
        templates: sentences around class names.
        seed: of everything.
        precision: as Lightning Fabric names it.
        checkpoint_steps: steps between two states that a killed run can go on from; each epoch's end is one anyway.
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
    augment: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    cache_inputs: bool = False
    templates: tuple[str, ...] = prompts.DEFAULT_TEMPLATES
    epochs: int
    batch_size: int
    seed: int = 0
    precision: str = "32-true"
    checkpoint_steps: int = 500

    def __post_init__(self) -> None:
        _check_minimum(self, "", epochs=1, batch_size=1, variants=1, seed=0, checkpoint_steps=1)
        _check_minimum(self.student, "student.", rank=1, input_size=0)
        _check_minimum(self.optimiser, "optimiser.", weight_decay=0, warmup_epochs=0, clip=0)
        if self.seed >= 1 << 32:
            raise BadOption(f"seed must be below 2**32, got {self.seed}")
        for name, value, known in (
            ("student.method", self.student.method, METHODS),
            ("student.batch_norm", self.student.batch_norm, ("frozen", "batch")),
            ("optimiser.schedule", self.optimiser.schedule, ("cosine", "constant")),
        ):
            if value not in known:
                raise BadOption(f"{name} must be one of {', '.join(known)}, got {value!r}")
        if not self.optimiser.lr > 0:
            raise BadOption(f"optimiser.lr must be above 0, got {self.optimiser.lr}")
        if len(self.optimiser.betas) != 2 or not all(0 <= beta < 1 for beta in self.optimiser.betas):
            raise BadOption(f"optimiser.betas must be two numbers, 0 to below 1, got {list(self.optimiser.betas)}")
        if self.probe is not None and self.probe.shots:
            raise BadOption("probe.shots makes no sense: a probe asks about all its samples (see probe.limit)")
        if self.student.method == "prompts" and self.student.ema_decay:
            raise BadOption("student.average is of a tower's weights: learned prompts have none")
        if self.student.method == "prompts":  # what is learned stands where a sentence would
            object.__setattr__(self, "templates", ("{}",))
        if not self.data:
            raise BadOption("the recipe names no data: it needs at least one [[data]]")
        if self.cache_inputs and self.modality in self.augment and self.augments_each_epoch:
            raise BadOption(f"cache_inputs keeps one input a version, but augment.{self.modality} is drawn each epoch")

    @property
    def augments_each_epoch(self) -> bool:
        """Whether the student's samples are changed anew each epoch (they are not files of its own modality only)."""
        return self.modality in self.augment

    @property
    def hash(self) -> str:
        """Hash of everything but the name, the summary and how often states are kept."""
        settings = dataclasses.asdict(self)
        for name in ("name", "summary", "checkpoint_steps"):
            del settings[name]
        return tables.hash_settings(settings)

    @classmethod
    def from_toml(cls, path: Path, overrides: Sequence[str] = ()) -> Self:
        """Read a recipe.

        Args:
            path: the file.
            changes: `KEY=VALUE` texts laid over it, as `optimiser.lr=1e-5` or `data.0.shots=2`; a value is JSON where
                it can be, else the text itself.

        Raises:
            BadInput: the file cannot be read.
            BadOption: an unknown key (the nearest is offered), a missing one, or a value of the wrong type.
        """
        table = tables.read_toml(path)
        for change in overrides:
            key, equals, value = change.partition("=")
            if not (key and equals):
                raise BadOption(f"a change is given as KEY=VALUE, got {change!r}")
            _override_key(table, key, value)
        return tables.parse_table(cls, table, f"recipe {path}")


def _check_minimum(table: object, where: str, **least: int) -> None:
    for name, lowest in least.items():
        if not lowest <= getattr(table, name) < math.inf:  # what is no number is not, either
            raise BadOption(f"{where}{name} must be at least {lowest}, got {getattr(table, name)}")


def _override_key(table: object, key: str, text: str) -> None:
    *outer, last = key.split(".")
    for name in outer:
        if isinstance(table, list):
            if not name.isdecimal() or int(name) >= len(table):
                raise BadOption(f"{key}: there is no entry {name}; a list's entries are numbered from 0")
            table = table[int(name)]
        elif isinstance(table, dict):
            table = table.setdefault(name, {})
    if not isinstance(table, dict):
        raise BadOption(f"{key} names no key of a table")
    try:
        table[last] = json.loads(text)
    except ValueError:
        table[last] = text
