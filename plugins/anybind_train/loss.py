"""The kind `loss`: `LossSpec`, `Loss` and `TrainingBatch`, which other plugins may import. Needs no torch to import."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from anybind.plugin import Spec

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class LossSpec(Spec):
    """One term of a recipe's loss. Target: makes a `Loss` from its options."""

    kind: ClassVar[str] = "loss"


@dataclass(frozen=True)
class TrainingBatch:
    """What a loss may look at: vectors of a batch, all of norm 1, in one space of d dimensions.

    In training on several processes the batch is the global one: every process sees all rows.

    Attributes:
        student: (n, d), of the encoder that learns; gradients flow into it and into nothing else, unless the
            texts learn too (prompts).
        teacher: (n, d), of the frozen encoder, the partner of each row of `student`; None where the recipe
            has no teacher.
        texts: (m, d), one a class; None where there are no texts.
        labels: (n,) int64, the row of `texts` that names each sample, -1 for a sample without a label; None
            where the data has none.
    """

    student: torch.Tensor
    teacher: torch.Tensor | None = None
    texts: torch.Tensor | None = None
    labels: torch.Tensor | None = None


class Loss(ABC):
    """One term of what training makes small. Its options, such as a temperature, are its constructor's arguments.

    Attributes:
        needs: the fields of `TrainingBatch`, beside `student`, that it cannot do without.
        compares_rows: whether it tells the rows of a batch apart, so that a batch of one teaches nothing.
    """

    needs: tuple[str, ...] = ()
    compares_rows: bool = False

    @abstractmethod
    def __call__(self, batch: TrainingBatch) -> torch.Tensor:
        """The mean over the batch, a scalar, in the precision of `batch.student`."""
