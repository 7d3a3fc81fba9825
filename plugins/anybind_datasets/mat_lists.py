"""Lists in MATLAB's files up to version 7, as splits of data sets are published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import loadmat

from anybind.plugin import BadInput


def mat_array(path: Path, name: str) -> np.ndarray:
    """An array of a MATLAB file up to version 7, flat. SciPy reads these as data and runs nothing of them.

    Raises:
        BadInput: the file is missing or damaged, or has no such array.
    """
    try:
        held = loadmat(path, variable_names=[name])
    except Exception as error:  # SciPy's reader raises whatever comes up in a damaged file
        raise BadInput(f"{path} is no readable MATLAB file: {' '.join(str(error).split())}") from error
    if name not in held:
        raise BadInput(f"{path} holds no array {name!r}")
    return np.ravel(held[name])
