from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import PIL.Image
import pytest
import torch
import torchvision.transforms.functional as reference
from safetensors.torch import load_file
from torch.nn import functional
from torchvision.transforms import InterpolationMode

from anybind import BadInput
from anybind_languagebind.encoders import (
    LanguageBindDepthEncoder,
    LanguageBindImageEncoder,
    LanguageBindThermalEncoder,
    LanguageBindVideoEncoder,
)
from anybind_languagebind.pixels import normalize_channels, resize_and_crop
from anybind_languagebind.thermal import ThermalImage
from anybind_media.depth import DepthMap
from anybind_media.video import open_video

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.fixture(scope="module")
def image_encoder(models: Path) -> LanguageBindImageEncoder:
    return LanguageBindImageEncoder(f"local-dir:{models / 'LanguageBind_Image'}")


@pytest.fixture(scope="module")
def depth_encoder(models: Path) -> LanguageBindDepthEncoder:
    return LanguageBindDepthEncoder(f"local-dir:{models / 'LanguageBind_Depth'}")


@pytest.fixture(scope="module")
def video_encoder(models: Path) -> LanguageBindVideoEncoder:
    return LanguageBindVideoEncoder(f"local-dir:{models / 'LanguageBind_Video_FT'}")


@pytest.fixture
def make_video(tmp_path: Path):
    """Return a function that opens a folder of frames, each of the gray level of its number."""

    def make(count: int, size: tuple[int, int] = (40, 30)):
        folder = tmp_path / f"video{count}"
        folder.mkdir()
        for number in range(count):
            PIL.Image.new("RGB", size, (number,) * 3).save(folder / f"{number}.png")
        return open_video(folder)

    return make


def test_image_embeddings_equal_transformers(models, image_encoder, images, read_checkpoint, build_reference_clip):
    config, state = read_checkpoint(models / "LanguageBind_Image")
    clip = build_reference_clip(config)
    clip.load_state_dict(state)
    batch = torch.stack([image_encoder.preprocess(array) for array in images])
    with torch.inference_mode():
        expected = functional.normalize(
            clip.visual_projection(clip.vision_model(pixel_values=batch).pooler_output)
        ).numpy()
    np.testing.assert_allclose(image_encoder.encode(list(batch)), expected, atol=1e-6)


def test_embeddings_with_merged_lora_equal_pefts(models, images, read_checkpoint, build_reference_clip, add_lora):
    config, state = read_checkpoint(models / "LanguageBind_Thermal")
    clip = build_reference_clip(config)
    add_lora(clip, config["vision_config"])
    clip.load_state_dict(state)
    encoder = LanguageBindThermalEncoder(f"local-dir:{models / 'LanguageBind_Thermal'}")
    batch = torch.stack([encoder.preprocess(ThermalImage(array)) for array in images])
    with torch.inference_mode():
        expected = functional.normalize(
            clip.visual_projection(clip.vision_model(pixel_values=batch).pooler_output)
        ).numpy()
    np.testing.assert_allclose(encoder.encode(list(batch)), expected, atol=1e-5)


@hypothesis.settings(max_examples=60)
@hypothesis.given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 40), st.booleans())
def test_resizing_and_cropping_equal_torchvision(height, width, side, antialias):
    pixels = torch.rand(3, height, width, generator=torch.Generator().manual_seed(height * width))
    expected = reference.resize(pixels, [side], InterpolationMode.BICUBIC, antialias=antialias)
    expected = reference.center_crop(expected, [side])
    actual = resize_and_crop(pixels, side, mode="bicubic", antialias=antialias)
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def test_image_preprocessing_equals_torchvision(image_encoder):
    image = np.random.default_rng(1).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    resized = reference.resize(reference.to_tensor(image), [28], InterpolationMode.BICUBIC, antialias=True)
    expected = reference.normalize(reference.center_crop(resized, [28]), MEAN, STD)
    torch.testing.assert_close(image_encoder.preprocess(image), expected, rtol=0, atol=1e-6)


def test_antialiasing_is_part_of_the_identity(models, image_encoder, images):
    without_antialiasing = LanguageBindImageEncoder(f"local-dir:{models / 'LanguageBind_Image'}", antialias=False)
    assert without_antialiasing.weights_hash == image_encoder.weights_hash
    assert without_antialiasing.identity != image_encoder.identity
    assert not torch.equal(without_antialiasing.preprocess(images[1]), image_encoder.preprocess(images[1]))


