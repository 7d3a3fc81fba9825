"""Samples that an export is measured on: the user's files by modality, or synthetic ones."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anybind.plugin import BadInput, BadOption, modalities, readers
from anybind_export.gate import MIN_SAMPLES
from anybind_export.generated_samples import make_samples

Samples = Iterable[str | os.PathLike[str]] | Mapping[str, Sequence[object]]


@dataclass(frozen=True)
class ExportSamples:
    """Samples by modality.

    Attributes:
        items: at least 64 samples of each modality.
        synthetic: the modalities whose samples were synthetic.
    """

    items: Mapping[str, Sequence[object]]
    synthetic: frozenset[str]


def collect_samples(samples: Samples | None, names: Sequence[str], folder: Path, needed: bool) -> ExportSamples:
    """Collect samples of each modality; make those of modalities without any.

    Args:
        samples: files and folders, or samples by modality.
        names: the modalities.
        folder: folder for files of synthetic samples.
        needed: make none.

    Raises:
        BadInput: a file cannot be read, or is of another modality.
        BadOption: a modality has too few samples, or, if they are needed, none.
    """
    given = samples if isinstance(samples, Mapping) else _read_files(samples or (), names)
    given = {str(name): _check_samples(str(name), names, items) for name, items in given.items()}
    for name in names:
        number = len(given.get(name, ()))
        if needed and not number:
            raise BadOption(f"int8 is calibrated on samples: expected at least {MIN_SAMPLES} of {name}, got none")
        if 0 < number < MIN_SAMPLES:
            raise BadOption(f"expected at least {MIN_SAMPLES} samples of {name}, got {number}")
    synthetic = frozenset(name for name in names if not given.get(name))
    items = {name: given.get(name) or make_samples(name, MIN_SAMPLES, folder) for name in names}
    return ExportSamples(items, synthetic)


def _check_samples(name: str, names: Sequence[str], items: Sequence[object]) -> list[object]:
    if name not in names:
        raise BadOption(f"samples: expected the modalities {', '.join(names)}, got {name!r}")
    modality = modalities.find_modality(name)
    checked = []
    for number, item in enumerate(items):
        if not modality.accepts(item):
            raise BadInput(f"samples: expected samples of {name}, got a {type(item).__name__} at {number}")
        checked.append(modality.as_sample(item))
        modality.check(checked[-1])
    return checked


def _read_files(paths: Iterable[str | os.PathLike[str]], names: Sequence[str]) -> dict[str, list[object]]:
    """Read files and folders; text files without a sample of another modality hold one text a line."""
    files, by_modality = [], dict[str, list[object]]()
    for path in readers.list_sample_files(paths, names) if paths else ():
        texts = _read_texts(Path(path)) if "text" in names and Path(path).suffix.lower() == ".txt" else []
        if texts:
            by_modality.setdefault("text", []).extend(texts)
        else:
            files.append(path)
    for name, group in readers.group_by_modality(files, names).items():
        by_modality[name] = [
            *by_modality.get(name, ()),
            *(readers.read(each.path, reader=each.reader) for each in group),
        ]
    return by_modality


def _read_texts(path: Path) -> list[str]:
    """Return the lines of a text file; none if it is a file of another modality."""
    with contextlib.suppress(BadInput):
        readers.find_reader(path)
        return []
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {path}: expected texts in UTF-8, one a line ({error})") from error
