"""The bindings `onnx:DIR` and `openvino:DIR`: exported encoders of a folder."""

from __future__ import annotations

from pathlib import Path

from anybind import Binding
from anybind.plugin import BadOption
from anybind_export.card import ExportCard, check_files, read_card


def load_onnx_folder(folder: str) -> Binding:
    """Return the binding of a folder that was exported for ONNX Runtime; see `make_binding`."""
    return _load_folder("onnx", folder)


def load_openvino_folder(folder: str) -> Binding:
    """Return the binding of a folder that was exported for OpenVINO; see `make_binding`."""
    return _load_folder("openvino", folder)


def _load_folder(backend: str, folder: str) -> Binding:
    if not folder:
        raise BadOption(f"expected a folder of exported encoders after {backend}:, as {backend}:DIR")
    path = Path(folder).expanduser()
    card = read_card(path)
    if card.backend != backend:
        raise BadOption(f"{folder}: exported for the backend {card.backend}: load it as {card.backend}:{folder}")
    check_files(path / ADAPTERS, card.files)
    return make_binding(path, card)


ADAPTERS = "adapters"
"""Folder of the files of adapters."""


def make_binding(folder: Path, card: ExportCard) -> Binding:
    """Make the binding of a folder of exported encoders. No encoder is loaded."""
    missed = [f"{modality}: {part.gate.missed}" for modality, part in card.encoders.items() if part.gate.missed]
    note = f"; exported with --force: {'; '.join(missed)}" if missed else ""
    adapters = []
    for adapter in card.adapters:
        options = {name: _resolve(folder, value) for name, value in adapter["options"].items()}
        adapters.append(Binding.configure(str(adapter["name"]), **options))
    return Binding(
        name=f"{card.backend}:{folder}",
        summary=f"{card.binding} exported for {card.backend}, {card.precision}{note}",
        encoders={
            modality: Binding.configure("exported", folder=str(folder), modality=modality) for modality in card.encoders
        },
        space=card.space,
        adapters=tuple(adapters),
    )


def _resolve(folder: Path, value: object) -> object:
    """Return the path of an adapter's file, which the card has as `./NAME`; other options as they are."""
    is_file = isinstance(value, str) and value.startswith("./")
    return str(folder / ADAPTERS / Path(str(value)).name) if is_file else value
