"""The pytest plugin of the entry point `anybind`: the fixture `clean_registry`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from anybind.registry import Plugin, Registry, use_registry


@pytest.fixture
def clean_registry() -> Iterator[Callable[..., Registry]]:
    """Use an empty registry during the test, or only given plugins: `clean_registry("media", my_module)`.

    A string is the name of an installed plugin or distribution; a module is a plugin that need not be installed. Each
    call starts with an empty registry.
    """

    def only(*plugins: str | ModuleType | type) -> Registry:
        new = Registry.from_entry_points(only=",".join(plugin for plugin in plugins if isinstance(plugin, str)))
        for module in plugins:
            if not isinstance(module, str):
                new.add(Plugin(module.__name__, module.__name__, "0"), lambda module=module: module)
        use_registry(new)
        return new

    former = use_registry(Registry())
    yield only
    use_registry(former)
