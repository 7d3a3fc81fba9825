"""Exported open_clip encoders: the same embeddings without open_clip and torch, and the same tokens and pixels."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import open_clip
import PIL.Image
import pytest
from open_clip.transform import PreprocessCfg, image_transform_v2

import anybind
from anybind import AnybindWarning
from anybind_export import export
from anybind_openclip.export_inputs import OpenClipImageInput, convert_tokenizer, read_image_options

TEXTS = [
    "a duck", "A photo of TWO rubber ducks, floating!", "it's  they're I'd we'll", "éclair – naïve 東京 🦆🦆", "1234 5-6_7",
    "&amp;lt;b&gt; caf\u00e9", "schÃ¶n", "a\n\tb", "word " * 40, "supercalifragilisticexpialidocious" * 4, "!?!?", "x<end_of_text> y",
    "\u01c5 \u0130stanbul", "na\u0308ive", "١٢٣ ½ ²", "don’t", "...a'b''s",
]  # fmt: skip


@pytest.mark.long
def test_an_exported_model_gives_the_same_embeddings_and_identities_without_torch(
    model_folder: Path, images: list[np.ndarray], tmp_path: Path
) -> None:
    name = f"open_clip:local-dir:{model_folder}"
    report = export(name, tmp_path / "exported")
    source, exported = anybind.load(name), anybind.load(report.binding)
    events = [anybind.derive("event", image, seed=0) for image in images[:4]]
    for modality, samples in (("image", images), ("text", TEXTS), ("event", events)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AnybindWarning)
            first, second = (each.embed(modality, samples) for each in (source, exported))
        np.testing.assert_allclose(first.vectors, second.vectors, atol=1e-4)
        assert (first.encoder, first.space, first.logit_scale) == (second.encoder, second.space, second.logit_scale)
    script = (
        "import sys; sys.modules['torch'] = sys.modules['open_clip'] = None\nimport anybind, numpy as np\n"
        f"binder = anybind.load({report.binding!r})\n"
        "print(binder.embed('text', ['a duck']) @ binder.embed('image', [np.zeros((30, 40, 3), np.uint8)]))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("architecture", ["ViT-B-32", "ViT-L-14"])
def test_the_converted_tokenizer_gives_open_clips_tokens(architecture: str) -> None:
    tokenizer = open_clip.get_tokenizer(architecture)
    converted = convert_tokenizer(tokenizer)
    random = np.random.default_rng(0)
    letters = [chr(code) for code in (*range(32, 127), *range(160, 400), 0x3B1, 0x416, 0x4E2D, 0x1F600)]
    random_texts = ["".join(random.choice(letters, random.integers(1, 120))) for _ in range(300)]
    for text in [*TEXTS, *random_texts]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AnybindWarning)
            tokens = converted.collate([converted.preprocess(text)])["tokens"]
        np.testing.assert_array_equal(tokens, tokenizer([text]).numpy(), err_msg=repr(text))


def test_a_converted_tokenizer_warns_where_it_truncates() -> None:
    converted = convert_tokenizer(open_clip.get_tokenizer("ViT-B-32"))
    with pytest.warns(AnybindWarning, match=r"text truncated to 77 tokens: kept up to ' word.*, dropped ' word"):
        assert len(converted.preprocess("word " * 100)) == 77


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_pixels_are_those_of_open_clips_transform(mode: str, interpolation: str, images: list[np.ndarray]) -> None:
    settings = {
        "size": 48,
        "resize_mode": mode,
        "interpolation": interpolation,
        "fill_color": 7,
        "mean": (0.4, 0.5, 0.6),
    }
    config = PreprocessCfg(**settings)
    transform = image_transform_v2(config, is_train=False)
    ours = OpenClipImageInput(**read_image_options(vars(config)))
    for image in images:
        expected = transform(PIL.Image.fromarray(image)).numpy()
        np.testing.assert_allclose(ours.preprocess(image), expected, atol=1e-6)
