"""`LowPrecision`: runs a torch module in bfloat16 or float16 and leaves its float32 weights as they are."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch

from anybind.errors import AnybindWarning, BadOption
from anybind.inference import FP32

DTYPES = {FP32: torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Torch dtypes by name of the precision."""
MATRIX_MODULES = torch.nn.Linear, torch.nn.modules.conv._ConvNd, torch.nn.MultiheadAttention
"""Modules whose weights are converted once: autocast alone converts them in every call, which measures slower."""

_locks: WeakKeyDictionary[torch.nn.Module, threading.RLock] = WeakKeyDictionary()
_lock = threading.Lock()


def lock_module(module: torch.nn.Module) -> threading.RLock:
    """Return the lock of a module, held while its weights are converted; encoders may share a module."""
    with _lock:
        return _locks.setdefault(module, threading.RLock())


class LowPrecision:
    """Converted weights of one module, in use within `apply`."""

    def __init__(self, precision: str) -> None:
        self.dtype = DTYPES[precision]
        self._converted: dict[str, tuple[tuple[int, int], torch.Tensor]] = {}

    @contextmanager
    def apply(self, module: torch.nn.Module) -> Iterator[None]:
        """Compute under autocast within the block, with converted weights; other threads wait for the module."""
        with lock_module(module):
            weights = _find_matrix_weights(module)
            originals = {name: weight.data for name, weight in weights.items()}
            try:
                for name, weight in weights.items():
                    weight.data = self._convert(name, weight)
                with torch.autocast(next(module.parameters()).device.type, self.dtype):
                    yield
            finally:
                for name, weight in weights.items():
                    weight.data = originals[name]

    def _convert(self, name: str, weight: torch.nn.Parameter) -> torch.Tensor:
        version = weight.data_ptr(), weight._version
        if self._converted.get(name, ((), None))[0] != version:
            self._converted[name] = version, weight.data.to(self.dtype)
        return self._converted[name][1]


def _find_matrix_weights(module: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return {
        f"{prefix}.{name}": weight
        for prefix, part in module.named_modules()
        if isinstance(part, MATRIX_MODULES)
        for name, weight in part.named_parameters(recurse=False)
        if weight.dtype == torch.float32
    }


def check_precision(precision: str, device: torch.device) -> None:
    """Check that a device supports a precision; warn where it is slower than float32.

    Raises:
        BadOption: the precision is unknown, or the device does not support it.
    """
    if precision not in DTYPES:
        raise BadOption(f"expected a precision of {', '.join(DTYPES)}, got {precision!r}")
    if precision == FP32:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # torch warns, and computes in float32
            torch.autocast(device.type, DTYPES[precision])
    except (RuntimeError, UserWarning) as error:
        reason = " ".join(str(error).split())[:160]
        raise BadOption(f"the device {device.type!r} does not support the precision {precision} ({reason})") from error
    if device.type == "cpu" and not _has_instructions(precision):
        slow = f"{precision} is slower than {FP32} on this processor, which has no instructions for it"
        warnings.warn(slow, AnybindWarning, stacklevel=2)


def _has_instructions(precision: str) -> bool:
    """Return whether this processor multiplies matrices of a lower precision without conversion to float32."""
    checks = {
        "bf16": ("_is_amx_tile_supported", "_is_avx512_bf16_supported"),
        "fp16": ("_is_amx_fp16_supported", "_is_avx512_fp16_supported"),
    }
    return any(getattr(torch.cpu, name, bool)() for name in checks[precision])
