"""From a model's name to its files: configuration, weights, preprocessing, and what to call its space.

Files that are already here are used without asking the network.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from open_clip import get_model_config, get_pretrained_cfg, list_models, list_pretrained_tags_by_model
from open_clip.pretrained import download_pretrained_from_url

from anybind.plugin import BadInput, BadOption, errors, hub, tables

CONFIG = "open_clip_config.json"
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""What open_clip calls weights in a folder or repository; the one that cannot hold code comes first."""
PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")
BARE_FILE = (
    "give architecture= (such as 'ViT-B-32') and preprocess= with mean, std, interpolation and resize_mode, or put the"
    f" file into a folder with its {CONFIG} and name that as local-dir:FOLDER"
)


@dataclass(frozen=True)
class Source:
    """Where a model comes from.

    Attributes:
        config: open_clip's model configuration: `embed_dim`, `vision_cfg`, `text_cfg`.
        weights: the weight file.
        preprocess: mean, std, interpolation, resize_mode; the size is the image tower's own.
        tokenizer: what `open_clip.get_tokenizer` calls it.
        name: of the space, without anything that differs between machines.
        backbone: repository and revision; empty for local files, which their weights' hash names.
    """

    config: Mapping[str, Any]
    weights: Path
    preprocess: Mapping[str, object]
    tokenizer: str
    name: str
    backbone: str = field(default="")


def find_source(model: str, architecture: str | None = None, preprocess: Mapping[str, object] | None = None) -> Source:
    """The files of a model.

    Args:
        model: `ARCH/TAG` of open_clip's list, `hf-hub:ORG/REPO[@REVISION]`, `local-dir:PATH`, or a weight file.
        architecture: for a weight file: the name of its architecture in open_clip's list.
        preprocess: for a weight file: its mean, std, interpolation and resize_mode.

    Raises:
        BadOption: no such model or tag; the message offers the nearest ones.
        BadInput: files are missing, or cannot be fetched.
        WeightsMismatch: weights without the preprocessing that they were made with.
    """
    if model.startswith("local-dir:"):
        return _from_folder(Path(model.removeprefix("local-dir:")))
    if model.startswith("hf-hub:"):
        return _from_hub(model.removeprefix("hf-hub:"))
    if model.endswith((".safetensors", ".pt", ".pth", ".bin")) or Path(model).is_file():
        return _from_file(Path(model), architecture, preprocess)
    if Path(model).is_dir():
        raise BadOption(f"{model} is a folder; write local-dir:{model}")
    return _from_tag(model)


def _from_folder(folder: Path, name: str = "", backbone: str = "") -> Source:
    config_path = folder / CONFIG
    config = tables.read_json(config_path)
    model_config = config.get("model_cfg") if isinstance(config, Mapping) else None
    lacking = [key for key in ("embed_dim", "vision_cfg", "text_cfg") if key not in (model_config or {})]
    if not isinstance(model_config, Mapping) or lacking:
        raise BadInput(f"{config_path}: not a model configuration of open_clip: no model_cfg.{lacking[0]}")
    missing = [key for key in PREPROCESSING[:2] if key not in (config.get("preprocess_cfg") or {})]
    if missing:
        raise errors.WeightsMismatch(
            f"{config_path} does not say how pictures are preprocessed: add {' and '.join(missing)} to preprocess_cfg"
        )
    weights = hub.find_first_file(folder, WEIGHTS)
    if weights is None:
        raise BadInput(f"{folder} holds no weights ({' or '.join(WEIGHTS)})")
    tokenizer = f"local-dir:{folder}"
    return Source(model_config, weights, config["preprocess_cfg"], tokenizer, name or folder.resolve().name, backbone)


def _from_hub(repository: str) -> Source:
    repository, _, revision = repository.partition("@")
    patterns = ([CONFIG, "*.json", "*.txt", "*.model", WEIGHTS[0]], [WEIGHTS[1]])
    folder = hub.download_snapshot(repository, patterns, _is_complete, revision or None)
    return _from_folder(folder, repository, f"{repository}@{folder.name}")


def _is_complete(folder: Path) -> bool:
    return (folder / CONFIG).is_file() and hub.find_first_file(folder, WEIGHTS) is not None


def _from_file(path: Path, architecture: str | None, preprocess: Mapping[str, object] | None) -> Source:
    if not path.is_file():
        raise BadInput(f"{path} is no file; check the path")
    missing = sorted(set(PREPROCESSING) - set(preprocess or {}))
    if architecture is None or missing:
        raise errors.WeightsMismatch(f"{path} does not say which preprocessing its weights need: {BARE_FILE}")
    return Source(_built_in(architecture), path, dict(preprocess or {}), architecture, path.stem)


def _from_tag(model: str) -> Source:
    architecture, _, tag = model.partition("/")
    config = _built_in(architecture)
    pretrained = get_pretrained_cfg(architecture, tag)
    if not pretrained:
        tags = list_pretrained_tags_by_model(architecture)
        near = errors.suggest_names(tag, tags) if tag else f"; there are: {', '.join(tags)}"
        raise BadOption(f"open_clip has no weights {tag!r} for {architecture}, write {architecture}/TAG{near}")
    # The tag knows which activation its weights were made with; open_clip itself only warns of a mismatch.
    config = {**config, "quick_gelu": bool(pretrained.get("quick_gelu") or config.get("quick_gelu"))}
    weights, backbone = _weights_of_tag(pretrained)
    preprocess = {key: pretrained[key] for key in PREPROCESSING if key in pretrained}
    return Source(config, weights, preprocess, architecture, f"open_clip:{model}", backbone)


def _weights_of_tag(pretrained: Mapping[str, object]) -> tuple[Path, str]:
    if not pretrained.get("hf_hub"):
        url = str(pretrained["url"])
        try:
            return Path(download_pretrained_from_url(url)), url
        except OSError as error:
            raise BadInput(f"cannot fetch {url}: {error}") from error
    repository, filename = os.path.split(str(pretrained["hf_hub"]))
    names = (filename,) if filename else WEIGHTS
    folder = hub.download_snapshot(
        repository, [[name] for name in names], lambda folder: bool(hub.find_first_file(folder, names))
    )
    path = hub.find_first_file(folder, names)
    assert path is not None  # the snapshot is complete
    return path, f"{repository}@{folder.name}"


def _built_in(architecture: str) -> dict[str, Any]:
    # Only names of the list: get_model_config itself would also go to folders and to the hub.
    config = get_model_config(architecture) if architecture in list_models() else None
    if config is None:
        near = errors.suggest_names(architecture, list_models())
        raise BadOption(f"open_clip knows no architecture {architecture!r}{near}")
    return config
