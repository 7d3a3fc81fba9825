"""Two data sets as one: recordings of the same kinds of thing in two modalities, put side by side by their classes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, BadOption, Dataset, Item, create_part, errors, tables


@dataclass(frozen=True)
class Side:
    """One of the two data sets: its name, its folder (by default of that name), and its options."""

    dataset: str
    path: str = ""
    options: Mapping[str, object] = field(default_factory=dict)


class PairedByClass(Dataset):
    """The samples of two data sets whose classes mean the same, for questions from one modality to another.

    Each data set is a table `{ dataset = NAME, path = FOLDER, options = {...} }`. Labels are those of the first.
    By default the samples of both are listed, to be asked with `relevance=class`; with `pairs` each sample of the first
    has one of the second as its partner, drawn by the seed, so that there is something to compare in batches. Nothing
    says that two partners belong together but their class.
    """

    licence = "as those of the two"

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        one: Mapping[str, object],
        other: Mapping[str, object] | None = None,
        sentence: str = "",
        classes: Mapping[str, str] | None = None,
        modalities: Iterable[str] | None = None,
        pairs: bool = False,
        limit: int | None = None,
        seed: int = 0,
    ) -> None:
        """List the samples.

        Args:
            folder: that the paths of the two lie below.
            one, other: the two data sets; `path` is the data set's name and `options` are none if left out.
            sentence: in place of the other: words, with `{}` for the class name, that are the partner of each sample.
            classes: the other's class by the one's; those of the same name by default.
            modalities: as both data sets take it.
            pairs: give each sample of the one a partner, in place of listing the samples of both.
            limit: keep about this many of each, spread evenly over the classes.
            seed: of which are partners.

        Raises:
            BadInput: a data set is not there, or has no samples of these classes.
            BadOption: a table with wrong keys, a class that is not there, or neither or both of `other` and `sentence`.
        """
        if (other is None) == (not sentence) or (sentence and "{}" not in sentence):
            raise BadOption("paired-by-class needs other, or sentence with {} for the class name, and not both")
        if limit is not None and limit < 1:
            raise BadOption(f"the limit must be at least 1, got {limit}")
        kinds = None if modalities is None else tuple(modalities)
        first = _made(Path(folder), "one", one, kinds)
        second = None if other is None else _made(Path(folder), "other", other, kinds)
        self.name = first.name if second is None else f"{first.name} and {second.name}"
        named = _classes(first, second, classes)
        kept = self.select([item for item in first.items if item.label in named], limit)
        if second is None:
            words = {name: sentence.replace("{}", name) for name in named}
            self.set_items([_beside(item, "text", words[item.label]) for item in kept], named)
            return
        meant = {theirs: ours for ours, theirs in named.items()}
        others = [_under(second, item, meant[item.label]) for item in second.items if item.label in meant]
        theirs = self.select(others, limit)
        if not kept or not theirs:
            raise BadInput(f"{self.name}: one of the two holds no samples of the classes {', '.join(named)}")
        if pairs:
            self.set_items(_paired(kept, theirs, _kind(second, kinds), seed), named)
        else:
            self.set_items([*(_under(first, item, item.label) for item in kept), *theirs], named)


def _made(folder: Path, name: str, table: Mapping[str, object], kinds: tuple[str, ...] | None) -> Dataset:
    side = tables.parse_table(Side, table, f"paired-by-class, {name}")
    return create_part("dataset", side.dataset, folder / (side.path or side.dataset), modalities=kinds, **side.options)


def _classes(first: Dataset, second: Dataset | None, given: Mapping[str, str] | None) -> dict[str, str]:
    """The other's class by the one's, in the one's order."""
    if given is None:
        there = first.classes if second is None else second.classes
        given = {name: name for name in first.classes if name in there}
    for whose, names in ((first, given.keys()), (second or first, given.values())):
        for name in names:
            if name not in whose.all_classes:
                raise BadOption(
                    f"classes: {whose.name} has no class {name!r}{errors.suggest_names(name, whose.all_classes)}"
                )
    if not given or len(set(given.values())) < len(given):
        raise BadOption("classes: there must be one at least, and each may stand for one other only")
    return {name: given[name] for name in first.classes if name in given}


def _under(whose: Dataset, item: Item, label: str) -> Item:
    """The item with an id and a label that tell it among those of two data sets."""
    return replace(item, id=f"{whose.name}/{item.id}", label=label)


def _beside(item: Item, kind: str, partner: object) -> Item:
    return replace(item, partners={**item.partners, kind: partner})


def _kind(dataset: Dataset, kinds: tuple[str, ...] | None) -> str:
    """The modality of a data set's samples, among those that are asked for."""
    found = [kind for kind in dataset.sample_modalities if kinds is None or kind in kinds]
    if not found:
        raise BadOption(f"{dataset.name} does not say of which modality its samples are: leave out pairs")
    return found[0]


def _paired(items: Sequence[Item], others: Sequence[Item], kind: str, seed: int) -> list[Item]:
    """Each item with one of the others of its class, every one of them once before any comes again."""
    by_class: defaultdict[str, list[Item]] = defaultdict(list)
    for each in others:
        by_class[each.label].append(each)
    random, found, taken = np.random.default_rng(seed), [], defaultdict[str, list[int]](list)
    for item in items:
        there = by_class[item.label]
        if not there:
            continue
        waiting = taken[item.label]
        if not waiting:
            waiting.extend(random.permutation(len(there)).tolist())
        found.append(_beside(item, kind, there[waiting.pop()]))
    return found
