"""Checks of weight files: none costs more memory than its size, stores a name twice, or holds NaN."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anybind.errors import BadInput

if TYPE_CHECKING:
    import torch

MAX_HEADER_BYTES = 100_000_000
"""Limit of the format."""
MAX_TENSORS = 100_000
"""A header of 100 MB may list 1.5 million empty tensors, which take 2 GB and a minute."""
MAX_SIDE = 1 << 31
"""Largest dimension: an empty tensor may declare any."""
MASK = "mask"
"""End of the names of attention masks, in which minus infinity is usual."""


def read_header(path: Path) -> dict[str, Any]:
    """Read the header of a safetensors file, without checking its entries.

    Raises:
        ValueError: it is incomplete, too large, not JSON, or stores a name twice.
        OSError: the file cannot be read.
    """
    n_objects = 0

    def check_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal n_objects
        n_objects += 1
        if n_objects > MAX_TENSORS:
            raise ValueError(f"its header lists more than {MAX_TENSORS} tensors")
        content = dict(pairs)
        if len(content) < len(pairs):
            names = [name for name, _ in pairs]
            raise ValueError(f"its header has two entries {next(n for n in names if names.count(n) > 1)!r:.80}")
        return content

    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        limit = min(MAX_HEADER_BYTES, path.stat().st_size - 8)
        if size > limit:
            raise ValueError(f"its header claims {size} bytes, at most {max(limit, 0)} are possible")
        text = file.read(size).decode()
    header = json.loads(text, object_pairs_hook=check_object)
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")
    return header


def check_entries(header: Mapping[str, Any], dtypes: Mapping[str, object]) -> None:
    """Raise `ValueError` for a tensor of another type than `dtypes`, or of an impossible shape; the file is valid."""
    for name, about in header.items():
        if name == "__metadata__":
            continue
        if about["dtype"] not in dtypes:
            raise ValueError(f"tensor {name!r:.80}: expected one of {', '.join(dtypes)}, got {about['dtype']}")
        if any(side > MAX_SIDE for side in about["shape"]):
            raise ValueError(f"tensor {name!r:.80}: expected dimensions below {MAX_SIDE}, got {about['shape']!s:.80}")


def check_archive(path: Path) -> None:
    """Raise `BadInput` if a zip archive of torch is a program, or is compressed or overlaps itself."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise BadInput(f"{path}: not a weight file that torch can load ({error}); download it again") from error
    if any(entry.filename.partition("/")[2].startswith(("code/", "constants.pkl")) for entry in entries):
        raise BadInput(f"{path} is a TorchScript program, and none is executed: take a file of tensors alone")
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    if not stored or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise BadInput(f"{path}: expected an archive without compression, as torch saves it, got a compressed one")


def check_dense(path: Path, content: object) -> None:
    """Check all tensors in nested lists and mappings: strided, real, on the CPU, and not larger than the file.

    Raises:
        BadInput: a tensor is sparse, complex, without data, or repeats its numbers to a larger size.
    """
    import torch

    size = path.stat().st_size
    pending, seen = [content], set[int]()
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            dense = value.layout is torch.strided and value.device.type == "cpu" and not value.is_quantized
            if not dense or value.is_complex() or value.numel() * value.element_size() > size:
                raise BadInput(
                    f"{path}: expected dense tensors of real numbers within the file, got {value.dtype} of shape"
                    f" {tuple(value.shape)!s:.60} ({value.layout}, {value.device})"
                )
        elif isinstance(value, Mapping):
            pending.extend(value.values())
        elif isinstance(value, list | tuple):
            pending.extend(value)


def check_finite(path: str | Path, tensors: Mapping[str, np.ndarray] | Mapping[str, torch.Tensor]) -> None:
    """Raise `BadInput`, naming the tensor, if weights are NaN or infinite; infinities are allowed in masks."""
    for name, tensor in tensors.items():
        low, high = _find_range(tensor)
        if math.isnan(low + high) or (math.isinf(low + high) and not name.endswith(MASK)):
            raise BadInput(f"{path}: expected finite numbers, got NaN or infinity in tensor {name!r:.120}")


def _find_range(tensor: np.ndarray | torch.Tensor) -> tuple[float, float]:
    """Return the smallest and the largest number, NaN if one is NaN: one pass and no further memory."""
    if isinstance(tensor, np.ndarray):
        if tensor.dtype.kind != "f" or not tensor.size or _is_finite_half(tensor):
            return 0.0, 0.0
        with np.errstate(invalid="ignore"):
            return float(tensor.min()), float(tensor.max())
    if not tensor.is_floating_point() or not tensor.numel():
        return 0.0, 0.0
    low, high = tensor.detach().aminmax()
    return low.item(), high.item()


def _is_finite_half(array: np.ndarray) -> bool:
    """Return whether an array is float16 and finite: its bits are compared, ten times as fast as its numbers."""
    if array.dtype != np.float16:
        return False
    exponents = np.ascontiguousarray(array).view(np.uint16) & np.uint16(0x7C00)
    return bool(exponents.max() < 0x7C00)
