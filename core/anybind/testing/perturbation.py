"""Perturbation of an object's state: every array, tensor and constant, one at a time."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

Assign = Callable[[object], None]
"""Replaces a value by another one."""
STATELESS_TYPES = (type, ModuleType, FunctionType, MethodType, BuiltinFunctionType, str, bytes)


def perturb_state(root: object, base: type) -> Iterator[str]:
    """Change one value at a time, yield its name, and restore it when the iteration continues.

    Values are the arrays, tensors and floats reachable through the attributes of the object and of its classes below
    `base`, and the module constants that methods of these classes use. Arrays are rolled by one position, which keeps
    sums, and, unless they are of integers, scaled.
    """
    for name, value, assign in _find_values(root, base):
        assign_content, original = assign, value
        if not isinstance(value, float):  # in place, since several attributes may share one array
            assign_content = functools.partial(_fill, value)
            original = value.copy() if isinstance(value, np.ndarray) else value.detach().clone()
        for changed in _perturb(value):
            assign_content(changed)
            try:
                yield name
            finally:
                assign_content(original)


def _fill(value: np.ndarray | torch.Tensor, content: Any) -> None:
    """Overwrite an array or tensor, (...,), read-only ones too."""
    if isinstance(value, np.ndarray):
        value.flags.writeable = True
        value[...] = content
        return
    import torch  # imported by the creator of the tensor

    with torch.inference_mode() if value.is_inference() else torch.no_grad():
        value[...] = content


def _perturb(value: Any) -> list[object]:
    if isinstance(value, float):
        return [value * 1.5 + 0.01]
    if isinstance(value, np.ndarray):
        rolled, floating = np.roll(value, 1), value.dtype.kind == "f"
    else:
        rolled, floating = value.roll(1), value.is_floating_point()
    return [rolled, value * 1.5 + 0.01] if floating else [rolled]


def _is_value(value: Any) -> bool:
    torch = sys.modules.get("torch")
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "iuf" and value.size > 0
    return isinstance(value, float) or (torch is not None and isinstance(value, torch.Tensor) and value.numel() > 0)


def _find_values(root: object, base: type) -> Iterator[tuple[str, Any, Assign]]:
    yield from _walk(root, "", lambda value: None, set())
    for owner in type(root).__mro__[: type(root).__mro__.index(base)]:
        for name, value in list(vars(owner).items()):
            if _is_value(value) and name not in vars(root):
                yield f"{owner.__name__}.{name}", value, functools.partial(setattr, owner, name)
            function = value.fget if isinstance(value, property) else getattr(value, "func", value)
            if isinstance(function, FunctionType):
                constants = function.__globals__
                for constant in function.__code__.co_names:
                    if _is_value(constants.get(constant)):
                        yield constant, constants[constant], functools.partial(constants.__setitem__, constant)


def _walk(value: object, name: str, assign: Assign, seen: set[int]) -> Iterator[tuple[str, Any, Assign]]:
    if _is_value(value):
        yield name.lstrip("."), value, assign
    elif value is not None and not isinstance(value, STATELESS_TYPES) and id(value) not in seen:
        seen.add(id(value))
        for label, item, assign_item in _find_items(value, assign):
            yield from _walk(item, name + label, assign_item, seen)


def _find_items(value: object, assign: Assign) -> Iterator[tuple[str, object, Assign]]:
    if isinstance(value, tuple):
        for number, item in enumerate(value):
            yield (
                f"[{number}]",
                item,
                lambda new, number=number: assign((*value[:number], new, *value[number + 1 :])),
            )
        return
    indexed = isinstance(value, dict | list)
    container = value if indexed else getattr(value, "__dict__", {})
    for key, item in list(enumerate(container) if isinstance(container, list) else container.items()):
        yield f"[{key!r}]" if indexed else f".{key}", item, functools.partial(container.__setitem__, key)
