"""MTEB tasks on our datasets, of any modality with a reader: events and depth maps too, which MTEB does not have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import datasets
import numpy as np
import PIL.Image
import pydantic
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.abstasks.zeroshot_classification import AbsTaskZeroShotClassification
from mteb.types import PromptType

from anybind import BadInput
from anybind.plugin import BadOption, Dataset, Item, modalities, prompts, readers
from anybind_bench.mteb.media import format_reference
from anybind_bench.mteb.metadata import get_column

# Types are checked without MTEB, which is an extra.
# pyright: reportMissingImports=false

DEFAULT_TEMPLATE = prompts.DEFAULT_TEMPLATES[0]
SPLIT = "test"


def as_mteb_task(
    dataset: Dataset, modality: str, *, query: str = "", template: str = DEFAULT_TEMPLATE, name: str = ""
) -> ZeroShotTask | RetrievalTask:
    """Make an MTEB task of a dataset: zero-shot classification of its samples, or retrieval of them.

    Any encoder with MTEB's protocol can be evaluated that reads the columns: `text`, `image`, `audio` and `video` as in
    MTEB's own tasks, others (`event`, `depth`) as files, for `as_mteb_encoder`. Nothing is downloaded.

    Args:
        dataset: the samples; with class names for a classification, with partners of `query` for a retrieval.
        modality: modality of the samples to classify or to retrieve.
        query: modality of the queries of a retrieval. [default: none: a zero-shot classification]
        template: prompt of a class name, with `{}`; main score `accuracy`. Retrieval has none; main score
            `recall_at_1`.
        name: the task's name in MTEB. [default: by dataset, modality and query]

    Raises:
        UnknownName: no such modality.
        BadInput: no class names, labels or partners, or samples in memory other than images and texts.
        BadOption: a template without `{}`.
    """
    for each in filter(None, (modality, query)):
        modalities.find_modality(each)
    if not query:
        if not dataset.classes or not all(item.label for item in dataset.items):
            raise BadInput(f"{dataset.name}: expected class names and labels for a zero-shot task, got none")
        (template,) = prompts.check_templates([template])
        metadata = _make_metadata(dataset, name or f"{dataset.name}-{modality}", (modality, "text"))
        fields = {"source": dataset, "modality": modality, "template": template, "metadata": metadata}
        # A class of its own: MTEB finds tasks by the metadata of classes, and creates them without arguments.
        return type("DatasetZeroShotTask", (ZeroShotTask,), {**fields, "input_column_name": get_column(modality)})()
    if template != DEFAULT_TEMPLATE:
        raise BadOption("template: expected none for a retrieval task")
    if missing := [item.id for item in dataset.items if not {modality, query} & set(item.partners)]:
        raise BadInput(f"{dataset.name}: expected samples with {query} and {modality}, got none of {missing[0]}")
    metadata = _make_metadata(
        dataset, name or f"{dataset.name}-{query}-to-{modality}", (modality, query), is_retrieval=True
    )
    fields = {"source": dataset, "modality": modality, "query": query, "metadata": metadata}
    return type("DatasetRetrievalTask", (RetrievalTask,), fields)()


class DatasetMetadata(TaskMetadata):
    """Metadata of a task on a dataset of ours; modalities may be ones that MTEB does not have."""

    modalities: list[str] = pydantic.Field(default_factory=lambda: ["text"])  # pyright: ignore[reportIncompatibleVariableOverride]

    def get_modalities(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, prompt_type: PromptType | None = None
    ) -> list[str]:
        """Return all modalities, or those of queries or documents: the second, the first."""
        if prompt_type is None:
            return self.modalities
        return self.modalities[1:] if prompt_type == PromptType.query else self.modalities[:1]


class ZeroShotTask(AbsTaskZeroShotClassification):
    """Zero-shot classification of a dataset's samples by prompts of its class names."""

    source: Dataset
    modality: str
    template: str
    input_column_name: str  # pyright: ignore[reportIncompatibleVariableOverride]

    def load_data(self, num_proc: int | None = None, **kwargs: object) -> None:
        """List the samples; files are read when they are embedded."""
        classes = list(self.source.classes)
        columns = {
            self.input_column_name: _make_column(self.source, self.modality),
            "label": [classes.index(item.label) for item in self.source.items],
        }
        self.dataset = cast("Any", datasets.DatasetDict({SPLIT: datasets.Dataset.from_dict(columns)}))
        self.data_loaded = True

    def get_candidate_labels(self) -> list[str]:
        return [prompt for name in self.source.classes for prompt in prompts.format_prompts(self.template, name)[:1]]


class RetrievalTask(AbsTaskRetrieval):
    """Retrieval of a dataset's samples by their partners in another modality."""

    source: Dataset
    modality: str
    query: str

    def load_data(self, num_proc: int | None = None, **kwargs: object) -> None:
        """List the samples; files are read when they are embedded."""
        ids = [item.id for item in self.source.items]
        columns = {
            name: {get_column(modality): _make_column(self.source, modality)}
            for name, modality in (("corpus", self.modality), ("queries", self.query))
        }
        split: Any = {name: datasets.Dataset.from_dict({"id": ids, **column}) for name, column in columns.items()}
        split |= {"relevant_docs": {id: {id: 1} for id in ids}, "top_ranked": None}
        self.dataset = {"default": {SPLIT: split}}
        self.data_loaded = True


def _make_metadata(dataset: Dataset, name: str, names: Sequence[str], *, is_retrieval: bool = False) -> DatasetMetadata:
    fields: dict[str, Any] = {
        "name": name,
        "type": "Any2AnyRetrieval" if is_retrieval else "ZeroShotClassification",
        "modalities": [get_column(each) for each in names],
        "main_score": "recall_at_1" if is_retrieval else "accuracy",
        "description": f"the dataset {dataset.name} of anybind",
        "dataset": {"path": f"anybind/{dataset.name}", "revision": dataset.split_hash},
        "eval_splits": [SPLIT],
        "eval_langs": ["eng-Latn"],
        "is_public": False,
    }
    return DatasetMetadata(**fields)


def _make_column(dataset: Dataset, modality: str) -> list[object]:
    """Return the samples, or their partners of a modality, as MTEB's columns hold them; see `MtebEncoder.encode`."""
    items = [item.partner(modality) if modality in item.partners else item for item in dataset.items]
    return [_make_value(dataset, modality, item) for item in items]


def _make_value(dataset: Dataset, modality: str, item: Item) -> object:
    source = item.source
    if modality == "text" and isinstance(source, str):
        return source
    if modality == "image":
        pixels = readers.read(source, **item.options) if isinstance(source, str | Path) else source
        return PIL.Image.fromarray(np.asarray(pixels))
    if not isinstance(source, str | Path):
        raise BadInput(f"{dataset.name}: {item.id}: expected the path of a file, got a {type(source).__name__}")
    if modality in ("sound", "video"):
        return {"path": str(source), "bytes": None}
    return format_reference(source, item.options)
