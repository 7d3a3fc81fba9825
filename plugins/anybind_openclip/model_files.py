"""Files of an open_clip model by its name: configuration, weights, preprocessing, and the name of its space.

Local and cached files are used without network access.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from open_clip import get_model_config, get_pretrained_cfg, list_models, list_pretrained_tags_by_model

from anybind.plugin import BadInput, BadOption, errors, hub, tables

CONFIG = "open_clip_config.json"
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""Names of weight files in a folder or repository, in order of preference: safetensors cannot contain code."""
MAX_LAYERS, MAX_SIZE = 256, 1_000_000
"""Largest values in a configuration: its model is outlined before its weights are compared."""
PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")
BARE_FILE_HINT = (
    "pass architecture= (such as 'ViT-B-32') and preprocess= with mean, std, interpolation and resize_mode, or put the"
    f" file into a folder with its {CONFIG} and use local-dir:FOLDER"
)


@dataclass(frozen=True)
class OpenClipFiles:
    """The files and settings of a model.

    Attributes:
        config: open_clip's model configuration: `embed_dim`, `vision_cfg`, `text_cfg`.
        weights: the weight file.
        preprocess: mean, std, interpolation, resize_mode; the image size is in `config`.
        tokenizer: name for `open_clip.get_tokenizer`.
        name: name of the space; independent of the machine.
        backbone: repository and revision; empty for local files, whose backbone is the hash of their weights.
    """

    config: Mapping[str, Any]
    weights: Path
    preprocess: Mapping[str, object]
    tokenizer: str
    name: str
    backbone: str = field(default="")


def find_model_files(
    model: str, architecture: str | None = None, preprocess: Mapping[str, object] | None = None
) -> OpenClipFiles:
    """Find the files of a model.

    Args:
        model: `ARCH/TAG` of open_clip's list, `hf-hub:ORG/REPO[@REVISION]`, `local-dir:PATH`, or a weight file.
        architecture: of a weight file: the name of its architecture in open_clip's list.
        preprocess: of a weight file: its mean, std, interpolation and resize_mode.

    Raises:
        BadOption: no such model or tag; the message suggests the nearest names.
        BadInput: files are missing, or cannot be downloaded.
        WeightsMismatch: the preprocessing of the weights is unknown.
    """
    if model.startswith("local-dir:"):
        return _find_in_folder(Path(model.removeprefix("local-dir:")))
    if model.startswith("hf-hub:"):
        return _find_on_hub(model.removeprefix("hf-hub:"))
    if model.endswith((".safetensors", ".pt", ".pth", ".bin")) or Path(model).is_file():
        return _describe_weights_file(Path(model), architecture, preprocess)
    if Path(model).is_dir():
        raise BadOption(f"{model}: expected a model name, got a folder; use local-dir:{model}")
    return _find_by_tag(model)


def _find_in_folder(folder: Path, name: str = "", backbone: str = "") -> OpenClipFiles:
    config_path = folder / CONFIG
    config = tables.read_json(config_path)
    model_config = config.get("model_cfg") if isinstance(config, Mapping) else None
    missing_keys = [key for key in ("embed_dim", "vision_cfg", "text_cfg") if key not in (model_config or {})]
    if not isinstance(model_config, Mapping) or missing_keys:
        raise BadInput(f"{config_path}: not an open_clip model configuration: no model_cfg.{missing_keys[0]}")
    _check_sizes(config_path, model_config)
    missing_settings = [key for key in PREPROCESSING[:2] if key not in (config.get("preprocess_cfg") or {})]
    if missing_settings:
        raise errors.WeightsMismatch(
            f"{config_path}: the image preprocessing is missing; add {' and '.join(missing_settings)} to preprocess_cfg"
        )
    weights = hub.find_first_file(folder, WEIGHTS)
    if weights is None:
        raise BadInput(f"{folder}: no weights; expected {' or '.join(WEIGHTS)}")
    tokenizer = f"local-dir:{folder}"
    return OpenClipFiles(
        model_config, weights, config["preprocess_cfg"], tokenizer, name or folder.resolve().name, backbone
    )


