"""`Task`: a question with a metric, asked of a binding on a data set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from anybind.binder import Binder
from anybind.dataset import Dataset
from anybind.errors import OnBad
from anybind.result import Result


class Task(ABC):
    """A question with a metric. Its options are the arguments of its constructor.

    Attributes:
        name: as it is registered.
        main_metric: the key of `Result.metrics` that stands for the whole.
        work: a folder, which need not be there yet, that whoever asks keeps until the question is answered, so that a
            task that takes long can go on where it was interrupted; None where there is none. Most tasks have no use
            for it.
    """

    name: ClassVar[str]
    main_metric: ClassVar[str]
    work: Path | None = None

    def modalities(self, modality: str) -> tuple[str, ...]:
        """The modalities that are asked of a data set's samples when the samples are embedded as `modality`: that one,
        unless overridden.
        """
        return (modality,)

    @abstractmethod
    def run(
        self, binder: Binder, dataset: Dataset, *, modality: str, seed: int = 0, on_bad: OnBad | None = None
    ) -> Result:
        """Ask the question and answer it.

        Args:
            binder: the binding asked.
            dataset: what it is asked about.
            modality: the modality that the samples are embedded as; those of another are derived.
            seed: of all randomness; it stands in the result.
            on_bad: told of samples that cannot be used, which are then left out; without it the first raises.

        Raises:
            BadInput: the data cannot answer the question (no samples, no labels).
        """