def test_depth_is_clipped_and_divided_by_the_maximum(depth_encoder):
    metres = np.full((28, 28), 5.0, np.float32)
    metres[:14] = 40.0
    inputs = depth_encoder.preprocess(DepthMap(metres))
    expected = normalize_channels(torch.tensor([[1.0] * 28] * 14 + [[0.5] * 28] * 14).expand(3, -1, -1))
    torch.testing.assert_close(inputs, expected)


@pytest.mark.parametrize("metres", [float("nan"), 0.0, -3.0, 0.001, float("-inf")])
def test_unknown_depth_is_encoded_as_the_minimum(depth_encoder, metres):
    inputs = depth_encoder.preprocess(DepthMap(np.full((30, 30), metres, np.float32)))
    torch.testing.assert_close(inputs, normalize_channels(torch.full((3, 28, 28), 0.001)), rtol=0, atol=1e-5)
    assert np.isfinite(depth_encoder.encode([inputs])).all()


@pytest.mark.parametrize("max_depth", [0, -1, 0.005, "far", None])
def test_an_invalid_maximum_depth_is_an_error(tmp_path, make_checkpoint, max_depth):
    folder = make_checkpoint(tmp_path, "depth", lambda _, vision: vision.update(max_depth=max_depth))
    if max_depth is None:  # as if it were missing
        config = json.loads((folder / "config.json").read_text())
        del config["vision_config"]["max_depth"]
        (folder / "config.json").write_text(json.dumps(config))
        assert LanguageBindDepthEncoder(f"local-dir:{folder}").max_depth == 10
        return
    with pytest.raises(BadInput, match="max_depth: expected"):
        LanguageBindDepthEncoder(f"local-dir:{folder}")


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [0, 0, 0, 0]), (3, [0, 0, 1, 2]), (4, [0, 1, 2, 3]), (12, [0, 3, 7, 11])]
)
def test_frames_are_evenly_spaced_over_the_video(video_encoder, make_video, count, expected):
    inputs = video_encoder.preprocess(make_video(count))
    assert inputs.shape == (4, 3, 28, 28)
    gray_levels = inputs[:, 0, 0, 0] * STD[0] + MEAN[0]
    assert (gray_levels * 255).round().int().tolist() == expected


def test_frames_of_a_video_of_unknown_length_are_counted(video_encoder, make_video):
    @dataclass
    class VideoOfUnknownLength:
        """A video without a frame count."""

        video: object
        frame_paths: tuple = ()

        def frames(self):
            yield from self.video.frames()

    video = make_video(9)
    assert torch.equal(video_encoder.preprocess(VideoOfUnknownLength(video)), video_encoder.preprocess(video))


def test_frames_are_normalised_and_resized_without_antialiasing(video_encoder, tmp_path):
    frame = np.random.default_rng(2).integers(0, 256, (40, 70, 3), dtype=np.uint8)
    PIL.Image.fromarray(frame).save(tmp_path / "1.png")
    expected = reference.normalize(reference.to_tensor(frame), MEAN, STD)
    expected = functional.interpolate(expected[None], size=(28, 49), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(
        video_encoder.preprocess(open_video(tmp_path))[2], reference.center_crop(expected, [28]), rtol=0, atol=1e-6
    )


def apply_attention(state: dict[str, torch.Tensor], name: str, tokens: torch.Tensor) -> torch.Tensor:
    """Apply attention of 4 heads over (length, d), by its definition."""
    q, k, v = (
        functional.linear(tokens, state[f"{name}.{each}_proj.weight"], state[f"{name}.{each}_proj.bias"]).double()
        for each in "qkv"
    )
    heads = []
    for head in range(4):
        columns = slice(8 * head, 8 * head + 8)
        heads.append(torch.softmax(q[:, columns] @ k[:, columns].T / 8**0.5, dim=-1) @ v[:, columns])
    mixed = torch.cat(heads, dim=1).float()
    return functional.linear(mixed, state[f"{name}.out_proj.weight"], state[f"{name}.out_proj.bias"])


def apply_norm(state: dict[str, torch.Tensor], name: str, tokens: torch.Tensor) -> torch.Tensor:
    return functional.layer_norm(tokens, tokens.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], 1e-5)


