"""`Cell`: one evaluation of one binding with one seed, its identity, and its result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from anybind import Result
from anybind.plugin import modalities
from anybind_bench.suite import Evaluation

FORMAT = 2
"""Version of everything in a results folder; part of each cell's identity."""

Key = tuple[str, str, int]
"""Title of the evaluation, binding, seed."""


class State(StrEnum):
    """What became of a cell."""

    DONE = "done"
    TO_DO = "to do"
    FAILED = "failed"
    MISSING = "missing"
    NOT_APPLICABLE = "not-applicable"


@dataclass(frozen=True)
class Cell:
    """One evaluation of one binding with one seed.

    Attributes:
        identity: hash of everything that decides the result, see `settings`; None until the encoders are identified.
        error: why there is no result, in a line.
        main_metric: of the task, where that could be loaded.
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

    def __str__(self) -> str:
        return f"{self.title}, {self.binding}, seed {self.seed}"

    def value(self, metric: str | None) -> float | None:
        """A metric of the result; None where there is none or it is not finite."""
        value = None if self.result is None or metric is None else self.result.metrics.get(metric)
        return value if value is not None and math.isfinite(value) else None

    @property
    def main_value(self) -> float | None:
        return self.value(self.main_metric)

    def settings(self, split_hash: str, encoders: Mapping[str, str]) -> dict[str, object]:
        """Everything that decides the result, JSON-like: the cell's identity is the hash of it.

        Args:
            split_hash: see `Dataset.split_hash`.
            encoders: identity of every encoder that takes part, by modality.
        """
        evaluation = self.evaluation
        sources = {modality: modalities.list_sources(modality)[1:] for modality in sorted(encoders)}
        return {
            "format": FORMAT,
            "task": evaluation.task,
            "options": dict(evaluation.options),
            "modality": evaluation.modality,
            "dataset": evaluation.dataset,
            "dataset_options": dict(evaluation.dataset_options),
            "split_hash": split_hash,
            "binding": self.binding,
            "encoders": dict(encoders),
            "derived": {
                modality: {source: dict(modalities.find_modality(modality).derivation(source)) for source in found}
                for modality, found in sources.items()
                if found
            },
            "seed": self.seed,
        }
