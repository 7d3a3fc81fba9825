"""What every representation is held to."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anybind.representation import Representation
from anybind.tables import settings_hash
from anybind.testing.rules import (
    NotChecked,
    Rules,
    require,
    require_close,
    require_json_like,
    require_refusal,
    same,
    short,
    told,
)

REPRESENTATION_RULES = Rules()
_rule = REPRESENTATION_RULES.rule


@dataclass
class RepresentationCase:
    """A representation and samples that it takes; those in `wrong` it must refuse."""

    representation: Representation
    samples: Sequence[Any]
    wrong: Sequence[Any] = ()

    @functools.cached_property
    def arrays(self) -> list[np.ndarray]:
        """What it gives for each sample; raises `NotChecked` where it gives no arrays."""
        try:
            arrays = [self.representation(sample) for sample in self.samples]
        except Exception as error:
            raise NotChecked(f"it does not take its samples ({told(error)})") from error
        if not all(isinstance(array, np.ndarray) for array in arrays):
            raise NotChecked("it gives no arrays")
        return arrays


@_rule(
    "settings are JSON-like",
    "give `settings` as a mapping of texts, numbers, lists and tables: all that shapes the output",
)
def _settings(case: RepresentationCase) -> None:
    settings = dict(case.representation.settings)
    require_json_like(settings, "settings")
    again = settings_hash(dict(case.representation.settings))
    require(settings_hash(settings) == again, "settings change from one reading to the next")


@_rule("takes its samples", "make the call work on every sample that the modality takes, and give a NumPy array")
def _takes(case: RepresentationCase) -> None:
    for sample in case.samples:
        array = case.representation(sample)
        require(isinstance(array, np.ndarray), f"it gives a {type(array).__name__}, not a NumPy array")


@_rule("shape (channels, height, width)", "give three dimensions, the channels first, none of them 0")
def _shape(case: RepresentationCase) -> None:
    for array in case.arrays:
        require(array.ndim == 3 and array.size, f"it gives shape {array.shape}")


@_rule("dtype float32", "end with `.astype(np.float32)`")
def _dtype(case: RepresentationCase) -> None:
    require(all(array.dtype == np.float32 for array in case.arrays), f"it gives {case.arrays[0].dtype}")


@_rule("finite", "find what divides by zero: a sample may have one entry, or all at one time")
def _finite(case: RepresentationCase) -> None:
    wrong = [number for number, array in enumerate(case.arrays) if not np.isfinite(array).all()]
    require(not wrong, f"the arrays of samples {wrong} hold NaN or infinity")


@_rule("deterministic", "use no randomness")
def _deterministic(case: RepresentationCase) -> None:
    for sample, array in zip(case.samples, case.arrays, strict=True):
        require_close(case.representation(sample), array, 1e-6, "the same sample, twice")


@_rule("leaves samples alone", "copy what is changed in place")
def _leaves_alone(case: RepresentationCase) -> None:
    for sample in case.samples:
        before = copy.deepcopy(sample)
        case.representation(sample)
        require(same(before, sample), f"the sample ({short(sample)}) is no longer what it was")


@_rule("batch agrees", "make `batch` give what the calls give, stacked; or leave it as it is inherited")
def _batch(case: RepresentationCase) -> None:
    for sample, array in zip(case.samples, case.arrays, strict=True):
        if not np.allclose(case.representation(sample), array, atol=1e-6, equal_nan=True):
            raise NotChecked("it is not deterministic, so nothing can be compared")
    alike = [n for n, array in enumerate(case.arrays) if array.shape == case.arrays[0].shape]
    alike = [n for n in alike if getattr(case.samples[n], "shape", 0) == getattr(case.samples[0], "shape", 0)]
    batch = case.representation.batch([case.samples[number] for number in alike])
    require(
        isinstance(batch, np.ndarray) and batch.dtype == case.arrays[0].dtype, "batch gives another type than the call"
    )
    scale = max(1.0, float(np.nanmax(np.abs(case.arrays[0]))))
    require_close(batch, np.stack([case.arrays[number] for number in alike]), 1e-5 * scale, "in a batch and one by one")


@_rule("refuses an empty batch", "raise anybind.BadInput where there is nothing to stack")
def _empty_batch(case: RepresentationCase) -> None:
    require_refusal(lambda: case.representation.batch([]), "a batch of no samples")


@_rule("refuses wrong samples", "raise anybind.BadInput, saying what is wrong")
def _refuses(case: RepresentationCase) -> None:
    if not case.wrong:
        raise NotChecked("no wrong samples were given")
    for wrong in case.wrong:
        require_refusal(lambda wrong=wrong: case.representation(wrong), f"a wrong sample ({short(wrong)})")