def _check_sizes(path: Path, config: Mapping[str, Any]) -> None:
    """Raise `BadInput` for sizes that no model has, and image towers that timm would look up on the hub."""
    for name in ("vision_cfg", "text_cfg"):
        section = config[name]
        if not isinstance(section, Mapping):
            raise BadInput(f"{path}: model_cfg.{name}: expected an object, got {section!r:.40}")
        for key, value in section.items():
            limit = MAX_LAYERS if key == "layers" else MAX_SIZE
            if any(isinstance(each, int | float) and not abs(each) <= limit for each in _list_values(value)):
                raise BadInput(f"{path}: model_cfg.{name}.{key}: expected numbers up to {limit}, got {value!r:.40}")
    tower = config["vision_cfg"].get("timm_model_name") or ""
    if not isinstance(tower, str) or ":" in tower or "/" in tower:
        raise BadInput(f"{path}: model_cfg.vision_cfg.timm_model_name: expected a model of timm, got {tower!r:.80}")


def _list_values(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else [value]


def _find_on_hub(repository: str) -> OpenClipFiles:
    repository, _, revision = repository.partition("@")
    patterns = ([CONFIG, "*.json", "*.txt", "*.model", WEIGHTS[0]], [WEIGHTS[1]])
    folder = hub.download_snapshot(repository, patterns, _is_complete, revision or None)
    return _find_in_folder(folder, repository, f"{repository}@{folder.name}")


def _is_complete(folder: Path) -> bool:
    return (folder / CONFIG).is_file() and hub.find_first_file(folder, WEIGHTS) is not None


def _describe_weights_file(
    path: Path, architecture: str | None, preprocess: Mapping[str, object] | None
) -> OpenClipFiles:
    if not path.is_file():
        raise BadInput(f"{path}: not a file; check the path")
    missing = sorted(set(PREPROCESSING) - set(preprocess or {}))
    if architecture is None or missing:
        raise errors.WeightsMismatch(f"{path}: the preprocessing of the weights is missing; {BARE_FILE_HINT}")
    return OpenClipFiles(_read_architecture(architecture), path, dict(preprocess or {}), architecture, path.stem)


def _find_by_tag(model: str) -> OpenClipFiles:
    architecture, _, tag = model.partition("/")
    config = _read_architecture(architecture)
    pretrained = get_pretrained_cfg(architecture, tag)
    if not pretrained:
        tags = list_pretrained_tags_by_model(architecture)
        hint = errors.suggest_names(tag, tags) if tag else f"; available: {', '.join(tags)}"
        raise BadOption(f"expected {architecture}/TAG with a tag of open_clip's list, got the tag {tag!r}{hint}")
    # The activation of the weights is a property of the tag; open_clip itself only warns of a mismatch.
    config = {**config, "quick_gelu": bool(pretrained.get("quick_gelu") or config.get("quick_gelu"))}
    weights, backbone = _find_tag_weights(pretrained)
    preprocess = {key: pretrained[key] for key in PREPROCESSING if key in pretrained}
    return OpenClipFiles(config, weights, preprocess, architecture, f"open_clip:{model}", backbone)


def _find_tag_weights(pretrained: Mapping[str, object]) -> tuple[Path, str]:
    if not pretrained.get("hf_hub"):
        raise BadInput(
            f"{pretrained.get('url')}: the list has no repository, whose hashes verify a download; download it"
            f" and give its path; {BARE_FILE_HINT}"
        )
    repository, filename = os.path.split(str(pretrained["hf_hub"]))
    names = (filename,) if filename else WEIGHTS
    folder = hub.download_snapshot(
        repository, [[name] for name in names], lambda folder: bool(hub.find_first_file(folder, names))
    )
    path = hub.find_first_file(folder, names)
    assert path is not None  # the snapshot is complete
    return path, f"{repository}@{folder.name}"


def _read_architecture(architecture: str) -> dict[str, object]:
    # Only names of the list: get_model_config itself would also look into folders and the hub.
    config = get_model_config(architecture) if architecture in list_models() else None
    if config is None:
        hint = errors.suggest_names(architecture, list_models())
        raise BadOption(f"open_clip has no architecture {architecture!r}{hint}")
    return config
