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
from anybind_languagebind.pixels import resize_and_crop, normalize_channels
from anybind_languagebind.thermal import ThermalImage
from anybind_languagebind.encoders import LanguageBindDepthEncoder, LanguageBindImageEncoder, LanguageBindThermalEncoder, LanguageBindVideoEncoder
from anybind_media.depth import DepthMap
from anybind_media.video import open_video

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.fixture(scope="module")
def image(models: Path) -> LanguageBindImageEncoder:
    return LanguageBindImageEncoder(f"local-dir:{models / 'LanguageBind_Image'}")


@pytest.fixture(scope="module")
def depth(models: Path) -> LanguageBindDepthEncoder:
    return LanguageBindDepthEncoder(f"local-dir:{models / 'LanguageBind_Depth'}")


@pytest.fixture(scope="module")
def video(models: Path) -> LanguageBindVideoEncoder:
    return LanguageBindVideoEncoder(f"local-dir:{models / 'LanguageBind_Video_FT'}")


@pytest.fixture
def film(tmp_path: Path):
    """Make a folder of frames, each of one gray: that of its number."""

    def make(count: int, size: tuple[int, int] = (40, 30)):
        folder = tmp_path / f"film{count}"
        folder.mkdir()
        for number in range(count):
            PIL.Image.new("RGB", size, (number,) * 3).save(folder / f"{number}.png")
        return open_video(folder)

    return make


def test_an_image_tower_gives_what_transformers_gives(models, image, pictures, described, reference_clip):
    config, state = described(models / "LanguageBind_Image")
    clip = reference_clip(config)
    clip.load_state_dict(state)
    batch = torch.stack([image.preprocess(picture) for picture in pictures])
    with torch.inference_mode():
        theirs = functional.normalize(clip.get_image_features(pixel_values=batch)).numpy()
    np.testing.assert_allclose(image.encode(list(batch)), theirs, atol=1e-6)


def test_a_tower_with_lora_gives_what_peft_gives_without_merging(models, pictures, described, reference_clip, add_lora):
    config, state = described(models / "LanguageBind_Thermal")
    clip = reference_clip(config)
    add_lora(clip, config["vision_config"])
    clip.load_state_dict(state)
    tower = LanguageBindThermalEncoder(f"local-dir:{models / 'LanguageBind_Thermal'}")
    batch = torch.stack([tower.preprocess(ThermalImage(picture)) for picture in pictures])
    with torch.inference_mode():
        theirs = functional.normalize(clip.get_image_features(pixel_values=batch)).numpy()
    np.testing.assert_allclose(tower.encode(list(batch)), theirs, atol=1e-5)


@hypothesis.settings(max_examples=60)
@hypothesis.given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 40), st.booleans())
def test_fitting_is_what_torchvision_does(height, width, side, antialias):
    pixels = torch.rand(3, height, width, generator=torch.Generator().manual_seed(height * width))
    theirs = reference.resize(pixels, [side], InterpolationMode.BICUBIC, antialias=antialias)
    theirs = reference.center_crop(theirs, [side])
    ours = resize_and_crop(pixels, side, mode="bicubic", antialias=antialias)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_pictures_are_scaled_cropped_and_standardised(image):
    picture = np.random.default_rng(1).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    scaled = reference.resize(reference.to_tensor(picture), [28], InterpolationMode.BICUBIC, antialias=True)
    theirs = reference.normalize(reference.center_crop(scaled, [28]), MEAN, STD)
    torch.testing.assert_close(image.preprocess(picture), theirs, rtol=0, atol=1e-6)


def test_antialiasing_is_part_of_the_identity(models, image, pictures):
    plain = LanguageBindImageEncoder(f"local-dir:{models / 'LanguageBind_Image'}", antialias=False)
    assert plain.weights_hash == image.weights_hash
    assert plain.identity != image.identity
    assert not torch.equal(plain.preprocess(pictures[1]), image.preprocess(pictures[1]))


def test_depth_is_clipped_and_divided_by_the_greatest(depth):
    metres = np.full((28, 28), 5.0, np.float32)
    metres[:14] = 40.0
    prepared = depth.preprocess(DepthMap(metres))
    expected = normalize_channels(torch.tensor([[1.0] * 28] * 14 + [[0.5] * 28] * 14).expand(3, -1, -1))
    torch.testing.assert_close(prepared, expected)


