"""Tensors by name: safetensors files with a JSON card, hashes of state dicts, checks of state dicts."""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from anybind.errors import BadInput, WeightsMismatch
from anybind.files import atomic_path, check_input, check_pointer
from anybind.tensor_checks import check_archive, check_dense, check_entries, check_finite, read_header

if TYPE_CHECKING:
    import torch

CARD = "anybind"
"""Default key of the card in a file's metadata."""
_NUMPY_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1"}
_NUMPY_DTYPES |= {"U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?"}
_TORCH_DTYPES = _NUMPY_DTYPES | {"BF16": "bfloat16"}


class InvalidCard(BadInput):
    """A safetensors file whose card is missing or is not a JSON object."""


def write_tensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, np.ndarray] | Mapping[str, torch.Tensor],
    card: Mapping[str, object],
    *,
    key: str | None = CARD,
) -> None:
    """Write a safetensors file with a JSON card, atomically.

    Args:
        path: the file.
        tensors: NumPy arrays or torch tensors by name, of any shape (n, m, ...), on any device, contiguous or not; they
            may share memory.
        card: JSON-like; stored in the file's metadata.
        key: metadata key of the card. None stores every entry of the card under its own key.

    Raises:
        BadInput: the file cannot be written, as on a full disk.
    """
    from safetensors import SafetensorError

    cards = card if key is None else {key: card}
    metadata = {name: json.dumps(value, ensure_ascii=False) for name, value in cards.items()}
    arrays = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, np.ndarray)}
    with atomic_path(path) as temporary:
        try:
            if len(arrays) == len(tensors):
                from safetensors.numpy import save_file as save_arrays

                save_arrays({name: np.asarray(array, order="C") for name, array in arrays.items()}, temporary, metadata)
            else:
                from safetensors.torch import save_file

                save_file({name: _copy_tensor(tensor) for name, tensor in tensors.items()}, temporary, metadata)
        except SafetensorError as error:  # a full disk, which is not an OSError here
            raise BadInput(f"cannot write {path}: {error}") from error


def _copy_tensor(tensor: Any) -> torch.Tensor:
    # A copy, since safetensors refuses tensors that share memory, as tied weights do.
    return tensor.detach().cpu().clone().contiguous()


@overload
def read_tensors(
    path: str | os.PathLike[str],
    *,
    key: str | None = ...,
    framework: Literal["numpy"] = ...,
    mapped: bool = ...,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]: ...
