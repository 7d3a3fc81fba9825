"""Two datasets as one: samples of two modalities, paired by matching classes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, BadOption, Dataset, Item, create_part, errors, tables


@dataclass(frozen=True)
class PairedDataset:
    """One of the two datasets: its name, its folder (by default of the same name) and its options."""

    dataset: str
    path: str = ""
    options: Mapping[str, object] = field(default_factory=dict)


class PairedByClass(Dataset):
    """Samples of two datasets with matching classes, for cross-modal tasks.

    Each dataset is a table `{ dataset = NAME, path = FOLDER, options = {...} }`. Labels are those of the first. By
    default the samples of both are listed, to be evaluated with `relevance=class`; with `pairs` each sample of the
    first has one of the second as partner, drawn by the seed, for evaluation within batches. Partners share only their
    class.
    """

    licence = "as for the two datasets"

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        first: Mapping[str, object],
        second: Mapping[str, object] | None = None,
        template: str = "",
        classes: Mapping[str, str] | None = None,
        modalities: Iterable[str] | None = None,
        pairs: bool = False,
        limit: int | None = None,
        seed: int = 0,
    ) -> None:
        """List the samples.

        Args:
            folder: parent folder of both datasets.
            first, second: tables of the two datasets. [default path: the dataset's name]
            template: text template with `{}` for the class name, to use texts as partners in place of `second`.
            classes: class of the second dataset by class of the first. [default: equal names]
            modalities: modalities of both datasets.
            pairs: pair each sample of the first with one of the second, instead of listing the samples of both.
            limit: approximate number of samples of each, evenly over the classes.
            seed: seed of the pairing.

        Raises:
            BadInput: a dataset is missing or has no samples of these classes.
            BadOption: a table with invalid keys, an unknown class, or not exactly one of `second` and `template`.
        """
        if (second is None) == (not template) or (template and "{}" not in template):
            raise BadOption("paired-by-class: expected either second, or template with {} for the class name")
        if limit is not None and limit < 1:
            raise BadOption(f"limit: expected at least 1, got {limit}")
        names = None if modalities is None else tuple(modalities)
        dataset = _load_dataset(Path(folder), "first", first, names)
        other = None if second is None else _load_dataset(Path(folder), "second", second, names)
        self.name = dataset.name if other is None else f"{dataset.name} and {other.name}"
        matches = _match_classes(dataset, other, classes)
        items = self.select([item for item in dataset.items if item.label in matches], limit)
        if other is None:
            texts = {name: template.replace("{}", name) for name in matches}
            self.set_items([_add_partner(item, "text", texts[item.label]) for item in items], matches)
            return
        labels = {match: label for label, match in matches.items()}
        relabelled = [_relabel_item(other, item, labels[item.label]) for item in other.items if item.label in labels]
        partners = self.select(relabelled, limit)
        if not items or not partners:
            raise BadInput(f"{self.name}: one of the two datasets has no samples of the classes {', '.join(matches)}")
        if pairs:
            self.set_items(_pair_items(items, partners, _find_modality(other, names), seed), matches)
        else:
            self.set_items([*(_relabel_item(dataset, item, item.label) for item in items), *partners], matches)


def _load_dataset(folder: Path, name: str, table: Mapping[str, object], modalities: tuple[str, ...] | None) -> Dataset:
    paired = tables.parse_table(PairedDataset, table, f"paired-by-class, {name}")
    return create_part(
        "dataset", paired.dataset, folder / (paired.path or paired.dataset), modalities=modalities, **paired.options
    )


def _match_classes(first: Dataset, second: Dataset | None, classes: Mapping[str, str] | None) -> dict[str, str]:
    """Return the second dataset's class by the first's, in the first's order."""
    if classes is None:
        names_of_second = first.classes if second is None else second.classes
        classes = {name: name for name in first.classes if name in names_of_second}
    for dataset, names in ((first, classes.keys()), (second or first, classes.values())):
        for name in names:
            if name not in dataset.all_classes:
                raise BadOption(
                    f"classes: {dataset.name} has no class {name!r}{errors.suggest_names(name, dataset.all_classes)}"
                )
    if not classes or len(set(classes.values())) < len(classes):
        raise BadOption("classes: expected at least one, each matched to one other class")
    return {name: classes[name] for name in first.classes if name in classes}


def _relabel_item(dataset: Dataset, item: Item, label: str) -> Item:
    """Return the item with its dataset in its id, and another label."""
    return replace(item, id=f"{dataset.name}/{item.id}", label=label)


def _add_partner(item: Item, modality: str, partner: object) -> Item:
    return replace(item, partners={**item.partners, modality: partner})


def _find_modality(dataset: Dataset, modalities: tuple[str, ...] | None) -> str:
    """Return the modality of a dataset's samples, among the selected ones."""
    candidates = [modality for modality in dataset.sample_modalities if modalities is None or modality in modalities]
    if not candidates:
        raise BadOption(f"pairs: the modality of {dataset.name} is unknown; leave out pairs")
    return candidates[0]


def _pair_items(items: Sequence[Item], partners: Sequence[Item], modality: str, seed: int) -> list[Item]:
    """Pair each item with a partner of its class; each partner is used once before any is repeated."""
    by_class: defaultdict[str, list[Item]] = defaultdict(list)
    for each in partners:
        by_class[each.label].append(each)
    random, paired, order_by_class = np.random.default_rng(seed), [], defaultdict[str, list[int]](list)
    for item in items:
        candidates = by_class[item.label]
        if not candidates:
            continue
        order = order_by_class[item.label]
        if not order:
            order.extend(random.permutation(len(candidates)).tolist())
        paired.append(_add_partner(item, modality, candidates[order.pop()]))
    return paired
