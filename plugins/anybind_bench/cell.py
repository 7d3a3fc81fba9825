"""`Cell`: one evaluation of one binding with one seed, its identity and its result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from anybind import Result
from anybind.plugin import modalities
from anybind_bench.suite import Evaluation

FORMAT = 2
"""Version of the results folder's files; part of each cell's identity."""

# Identities hash datasets and options by their names of format 2, so that a new name keeps finished cells valid.
HASHED_DATASETS = {"skimage-images": "skimage-pictures", "synthetic-videos": "made-films"}
HASHED_NAMES = {
    "base": "of",
    "candidate_labels": "among",
    "ema_decay": "average",
    "first": "one",
    "images": "pictures",
    "invert": "paper",
    "output": "keep",
    "pretrained": "shipped",
    "samples": "what",
    "second": "other",
    "sigma": "smooth",
    "subset": "part",
    "template": "sentence",
}
Key = tuple[str, str, int]
"""Evaluation title, binding name, seed."""
EncodersKey = tuple[str, float | None]
"""Binding name, clamp of event counts."""


def rename_keys(table: Mapping[str, object], names: Mapping[str, str]) -> dict[str, object]:
    """Rename the keys of a table and of tables in it, unless the new key is already present."""
    renamed: dict[str, object] = {}
    for key, value in table.items():
        new_key = key if names.get(key, key) in table else names[key]
        renamed[new_key] = rename_keys(value, names) if isinstance(value, Mapping) else value
    return renamed


class State(StrEnum):
    """The state of a cell."""

    DONE = "done"
    TO_DO = "to do"
    FAILED = "failed"
    MISSING = "missing"
    NOT_APPLICABLE = "not-applicable"


@dataclass(frozen=True)
class Cell:
    """One evaluation of one binding with one seed.

    Attributes:
        identity: hash of all settings that determine the result, see `collect_settings`; None until the encoders are
            identified.
        error: why the result is missing, on one line.
        main_metric: the task's main metric; None if the task could not be loaded.
    """

    evaluation: Evaluation
    binding: str
    seed: int
    identity: str | None = None
    state: State = State.TO_DO
    error: str | None = None
    main_metric: str | None = None
    result: Result | None = None

    @property
    def title(self) -> str:
        return self.evaluation.title

    @property
    def key(self) -> Key:
        return self.title, self.binding, self.seed

    @property
    def encoders_key(self) -> EncodersKey:
        return self.binding, self.evaluation.clamp

    def __str__(self) -> str:
        return f"{self.title}, {self.binding}, seed {self.seed}"

    def get_value(self, metric: str | None) -> float | None:
        """Return a metric of the result; None if it is missing or not finite."""
        value = None if self.result is None or metric is None else self.result.metrics.get(metric)
        return value if value is not None and math.isfinite(value) else None

    @property
    def main_value(self) -> float | None:
        return self.get_value(self.main_metric)

    def collect_settings(self, split_hash: str, encoders: Mapping[str, str]) -> dict[str, object]:
        """Collect all settings that determine the result, JSON-like; the cell's identity is their hash.

        Args:
            split_hash: see `Dataset.split_hash`.
            encoders: identity of every encoder used, by modality.
        """
        evaluation = self.evaluation
        sources = {modality: modalities.list_sources(modality)[1:] for modality in sorted(encoders)}
        return {
            "format": FORMAT,
            "task": evaluation.task,
            "options": rename_keys(evaluation.options, HASHED_NAMES),
            "modality": evaluation.modality,
            "dataset": HASHED_DATASETS.get(evaluation.dataset, evaluation.dataset),
            "dataset_options": rename_keys(evaluation.dataset_options, HASHED_NAMES),
            "split_hash": split_hash,
            "binding": self.binding,
            "encoders": dict(encoders),
            "derived": {
                modality: {source: dict(modalities.find_modality(modality).derivation(source)) for source in names}
                for modality, names in sources.items()
                if names
            },
            "seed": self.seed,
        }
