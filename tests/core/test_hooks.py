"""The contract with plugins guards itself: every hook is documented as it is, works, and is of a kind."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import anybind
from anybind import hookspecs
from anybind.registry import PLURALS, Plugin, hookimpl, parts
from anybind.spec import Spec

ROOT = Path(__file__).resolve().parents[2]
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("register_")}


def test_there_is_one_hook_for_each_kind_of_part():
    assert sorted(HOOKS) == sorted(f"register_{PLURALS[kind]}" for kind in anybind.KINDS)
    assert len(HOOKS) == 12


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_documented_with_its_exact_signature(name):
    signature = str(inspect.signature(HOOKS[name])).replace("'", "")
    assert f"`{name}{signature}`" in (ROOT / "docs" / "plugins.md").read_text()


@pytest.mark.parametrize("kind", anybind.KINDS)
def test_every_hook_brings_parts_of_its_kind(kind, registry, add_plugin):
    spec = Spec(name=f"my-{kind}", summary="s", target="m:a")
    add_plugin(registry, **{f"register_{PLURALS[kind]}": [spec]})
    assert [plugin.status for plugin in registry.plugins] == ["ok"]
    assert [part.spec for part in parts(kind)] == [spec]
    assert all(parts(other) == [] for other in anybind.KINDS if other != kind)


def test_an_implementation_may_take_a_subset_of_a_hooks_arguments(registry):
    # So arguments can be added to a hook later without breaking plugins written before.
    class Old:
        @staticmethod
        @hookimpl
        def register_tasks(): ...

    registry.add(Plugin("old", "old-dist", "1.0"), Old)
    assert registry.plugins[0].status == "ok"


def test_every_hook_is_tried_by_a_test():
    (tried,) = test_every_hook_brings_parts_of_its_kind.pytestmark
    assert {f"register_{PLURALS[kind]}" for kind in tried.args[1]} == set(HOOKS)