def embed_video(state: dict[str, torch.Tensor], video: torch.Tensor) -> torch.Tensor:
    """Return the embedding of a video (frames, 3, 28, 28), position by position and frame by frame."""
    embeddings = "vision_model.embeddings"
    rows = []
    for number, frame in enumerate(video):
        weight = state[f"{embeddings}.patch_embedding.weight"].reshape(32, 3, 7, 7)
        patches = functional.conv2d(frame[None], weight, stride=7)[0].flatten(1).T
        class_token = state[f"{embeddings}.class_embedding"]
        tokens = torch.cat([(class_token if class_token.ndim == 1 else class_token[number])[None], patches])
        rows.append(tokens + state[f"{embeddings}.position_embedding.weight"])
    hidden = apply_norm(state, "vision_model.pre_layrnorm", torch.stack(rows))  # (frames, positions, d)
    for number in range(2):
        layer = f"vision_model.encoder.layers.{number}"
        hidden = hidden + state[f"{layer}.temporal_embedding"][0][:, None]
        for position in range(hidden.shape[1]):
            frames = apply_norm(state, f"{layer}.temporal_layer_norm1", hidden[:, position])
            hidden[:, position] = hidden[:, position] + apply_attention(state, f"{layer}.temporal_attn", frames)
        for frame in range(len(hidden)):
            tokens = hidden[frame] + apply_attention(
                state, f"{layer}.self_attn", apply_norm(state, f"{layer}.layer_norm1", hidden[frame])
            )
            inner = functional.linear(
                apply_norm(state, f"{layer}.layer_norm2", tokens),
                state[f"{layer}.mlp.fc1.weight"],
                state[f"{layer}.mlp.fc1.bias"],
            )
            hidden[frame] = tokens + functional.linear(
                functional.gelu(inner), state[f"{layer}.mlp.fc2.weight"], state[f"{layer}.mlp.fc2.bias"]
            )
    pooled = apply_norm(state, "vision_model.post_layernorm", hidden[:, 0]).mean(0)
    return functional.normalize(state["visual_projection.weight"] @ pooled, dim=0)


def add_frame_class_tokens(state: dict[str, torch.Tensor], vision: dict) -> None:
    """Add class tokens per frame, as in LanguageBind_Video_V1.5_FT."""
    vision["clip_type"] = "vl_new"
    patches = "vision_model.embeddings.patch_embedding.weight"
    state[patches] = state[patches][:, :, None]
    state["vision_model.embeddings.class_embedding"] = torch.linspace(-1, 1, 4 * 32).reshape(4, 32)


@pytest.mark.parametrize("change", [None, add_frame_class_tokens])
def test_video_embeddings_equal_temporal_then_spatial_attention(tmp_path, make_checkpoint, change):
    folder = make_checkpoint(tmp_path, "video", change)
    encoder = LanguageBindVideoEncoder(f"local-dir:{folder}")
    videos = torch.randn(2, 4, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    state = load_file(folder / "model.safetensors")
    expected = np.stack([embed_video(state, video).numpy() for video in videos])
    np.testing.assert_allclose(encoder.encode(list(videos)), expected, atol=2e-6)


def test_patches_of_several_frames_are_an_error(tmp_path, make_checkpoint):
    def change(state, vision):
        add_frame_class_tokens(state, vision)
        vision["tube_size"] = 2

    with pytest.raises(BadInput, match="tube_size: expected 1, got 2"):
        LanguageBindVideoEncoder(f"local-dir:{make_checkpoint(tmp_path, 'video', change)}")


def test_embeddings_do_not_depend_on_the_batch(image_encoder, video_encoder, images):
    inputs = [image_encoder.preprocess(array) for array in images]
    single = np.concatenate([image_encoder.encode([each]) for each in inputs])
    np.testing.assert_allclose(image_encoder.encode(inputs), single, atol=1e-5)
    videos = list(torch.randn(3, 4, 3, 28, 28, generator=torch.Generator().manual_seed(0)))
    single = np.concatenate([video_encoder.encode([each]) for each in videos])
    np.testing.assert_allclose(video_encoder.encode(videos), single, atol=1e-5)


def test_a_reloaded_encoder_is_identical(models, image_encoder, images):
    reloaded = LanguageBindImageEncoder(f"local-dir:{models / 'LanguageBind_Image'}")
    assert reloaded.identity == image_encoder.identity
    one, other = (encoder.encode([encoder.preprocess(images[1])]) for encoder in (image_encoder, reloaded))
    assert (one == other).all()


def test_all_parameters_of_an_encoder_get_gradients(models, images):
    encoder = LanguageBindVideoEncoder(f"local-dir:{models / 'LanguageBind_Video_FT'}")
    encoder.features(torch.ones(1, 4, 3, 28, 28)).sum().backward()
    missing = [name for name, parameter in encoder.module.named_parameters() if parameter.grad is None]
    assert not missing
