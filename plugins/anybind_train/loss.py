"""The kind `loss`: `LossSpec`, `Loss` and `TrainingBatch`, which other plugins may import. It imports no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from anybind.plugin import kinds

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class LossSpec(kinds.Spec):
    """A term of a recipe's loss. Target: a `Loss` class, or a function of its options that returns a `Loss`."""

    kind: ClassVar[str] = "loss"


@dataclass(frozen=True)
class TrainingBatch:
    """The embeddings of a batch, of norm 1 unless called raw, in one space of d dimensions.

    In training on several processes the batch is the global one: every process has all rows.

    Attributes:
        student: (n, d), of the trained encoder; gradients flow into it alone, or into the texts too where prompts
            are learned.
        teacher: (n, d), of the frozen encoder, paired with the rows of `student`; None if the recipe has no teacher.
        texts: (m, d), one a class; None without texts.
        labels: (n,) int64, the row of `texts` of each sample's class, -1 for a sample without a label; None without
            labels.
        raw_student, raw_teacher, raw_texts: `student`, `teacher` and `texts` before their normalisation to norm 1; None
            unless a loss of the recipe needs one of them.
    """

    student: torch.Tensor
    teacher: torch.Tensor | None = None
    texts: torch.Tensor | None = None
    labels: torch.Tensor | None = None
    raw_student: torch.Tensor | None = None
    raw_teacher: torch.Tensor | None = None
    raw_texts: torch.Tensor | None = None


class Loss(ABC):
    """A term of the training loss. Its options, such as a temperature, are its constructor's arguments.

    Attributes:
        needs: the fields of `TrainingBatch`, beside `student`, that it needs.
        compares_rows: whether it compares the rows of a batch, so that a batch of one has no gradient.
        parameters: its learned numbers by name, such as a temperature; they are trained with the student, without
            weight decay, and saved in the state of the run.
        untrainable: why training with it must fail; empty for a loss that can train.
    """

    needs: tuple[str, ...] = ()
    compares_rows: bool = False
    parameters: Mapping[str, torch.nn.Parameter] = MappingProxyType({})
    untrainable: str = ""

    @abstractmethod
    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        """Return the mean over the batch, a scalar, in the precision of `batch.student`."""
