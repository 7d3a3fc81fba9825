"""From ImageBind's weight file to the module of one tower: only that tower's weights are read."""

from __future__ import annotations

import re

import torch

from anybind import Space
from anybind.plugin import hub, tensors
from anybind_imagebind.modules import Architecture, PatchTransformer, TextTransformer, map_weight_name

REPOSITORY = "nielsr/imagebind-huge"
REVISION = "51fc1ff707903501e60bdb2f73dd4e8818eef099"
FILES = ("model.safetensors", "imagebind_huge.pth")
"""What the repository and upstream call the same weights; the one that cannot hold code comes first."""
ANCHOR = "modality_heads.vision."
"""The picture's head: every other tower was trained to meet what it gives, so that it names the space."""
HIGHEST_SCALE = 100.0


def load_module(
    architecture: Architecture, source: str, revision: str | None = None
) -> tuple[PatchTransformer | TextTransformer, Space]:
    """A tower's module with its weights, and the space that it leads to.

    The weights stay in the file, which the system reads as they are needed: it must not be overwritten in place.

    The space is named after the weights of the picture's head, and after the tower's own head where a file has no
    other: towers loaded from the hub, from `imagebind_huge.pth` and from a copy of either are in one space, and those
    of another training are not.

    Args:
        of: the tower's sizes.
        source: a file, a folder, or a repository of the hub.
        revision: of the repository; of the one that this plugin names, the revision that it was checked with.

    Raises:
        BadInput: the file is missing, unreadable, or cannot be fetched.
        WeightsMismatch: it lacks weights of the tower, or has more, or others.
    """
    if revision is None and source == REPOSITORY:
        revision = REVISION
    path = hub.find_weights_file(source, file=FILES, revision=revision)
    own_pattern = re.compile(rf"modality_\w+\.{architecture.key}\.")
    stored = tensors.read_weights(path, lambda name: bool(own_pattern.match(name)) or name.startswith(ANCHOR))
    state = {name: tensor for name, tensor in stored.items() if own_pattern.match(name)}
    with torch.device("meta"):  # the file's own tensors take the place of these
        module = (TextTransformer if architecture.vocabulary else PatchTransformer)(architecture)
    names = {map_weight_name(architecture, name): name for name in module.state_dict()}
    tensors.check_state(path, state, {theirs: module.state_dict()[ours] for theirs, ours in names.items()})
    module.load_state_dict({names[theirs]: tensor.float() for theirs, tensor in state.items()}, assign=True)
    anchor_head = {name: tensor for name, tensor in stored.items() if name.startswith(ANCHOR)}
    own_head = {name: tensor for name, tensor in state.items() if name.startswith("modality_heads.")}
    return module, Space("imagebind", architecture.dim, f"weights:{tensors.hash_state(anchor_head or own_head)}")
