"""Batches of prepared student inputs, in the order of an epoch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from anybind.plugin import BadInput, loops, ranks
from anybind_train.data import TrainingSet, shuffle_epoch
from anybind_train.precomputed import is_invalid

if TYPE_CHECKING:
    from lightning_fabric import Fabric

QUEUE_BATCHES = 3
"""Batches that are loaded ahead: decoding overlaps with the step."""
Batch = tuple[np.ndarray, list[torch.Tensor]]
"""Numbers of the items of the global batch, and the inputs of this process's part of it."""


class BatchLoader:
    """A loader of the batches of an epoch, which depend on the recipe's seed and the epoch alone.

    The place of an invalid sample is taken by the sample at the same place of the next batch.

    Attributes:
        skipped: the error of each invalid sample up to the last batch, by id.
    """

    def __init__(
        self, data: TrainingSet, inputs: np.ndarray | None, teacher: np.ndarray | None, fabric: Fabric
    ) -> None:
        """Set the data.

        Args:
            data: the training data.
            inputs, teacher: cached arrays of `precomputed`, whose invalid rows are left out; None without them.
            fabric: its processes share each batch.
        """
        self._data, self._inputs, self._teacher = data, inputs, teacher
        self.skipped = dict(data.invalid.reasons)
        self._size, self._n_processes = data.recipe.batch_size, fabric.world_size
        rank, n_processes = fabric.global_rank, fabric.world_size
        self._own = slice(rank * self._size // n_processes, (rank + 1) * self._size // n_processes)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self._data) // self._size

    def iterate(self, epoch: int, first: int) -> Iterator[tuple[int, Batch]]:
        """Yield batches of an epoch with their numbers, from the number `first`.

        Raises:
            BadInput: more samples are invalid than the recipe allows.
        """
        self._data.invalid.start_epoch()
        order = shuffle_epoch(len(self._data), self._data.recipe.seed, epoch)
        positions = np.arange(len(self) * self._size).reshape(len(self), self._size)[first:, self._own].ravel().tolist()
        own_size = self._size // self._n_processes
        loaded = loops.prefetch(
            lambda position: self._load_valid(order, position, epoch), positions, queue_size=QUEUE_BATCHES * own_size
        )
        for batch in range(first, len(self)):
            numbers, inputs, skipped = zip(*itertools.islice(loaded, own_size), strict=True)
            for id in itertools.chain.from_iterable(skipped):
                self.skipped.setdefault(id, self._data.invalid.reasons[id])
            if not self._data.invalid.share:
                gathered = order[batch * self._size : (batch + 1) * self._size]
            else:  # other processes may have replaced samples of their parts
                parts = ranks.gather(list(numbers)) if self._n_processes > 1 else [list(numbers)]
                gathered = np.concatenate(parts)
            yield batch, (gathered, list(inputs))

    def _load_valid(self, order: np.ndarray, position: int, epoch: int) -> tuple[int, torch.Tensor, list[str]]:
        """Load the item at a position of the order; if it is invalid, those from the next batch on.

        Returns:
            number and input of the valid item, and the ids of the invalid ones.
        """
        skipped: list[str] = []
        later = range(position + self._size, position + self._size + len(order))
        for number in itertools.chain([position], later):
            number = int(order[number % len(order)])
            if (prepared := self._prepare(number, epoch)) is not None:
                return number, prepared, skipped
            skipped.append(self._data.items[number].item.id)
        raise BadInput(f"recipe {self._data.recipe.name}: no valid training sample in epoch {epoch}")

    def _prepare(self, number: int, epoch: int) -> torch.Tensor | None:
        """Prepare the input of an item; None if it is invalid."""
        version = epoch % self._data.recipe.variants
        arrays = [array for array in (self._teacher, self._inputs) if array is not None]
        if any(is_invalid(array[version, number]) for array in arrays):
            id = self._data.items[number].item.id
            self._data.invalid.skip(id, BadInput(self._data.invalid.reasons.get(id, f"{id}: not finite")))
            return None
        if self._inputs is not None:
            return torch.from_numpy(self._inputs[version, number].astype(np.float32))
        return self._data.call_or_skip(number, lambda: self._data.load_student_input(number, version, epoch))
