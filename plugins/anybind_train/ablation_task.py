"""The task `loss-ablation`: what each loss contributes, on classes that are never trained on (Fig. 4 of the paper)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from anybind import Binder, Result
from anybind.plugin import BadInput, BadOption, Dataset, Task, errors
from anybind_train.fine_tune_tasks import collect_curves
from anybind_train.losses.weighted_sum import PRESETS
from anybind_train.probe import DatasetSubset
from anybind_train.recipe import Recipe
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

WHOLE = "all"


class LossAblation(Task):
    """Zero-shot accuracy on unseen classes by epoch: with all losses of a recipe, and with each of them left out.

    The encoder of the samples learns from the vectors of a frozen teacher, beside which its training samples lie or
    which they were derived from. Classes that are asked about are never trained on.
    """

    name = "loss-ablation"
    main_metric = "top1"

    def __init__(
        self,
        *,
        teacher: str = "image",
        losses: str | Sequence[Mapping[str, object]] = "paper",
        epochs: int = 200,
        lr: float = 1e-6,
        batch_size: int = 32,
        every: int = 1,
        train: TrainingSplit = None,
        unseen: int | Iterable[str] = 5,
        candidate_labels: str | Iterable[str] | None = None,
        output: str | None = None,
        **recipe: object,
    ) -> None:
        """Set the question.

        Args:
            teacher: the modality of the frozen encoder.
            losses: a preset's name or tables, as in a recipe; two or more.
            epochs, lr, batch_size: of training; the paper's pre-training by default, with the batch of its authors'
                code.
            every: epochs between two points of the curves.
            train: the training part: its name, or a table of the data set's options that make it; by default `train`,
                or the data set itself where it is not published in parts.
            unseen: of a training part that has the classes asked about, names of those that are held out: they alone
                are asked about; or a number n: every n-th class.
            among: class names that are asked for, or `all` for every class of the whole data; those asked about by
                default.
            keep: a folder where what was learned stays, so that a run that was interrupted goes on.
            recipe: further keys of a training recipe: the tables `student`, `optimiser`, `augment`, ...

        Raises:
            BadOption: `unseen` is below 2.
        """
        if isinstance(unseen, int) and unseen < 2:
            raise BadOption(f"unseen is a list of classes, or at least 2 for every second one, got {unseen}")
        self.teacher, self.losses, self.every, self.train = teacher, losses, every, train
        self.unseen = unseen if isinstance(unseen, int) else list(unseen)
        self.candidate_labels = (
            candidate_labels if candidate_labels is None or candidate_labels == "all" else list(candidate_labels)
        )
        self.epochs, self.lr, self.batch_size, self.output, self.recipe = epochs, lr, batch_size, output, recipe

    def modalities(self, modality: str) -> tuple[str, ...]:
        return (modality, self.teacher)

    def run(
        self, binder: Binder, dataset: Dataset, *, modality: str, seed: int = 0, on_bad: errors.OnBad | None = None
    ) -> Result:
        """Train every arm and ask; see `Task.run`. The seed is that of everything drawn.

        Metrics are those of `zero-shot` after the last epoch with all losses, `before` (top-1 of the untrained
        encoder), and `without_LOSS` (top-1 after the last epoch without it), with Wilson's intervals (95 %). The result
        has the curve of each arm; the details hold `settings` by arm, and those of `zero-shot` with all losses.

        Raises:
            BadInput: samples have nothing for the teacher, or no classes are left to train on or to ask about.
            BadOption: an option that a recipe does not take, or fewer than two losses.
        """
        lessons, asked = self._split_classes(dataset)
        among = (
            {}
            if self.candidate_labels is None
            else {"among": dataset.all_classes if self.candidate_labels == "all" else self.candidate_labels}
        )
        table = {
            "name": self.name,
            "teacher": self.teacher,
            "losses": self.losses,
            "epochs": self.epochs,
            "batch_size": min(self.batch_size, len(lessons.items)),
            "seed": seed,
            "optimiser": {"weight_decay": 0.03, "lr": self.lr, "warmup_epochs": self.epochs / 5},
            "data": [{"path": TRAIN_DATA}],
            "probe": {"path": TEST_DATA, "every": self.every, "task_options": among},
        }
        whole = build_recipe(table, self.recipe, binder=binder, modality=modality)
        results: dict[str, Result] = {}
        with open_work_folder(self.output or self.work) as folder:
            for arm, recipe in build_arms(whole).items():
                run = run_training(recipe, {TRAIN_DATA: lessons, TEST_DATA: asked}, folder, binder)
                told = {"curves": collect_curves({arm: run.progress.probes or []}), "settings": describe_run(run)}
                given = among.get("among")
                results[arm] = evaluate_run(run, asked, given, name=self.name, seed=seed, on_bad=on_bad, **told)
        return dataclasses.replace(_merge_results(results), split_hash=dataset.split_hash)

    def _split_classes(self, dataset: Dataset) -> tuple[Dataset, Dataset]:
        """What is trained on, and what is asked about, with no class in common."""
        lessons = select_training_data(dataset, self.train)
        if not set(lessons.classes) & set(dataset.classes):
            return lessons, dataset
        listed = list(dataset.classes)
        held = listed[:: self.unseen] if isinstance(self.unseen, int) else self.unseen
        for name in held:
            if name not in listed:
                raise BadOption(f"unseen: {dataset.name} has no class {name!r}{errors.suggest_names(name, listed)}")
        seen = [name for name in lessons.classes if name not in held]
        if not seen or not held:
            raise BadInput(f"{dataset.name} has {len(listed)} classes: too few to train on some and ask about others")
        return (
            DatasetSubset(lessons, lambda item: item.label in seen, seen),
            DatasetSubset(dataset, lambda item: item.label in held, [name for name in listed if name in held]),
        )


def build_arms(whole: Recipe) -> dict[str, Recipe]:
    """A recipe, and the recipe without each of its losses, by `all`, `without LOSS`, ...

    Raises:
        BadOption: it has fewer than two.
    """
    terms: Sequence[Mapping[str, object]]
    if isinstance(whole.losses, str):
        preset = PRESETS.get(whole.losses, ())
        terms = [{"use": each.use, "weight": each.weight, "space": each.space, **each.options} for each in preset]
    else:
        terms = whole.losses
    if len(terms) < 2:
        raise BadOption(f"an ablation needs two losses or more, got {whole.losses!r}")
    found = {WHOLE: dataclasses.replace(whole, losses=tuple(terms))}
    for number, term in enumerate(terms):
        rest = (*terms[:number], *terms[number + 1 :])
        double = sum(other["use"] == term["use"] for other in terms[: number + 1])
        name = term["use"] if double == 1 else f"{term['use']} {double}"
        found[f"without {name}"] = dataclasses.replace(whole, losses=rest)
    return found


def _merge_results(results: Mapping[str, Result]) -> Result:
    """The result with all losses, and of the others their curves, settings, and top-1."""
    whole = results[WHOLE]
    keys = {arm: "top1" if arm == WHOLE else arm.replace(" ", "_").replace("-", "_") for arm in results}
    curves = {arm: curve for result in results.values() for arm, curve in result.curves.items()}
    metrics = {
        **whole.metrics,
        "before": curves[WHOLE]["top1"][0],
        **{keys[arm]: result.metrics["top1"] for arm, result in results.items() if arm != WHOLE},
    }
    settings = {arm: result.details["settings"] for arm, result in results.items()}
    return dataclasses.replace(
        whole,
        metrics=metrics,
        intervals={keys[arm]: result.intervals["top1"] for arm, result in results.items()},
        curves=curves,
        details={**whole.details, "settings": settings},
    )
