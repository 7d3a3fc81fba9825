"""The tasks `fine-tune` and `few-shot`: classification after training on samples of the classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from anybind import Binder, Result
from anybind.plugin import BadInput, BadOption, Dataset, HeadSpec, Task, create_part, errors, list_parts
from anybind_train.data import select_few_shots
from anybind_train.linear_probe import train_linear_probe
from anybind_train.probe import exclude_items, get_source_key
from anybind_train.recipe import METHODS, Recipe
from anybind_train.student import load_student_binder
from anybind_train.task_runs import (
    TEST_DATA,
    TRAIN_DATA,
    TrainingSplit,
    build_recipe,
    candidate_options,
    collect_curves,
    describe_run,
    evaluate_run,
    open_work_folder,
    run_training,
    select_training_data,
)


class FineTune(Task):
    """Top-1 and top-5 accuracy on a test split after fine-tuning on the training split.

    The encoder of the samples is trained by cross-entropy to the text embeddings of its classes (Eq. 6 of the paper),
    starting from the binding's weights; the other encoders are frozen, and the binder is unchanged. The evaluation is
    that of `zero-shot`.
    """

    name = "fine-tune"
    main_metric = "top1"
    shots = 0
    optimiser: ClassVar[Mapping[str, object]] = {"weight_decay": 0.03, "warmup_epochs": 1, "clip": 1.0}
    default_lr: ClassVar[Mapping[str, float]] = {
        "full": 1e-5,
        "lora": 1e-4,
        "prompts": 5e-3,
        "joint": 1e-5,
        "linear-probe": 1e-5,
    }

    def __init__(
        self,
        *,
        method: str = "full",
        epochs: int = 30,
        lr: float | None = None,
        batch_size: int = 64,
        every: int = 0,
        train: TrainingSplit = None,
        candidate_labels: str | Iterable[str] | None = None,
        output: str | None = None,
        head_options: Mapping[str, object] | None = None,
        **recipe: object,
    ) -> None:
        """Set the options.

        Args:
            method: `full` trains all weights of the encoder, `lora` low-rank layers, `prompts` the context vectors
                before class names, `joint` the weights and the context vectors; the name of a classification head, such
                as `linear-probe` or `prototypes`, trains that head on frozen embeddings, without the other options.
            epochs, batch_size: of training; the batch size is at most the number of training samples.
            lr: peak learning rate. [default: 1e-5 for `full` and `joint` (few-shot: 5e-6), 1e-4 for `lora`, 5e-3 for
                `prompts`]
            every: epochs between two evaluations in training, which give the result's curve; 0 for none.
            train: the training split: its name, or options of the dataset that select it. [default: `train`, or the
                dataset itself if it has no splits, whose training samples are then excluded from the evaluation]
            candidate_labels: class names to choose among, or `all` for every class of the dataset. [default: the
                evaluated classes]
            output: folder of the runs, so that an interrupted one is resumed. [default: a temporary folder]
            head_options: of the classification head of `method`.
            recipe: further keys of a training recipe: the tables `student`, `optimiser`, `augment`, ...; `losses`,
                `templates`, `precision`, ...

        Raises:
            BadOption: an unknown method, or `head_options` without a head.
        """
        heads = [part.name for part in list_parts(HeadSpec) if part.spec.predicts == "classification"]
        methods = list(dict.fromkeys((*METHODS, *heads)))
        if method not in methods:
            raise BadOption(f"method: expected one of {', '.join(methods)}, got {method!r}")
        self.has_head, self.head_options = method in heads, dict(head_options or {})
        if head_options and not self.has_head:
            raise BadOption(f"head_options: expected a classification head as method, got {method!r}")
        self.method, self.epochs, self.batch_size = method, epochs, batch_size
        self.lr = self.default_lr["linear-probe" if self.has_head else method] if lr is None else lr
        self.every, self.train, self.candidate_labels, self.output = every, train, candidate_labels, output
        self.recipe = recipe

    def run(
        self, binder: Binder, dataset: Dataset, *, modality: str, seed: int = 0, on_bad: errors.OnBad | None = None
    ) -> Result:
        """Train and evaluate; see `Task.run`. The seed is that of all randomness: shots, order, augmentation.

        An invalid training sample raises, unless the recipe key `skip_invalid` is given; `on_bad` is called for test
        samples, and with a head for all samples.

        Metrics, intervals and details are those of `zero-shot`, with a head `top1` alone. The details also have
        `settings` and `left_out` (the number of training samples excluded from the evaluation); with `every`, the curve
        `top1` is top-1 by epoch. The encoders are the trained ones.

        Raises:
            BadInput: no training samples, or no other samples to evaluate on.
            BadOption: an option that a recipe does not have, or an unavailable device.
        """
        train_data = select_training_data(dataset, self.train)
        if train_data is dataset and not self.shots:
            raise BadInput(f"{dataset.name} has no training split: select other training data with the option train")
        train_items = select_few_shots(train_data, self.shots, seed)
        test_items = exclude_items(dataset, {get_source_key(item) for item in train_items}).items
        if not any(item.label for item in test_items):
            raise BadInput(f"{dataset.name}: all labelled samples are training samples, none is left to evaluate on")
        recipe = self._build_recipe(binder, modality, seed, len(train_items))
        sources = {TRAIN_DATA: train_data, TEST_DATA: dataset}
        with open_work_folder(self.output or self.work) as folder:
            if self.has_head:
                return self._evaluate_head(recipe, sources, folder, binder, on_bad)
            run = run_training(recipe, sources, folder, binder)
            curves = collect_curves({"top1": run.progress.probes or []})
            return evaluate_run(
                run, dataset, self.candidate_labels, name=self.name, seed=seed, curves=curves, on_bad=on_bad,
                settings={"shots": self.shots, **describe_run(run)},
            )  # fmt: skip

    def _build_recipe(self, binder: Binder, modality: str, seed: int, samples: int) -> Recipe:
        table: dict[str, object] = {
            "name": self.name,
            "losses": [{"use": "prediction"}],
            "epochs": self.epochs,
            "batch_size": 1 if self.has_head else min(self.batch_size, samples),
            "seed": seed,
            "student": {"method": "linear-probe" if self.has_head else self.method, "pretrained": True},
            "optimiser": {**self.optimiser, "lr": self.lr},
            "data": [{"path": TRAIN_DATA, "shots": self.shots}],
        }
        if self.every or self.has_head:
            options = candidate_options(self.candidate_labels)
            table["probe"] = {"path": TEST_DATA, "held_out": True, "every": max(self.every, 1), "task_options": options}
        return build_recipe(table, self.recipe, binder=binder, modality=modality)

    def _evaluate_head(
        self,
        recipe: Recipe,
        sources: Mapping[str, Dataset],
        folder: Path,
        binder: Binder,
        on_bad: errors.OnBad | None,
    ) -> Result:
        """Train and evaluate a classification head on the binder's frozen embeddings."""
        from scipy.stats import binomtest  # comes with scikit-learn, which the probe needs

        student = recipe.student
        embedder = binder
        if student.options or student.weights:
            embedder = load_student_binder(recipe, binder.device, binder.binding)
        options = {"inverse_penalty": student.inverse_penalty} if self.method == "linear-probe" else {}
        options |= self.head_options
        head = create_part(HeadSpec, self.method, modality=recipe.modality, **options)
        record = train_linear_probe(recipe, sources, folder / recipe.hash, binder.device, embedder, on_bad, head)
        top1, n = record["top1"], record["n"]
        interval = binomtest(round(top1 * n), n).proportion_ci(method="wilson")
        test_data = sources[TEST_DATA]
        counts = {name: record[name] for name in ("samples", "classes")}
        return Result(
            task=self.name,
            dataset=test_data.name,
            split_hash=test_data.split_hash,
            binding=binder.name,
            modality=recipe.modality,
            encoders={recipe.modality: record["encoder"]},
            seed=recipe.seed,
            n=n,
            gallery_size=record["classes"],
            metrics={"top1": top1},
            intervals={"top1": (float(interval.low), float(interval.high))},
            chance={"top1": 1 / record["classes"]},
            details={
                "left_out": len(test_data.items) - n,
                "settings": {"shots": self.shots, "method": self.method, **options, **counts},
            },
        )


class FewShot(FineTune):
    """Fine-tuning on a few samples of each class, drawn by the seed.

    By default as in the paper: all weights of the encoder are trained by cross-entropy to the class texts. From a
    dataset without splits, the shots are drawn, and the other samples are evaluated.
    """

    name = "few-shot"
    optimiser: ClassVar[Mapping[str, object]] = {"weight_decay": 0.03, "warmup_epochs": 5}
    default_lr: ClassVar[Mapping[str, float]] = {**FineTune.default_lr, "full": 5e-6, "joint": 5e-6}

    def __init__(
        self, *, shots: int = 1, method: str = "full", epochs: int = 100, batch_size: int = 32, **options: Any
    ) -> None:
        """Set the options.

        Args:
            shots: training samples of each class.
            method, epochs, batch_size: as in `fine-tune`.
            options: the other options of `fine-tune`, and further keys of a recipe.

        Raises:
            BadOption: no such method, or fewer than one shot.
        """
        if not isinstance(shots, int) or shots < 1:
            raise BadOption(f"shots: expected a whole number above 0, got {shots!r}")
        super().__init__(method=method, epochs=epochs, batch_size=batch_size, **options)
        self.shots = shots
