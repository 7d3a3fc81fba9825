"""Specs: descriptions of a plugin's parts, which are listed without importing the parts.

Each kind of part has its spec class. A plugin that declares a kind (`KindSpec`) defines its spec class in its public
module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Literal


@dataclass(frozen=True, kw_only=True)
class Spec:
    """The base class of specs. Creating one imports nothing; the target is imported at the part's first use.

    Attributes:
        kind: the kind of part, a class attribute of each spec class.
        name: unique among the parts of its kind, over all installed plugins.
        summary: one line, shown by `anybind plugins` and, for commands, by `anybind --help`.
        target: `package.module:attribute`, a class or a function that creates the part.
        licence: SPDX name of the code's licence.
        extra: the extra of the plugin's distribution with the packages that the target imports.

    Raises:
        ValueError: a field has a value of another type, or the target is not of that form.
    """

    kind: ClassVar[str]
    resources: ClassVar[tuple[str, ...]] = ()
    """Suffixes of targets that are files of a package, as `package:file.toml`."""

    name: str
    summary: str
    target: str
    licence: str = "Apache-2.0"
    extra: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, tuple):
                entry = bytes if "bytes" in str(field.type) else str
                valid = isinstance(value, tuple) and all(isinstance(each, entry) for each in value)
            else:
                valid = isinstance(value, str)
            if not valid:
                raise ValueError(f"spec {self.name!r}: {field.name} must be a {field.type}, got {value!r}")
        module, colon, attribute = self.target.partition(":")
        if not (self.name and module and colon and attribute):
            raise ValueError(f"spec {self.name!r}: expected a name and a target 'package.module:attribute'")


@dataclass(frozen=True, kw_only=True)
class KindSpec(Spec):
    """A kind of part. Core declares ten; a plugin may declare others, to which any plugin can contribute.

    Attributes:
        plural: plural of the kind's name.
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
    """A modality. Target: an `anybind.plugin.Modality` class.

    Attributes:
        derived_from: modalities that its samples can be derived from (events from images).
    """

    kind: ClassVar[str] = "modality"
    derived_from: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReaderSpec(Spec):
    """A file format. Target: an `anybind.plugin.Reader` class.

    Attributes:
        modality: modality of the samples.
        suffixes: file suffixes, lower case with the dot, the main one first.
        read_only: suffixes of files that are read and not written.
        signatures: first bytes, one of which each file of the format has; empty if there are none. For a file that
            has neither one of them nor one of the suffixes, the target is not imported.
    """

    kind: ClassVar[str] = "reader"
    modality: str
    suffixes: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    signatures: tuple[bytes, ...] = ()

    @property
    def written_suffixes(self) -> tuple[str, ...]:
        """Suffixes of the files that the reader writes, if it writes any."""
        return tuple(suffix for suffix in self.suffixes if suffix not in self.read_only)

    def __post_init__(self) -> None:
        super().__post_init__()
        for suffix in self.suffixes:
            if not suffix.startswith(".") or suffix != suffix.lower():
                raise ValueError(f"spec {self.name!r}: the suffix {suffix!r} must be lower case and begin with a dot")


@dataclass(frozen=True, kw_only=True)
class RepresentationSpec(Spec):
    """A map from samples to image-like arrays. Target: creates an `anybind.plugin.Representation` from its options.

    Attributes:
        modality: modality of the samples.
        weights_licence: SPDX name of the weights' licence; empty without weights.
    """

    kind: ClassVar[str] = "representation"
    modality: str
    weights_licence: str = ""


@dataclass(frozen=True, kw_only=True)
class EncoderSpec(Spec):
    """A map from samples to embeddings. Target: creates an `anybind.plugin.Encoder` from its options.

    Attributes:
        modality: modality of the samples; empty if it depends on the options.
        space: name of the embedding space; empty if it depends on the options.
        weights_licence: SPDX name of the weights' licence, or its owner as text; empty without weights.
        onnx_target: `package.module:attribute`, which creates the same encoder without torch, on an ONNX graph, from
            the same options and `runtime`, `onnx` or `openvino`; empty without one.
        onnx_extra: the extra with the packages that `onnx_target` imports.
        input_target: `package.module:attribute`, which creates the `anybind.plugin.export.EncoderInput` of an exported
            encoder from `folder` and the options of `plan_export`; empty for encoders that cannot be exported.
        input_extra: the extra with the packages that `input_target` imports.
        builds_on: another modality: a binding with an encoder for it, and none for this one, has this encoder, with the
            other one as its option of that modality's name; empty for none.
    """

    kind: ClassVar[str] = "encoder"
    modality: str
    space: str = ""
    builds_on: str = ""
    weights_licence: str = ""
    onnx_target: str = ""
    onnx_extra: str = ""
    input_target: str = ""
    input_extra: str = ""


@dataclass(frozen=True, kw_only=True)
class AdapterSpec(Spec):
    """A map between embedding spaces. Target: creates an `anybind.plugin.Adapter` from its options.

    Attributes:
        source, space: names of the source and the target space; empty if they depend on the options.
        weights_licence: SPDX name of the weights' licence; empty without weights.
    """

    kind: ClassVar[str] = "adapter"
    source: str = ""
    space: str = ""
    weights_licence: str = ""


@dataclass(frozen=True, kw_only=True)
class BindingSpec(Spec):
    """A named set of encoders and adapters.

    Target: `package:file.toml`, or a function that creates an `anybind.Binding` from ARGUMENT of `NAME:ARGUMENT`.

    Attributes:
        modalities: the modalities that it embeds.
        forms: accepted names, such as `open_clip:ARCH/TAG`; empty for its name only.
        weights_licence: SPDX name of the weights' licence; empty if it depends on the argument.
    """

    kind: ClassVar[str] = "binding"
    resources: ClassVar[tuple[str, ...]] = (".toml",)
    modalities: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()
    weights_licence: str = ""


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(Spec):
    """A dataset. Target: creates an `anybind.plugin.Dataset` from a folder and options.

    Attributes:
        modality: main modality of the samples; empty if it depends on the folder.
    """

    kind: ClassVar[str] = "dataset"
    modality: str = ""


HeadTarget = Literal["classification", "anomaly", "ranking"]


@dataclass(frozen=True, kw_only=True)
class HeadSpec(Spec):
    """A map from embeddings to scores. Target: creates an `anybind.plugin.Head` from its options.

    Attributes:
        predicts: meaning of the scores: `classification`, `anomaly` or `ranking`.
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
    """An evaluation task. Target: creates an `anybind.plugin.Task` from its options.

    Attributes:
        modalities: modalities that samples can be embedded as; empty for any.
    """

    kind: ClassVar[str] = "task"
    modalities: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CommandSpec(Spec):
    """A command of the command line. Target: a function for typer, or a `typer.Typer`."""

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
"""The kinds of part that core declares, in the order of the data flow."""
