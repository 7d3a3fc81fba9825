"""The processor of this machine, and its instruction sets for matrix products."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

SETS = ("avx2", "avx512f", "avx512_bf16", "avx_vnni", "avx512_vnni", "amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm")
"""Instruction sets under the names of Linux, in the order in which they are listed."""
PRODUCTS = {"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"}
"""Those with exact sums of products of 8 bits."""


@functools.cache
def list_instruction_sets() -> tuple[str, ...]:
    """Return the processor's instruction sets of `SETS`; none where the system does not list them."""
    flags = set(_read_field("flags", "Features").split())
    return tuple(name for name in SETS if name in flags)


def has_int8_products() -> bool:
    """Return whether the processor adds products of 8 bits without overflow."""
    return bool(PRODUCTS & set(list_instruction_sets()))


def describe_processor() -> str:
    """Return the processor's name with its instruction sets."""
    name = _read_field("model name") or platform.processor() or platform.machine()
    sets = ", ".join(list_instruction_sets())
    return f"{name} ({sets})" if sets else name


def _read_field(*names: str) -> str:
    """Read a field of Linux's list of processors; empty on other systems."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in names:
            return " ".join(value.split())
    return ""
