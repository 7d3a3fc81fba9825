"""The binding `sentence-transformers:MODEL`: an encoder for each modality that a model declares."""

from __future__ import annotations

from pathlib import Path

from anybind import Binding
from anybind.plugin import BadInput, BadOption
from anybind_sentence_transformers import MODALITIES
from anybind_sentence_transformers.model_files import find_model_folder, read_declared_modalities


def load_binding(model: str) -> Binding:
    """Return the binding of a sentence-transformers model.

    Its encoders share the model's weights. The modalities are read from the model's files; if these declare none, as
    those of transformers alone and of old models, the model is loaded.

    Args:
        model: a folder, or `ORG/REPO[@REVISION]` of the hub.

    Raises:
        BadOption: the model is empty, or neither a folder nor the name of a repository.
        BadInput: the folder has no model, pickled weights, foreign code or none of anybind's modalities.
    """
    if not model:
        raise BadOption(
            "expected a model after sentence-transformers:, as sentence-transformers:DIR or"
            " sentence-transformers:ORG/REPO"
        )
    folder = find_model_folder(model)
    declared = read_declared_modalities(folder.path)
    if declared is None:
        from anybind_sentence_transformers.encoders import load_model  # imports torch

        declared = [str(modality) for modality in load_model(folder).modalities]
    modalities = [modality for modality, name in MODALITIES.items() if name in declared]
    if not modalities:
        raise BadInput(
            f"{folder.path}: expected a model of {', '.join(MODALITIES.values())}, got {', '.join(declared)}"
        )
    first, *others = modalities
    # An absolute path: a binding file that lists the encoders is read from other folders.
    source = model if folder.backbone else str(Path(model).expanduser().resolve())
    encoders = {first: Binding.configure(f"st-{first}", model=source)}
    encoders |= {other: Binding.configure(f"st-{other}", shared=f"@{first}") for other in others}
    return Binding(
        name=f"sentence-transformers:{model}",
        summary="encoders of one sentence-transformers model",
        encoders=encoders,
    )
