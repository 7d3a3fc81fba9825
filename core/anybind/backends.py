"""`EncoderLoader`: loads the encoders of a binding at their first use, each by the backend that can run it."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping
from dataclasses import replace

from anybind.binding import Binding, ConfiguredPart
from anybind.embeddings import Embeddings
from anybind.encoder import Encoder
from anybind.errors import (
    AnybindWarning,
    BadOption,
    MissingExtra,
    PluginError,
    UnknownName,
    UnsupportedBackend,
    suggest_names,
)
from anybind.inference import FP32
from anybind.number_checks import check_number
from anybind.onnx_encoder import OnnxEncoder
from anybind.onnx_network import RUNTIMES
from anybind.part import Part
from anybind.registry import create_part, find_part
from anybind.spec import EncoderSpec

BACKENDS = ("auto", *RUNTIMES, "torch")


class EncoderLoader:
    """Encoders of a binding by modality.

    The backend `torch` stands for an encoder's own class, whatever it needs; `onnx` and `openvino` run its ONNX graph,
    without torch; `auto` takes `onnx` on the CPU in float32 where an encoder has a graph, else
    `torch`.
    """

    def __init__(self, binding: Binding, device: str, backend: str, precision: str = FP32) -> None:
        if backend not in BACKENDS:
            hint = suggest_names(str(backend), BACKENDS)
            raise BadOption(f"expected the backend {', '.join(BACKENDS)}, got {backend!r}{hint}")
        self.binding, self.device, self.backend, self.precision = binding, device, backend, precision
        self.encoders: dict[tuple[str, str], Encoder] = {}
        self._loading: list[str] = []
        self.lock = threading.RLock()  # one thread loads; loading an encoder may load another one

    def __reduce__(self) -> tuple[type[EncoderLoader], tuple[Binding, str, str, str]]:
        """Copy or pickle the loader without its encoders, which another process loads again."""
        return type(self), (self.binding, self.device, self.backend, self.precision)

    def load(self, modality: str, backend: str = "") -> Encoder:
        """Return the encoder of a modality, loaded at the first call.

        Args:
            modality: the modality.
            backend: the backend. [default: the loader's]

        Raises:
            UnknownName: the binding has no encoder for the modality.
            UnsupportedBackend: the backend cannot run the encoder.
            MissingExtra, WeightsMismatch, BadInput, BadOption: the encoder cannot be loaded.
            PluginError: its plugin returned something else.
        """
        with self.lock:
            if self.binding.find_encoder(modality) is None:
                near = suggest_names(modality, self.binding.encoders)
                raise UnknownName(f"binding {self.binding.name!r} has no encoder for {modality!r}{near}")
            key = modality, backend or self.backend
            if key not in self.encoders:
                self.encoders[key] = self._choose(*key)
            return self.encoders[key]

    def _configure(self, modality: str) -> ConfiguredPart:
        use = self.binding.find_encoder(modality)
        assert use is not None  # `load` has raised
        return use

    def _choose(self, modality: str, backend: str) -> Encoder:
        if backend != "auto":
            return self._create(modality, backend)
        part = find_part(EncoderSpec, self._configure(modality).name)
        if not part.spec.onnx_target or self.device != "cpu" or self.precision != FP32:
            return self.load(modality, "torch")
        try:
            return self.load(modality, "onnx")
        except UnsupportedBackend:
            return self.load(modality, "torch")
        except MissingExtra as error:
            try:
                return self.load(modality, "torch")
            except MissingExtra:
                raise error from None

    def _create(self, modality: str, backend: str) -> Encoder:
        use = self._configure(modality)
        name = use.name
        if modality in self._loading:
            chain = " -> ".join([*self._loading, modality])
            raise BadOption(f"binding {self.binding.name!r}: {chain} refer to each other")
        self._loading.append(modality)
        try:
            options = {
                key: self.load(value[1:], backend) if isinstance(value, str) and value.startswith("@") else value
                for key, value in use.options.items()
            }
            encoder = create_encoder(name, backend, options)
        finally:
            self._loading.pop()
        part = find_part(EncoderSpec, name)
        if not isinstance(encoder, Encoder):
            raise PluginError(f"encoder {name!r} of {part.distribution} returned a {type(encoder).__name__}")
        if self.backend == "torch" and isinstance(encoder, OnnxEncoder):
            raise UnsupportedBackend(f"the encoder {name!r} is a graph, which the backend torch cannot run")
        if encoder.modality != modality:
            mismatch = f"the encoder {name!r} embeds {encoder.modality}, not {modality}"
            raise BadOption(f"binding {self.binding.name!r}: {mismatch}")
        if encoder.logit_scale is not None:
            try:
                check_number("logit_scale", encoder.logit_scale, above=0)
            except BadOption as error:
                raise PluginError(f"encoder {name!r} of {part.distribution}: {error}") from error
        _warn_licence(part)
        try:
            encoder = encoder.to(self.device)
        except (RuntimeError, NotImplementedError, AssertionError) as error:  # torch raises each of them
            raise BadOption(f"cannot use the device {self.device!r}: {' '.join(str(error).split())[:160]}") from error
        for check in self.binding.checks:
            check.check_encoder(modality, encoder)
        return encoder.set_precision(self.precision)


def create_encoder(name: str, backend: str, options: Mapping[str, object]) -> object:
    """Create a registered encoder by `torch`, its own class, or by `onnx` or `openvino`, its class without torch."""
    if backend == "torch":
        return create_part("encoder", name, **options)
    part = find_part(EncoderSpec, name)
    if not part.spec.onnx_target:
        raise UnsupportedBackend(f"the encoder {name!r} has no ONNX graph: use the backend torch, or export it")
    part = replace(part, spec=replace(part.spec, target=part.spec.onnx_target, extra=part.spec.onnx_extra))
    return part.create(**options, runtime=backend)


def _warn_licence(part: Part[EncoderSpec]) -> None:
    if "-NC" in part.spec.weights_licence:
        licence = f"under {part.spec.weights_licence}: no commercial use"
        warnings.warn(f"the weights of {part.name} are {licence}", AnybindWarning, stacklevel=2)


def load_cpu_encoder(
    binding: Binding, backend: str, precision: str, modality: str, *, labels: Embeddings | None
) -> Encoder:
    """Load one encoder of a binding on the CPU, for samples of some labels alone if any are given."""
    encoder = EncoderLoader(binding, "cpu", backend, precision).load(modality)
    return encoder if labels is None or modality == labels.modality else encoder.with_labels(labels)
