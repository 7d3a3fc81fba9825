"""The binding `languagebind`: all of its towers, from the hub or from folders of a folder."""

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
"""Which checkpoints hold the tower of a modality, the one to prefer first."""


def languagebind(source: str = "") -> Binding:
    """The towers of LanguageBind, each loaded when it is first used.

    Args:
        source: nothing, for the published checkpoints on the hub; or `local-dir:PATH` of a folder with folders such as
            `LanguageBind_Audio_FT`, of which those that are there make the binding.

    Raises:
        BadOption: `source` is something else.
        BadInput: the folder holds no such folders.
    """
    if not source:
        repositories = {modality: f"LanguageBind/LanguageBind_{names[0]}" for modality, names in CHECKPOINTS.items()}
        return _build_binding("languagebind", repositories)
    if not source.startswith("local-dir:"):
        raise BadOption(f"languagebind takes nothing or local-dir:PATH after its name, got {source!r}")
    folder = Path(source.removeprefix("local-dir:")).expanduser()
    models = {}
    for modality, names in CHECKPOINTS.items():
        folders = [folder / f"LanguageBind_{name}" for name in names if (folder / f"LanguageBind_{name}").is_dir()]
        if folders:
            models[modality] = f"local-dir:{folders[0]}"
    if not models:
        raise BadInput(f"{folder} holds no folders of LanguageBind, such as LanguageBind_Image; check the path")
    return _build_binding(f"languagebind:{source}", models)


def _build_binding(name: str, models: dict[str, str]) -> Binding:
    return Binding(
        name=name,
        summary="LanguageBind's towers, all bound to words",
        encoders={
            modality: Binding.configure(f"languagebind-{modality}", model=model) for modality, model in models.items()
        },
        space="languagebind",
    )
