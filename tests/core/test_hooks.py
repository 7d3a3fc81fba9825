"""Discovery: one hook, the contract version, misspelt hooks and arguments, kinds that plugins declare."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import pytest

from anybind.errors import UnknownName
from anybind.hooks import CONTRACT, HookSpecs, Plugin, hookimpl
from anybind.registry import Registry, list_parts
from anybind.spec import CORE_KINDS, KindSpec, Spec, TaskSpec

FIELDS = {"modality": "m", "plural": "kinds", "spec": "m:S"}
"""Fields that some spec classes require."""


@dataclass(frozen=True, kw_only=True)
class FilterSpec(Spec):
    """A part of a kind that a plugin declares."""

    kind: ClassVar[str] = "filter"


FILTER = KindSpec(name="filter", plural="filters", summary="s", target="m:Filter", spec=f"{__name__}:FilterSpec")


def spec_class(kind: str) -> type[Spec]:
    module, _, name = CORE_KINDS[kind].spec.partition(":")
    return getattr(sys.modules[module], name)


def statuses(registry: Registry) -> dict[str, tuple[str, str]]:
    return {plugin.name: (plugin.status, plugin.problem) for plugin in registry.plugins}


def test_there_is_one_hook():
    assert [name for name in vars(HookSpecs) if name[0] != "_"] == ["register"]


@pytest.mark.parametrize("kind", CORE_KINDS)
def test_the_hook_adds_parts_of_every_kind(kind, registry, add_plugin):
    cls = spec_class(kind)
    spec = cls(name="mine", summary="s", target="m:a", **{k: v for k, v in FIELDS.items() if k in cls.__annotations__})
    add_plugin(registry, spec)
    assert statuses(registry)["test"][0] == "ok"
    assert [part.spec for part in list_parts(kind)] == [part.spec for part in list_parts(cls)] == [spec]
    assert all(list_parts(other) == [] for other in CORE_KINDS if other != kind)


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ({}, f"write `anybind_contract = {CONTRACT}` in its module"),
        (
            {"anybind_contract": CONTRACT + 1},
            f"contract {CONTRACT + 1}, and this anybind has contract 1: update anybind",
        ),
        ({"anybind_contract": 0}, "contract 0, and this anybind has contract 1: update the plugin"),
        ({"anybind_contract": "one"}, "contract 'one', and this anybind has contract 1: update the plugin"),
    ],
)
def test_a_plugin_without_this_contract_version_is_broken_and_has_a_remedy(declared, problem, registry):
    registry.add(Plugin("old", "old-dist", "1.0"), lambda: SimpleNamespace(**declared))
    status, message = statuses(registry)["old"]
    assert status == "broken"
    assert problem in message


def test_a_misspelt_hook_or_argument_is_broken_and_named(registry):
    @hookimpl
    def registr(registry): ...

    @hookimpl
    def register(registery): ...

    for name, module in (("hook", SimpleNamespace(registr=registr)), ("argument", SimpleNamespace(register=register))):
        module.anybind_contract = CONTRACT
        registry.add(Plugin(name, f"{name}-dist", "1.0"), lambda module=module: module)
    assert statuses(registry)["hook"][0] == statuses(registry)["argument"][0] == "broken"
    assert "'registr'" in statuses(registry)["hook"][1]
    assert "'registery'" in statuses(registry)["argument"][1]


def test_a_hook_may_take_no_argument(registry):
    # So arguments can be added to the hook later without breaking plugins written before.
    @hookimpl
    def register(): ...

    registry.add(Plugin("old", "old-dist", "1.0"), lambda: SimpleNamespace(anybind_contract=1, register=register))
    assert statuses(registry)["old"][0] == "ok"


@pytest.mark.parametrize("kind_first", [True, False])
def test_a_plugin_contributes_to_a_kind_that_another_declares(kind_first, add_plugin):
    registry = Registry()
    plugins = [("declares", FILTER), ("contributes", FilterSpec(name="blur", summary="s", target="m:Blur"))]
    points = [point(name, spec) for name, spec in (plugins if kind_first else plugins[::-1])]
    registry = Registry.from_entry_points(points)
    assert {status for status, _ in statuses(registry).values()} == {"ok"}
    assert list(registry.get_parts("filter")) == list(registry.get_parts(FilterSpec)) == ["blur"]
    assert [part.plugin for part in registry.get_parts(FilterSpec)["blur"]] == ["contributes"]
    assert "filter" in registry.kinds()


def point(name: str, *specs: Spec) -> SimpleNamespace:
    """Make an entry point of a plugin with these specs."""

    @hookimpl
    def register(registry):
        for spec in specs:
            registry.add(spec)

    module = SimpleNamespace(anybind_contract=CONTRACT, register=register)
    dist = SimpleNamespace(name=f"{name}-dist", version="1.0")
    return SimpleNamespace(name=name, value=name, dist=dist, load=lambda: module)


def test_a_part_of_an_undeclared_kind_is_left_out_and_the_others_stay(registry, add_plugin):
    blur = FilterSpec(name="blur", summary="s", target="m:Blur")
    add_plugin(registry, blur, TaskSpec(name="mine", summary="s", target="m:a"))
    status, problem = statuses(registry)["test"]
    assert status == "incomplete"
    assert problem == "left out blur: no installed plugin declares the kind 'filter'"
    assert [part.name for part in list_parts("task")] == ["mine"]
    with pytest.raises(UnknownName, match="there is no kind of part 'filter'"):
        list_parts("filter")


def test_a_kind_of_core_cannot_be_declared_again(registry, add_plugin):
    add_plugin(registry, KindSpec(name="encoder", plural="encoders", summary="s", target="m:E", spec="m:S"))
    assert statuses(registry)["test"] == (
        "broken",
        "PluginError: the kind 'encoder' is anybind's own; give yours another name",
    )


def count_calls(specs: int) -> int:
    """Count the function calls of loading ten plugins that bring so many specs."""
    points = [
        point(f"p{number}", *(TaskSpec(name=f"t{number}-{n}", summary="s", target="m:a") for n in range(specs // 10)))
        for number in range(10)
    ]
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        registry = Registry.from_entry_points(points)
    finally:
        sys.setprofile(None)
    assert len(registry.get_parts(TaskSpec)) == specs
    return calls


def test_specs_register_in_linear_time():
    assert count_calls(8000) < 2.1 * count_calls(4000)