@pytest.mark.parametrize("metres", [float("nan"), 0.0, -3.0, 0.001, float("-inf")])
def test_depth_that_is_not_known_is_the_nearest(depth, metres):
    prepared = depth.preprocess(DepthMap(np.full((30, 30), metres, np.float32)))
    torch.testing.assert_close(prepared, normalize_channels(torch.full((3, 28, 28), 0.001)), rtol=0, atol=1e-5)
    assert np.isfinite(depth.encode([prepared])).all()


@pytest.mark.parametrize("farthest", [0, -1, 0.005, "far", None])
def test_a_greatest_depth_that_makes_no_sense_is_refused(tmp_path, make_checkpoint, farthest):
    folder = make_checkpoint(tmp_path, "depth", lambda _, vision: vision.update(max_depth=farthest))
    if farthest is None:  # as where it is left out
        config = json.loads((folder / "config.json").read_text())
        del config["vision_config"]["max_depth"]
        (folder / "config.json").write_text(json.dumps(config))
        assert LanguageBindDepthEncoder(f"local-dir:{folder}").farthest == 10
        return
    with pytest.raises(BadInput, match="max_depth must be"):
        LanguageBindDepthEncoder(f"local-dir:{folder}")


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [0, 0, 0, 0]), (3, [0, 0, 1, 2]), (4, [0, 1, 2, 3]), (12, [0, 3, 7, 11])]
)
def test_frames_lie_evenly_over_the_film(video, film, count, expected):
    prepared = video.preprocess(film(count))
    assert prepared.shape == (4, 3, 28, 28)
    shown = prepared[:, 0, 0, 0] * STD[0] + MEAN[0]
    assert (shown * 255).round().int().tolist() == expected


def test_a_film_file_is_counted_by_playing_it(video, film):
    @dataclass
    class Stream:
        """A film that does not say how long it is."""

        whole: object
        pictures: tuple = ()

        def frames(self):
            yield from self.whole.frames()

    whole = film(9)
    assert torch.equal(video.preprocess(Stream(whole)), video.preprocess(whole))


def test_frames_of_films_are_standardised_and_scaled_without_averaging(video, tmp_path):
    frame = np.random.default_rng(2).integers(0, 256, (40, 70, 3), dtype=np.uint8)
    PIL.Image.fromarray(frame).save(tmp_path / "1.png")
    theirs = reference.normalize(reference.to_tensor(frame), MEAN, STD)
    theirs = functional.interpolate(theirs[None], size=(28, 49), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(
        video.preprocess(open_video(tmp_path))[2], reference.center_crop(theirs, [28]), rtol=0, atol=1e-6
    )


def attention(state: dict[str, torch.Tensor], name: str, tokens: torch.Tensor) -> torch.Tensor:
    """Attention of 4 heads over (length, d), by its definition."""
    q, k, v = (
        functional.linear(tokens, state[f"{name}.{each}_proj.weight"], state[f"{name}.{each}_proj.bias"]).double()
        for each in "qkv"
    )
    heads = []
    for part in range(4):
        place = slice(8 * part, 8 * part + 8)
        heads.append(torch.softmax(q[:, place] @ k[:, place].T / 8**0.5, dim=-1) @ v[:, place])
    mixed = torch.cat(heads, dim=1).float()
    return functional.linear(mixed, state[f"{name}.out_proj.weight"], state[f"{name}.out_proj.bias"])


def norm(state: dict[str, torch.Tensor], name: str, tokens: torch.Tensor) -> torch.Tensor:
    return functional.layer_norm(tokens, tokens.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], 1e-5)


