"""`prefetch_element`: requests for cache lines, in kernels that access memory at unpredictable indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from llvmlite import ir
    from numba import types
    from numba.core.base import BaseContext
    from numba.core.typing.templates import Signature


class Prefetch:
    """A function for loops of kernels: begin to load an element, for writing, into the first-level cache.

    A request some 64 iterations ahead hides most of the time that memory needs. The array is contiguous; the index is
    that of the flattened array, and may be invalid: the request then has no effect, as outside kernels.
    """

    def __init__(self) -> None:
        self._type: types.Type | None = None

    def __call__(self, array: np.ndarray, index: int | np.integer) -> None:
        pass

    @property
    def _numba_type_(self) -> types.Type:
        """The type by which numba resolves calls in kernels."""
        if self._type is None:
            self._type = _create_type(self)
        return self._type


def _create_type(function: Prefetch) -> types.Type:
    from llvmlite import ir
    from numba import types
    from numba.core.typing.templates import AbstractTemplate, signature
    from numba.extending import lower_builtin

    class Template(AbstractTemplate):
        key = function

        def generic(self, args: Sequence[types.Type], kws: object) -> Signature:
            return signature(types.none, *args)

    @lower_builtin(function, types.Array, types.Integer)
    def lower(context: BaseContext, builder: ir.IRBuilder, call: Signature, arguments: Sequence[ir.Value]) -> object:
        array_type, index_type = call.args
        data = context.make_array(array_type)(context, builder, arguments[0]).data
        address = builder.gep(data, [context.cast(builder, arguments[1], index_type, types.intp)])
        byte_pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        instruction_type = ir.FunctionType(ir.VoidType(), [byte_pointer, number, number, number])
        instruction = builder.module.declare_intrinsic("llvm.prefetch", [byte_pointer], instruction_type)
        write, nearest_cache, data_cache = number(1), number(3), number(1)
        builder.call(instruction, [builder.bitcast(address, byte_pointer), write, nearest_cache, data_cache])
        return context.get_dummy_value()

    return types.Function(Template)


prefetch_element = Prefetch()
