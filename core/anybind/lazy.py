"""Lazy imports of the names of public modules, so that listing parts and `--help` stay fast."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping


def lazy_names(
    module: str, sources: Mapping[str, Iterable[str]], modules: Mapping[str, str] | None = None
) -> Callable[[str], object]:
    """Create a module's `__getattr__`, which imports a public name at its first use and sets it in the module.

    Args:
        module: the module's name.
        sources: public names by the module of `anybind` that defines them.
        modules: modules of `anybind` by public name.
    """
    origins = {name: (source, name) for source, names in sources.items() for name in names}
    origins |= {name: (source, "") for name, source in (modules or {}).items()}

    def get_name(name: str) -> object:
        if name not in origins:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        source, attribute = origins[name]
        value: object = importlib.import_module(f"anybind.{source}")
        value = getattr(value, attribute) if attribute else value
        setattr(sys.modules[module], name, value)
        return value

    return get_name