def by_definition(state: dict[str, torch.Tensor], film: torch.Tensor) -> torch.Tensor:
    """The vector of a film (frames, 3, 28, 28), place by place and frame by frame."""
    embeddings = "vision_model.embeddings"
    rows = []
    for number, frame in enumerate(film):
        weight = state[f"{embeddings}.patch_embedding.weight"].reshape(32, 3, 7, 7)
        patches = functional.conv2d(frame[None], weight, stride=7)[0].flatten(1).T
        own = state[f"{embeddings}.class_embedding"]
        tokens = torch.cat([(own if own.ndim == 1 else own[number])[None], patches])
        rows.append(tokens + state[f"{embeddings}.position_embedding.weight"])
    hidden = norm(state, "vision_model.pre_layrnorm", torch.stack(rows))  # (frames, places, d)
    for number in range(2):
        layer = f"vision_model.encoder.layers.{number}"
        hidden = hidden + state[f"{layer}.temporal_embedding"][0][:, None]
        for place in range(hidden.shape[1]):
            over_time = norm(state, f"{layer}.temporal_layer_norm1", hidden[:, place])
            hidden[:, place] = hidden[:, place] + attention(state, f"{layer}.temporal_attn", over_time)
        for frame in range(len(hidden)):
            tokens = hidden[frame] + attention(
                state, f"{layer}.self_attn", norm(state, f"{layer}.layer_norm1", hidden[frame])
            )
            inner = functional.linear(
                norm(state, f"{layer}.layer_norm2", tokens),
                state[f"{layer}.mlp.fc1.weight"],
                state[f"{layer}.mlp.fc1.bias"],
            )
            hidden[frame] = tokens + functional.linear(
                functional.gelu(inner), state[f"{layer}.mlp.fc2.weight"], state[f"{layer}.mlp.fc2.bias"]
            )
    pooled = norm(state, "vision_model.post_layernorm", hidden[:, 0]).mean(0)
    return functional.normalize(state["visual_projection.weight"] @ pooled, dim=0)


def own_class_tokens(state: dict[str, torch.Tensor], vision: dict) -> None:
    """As LanguageBind_Video_V1.5_FT has them."""
    vision["clip_type"] = "vl_new"
    patches = "vision_model.embeddings.patch_embedding.weight"
    state[patches] = state[patches][:, :, None]
    state["vision_model.embeddings.class_embedding"] = torch.linspace(-1, 1, 4 * 32).reshape(4, 32)


@pytest.mark.parametrize("change", [None, own_class_tokens])
def test_a_film_is_attended_over_time_and_then_over_space(tmp_path, make_checkpoint, change):
    folder = make_checkpoint(tmp_path, "video", change)
    tower = LanguageBindVideoEncoder(f"local-dir:{folder}")
    films = torch.randn(2, 4, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    state = load_file(folder / "model.safetensors")
    expected = np.stack([by_definition(state, film).numpy() for film in films])
    np.testing.assert_allclose(tower.encode(list(films)), expected, atol=2e-6)


def test_patches_of_several_frames_are_refused(tmp_path, make_checkpoint):
    def change(state, vision):
        own_class_tokens(state, vision)
        vision["tube_size"] = 2

    with pytest.raises(BadInput, match="tube_size is 2"):
        LanguageBindVideoEncoder(f"local-dir:{make_checkpoint(tmp_path, 'video', change)}")


def test_vectors_do_not_depend_on_the_batch(image, video, pictures):
    prepared = [image.preprocess(picture) for picture in pictures]
    alone = np.concatenate([image.encode([each]) for each in prepared])
    np.testing.assert_allclose(image.encode(prepared), alone, atol=1e-5)
    films = list(torch.randn(3, 4, 3, 28, 28, generator=torch.Generator().manual_seed(0)))
    alone = np.concatenate([video.encode([each]) for each in films])
    np.testing.assert_allclose(video.encode(films), alone, atol=1e-5)


def test_a_tower_is_the_same_each_time_it_is_loaded(models, image, pictures):
    again = LanguageBindImageEncoder(f"local-dir:{models / 'LanguageBind_Image'}")
    assert again.identity == image.identity
    one, other = (tower.encode([tower.preprocess(pictures[1])]) for tower in (image, again))
    assert (one == other).all()


def test_a_tower_can_be_trained(models, pictures):
    tower = LanguageBindVideoEncoder(f"local-dir:{models / 'LanguageBind_Video_FT'}")
    tower.features(torch.ones(1, 4, 3, 28, 28)).sum().backward()
    lacking = [name for name, parameter in tower.module.named_parameters() if parameter.grad is None]
    assert not lacking
