"""`Spec`: what a plugin says about a part it brings, light enough to list without importing it."""

from __future__ import annotations

from dataclasses import dataclass, fields

KINDS = (
    "modality",
    "reader",
    "representation",
    "encoder",
    "adapter",
    "loss",
    "binding",
    "dataset",
    "head",
    "task",
    "suite",
    "command",
)
"""The kinds of part there are, in the order in which data meets them."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One part, described. Making one imports nothing; the target is imported when it is first used.

    Attributes:
        name: unique among the parts of its kind, over all installed plugins.
        summary: one line, shown by `anybind plugins` and, for commands, by `anybind --help`.
        target: `package.module:attribute`; for bindings also, and for suites only, `package:file.toml`.
        consumes: modalities (of an encoder, task, ...) or spaces (of an adapter) that go in; for a
            modality, those it can be derived from (an event recording from an image).
        gives: the modality (of a reader or dataset) or space (of an encoder or adapter) that comes out.
        suffixes: file name endings of a reader, lower case with the dot, the main one first.
        licence: SPDX name of the code's licence.
        weights_licence: SPDX name of the weights' licence; empty where the part has none.
        extra: the extra of the plugin's distribution that brings what the target imports.
    """

    name: str
    summary: str
    target: str
    consumes: tuple[str, ...] = ()
    gives: str = ""
    suffixes: tuple[str, ...] = ()
    licence: str = "Apache-2.0"
    weights_licence: str = ""
    extra: str = ""

    def __post_init__(self) -> None:
        self._check_types()
        module, colon, attribute = self.target.partition(":")
        if not (self.name and module and colon and attribute):
            raise ValueError(
                f"spec {self.name!r}: name and target must be given, the target as 'package.module:attribute'"
            )
        for suffix in self.suffixes:
            if not suffix.startswith(".") or suffix != suffix.lower():
                raise ValueError(f"spec {self.name!r}: the suffix {suffix!r} must be lower case and begin with a dot")

    def _check_types(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("consumes", "suffixes"):
                right = isinstance(value, tuple) and all(isinstance(each, str) for each in value)
            else:
                right = isinstance(value, str)
            if not right:
                raise ValueError(f"spec {self.name!r}: {field.name} must be a {field.type}, got {value!r}")
