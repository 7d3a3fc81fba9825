"""The binding `languagebind`: all of its encoders, from the hub or from local folders."""

from __future__ import annotations

from pathlib import Path

from anybind import Binding
from anybind.plugin import BadInput, BadOption

CHECKPOINTS = {
    "text": ("Image", "Audio_FT", "Audio", "Depth", "Thermal", "Video_FT", "Video", "Video_V1.5_FT"),
    "image": ("Image",),
    "sound": ("Audio_FT", "Audio"),
    "depth": ("Depth",),
    "thermal": ("Thermal",),
    "video": ("Video_FT", "Video_V1.5_FT", "Video"),
}
"""Checkpoints of each modality's encoder, in order of preference."""


def languagebind(source: str = "") -> Binding:
    """Return the binding of LanguageBind's encoders, each loaded on first use.

    Args:
        source: empty for the published checkpoints on the hub; or `local-dir:PATH` of a folder with checkpoint folders
            such as `LanguageBind_Audio_FT`: the binding has the modalities whose checkpoints are present.

    Raises:
        BadOption: any other `source`.
        BadInput: no checkpoint folders in the folder.
    """
    if not source:
        repositories = {modality: f"LanguageBind/LanguageBind_{names[0]}" for modality, names in CHECKPOINTS.items()}
        return _build_binding("languagebind", repositories)
    if not source.startswith("local-dir:"):
        raise BadOption(f"expected languagebind or languagebind:local-dir:PATH, got languagebind:{source}")
    folder = Path(source.removeprefix("local-dir:")).expanduser()
    models = {}
    for modality, names in CHECKPOINTS.items():
        folders = [folder / f"LanguageBind_{name}" for name in names if (folder / f"LanguageBind_{name}").is_dir()]
        if folders:
            models[modality] = f"local-dir:{folders[0]}"
    if not models:
        raise BadInput(f"{folder}: no checkpoint folders of LanguageBind, such as LanguageBind_Image; check the path")
    return _build_binding(f"languagebind:{source}", models)


def _build_binding(name: str, models: dict[str, str]) -> Binding:
    encoders = {
        modality: Binding.configure(f"languagebind-{modality}", model=model) for modality, model in models.items()
    }
    if "image" in encoders:  # an untrained copy of the image encoder, as the paper's before its training
        encoders["event"] = Binding.configure("event-encoder", image_encoder="@image", representation="paper")
    return Binding(
        name=name,
        summary="LanguageBind's encoders, and an event encoder initialised from its image encoder",
        encoders=encoders,
        space="languagebind",
    )
