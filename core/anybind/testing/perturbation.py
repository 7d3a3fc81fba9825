"""Perturb the state of an object: every array, tensor and constant that it holds, one at a time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

Assign = Callable[[Any], None]
"""Puts another value in the place of one."""
STATELESS = (type, ModuleType, FunctionType, MethodType, BuiltinFunctionType, str, bytes)


def perturb_state(root: object, base: type) -> Iterator[str]:
    """Change one value at a time, give its name, and restore it when the iteration goes on.

    Values are the arrays, tensors and floats that the object reaches through its attributes and those of its classes
    below `base`, and the module constants that methods of these classes name. Arrays are rolled by one place, so that
    sums stay as they are, and, unless they are of integers, scaled.
    """
    for name, value, assign in _find_values(root, base):
        for changed in _perturb(value):
            with _replaced(value, changed, assign):
                yield name


@contextmanager
def _replaced(value: Any, changed: Any, assign: Assign) -> Iterator[None]:
    if isinstance(value, float):
        assign(changed)
        try:
            yield
        finally:
            assign(value)
        return
    with _writable(value):
        own = value.copy() if isinstance(value, np.ndarray) else value.detach().clone()
        value[...] = changed  # in place, since several attributes may share one array
        try:
            yield
        finally:
            value[...] = own


def _writable(value: Any) -> AbstractContextManager[object]:
    if isinstance(value, np.ndarray):
        value.flags.writeable = True
        return np.errstate()
    import torch  # it has made the tensor

    return torch.inference_mode() if value.is_inference() else torch.no_grad()


def _perturb(value: Any) -> list[Any]:
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
                yield f"{owner.__name__}.{name}", value, _setter(owner, name)
            function = value.fget if isinstance(value, property) else getattr(value, "func", value)
            if isinstance(function, FunctionType):
                constants = function.__globals__
                for constant in function.__code__.co_names:
                    if _is_value(constants.get(constant)):
                        yield constant, constants[constant], _item_setter(constants, constant)


def _walk(value: Any, name: str, assign: Assign, seen: set[int]) -> Iterator[tuple[str, Any, Assign]]:
    if _is_value(value):
        yield name.lstrip("."), value, assign
        return
    if value is None or isinstance(value, STATELESS) or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dict):
        for key, item in list(value.items()):
            yield from _walk(item, f"{name}[{key!r}]", _item_setter(value, key), seen)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _walk(item, f"{name}[{number}]", _item_setter(value, number), seen)
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from _walk(item, f"{name}[{number}]", _tuple_setter(value, number, assign), seen)
    else:
        held = getattr(value, "__dict__", {})
        for key, item in list(held.items()):
            yield from _walk(item, f"{name}.{key}", _item_setter(held, key), seen)


def _item_setter(container: Any, key: Any) -> Assign:
    return lambda value: container.__setitem__(key, value)


def _setter(owner: object, name: str) -> Assign:
    return lambda value: setattr(owner, name, value)


def _tuple_setter(whole: tuple[Any, ...], number: int, assign: Assign) -> Assign:
    return lambda value: assign((*whole[:number], value, *whole[number + 1 :]))
