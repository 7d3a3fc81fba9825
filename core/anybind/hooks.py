"""The hook of the plugin contract, and the `Registrar` that a plugin's `register` is called with."""

from __future__ import annotations

from dataclasses import dataclass, field

import pluggy

from anybind.errors import PluginError
from anybind.part import Part
from anybind.spec import CORE_KINDS, CommandSpec, Spec

CONTRACT = 1
"""Version of the plugin contract; a plugin module declares its own as `anybind_contract`."""
CORE_COMMANDS = {
    name: Part(CommandSpec(name=name, summary=summary, target=f"anybind.commands.{target}"), "anybind", "anybind")
    for name, target, summary in (
        ("bindings", "bindings:list_bindings", "List installed bindings: their names, modalities and sources."),
        ("datasets", "datasets:app", "List datasets with licence, size and source; check a copy of one."),
        ("embed", "embed:embed", "Embed files into one space and write the embeddings as safetensors."),
        ("evaluate", "evaluate:evaluate", "Evaluate a task on a dataset and print its metrics."),
        ("plugins", "plugins:app", "List installed plugins with their parts and problems; create or check one."),
        ("store", "store:app", "Show the embedding store: folder, size, embeddings per encoder; clear it."),
    )
}
"""Commands that work with any set of plugins, so that a broken environment can be inspected."""

hookspec = pluggy.HookspecMarker("anybind")
hookimpl = pluggy.HookimplMarker("anybind")


class HookSpecs:
    """The hook that a plugin implements."""

    @staticmethod
    @hookspec
    def register(registry: Registrar) -> None:
        """Add the plugin's parts: `registry.add(EncoderSpec(...))` for each."""


@dataclass(frozen=True)
class Plugin:
    """An installed plugin and its status.

    Attributes:
        status: `ok`, `broken` (import or registration raised), `refused` (two plugins have its name), `incomplete` (it
            has parts of a kind that no plugin declares) or `off` (not in `ANYBIND_PLUGINS`).
        problem: the reason in one line, unless the status is `ok`.
    """

    name: str
    distribution: str
    version: str
    status: str = "ok"
    problem: str = ""


@dataclass
class Registrar:
    """The argument of a plugin's `register`: collects the specs of the plugin.

    Attributes:
        plugin: the plugin.
        parts: registered parts by kind and name.
    """

    plugin: Plugin
    parts: dict[tuple[str, str], Part[Spec]] = field(default_factory=dict)

    def add(self, spec: Spec) -> None:
        """Add one part.

        Raises:
            PluginError: it is not a spec, the plugin has added one of that kind and name, or the name is one of core's.
        """
        if not isinstance(spec, Spec) or type(spec) is Spec:
            raise PluginError(f"registry.add() takes a spec such as EncoderSpec, got {type(spec).__name__}")
        if spec.kind == "command" and spec.name in CORE_COMMANDS:
            raise PluginError(f"the command {spec.name!r} is anybind's own; give yours another name")
        if spec.kind == "kind" and spec.name in (*CORE_KINDS, "kind"):
            raise PluginError(f"the kind {spec.name!r} is anybind's own; give yours another name")
        if (spec.kind, spec.name) in self.parts:
            raise PluginError(f"it adds the {spec.kind} {spec.name!r} twice")
        self.parts[spec.kind, spec.name] = Part(spec, self.plugin.name, self.plugin.distribution)


def plugin_manager() -> pluggy.PluginManager:
    """Create a plugin manager with the hook of the contract."""
    manager = pluggy.PluginManager("anybind")
    manager.add_hookspecs(HookSpecs)
    return manager


def check_contract(module: object) -> None:
    """Raise `PluginError` unless the module declares this version of the contract."""
    declared = getattr(module, "anybind_contract", None)
    if declared is None:
        raise PluginError(f"it declares no contract version: write `anybind_contract = {CONTRACT}` in its module")
    if declared != CONTRACT:
        remedy = "update anybind" if isinstance(declared, int) and declared > CONTRACT else "update the plugin"
        raise PluginError(
            f"it was written for contract {declared!r}, and this anybind has contract {CONTRACT}: {remedy}"
        )


def check_result(result: object) -> None:
    """Raise `PluginError` unless `register` returned nothing: a generator or a coroutine has not run at all."""
    if result is not None:
        raise PluginError(f"register must add parts and return None, got a {type(result).__name__}")
