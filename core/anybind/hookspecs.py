"""The hooks that a plugin may implement, one for each kind of part.

A plugin module holds functions marked with `@anybind.hookimpl`, named as below; each is handed a
callback and calls it once for every part it brings:

    @anybind.hookimpl
    def register_encoders(register):
        register(anybind.Spec(name="my-encoder", summary="...", target="my_package.tower:load"))
"""

from __future__ import annotations

from collections.abc import Callable

import pluggy

from anybind.spec import Spec

hookspec = pluggy.HookspecMarker("anybind")
hookimpl = pluggy.HookimplMarker("anybind")

Register = Callable[[Spec], None]
"""What a hook is handed: called with the `Spec` of each part."""


@hookspec
def register_modalities(register: Register) -> None:
    """Kinds of recording. Target: an `anybind.Modality` class."""


@hookspec
def register_readers(register: Register) -> None:
    """File formats. Target: an `anybind.Reader` class."""


@hookspec
def register_representations(register: Register) -> None:
    """Samples to image-like arrays. Target: makes an `anybind.Representation` from its options."""


@hookspec
def register_encoders(register: Register) -> None:
    """Samples to vectors. Target: makes an `anybind.Encoder` from its options."""


@hookspec
def register_adapters(register: Register) -> None:
    """Vectors of one space to another. Target: makes an `anybind.Adapter` from its options."""


@hookspec
def register_losses(register: Register) -> None:
    """Terms of what training makes small. Target: makes an `anybind.Loss` from its options."""


@hookspec
def register_bindings(register: Register) -> None:
    """Encoders and adapters under one name. Target: `package:file.toml`, or makes an `anybind.Binding`."""


@hookspec
def register_datasets(register: Register) -> None:
    """Samples with labels. Target: makes an `anybind.Dataset` from a folder and its options."""


@hookspec
def register_heads(register: Register) -> None:
    """Windows of a film to how abnormal each is. Target: makes an `anybind.Head` from its options."""


@hookspec
def register_tasks(register: Register) -> None:
    """Questions with a metric. Target: makes an `anybind.Task` from its options."""


@hookspec
def register_suites(register: Register) -> None:
    """Lists of questions with the published answers. Target: `package:file.toml`."""


@hookspec
def register_commands(register: Register) -> None:
    """Commands of the command line. Target: a function as typer takes it; it raises `AnybindError`."""
