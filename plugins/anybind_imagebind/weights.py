"""Load one encoder's module from ImageBind's weight file, reading only its own weights."""

from __future__ import annotations

import re

import torch

from anybind import Space
from anybind.plugin import hub, tensors
from anybind_imagebind.modules import Architecture, PatchTransformer, TextTransformer, map_weight_name

REPOSITORY = "nielsr/imagebind-huge"
REVISION = "51fc1ff707903501e60bdb2f73dd4e8818eef099"
FILES = ("model.safetensors", "imagebind_huge.pth")
"""The same weights in the repository and upstream, in order of preference: safetensors cannot contain code."""
ANCHOR = "modality_heads.vision."
"""The image head, which defines the space: all other encoders were trained to match its embeddings."""
MAX_LOGIT_SCALE = 100.0


def load_module(
    architecture: Architecture, source: str, revision: str | None = None
) -> tuple[PatchTransformer | TextTransformer, Space]:
    """Load a module with its weights, and its embedding space.

    The weights are memory-mapped: the file must not be overwritten in place.

    The backbone of the space is the hash of the image head, or of the module's own head if the file has no image head:
    encoders loaded from the hub, from `imagebind_huge.pth` and from a copy of either share a space; those of another
    training run do not.

    Args:
        architecture: sizes of the module.
        source: a file, a folder, or a hub repository.
        revision: revision of the repository. [default: for the published repository, the revision tested with this
            plugin]

    Raises:
        BadInput: the file is missing, unreadable, or cannot be downloaded.
        WeightsMismatch: weights of the module are missing, unexpected, or of another shape.
    """
    if revision is None and source == REPOSITORY:
        revision = REVISION
    path = hub.find_weights_file(source, file=FILES, revision=revision)
    own_pattern = re.compile(rf"modality_\w+\.{architecture.key}\.")
    stored = tensors.read_weights(path, lambda name: bool(own_pattern.match(name)) or name.startswith(ANCHOR))
    state = {name: tensor for name, tensor in stored.items() if own_pattern.match(name)}
    with torch.device("meta"):  # no memory: `assign` replaces these tensors by the file's
        module = (TextTransformer if architecture.vocabulary else PatchTransformer)(architecture)
    names = {map_weight_name(architecture, name): name for name in module.state_dict()}
    tensors.check_state(path, state, {theirs: module.state_dict()[ours] for theirs, ours in names.items()})
    module.load_state_dict({names[theirs]: tensor.float() for theirs, tensor in state.items()}, assign=True)
    anchor_head = {name: tensor for name, tensor in stored.items() if name.startswith(ANCHOR)}
    own_head = {name: tensor for name, tensor in state.items() if name.startswith("modality_heads.")}
    return module, Space("imagebind", architecture.dim, f"weights:{tensors.hash_state(anchor_head or own_head)}")
