"""Specs: what a plugin says about each part it brings, light enough to list without importing it.

There is one spec class for each kind of part. A plugin that declares a kind of its own (`KindSpec`) brings the spec
class of that kind in its public module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Literal


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What all specs say. Making one imports nothing; the target is imported when the part is first used.

    Attributes:
        kind: the kind of part, a class attribute of each spec class.
        name: unique among the parts of its kind, over all installed plugins.
        summary: one line, shown by `anybind plugins` and, for commands, by `anybind --help`.
        target: `package.module:attribute`, a class or a function that makes the part.
        licence: SPDX name of the code's licence.
        extra: the extra of the plugin's distribution that brings what the target imports.

    Raises:
        ValueError: a field has a value of another type, or the target is not of that form.
    """

    kind: ClassVar[str]
    resources: ClassVar[tuple[str, ...]] = ()
    """File name endings that a target may have instead, as `package:file.toml`."""

    name: str
    summary: str
    target: str
    licence: str = "Apache-2.0"
    extra: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, tuple):
                valid = isinstance(value, tuple) and all(isinstance(each, str) for each in value)
            else:
                valid = isinstance(value, str)
            if not valid:
                raise ValueError(f"spec {self.name!r}: {field.name} must be a {field.type}, got {value!r}")
        module, colon, attribute = self.target.partition(":")
        if not (self.name and module and colon and attribute):
            raise ValueError(
                f"spec {self.name!r}: name and target must be given, the target as 'package.module:attribute'"
            )


@dataclass(frozen=True, kw_only=True)
class KindSpec(Spec):
    """A kind of part. Core declares ten; a plugin may declare others, to which any plugin can then contribute.

    Attributes:
        plural: the name for several of them.
        target: the base class of the kind's parts, or the type that its factories return.
        spec: `package.module:attribute`, the spec class of the kind.
        checks: `package.module:attribute`, a sequence of conformance checks (see `anybind.testing`); empty for none.
    """

    kind: ClassVar[str] = "kind"
    plural: str
    spec: str
    checks: str = ""


@dataclass(frozen=True, kw_only=True)
class ModalitySpec(Spec):
    """A kind of sample. Target: an `anybind.plugin.Modality` class.

    Attributes:
        derived_from: modalities whose samples it can be derived from (an event recording from an image).
    """

    kind: ClassVar[str] = "modality"
    derived_from: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReaderSpec(Spec):
    """A file format. Target: an `anybind.plugin.Reader` class.

    Attributes:
        modality: the modality of the samples it reads.
        suffixes: file name endings, lower case with the dot, the main one first.
    """

    kind: ClassVar[str] = "reader"
    modality: str
    suffixes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for suffix in self.suffixes:
            if not suffix.startswith(".") or suffix != suffix.lower():
                raise ValueError(f"spec {self.name!r}: the suffix {suffix!r} must be lower case and begin with a dot")


@dataclass(frozen=True, kw_only=True)
class RepresentationSpec(Spec):
    """Samples to image-like arrays. Target: makes an `anybind.plugin.Representation` from its options.

    Attributes:
        modality: the modality of the samples it takes.
        weights_licence: SPDX name of the weights' licence; empty where it has none.
    """

    kind: ClassVar[str] = "representation"
    modality: str
    weights_licence: str = ""


@dataclass(frozen=True, kw_only=True)
class EncoderSpec(Spec):
    """Samples to embeddings. Target: makes an `anybind.plugin.Encoder` from its options.

    Attributes:
        modality: the modality of the samples it takes.
        space: name of the space of its embeddings; empty where that depends on its options.
        weights_licence: SPDX name of the weights' licence, or whose it is in words; empty where it has none.
    """

    kind: ClassVar[str] = "encoder"
    modality: str
    space: str = ""
    weights_licence: str = ""


