"""`export`: writes encoders as ONNX or OpenVINO graphs that were measured beside their sources."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import anybind
from anybind import AnybindWarning, Binder, Binding
from anybind.plugin import BadOption, BindingSpec, EncoderSpec, errors, files, list_parts
from anybind_export.card import ExportCard, Precision, Runtime
from anybind_export.encoder import ExportedEncoder
from anybind_export.samples import Samples, collect_samples

PACKAGES = ("onnx", "onnxruntime", "onnxscript", "torch")


class GateMissed(BadOption):
    """An exported encoder that differs too much from its source; nothing was written."""


@dataclass(frozen=True)
class ExportReport:
    """What `export` wrote.

    Attributes:
        folder: the folder.
        card: its card, with the measured accuracy and speed of each encoder.
    """

    folder: Path
    card: ExportCard

    @property
    def binding(self) -> str:
        """Name of the binding, for `anybind.load`."""
        return f"{self.card.backend}:{self.folder}"


def export(
    binding: str | os.PathLike[str] | Binding,
    output: str | os.PathLike[str],
    *,
    backend: Runtime = "onnx",
    precision: Precision = "fp32",
    samples: Samples | None = None,
    modalities: Iterable[str] = (),
    fold_adapters: bool = False,
    force: bool = False,
) -> ExportReport:
    """Export encoders to a new folder, which `anybind.load("onnx:FOLDER")` loads without torch or original weights.

    Each encoder is measured beside its source in torch, on at least 64 samples: float32 must agree within 1e-4 in each
    element, fp16 with a cosine similarity of 0.999, int8 with one of 0.99, at every sample, and with 99 % of zero-shot
    answers unchanged where the binding embeds texts.

    Args:
        binding: a binding, its name or TOML file; or the name of an encoder.
        output: the new folder.
        backend: `onnx` for ONNX Runtime, `openvino` for OpenVINO.
        precision: `fp32`; `fp16`, half-precision weights with float32 arithmetic; or `int8`.
        samples: files or folders of samples (of texts, `.txt` with one a line), or samples by modality. They measure
            the accuracy, and calibrate `int8`, which needs them. [default: generated ones]
        modalities: modalities to export. [default: all of the binding]
        fold_adapters: put the binding's adapters into the graphs; otherwise they are applied as before.
        force: keep encoders whose accuracy is too low; the card, the binding and a warning state it.

    Raises:
        GateMissed: an encoder's accuracy is too low; the message has the figures.
        UnsupportedBackend: an encoder cannot be exported, or has an unsupported operator.
        BadOption: an invalid option, or too few samples.
        BadInput: a sample cannot be read or is of another modality, or the folder exists.
        MissingExtra: a package is missing.
    """
    if backend not in get_args(Runtime) or precision not in get_args(Precision):
        raise BadOption(
            f"expected a backend of {', '.join(get_args(Runtime))} and a precision of {', '.join(get_args(Precision))},"
            f" got {backend!r} and {precision!r}"
        )
    _require_packages(backend)
    from anybind_export.exporter import Exporter  # imports torch and onnx

    source = _load_source(binding)
    names = list(modalities) or list(source.modalities)
    for name in names:
        source.encoder(name).plan_export()
    with files.atomic_folder(output) as folder, tempfile.TemporaryDirectory() as scratch:
        collected = collect_samples(samples, names, Path(scratch), precision == "int8")
        run = Exporter(source, folder, Path(scratch), collected, backend, precision, fold_adapters)
        parts = {}
        for name in names:
            written = run.write(name)
            if written.gate.missed and not force:
                raise GateMissed(f"{name}: {written.gate.missed}; nothing was written (--force keeps it)")
            parts[name] = run.describe(name, written)
        card = run.make_card(parts)
        card.write(folder)
        _check_loading(folder, names)
    return ExportReport(Path(output), card)


def _check_loading(folder: Path, modalities: Iterable[str]) -> None:
    """Load each exported encoder: a folder that cannot be loaded is not kept."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnybindWarning)  # of what was kept by force
        for modality in modalities:
            ExportedEncoder(folder=folder, modality=modality)


def _require_packages(backend: str) -> None:
    extra = "export,openvino" if backend == "openvino" else "export"
    for package in (*PACKAGES, *(("openvino",) if backend == "openvino" else ())):
        if importlib.util.find_spec(package) is None:
            raise errors.MissingExtra(f"export needs the package {package!r}: pip install 'anybind[{extra}]'")


def _load_source(binding: str | os.PathLike[str] | Binding) -> Binder:
    """Load a binding, or an encoder by its name, in torch."""
    if isinstance(binding, str) and ":" not in binding and not binding.endswith(".toml"):
        bindings = {part.name for part in list_parts(BindingSpec)}
        if binding not in bindings and binding in {part.name for part in list_parts(EncoderSpec)}:
            return anybind.load_encoder(binding, backend="torch")
    return anybind.load(binding, backend="torch")
