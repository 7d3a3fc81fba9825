"""The files of a sentence-transformers model: its folder, its declared modalities, and a hash of its settings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from anybind.plugin import BadInput, BadOption, hub, tables

MODULES, CONFIG = "modules.json", "config.json"
TRANSFORMER_CONFIG = "sentence_bert_config.json"
MODEL_CONFIG = "config_sentence_transformers.json"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
"""Suffixes of files that sentence-transformers or torch would unpickle."""
SETTINGS = (".json", ".txt", ".model", ".jinja")
"""Suffixes of files, beside the weights, that shape an embedding."""
OWN_MODULES = "sentence_transformers."
"""Prefix of module classes that are not code of a model's repository."""


@dataclass(frozen=True)
class ModelFolder:
    """The folder of a model.

    Attributes:
        path: the folder.
        name: name of the embedding space; independent of the machine.
        backbone: repository and commit; empty for local folders, whose backbone is the hash of their weights.
    """

    path: Path
    name: str
    backbone: str = ""


def find_model_folder(model: str) -> ModelFolder:
    """Find the folder of a model.

    Args:
        model: a folder, or `ORG/REPO[@REVISION]` of the hub; a folder of that name takes precedence.

    Raises:
        BadOption: the model is empty, or neither a folder nor the name of a repository.
        BadInput: there is no such folder, it cannot be downloaded, or its weights are pickles.
    """
    if not model:
        raise BadOption("expected a model: a folder, or ORG/REPO of the hub")
    path = Path(model).expanduser()
    if path.is_dir():
        folder = ModelFolder(path, path.resolve().name)
    elif path.is_absolute() or model.startswith((".", "~")) or path.exists():
        raise BadInput(f"{model}: not a folder of a sentence-transformers model; check the path")
    elif "/" not in model:
        raise BadOption(f"expected a folder or ORG/REPO of the hub, got {model!r}: there is no such folder")
    else:
        repository, _, revision = model.partition("@")
        patterns = (["*.safetensors", *(f"*{suffix}" for suffix in SETTINGS[1:])], ["*.json"])
        path = hub.download_snapshot(repository, patterns, _is_complete, revision or None)
        folder = ModelFolder(path, repository, f"{repository}@{path.name}")
    _check_files(folder.path)
    return folder


def _is_complete(folder: Path) -> bool:
    has_config = (folder / MODULES).is_file() or (folder / CONFIG).is_file()
    return has_config and any(folder.rglob("*.safetensors"))


def _check_files(folder: Path) -> None:
    """Raise `BadInput` for a folder without a model, for pickled weights, and for modules of foreign code."""
    if not any((folder / name).is_file() for name in (MODULES, CONFIG)):
        raise BadInput(f"{folder}: not a model of sentence-transformers: expected {MODULES} or {CONFIG}")
    for path in sorted(folder.rglob("*")):
        if path.suffix in PICKLES and not any(path.parent.glob("*.safetensors")):
            raise BadInput(f"{path}: expected weights as safetensors, got a pickle, which is never loaded; convert it")
    for module in read_modules(folder):
        if not str(module.get("type", "")).startswith(OWN_MODULES):
            raise BadInput(
                f"{folder / MODULES}: the module {module.get('type')!r} is code of the model's repository, which is"
                " never executed; expected modules of sentence_transformers"
            )


def read_modules(folder: Path) -> list[Mapping[str, object]]:
    """Read the list of a model's modules; empty for a model of transformers alone."""
    path = folder / MODULES
    if not path.is_file():
        return []
    modules = tables.read_json(path)
    if not isinstance(modules, list) or not all(isinstance(module, Mapping) for module in modules):
        raise BadInput(f"{path}: expected a list of modules")
    return modules


def read_declared_modalities(folder: Path) -> list[str] | None:
    """Read the modalities that the first module declares, in sentence-transformers' names; None if none are."""
    modules = read_modules(folder)
    path = folder / str(modules[0].get("path", "")) / TRANSFORMER_CONFIG if modules else folder / TRANSFORMER_CONFIG
    if not modules or not path.is_file():
        return None
    config = tables.read_json(path)
    declared = config.get("modality_config") if isinstance(config, Mapping) else None
    return list(declared) if isinstance(declared, Mapping) else None


def hash_model_settings(folder: Path) -> str:
    """Hash the files, beside the weights, that shape an embedding: configurations, processors, tokenizers.

    `config_sentence_transformers.json` is left out: its prompts and dimensions are options of an encoder.
    """
    paths = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.suffix in SETTINGS and path.name != MODEL_CONFIG
    )
    try:
        contents = {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
        }
    except OSError as error:
        raise BadInput(f"cannot read {error.filename}: {error.strerror or error}") from error
    return tables.hash_settings(contents)
