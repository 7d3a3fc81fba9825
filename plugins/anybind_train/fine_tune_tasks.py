"""The tasks `fine-tune` and `few-shot`: how well classes are told apart after learning from samples of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    describe_run,
    evaluate_run,
    open_work_folder,
    run_training,
    select_training_data,
)


class FineTune(Task):
    """Top-1 and top-5 accuracy of the part that is asked about, after learning from all of the training part.

    The encoder of the samples learns cross-entropy to the words of its classes (Eq. 6 of the paper), starting from the
    weights that the binding gives it; words and whatever else the binding has stay as they are, and so does the binder
    that is handed over. Then the question is that of `zero-shot`.
    """

    name = "fine-tune"
    main_metric = "top1"
    shots = 0
    optimiser: ClassVar[Mapping[str, object]] = {"weight_decay": 0.03, "warmup_epochs": 1, "clip": 1.0}
    default_lr: ClassVar[Mapping[str, float]] = {"full": 1e-5, "lora": 1e-4, "prompts": 5e-3, "linear-probe": 1e-5}

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
        """Set the question.

        Args:
            method: `full` trains all weights of the encoder, `lora` low-rank additions to them, `prompts` the words in
                front of class names, and the name of a classification head, such as `linear-probe` or `prototypes`,
                that head on frozen embeddings, which has no use for the other options.
            epochs, batch_size: of training; a batch is no larger than the samples there are.
            lr: highest learning rate; 1e-5 for `full` (few-shot: 5e-6), 1e-4 for `lora`, 5e-3 for `prompts` by default.
            every: epochs between two questions while it learns, which make the curve in the details; 0 for none.
            train: the training part: its name, or a table of the data set's options that make it; by default `train`,
                or the data set itself where it is not published in parts, of which samples that are learned from are
                then not asked about.
            among: class names that are asked for, or `all` for every class of the whole data; the data set's own by
                default.
            keep: a folder where what was learned stays, so that a run that was interrupted goes on; by default all is
                gone at the end.
            head_options: of the classification head that `method` names.
            recipe: further keys of a training recipe: the tables `student`, `optimiser`, `augment`, ...; `losses`,
                `templates`, `precision`, ...

        Raises:
            BadOption: no such method.
        """
        heads = [part.name for part in list_parts(HeadSpec) if part.spec.predicts == "classification"]
        methods = list(dict.fromkeys((*METHODS, *heads)))
        if method not in methods:
            raise BadOption(f"method must be one of {', '.join(methods)}, got {method!r}")
        self.has_head, self.head_options = method in heads, dict(head_options or {})
        if head_options and not self.has_head:
            raise BadOption(f"head_options are for a classification head, not for the method {method!r}")
        self.method, self.epochs, self.batch_size = method, epochs, batch_size
        self.lr = self.default_lr["linear-probe" if self.has_head else method] if lr is None else lr
        self.every, self.train, self.candidate_labels, self.output = every, train, candidate_labels, output
        self.recipe = recipe

    def run(
        self, binder: Binder, dataset: Dataset, *, modality: str, seed: int = 0, on_bad: errors.OnBad | None = None
    ) -> Result:
        """Learn and ask; see `Task.run`. The seed is that of everything drawn: shots, order, augmentation.

        A sample that cannot be learned from raises; `on_bad` is told of those that are asked about, and for a linear
        probe of all.

        Metrics, intervals and details are those of `zero-shot`, of the classifier `top1` alone. The details also hold
        `settings` and `left_out` (samples that were learned from and so not asked about); where `every` is set, the
        curve `top1` is top-1 by epoch. The encoders are those that have learned.

        Raises:
            BadInput: there is nothing to learn from, or nothing else to ask about.
            BadOption: an option that a recipe does not take, or a device that is not there.
        """
        lessons = select_training_data(dataset, self.train)
        if lessons is dataset and not self.shots:
            raise BadInput(f"{dataset.name} is published in one part: say with train which other part to learn from")
        chosen = select_few_shots(lessons, self.shots, seed)
        if not [item for item in exclude_items(dataset, {get_source_key(item) for item in chosen}).items if item.label]:
            raise BadInput(f"{dataset.name}: all samples are learned from, and none is left to ask about")
        recipe = self._build_recipe(binder, modality, seed, len(chosen))
        sources = {TRAIN_DATA: lessons, TEST_DATA: dataset}
        with open_work_folder(self.output or self.work) as folder:
            if self.has_head:
                return self._evaluate_head(recipe, sources, folder, binder, on_bad)
            run = run_training(recipe, sources, folder, binder)
            settings, curves = (
                {"shots": self.shots, **describe_run(run)},
                collect_curves({"top1": run.progress.probes or []}),
            )
            return evaluate_run(
                run,
                dataset,
                self.candidate_labels,
                name=self.name,
                seed=seed,
                curves=curves,
                on_bad=on_bad,
                settings=settings,
            )

    def _build_recipe(self, binder: Binder, modality: str, seed: int, samples: int) -> Recipe:
        among = (
            {}
            if self.candidate_labels is None
            else {"among": self.candidate_labels if self.candidate_labels == "all" else list(self.candidate_labels)}
        )
        table: dict[str, object] = {
            "name": self.name,
            "losses": [{"use": "prediction"}],
            "epochs": self.epochs,
            "batch_size": 1 if self.has_head else min(self.batch_size, samples),
            "seed": seed,
            "student": {"method": "linear-probe" if self.has_head else self.method, "shipped": True},
            "optimiser": {**self.optimiser, "lr": self.lr},
            "data": [{"path": TRAIN_DATA, "shots": self.shots}],
        }
        if self.every or self.has_head:
            table["probe"] = {"path": TEST_DATA, "held_out": True, "every": max(self.every, 1), "task_options": among}
        return build_recipe(table, self.recipe, binder=binder, modality=modality)

    def _evaluate_head(
        self,
        recipe: Recipe,
        sources: Mapping[str, Dataset],
        folder: Path,
        binder: Binder,
        on_bad: errors.OnBad | None,
    ) -> Result:
        """The result of a classification head on frozen embeddings, which are those of the binder and its cache."""
        from scipy.stats import binomtest  # comes with scikit-learn, which the probe needs

        student = recipe.student
        own = (
            load_student_binder(recipe, binder.device, binder.binding) if student.options or student.weights else binder
        )
        options = {"inverse_penalty": student.inverse_penalty} if self.method == "linear-probe" else {}
        options |= self.head_options
        head = create_part(HeadSpec, self.method, modality=recipe.modality, **options)
        told = train_linear_probe(recipe, sources, folder / recipe.hash, binder.device, own, on_bad, head)
        top1, n = told["top1"], told["n"]
        sure = binomtest(round(top1 * n), n).proportion_ci(method="wilson")
        asked = sources[TEST_DATA]
        settings = {"shots": self.shots, "method": self.method, **options}
        return Result(
            task=self.name,
            dataset=asked.name,
            split_hash=asked.split_hash,
            binding=binder.name,
            modality=recipe.modality,
            encoders={recipe.modality: told["encoder"]},
            seed=recipe.seed,
            n=n,
            gallery_size=told["classes"],
            metrics={"top1": top1},
            intervals={"top1": (float(sure.low), float(sure.high))},
            chance={"top1": 1 / told["classes"]},
            details={
                "left_out": len(asked.items) - n,
                "settings": {**settings, **{name: told[name] for name in ("samples", "classes")}},
            },
        )


class FewShot(FineTune):
    """As `fine-tune`, learning from a few samples of each class, which the seed draws.

    By default as in the paper: all weights of the encoder learn cross-entropy to the words. Where the data set is not
    published in parts, the shots are drawn from the data set itself, and the rest is asked about.
    """

    name = "few-shot"
    optimiser: ClassVar[Mapping[str, object]] = {"weight_decay": 0.03, "warmup_epochs": 5}
    default_lr: ClassVar[Mapping[str, float]] = {**FineTune.default_lr, "full": 5e-6}

    def __init__(
        self, *, shots: int = 1, method: str = "full", epochs: int = 100, batch_size: int = 32, **options: Any
    ) -> None:
        """Set the question.

        Args:
            shots: samples of each class that are learned from.
            method, epochs, batch_size: as of `fine-tune`.
            options: the other options of `fine-tune`, and further keys of a recipe.

        Raises:
            BadOption: no such method, or fewer than one shot.
        """
        if not isinstance(shots, int) or shots < 1:
            raise BadOption(f"shots must be a whole number above 0, got {shots!r}")
        super().__init__(method=method, epochs=epochs, batch_size=batch_size, **options)
        self.shots = shots


def collect_curves(probes: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, dict[str, list[float]]]:
    """Curves of top-1 by epoch, see `Result.curves`, from what was evaluated during each training run."""
    return {
        name: {"epoch": [each["epoch"] for each in found], "top1": [each["top1"] for each in found]}
        for name, found in probes.items()
        if found
    }