@dataclass(frozen=True, kw_only=True)
class AdapterSpec(Spec):
    """Embeddings of one space to another. Target: makes an `anybind.plugin.Adapter` from its options.

    Attributes:
        source, space: names of the spaces it maps from and to; empty where they depend on its options.
        weights_licence: SPDX name of the weights' licence; empty where it has none.
    """

    kind: ClassVar[str] = "adapter"
    source: str = ""
    space: str = ""
    weights_licence: str = ""


@dataclass(frozen=True, kw_only=True)
class BindingSpec(Spec):
    """Encoders and adapters under one name. Target: `package:file.toml`, or a function that makes an `anybind.Binding`
    from the text behind the colon of `NAME:ARGUMENT`.

    Attributes:
        modalities: the modalities that it embeds.
        forms: the names it can be loaded by, such as `open_clip:ARCH/TAG`; empty if that is its name only.
        weights_licence: SPDX name of the weights' licence; empty where it depends on the argument.
    """

    kind: ClassVar[str] = "binding"
    resources: ClassVar[tuple[str, ...]] = (".toml",)
    modalities: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()
    weights_licence: str = ""


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(Spec):
    """Samples with labels. Target: makes an `anybind.plugin.Dataset` from a folder and its options.

    Attributes:
        modality: the main modality of its samples; empty where that depends on the folder.
    """

    kind: ClassVar[str] = "dataset"
    modality: str = ""


HeadTarget = Literal["classification", "anomaly", "ranking"]


@dataclass(frozen=True, kw_only=True)
class HeadSpec(Spec):
    """Embeddings to scores. Target: makes an `anybind.plugin.Head` from its options.

    Attributes:
        predicts: what the scores are for: `classification`, `anomaly` or `ranking`.
    """

    kind: ClassVar[str] = "head"
    predicts: HeadTarget = "classification"

    def __post_init__(self) -> None:
        super().__post_init__()
        targets = HeadTarget.__args__
        if self.predicts not in targets:
            raise ValueError(f"spec {self.name!r}: predicts must be one of {', '.join(targets)}, got {self.predicts!r}")


@dataclass(frozen=True, kw_only=True)
class TaskSpec(Spec):
    """An evaluation with a metric. Target: makes an `anybind.plugin.Task` from its options.

    Attributes:
        modalities: those that samples can be embedded as; empty for any.
    """

    kind: ClassVar[str] = "task"
    modalities: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CommandSpec(Spec):
    """A command of the command line. Target: a function as typer takes it, or a `typer.Typer`."""

    kind: ClassVar[str] = "command"


def _core_kind(spec: type[Spec], target: str, summary: str) -> KindSpec:
    kind = spec.kind
    plural = "modalities" if kind == "modality" else f"{kind}s"
    return KindSpec(
        name=kind,
        plural=plural,
        summary=summary,
        target=target,
        spec=f"anybind.spec:{spec.__name__}",
        checks=f"anybind.testing.{plural}:CHECKS",
    )


CORE_KINDS: Mapping[str, KindSpec] = {
    each.name: each
    for each in (
        _core_kind(ModalitySpec, "anybind.modality:Modality", "kinds of sample"),
        _core_kind(ReaderSpec, "anybind.reader:Reader", "file formats"),
        _core_kind(RepresentationSpec, "anybind.representation:Representation", "samples to image-like arrays"),
        _core_kind(EncoderSpec, "anybind.encoder:Encoder", "samples to embeddings"),
        _core_kind(AdapterSpec, "anybind.adapter:Adapter", "embeddings of one space to another"),
        _core_kind(BindingSpec, "anybind.binding:Binding", "encoders and adapters under one name"),
        _core_kind(DatasetSpec, "anybind.dataset:Dataset", "samples with labels"),
        _core_kind(HeadSpec, "anybind.head:Head", "embeddings to scores"),
        _core_kind(TaskSpec, "anybind.task:Task", "evaluations with a metric"),
        _core_kind(CommandSpec, "collections.abc:Callable", "commands of the command line"),
    )
}
"""The kinds of part that core declares, in the order in which data meets them."""
