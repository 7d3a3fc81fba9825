"""Checks of datasets: the part of a case creates the dataset from a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from anybind.dataset import Dataset, Item
from anybind.testing.assertions import assert_hash, assert_json, assert_refused, assert_texts
from anybind.testing.checks import Case, Checks, computed_once

CHECKS = Checks(needs=("folder",))
Factory = Callable[[Path], Dataset]


def make_dataset(case: Case[Factory]) -> Dataset:
    """Create the dataset from the example's folder."""
    return case.part(Path(case.example.folder or case.folder))


@CHECKS.add("take the folder, `modalities=` and options; list the samples without reading them")
def check_makes_a_dataset(case: Case[Factory]) -> Dataset:
    created = make_dataset(case)
    assert isinstance(created, Dataset), f"expected a Dataset, got a {type(created).__name__}"
    assert len(created.items), "it has no items; raise BadInput for a folder without items"
    for item in created.items:
        assert isinstance(item, Item), f"expected an Item, got a {type(item).__name__}"
    return created


get_dataset = computed_once(check_makes_a_dataset, "dataset")


@CHECKS.add("set `name`, and `licence` to the data's licence, as far as it is known")
def check_name_and_licence(case: Case[Factory]) -> None:
    assert_texts(get_dataset(case), "name", "licence")


@CHECKS.add("give every item a unique `id` that is the same on every machine: its path from the folder")
def check_ids(case: Case[Factory]) -> None:
    ids = [item.id for item in get_dataset(case).items]
    for id in ids:
        assert isinstance(id, str) and id, f"an id is {id!r}"
        assert str(case.example.folder) not in id, f"the id {id!r} holds the folder's path, which differs elsewhere"
    assert len(set(ids)) == len(ids), f"{len(ids)} items have {len(set(ids))} different ids"


@CHECKS.add("take every label from `classes`, which names each class once")
def check_labels(case: Case[Factory]) -> None:
    classes = list(get_dataset(case).classes)
    assert len(set(classes)) == len(classes), "a class is named twice"
    unknown = {item.label for item in get_dataset(case).items} - {*classes, ""}
    assert not unknown, f"the labels {sorted(unknown)[:3]} are not among the classes {classes[:5]}"
    unlisted = set(classes) - set(get_dataset(case).all_classes)
    assert not unlisted, f"the classes {sorted(unlisted)[:3]} are not in all_classes"


@CHECKS.add("give as `source` the path of an existing file, or the sample itself")
def check_sources(case: Case[Factory]) -> None:
    for item in get_dataset(case).items:
        for what, source in [("source", item.source), *item.partners.items()]:
            exists = not isinstance(source, Path) or source.exists()
            assert exists and source is not None, f"the {what} of {item.id} does not exist: {source}"


@CHECKS.add("keep strings, numbers, lists and tables in `notes`, and the reader's arguments in `options`")
def check_notes(case: Case[Factory]) -> None:
    for item in get_dataset(case).items:
        assert_json(dict(item.notes), f"the notes of {item.id}")
        assert isinstance(item.options, Mapping), f"the options of {item.id} are not a mapping"


@CHECKS.add("sort the entries of a folder, and take randomness from a seed")
def check_deterministic(case: Case[Factory]) -> None:
    first, second = get_dataset(case), make_dataset(case)
    assert [item.id for item in first.items] == [item.id for item in second.items], "created twice, its items differ"
    assert_hash(first.split_hash, "split_hash")
    assert first.split_hash == second.split_hash, "created twice, its split_hash differs"


@CHECKS.add("raise BadInput that says where the data is published")
def check_refuses_a_missing_folder(case: Case[Factory]) -> None:
    missing = Path(case.example.folder or case.folder) / "no-such-folder-in-here"
    assert_refused(lambda: list(case.part(missing).items), "a missing folder")
