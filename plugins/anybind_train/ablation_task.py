"""The task `loss-ablation`: the contribution of each loss, evaluated on unseen classes (Fig. 4 of the paper)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from anybind import Binder, Result
from anybind.plugin import BadInput, BadOption, Dataset, Task, errors
from anybind_train.losses.weighted_sum import PRESETS
from anybind_train.probe import DatasetSubset
from anybind_train.recipe import Recipe
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

ALL_LOSSES = "all"


class LossAblation(Task):
    """Zero-shot accuracy on unseen classes by epoch: with all losses of a recipe, and without each of them.

    With a loss `zero-shot`, Eq. 3 of the paper, there is an arm with its other target, see `ZeroShotLoss`.

    The student is trained on the embeddings of a frozen teacher; its training samples are paired with the teacher's, or
    derived from them. The unseen classes are never trained on.
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
        """Set the options.

        Args:
            teacher: the modality of the frozen teacher.
            losses: name of a preset or tables, as in a recipe; two or more.
            epochs, lr, batch_size: of training. [default: those of the paper; the batch size is of its authors' code]
            every: epochs between two points of the curves.
            train: the training split: its name, or options of the dataset that select it. [default: `train`, or the
                dataset itself if it has no splits]
            unseen: held-out classes, where training and test data share classes: their names, or a number n for every
                n-th class. They alone are evaluated.
            candidate_labels: class names to choose among, or `all` for every class of the dataset. [default: the
                evaluated classes]
            output: folder of the runs, so that an interrupted one is resumed. [default: a temporary folder]
            recipe: further keys of a training recipe: the tables `student`, `optimiser`, `augment`, ...

        Raises:
            BadOption: `unseen` is below 2.
        """
        if isinstance(unseen, int) and unseen < 2:
            raise BadOption(f"unseen: expected a list of classes, or a number n of at least 2, got {unseen}")
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
        """Train and evaluate every arm; see `Task.run`. The seed is that of all randomness.

        Metrics are those of `zero-shot` after the last epoch with all losses, `before` (top-1 of the untrained
        encoder), `zero_shot_to_label` or `zero_shot_to_teacher` (top-1 with the other target of `zero-shot`), and
        `without_LOSS` (top-1 after the last epoch without it), with Wilson intervals (95 %). The result has the curve
        of each arm; the details have `settings` by arm, and those of `zero-shot` with all losses.

        Raises:
            BadInput: samples without a pair for the teacher, or no seen or no unseen classes.
            BadOption: an option that a recipe does not have, or fewer than two losses.
        """
        train_data, test_data = self._split_classes(dataset)
        labels = dataset.all_classes if self.candidate_labels == "all" else self.candidate_labels
        table = {
            "name": self.name,
            "teacher": self.teacher,
            "losses": self.losses,
            "epochs": self.epochs,
            "batch_size": min(self.batch_size, len(train_data.items)),
            "seed": seed,
            "optimiser": {"weight_decay": 0.03, "lr": self.lr, "warmup_epochs": self.epochs / 5},
            "data": [{"path": TRAIN_DATA}],
            "probe": {"path": TEST_DATA, "every": self.every, "task_options": candidate_options(labels)},
        }
        full = build_recipe(table, self.recipe, binder=binder, modality=modality)
        results: dict[str, Result] = {}
        with open_work_folder(self.output or self.work) as folder:
            for arm, recipe in build_arms(full).items():
                run = run_training(recipe, {TRAIN_DATA: train_data, TEST_DATA: test_data}, folder, binder)
                curves = collect_curves({arm: run.progress.probes or []})
                results[arm] = evaluate_run(
                    run, test_data, labels, name=self.name, seed=seed, curves=curves, on_bad=on_bad,
                    settings=describe_run(run),
                )  # fmt: skip
        return dataclasses.replace(_merge_results(results), split_hash=dataset.split_hash)

    def _split_classes(self, dataset: Dataset) -> tuple[Dataset, Dataset]:
        """Return training data and test data without common classes."""
        train_data = select_training_data(dataset, self.train)
        if not set(train_data.classes) & set(dataset.classes):
            return train_data, dataset
        names = list(dataset.classes)
        unseen = names[:: self.unseen] if isinstance(self.unseen, int) else self.unseen
        for name in unseen:
            if name not in names:
                raise BadOption(f"unseen: {dataset.name} has no class {name!r}{errors.suggest_names(name, names)}")
        seen = [name for name in train_data.classes if name not in unseen]
        if not seen or not unseen:
            raise BadInput(f"{dataset.name}: expected seen and unseen classes, got {len(seen)} seen of {len(names)}")
        return (
            DatasetSubset(train_data, lambda item: item.label in seen, seen),
            DatasetSubset(dataset, lambda item: item.label in unseen, [name for name in names if name in unseen]),
        )


def build_arms(recipe: Recipe) -> dict[str, Recipe]:
    """Build the arms of an ablation.

    They are the recipe (`all`); with its first loss `zero-shot` toward the other target, as `zero-shot to label` or
    `zero-shot to teacher`; and without each loss (`without LOSS`, ...).

    Raises:
        BadOption: it has fewer than two losses.
    """
    terms: Sequence[Mapping[str, object]]
    if isinstance(recipe.losses, str):
        preset = PRESETS.get(recipe.losses, ())
        terms = [{"use": each.use, "weight": each.weight, "space": each.space, **each.options} for each in preset]
    else:
        terms = recipe.losses
    if len(terms) < 2:
        raise BadOption(f"losses: expected at least two for an ablation, got {recipe.losses!r}")
    arms = {ALL_LOSSES: dataclasses.replace(recipe, losses=tuple(terms))}
    for number, term in enumerate(terms):
        if term["use"] == "zero-shot" and len(arms) == 1:
            target = "teacher" if term.get("target") == "label" else "label"
            other = (*terms[:number], {**term, "target": target}, *terms[number + 1 :])
            arms[f"zero-shot to {target}"] = dataclasses.replace(recipe, losses=other)
    for number, term in enumerate(terms):
        remaining = (*terms[:number], *terms[number + 1 :])
        repeats = sum(other["use"] == term["use"] for other in terms[: number + 1])
        name = term["use"] if repeats == 1 else f"{term['use']} {repeats}"
        arms[f"without {name}"] = dataclasses.replace(recipe, losses=remaining)
    return arms


def _merge_results(results: Mapping[str, Result]) -> Result:
    """Merge the results of all arms: top-1, curve and settings of each into the result with all losses."""
    full = results[ALL_LOSSES]
    keys = {arm: "top1" if arm == ALL_LOSSES else arm.replace(" ", "_").replace("-", "_") for arm in results}
    curves = {arm: curve for result in results.values() for arm, curve in result.curves.items()}
    metrics = {
        **full.metrics,
        "before": curves[ALL_LOSSES]["top1"][0],
        **{keys[arm]: result.metrics["top1"] for arm, result in results.items() if arm != ALL_LOSSES},
    }
    settings = {arm: result.details["settings"] for arm, result in results.items()}
    return dataclasses.replace(
        full,
        metrics=metrics,
        intervals={keys[arm]: result.intervals["top1"] for arm, result in results.items()},
        curves=curves,
        details={**full.details, "settings": settings},
    )