@overload
def read_tensors(
    path: str | os.PathLike[str], *, key: str | None = ..., framework: Literal["torch"]
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]: ...
def read_tensors(
    path: str | os.PathLike[str],
    *,
    key: str | None = CARD,
    framework: Literal["numpy", "torch"] = "numpy",
    mapped: bool = False,
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Read the card and the tensors of a safetensors file.

    Args:
        path: the file.
        key: metadata key of the card. None reads all metadata, each entry being JSON, as one card.
        framework: `numpy` for arrays, `torch` for CPU tensors. Torch tensors are views of the file, which is read
            as they are used and must not be overwritten in place.
        mapped: the same for NumPy arrays, read-only; by default they are copies in memory.

    Raises:
        BadInput: the file is missing, truncated or not a safetensors file, or a tensor is of another type or, unless
            `mapped`, has NaN or infinite numbers.
        InvalidCard: it has no card under this key, or one that is not a JSON object. This is a `BadInput`.
    """
    with _open_file(path, framework) as (file, header):
        card = _parse_card(path, file.metadata() or {}, key)
        if mapped:
            return card, _map_arrays(Path(path), header)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    check_finite(Path(path), tensors)
    return card, tensors


def read_card(path: str | os.PathLike[str], *, key: str | None = CARD) -> dict[str, Any]:
    """Read the card of a safetensors file without its tensors; raises as `read_tensors`."""
    with _open_file(path, "numpy", _TORCH_DTYPES) as (file, _):
        return _parse_card(path, file.metadata() or {}, key)


def read_weights(
    path: str | os.PathLike[str], select: Callable[[str], bool] = lambda name: True
) -> dict[str, torch.Tensor]:
    """Read a published weight file: safetensors, or a state dict that torch saved. No code in it is executed.

    Args:
        path: the file; `.safetensors`, or any other ending for one that torch saved.
        select: returns whether to read the tensor of a name. [default: all]

    Returns:
        CPU tensors by name. They are views of the file (but for torch's oldest format), which is read as they are
        used and must not be overwritten in place.

    Raises:
        BadInput: the file is missing, truncated, in neither format, or cannot be read without executing code; or a
            selected tensor has NaN or infinite numbers.
        WeightsMismatch: torch saved something other than tensors by name.
    """
    if Path(path).suffix == ".safetensors":
        with _open_file(path, "torch") as (file, _):
            state = {name: file.get_tensor(name) for name in file.keys() if select(name)}  # noqa: SIM118
    else:
        state = load_torch(path)
        check_state_dict(path, state)
        state = {name: tensor for name, tensor in state.items() if select(name)}
    check_finite(Path(path), state)
    return state


def check_state_dict(path: str | os.PathLike[str], content: object) -> None:
    """Raise `WeightsMismatch` unless the content of a file is tensors by name."""
    import torch

    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(each, torch.Tensor) for name, each in content.items()
    ):
        raise WeightsMismatch(f"{path}: expected a state dict, tensors by name; take the file of the published model")


def load_torch(path: str | os.PathLike[str]) -> Any:
    """Load a file that torch saved, on the CPU, without executing code.

    Tensors are views of the file, as those of `read_weights`; their numbers are not checked.

    Raises:
        BadInput: the file is missing, damaged, compressed, or cannot be read without executing code; or a tensor in it
            is sparse, complex, or larger than the file.
    """
    import torch

    check_input(path, folders=False)
    check_pointer(path)
    try:
        with Path(path).open("rb") as file:
            is_archive = file.read(4) == b"PK\x03\x04"
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}; check the path") from error
    if is_archive:
        check_archive(Path(path))
    try:
        with warnings.catch_warnings():  # of the formats that raise below
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive)
    except Exception as error:  # torch, its unpickler and its zip reader each raise their own on a bad file
        raise BadInput(_describe_refusal(path, str(error))) from error
    check_dense(Path(path), content)
    return content


def _describe_refusal(path: str | os.PathLike[str], reason: str) -> str:
    code = re.search(r"GLOBAL ([\w.]+)", reason)
    if code or "TorchScript" in reason:
        what = f"calls {code[1]}" if code else "is a TorchScript program"
        return f"{path} {what} to be read, and nothing in a weight file is executed: ask for one of tensors alone"
    reason = " ".join(reason.split())[:160] or "it is empty"
    return f"{path}: not a weight file that torch can load ({reason}); download it again"


@contextmanager
def _open_file(
    path: str | os.PathLike[str], framework: Literal["numpy", "torch"], dtypes: Mapping[str, str] | None = None
) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Open a safetensors file; yield it and its header. `dtypes` are the allowed ones. [default: the framework's]"""
    from safetensors import SafetensorError, safe_open

    check_input(path, folders=False)
    check_pointer(path)
    try:
        header = read_header(Path(path))
        with safe_open(Path(path), framework="pt" if framework == "torch" else "numpy") as file:
            check_entries(header, dtypes or (_TORCH_DTYPES if framework == "torch" else _NUMPY_DTYPES))
            yield file, header
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except (SafetensorError, RecursionError, TypeError, ValueError) as error:
        raise BadInput(f"{path}: not a readable safetensors file ({error})") from error


def _parse_card(path: str | os.PathLike[str], metadata: Mapping[str, str], key: str | None) -> dict[str, Any]:
    if key is not None and key not in metadata:
        raise InvalidCard(f"{path}: a safetensors file without the card {key!r}; anybind did not write it as such")
    try:
        if key is None:
            return {name: json.loads(text) for name, text in metadata.items()}
        card = json.loads(metadata[key])
    except (ValueError, RecursionError) as error:
        raise InvalidCard(f"{path}: its card is not valid JSON ({error})") from error
    if not isinstance(card, dict):
        raise InvalidCard(f"{path}: its card {key!r} is not a JSON object")
    return card


def _map_arrays(path: Path, header: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Map the arrays of a file whose header is valid."""
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
    arrays = {}
    for name, about in header.items():
        if name == "__metadata__":
            continue
        dtype, shape, (first, last) = _NUMPY_DTYPES[about["dtype"]], tuple(about["shape"]), about["data_offsets"]
        empty = first == last  # nothing can be mapped there
        arrays[name] = np.empty(shape, dtype) if empty else np.memmap(path, dtype, "r", start + first, shape)
    return arrays


def hash_state(state: Mapping[str, torch.Tensor] | Mapping[str, np.ndarray]) -> str:
    """Hash the names, types, shapes and values of a state dict: 12 hexadecimal digits.

    Tensors and arrays of any shape, (n, m, ...), have one hash.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        is_array = isinstance(tensor, np.ndarray)
        dtype = f"torch.{tensor.dtype}" if is_array else tensor.dtype
        digest.update(f"{name}:{dtype}:{tuple(tensor.shape)};".encode())
        # Seen as bytes, so that bfloat16, which numpy lacks, needs no detour; a scalar has no last dimension.
        flat = np.ascontiguousarray(tensor).reshape(-1).view(np.uint8) if is_array else _view_bytes(tensor)
        digest.update(flat.data)
    return digest.hexdigest()[:12]


def _view_bytes(tensor: torch.Tensor) -> np.ndarray:
    import torch

    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()


def check_state(path: Path, state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    """Raise `WeightsMismatch`, naming the first few keys, unless names, shapes and kinds of numbers agree."""
    complaints = {
        "lacks": sorted(expected.keys() - state.keys()),
        "has too many": sorted(state.keys() - expected.keys()),
        "has other shapes of": sorted(
            name for name in expected.keys() & state.keys() if expected[name].shape != state[name].shape
        ),
        "has other types of": sorted(
            name
            for name in expected.keys() & state.keys()
            if expected[name].is_floating_point() != state[name].is_floating_point()
        ),
    }
    differences = [f"{what} {_shorten_names(names)}" for what, names in complaints.items() if names]
    if differences:
        raise WeightsMismatch(f"{path} is a weight file of another model: it {'; '.join(differences)}")


def _shorten_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
