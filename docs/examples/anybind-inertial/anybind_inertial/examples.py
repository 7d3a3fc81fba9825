"""Examples for `anybind plugins check inertial`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from anybind.testing import Example

from anybind_inertial.activities import make_trace
from anybind_inertial.trace import Trace


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Return the example of a part; encoders and the reader are checked on the samples of the modality."""
    if kind == "dataset":
        return Example(folder=folder, options={"each": 2})
    if kind != "modality":
        return None
    good = [make_trace(activity, 0, seconds=3) for activity in ("walking", "sitting", "jumping")]
    values = good[0].acceleration
    wrong = [Trace(values[:10], values[:10], 50.0), Trace(values * np.nan, values, 50.0), Trace(values, values, 0.0)]
    return Example(samples=good, wrong=wrong)
