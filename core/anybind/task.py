"""`Task`: an evaluation of a binding on a dataset."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from anybind.binder import Binder
from anybind.dataset import Dataset
from anybind.errors import OnBad
from anybind.result import Result


class Task(ABC):
    """An evaluation task with metrics. Its options are the arguments of its constructor.

    Attributes:
        name: registered name.
        main_metric: the key in `Result.metrics` of the main result.
        work: a folder, created by the task, for state to resume an interrupted evaluation from; the caller removes it
            when the evaluation is finished. None if there is none. Few tasks use it.
    """

    name: ClassVar[str]
    main_metric: ClassVar[str]
    work: Path | None = None

    def modalities(self, modality: str) -> tuple[str, ...]:
        """Return the modalities that the task reads of a dataset to embed samples as `modality`; by default that."""
        return (modality,)

    @abstractmethod
    def run(
        self, binder: Binder, dataset: Dataset, *, modality: str, seed: int = 0, on_bad: OnBad | None = None
    ) -> Result:
        """Evaluate a binding on a dataset.

        Args:
            binder: the binding.
            dataset: the dataset.
            modality: modality to embed the samples as; samples of another modality are converted.
            seed: random seed, recorded in the result.
            on_bad: called with the id and the error of each invalid sample, which is then skipped; by default the first
                one raises.

        Raises:
            BadInput: the dataset does not suit the task (no samples, no labels).
        """
