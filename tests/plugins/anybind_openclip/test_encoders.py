"""The encoders: parity with open_clip, independent weights, and truncated texts."""

from __future__ import annotations

import gc
import itertools
import json
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anybind import BadInput, Embeddings, Space
from anybind.errors import SpaceMismatch, WeightsMismatch
from anybind_openclip.encoders import OpenClipImageEncoder, OpenClipTextEncoder, load_image_encoder, load_text_encoder

TOLERANCE = 1e-6
LOADERS = {"image": load_image_encoder, "text": load_text_encoder}


def encode(encoder: Any, samples: list[Any], batch_size: int = 32) -> np.ndarray:
    inputs = [encoder.preprocess(sample) for sample in samples]
    return np.concatenate(
        [encoder.encode(inputs[start : start + batch_size]) for start in range(0, len(inputs), batch_size)]
    )


def make_embeddings(encoder: Any, samples: list[Any]) -> Embeddings:
    return Embeddings(encode(encoder, samples), encoder.space, encoder.modality, tuple(map(str, range(len(samples)))))


def perturb_weights(encoder: Any) -> None:
    """Change all weights in place."""
    with torch.no_grad():
        for weight in encoder.module.parameters():
            weight.mul_(-0.7).add_(0.1)


def count_parameters(module: torch.nn.Module) -> int:
    return sum(value.numel() for value in module.state_dict().values())


@pytest.mark.parametrize("batch_size", [1, 32])
def test_embeddings_equal_open_clips(
    image_encoder: OpenClipImageEncoder,
    text_encoder: OpenClipTextEncoder,
    reference: Any,
    images: list[np.ndarray],
    texts: list[str],
    batch_size: int,
) -> None:
    embeddings = encode(image_encoder, images, batch_size), encode(text_encoder, texts, batch_size)
    np.testing.assert_allclose(embeddings[0], reference.embed_images(images), rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(embeddings[1], reference.embed_texts(texts), rtol=0, atol=TOLERANCE)


def test_embeddings_differ_between_samples_by_more_than_the_tolerance(
    image_encoder: OpenClipImageEncoder, text_encoder: OpenClipTextEncoder, images: list[np.ndarray], texts: list[str]
) -> None:
    # Without this, a model whose random weights ignore their input would pass every test above. "NO" and "no"
    # are one text to this tokenizer.
    for vectors, n_distinct in ((encode(image_encoder, images), 32), (encode(text_encoder, texts), 31)):
        distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
        assert len(np.unique((distances < 1e-3).argmax(axis=1))) == n_distinct


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_the_batch_size_does_not_change_embeddings(
    image_encoder: OpenClipImageEncoder,
    text_encoder: OpenClipTextEncoder,
    images: list[np.ndarray],
    texts: list[str],
    batch_size: int,
) -> None:
    for encoder, samples in ((image_encoder, images), (text_encoder, texts)):
        np.testing.assert_allclose(
            encode(encoder, samples, batch_size), encode(encoder, samples), rtol=0, atol=TOLERANCE
        )


def test_embeddings_are_reproducible_bit_by_bit_also_after_reloading(
    model_folder: Path,
    image_encoder: OpenClipImageEncoder,
    text_encoder: OpenClipTextEncoder,
    images: list[np.ndarray],
    texts: list[str],
) -> None:
    for encoder, samples in ((image_encoder, images), (text_encoder, texts)):
        first = encode(encoder, samples)
        assert np.array_equal(encode(encoder, samples), first)
        assert np.array_equal(encode(LOADERS[encoder.modality](f"local-dir:{model_folder}"), samples), first)


def test_embeddings_are_float32_of_norm_1(
    image_encoder: OpenClipImageEncoder, text_encoder: OpenClipTextEncoder, images: list[np.ndarray], texts: list[str]
) -> None:
    for encoder, samples in ((image_encoder, images), (text_encoder, texts)):
        vectors = encode(encoder, samples)
        assert vectors.dtype == np.float32
        assert vectors.shape == (32, 32)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=TOLERANCE)


def test_the_logit_scale_is_that_of_the_model(
    image_encoder: OpenClipImageEncoder, text_encoder: OpenClipTextEncoder, reference: Any
) -> None:
    expected = reference.model.logit_scale.exp().item()
    assert image_encoder.logit_scale == pytest.approx(expected, rel=1e-6)
    assert text_encoder.logit_scale == pytest.approx(expected, rel=1e-6)


def test_the_preprocessing_is_that_of_the_folder(
    image_encoder: OpenClipImageEncoder, preprocess_config: dict[str, Any]
) -> None:
    assert {key: image_encoder.preprocessing[key] for key in preprocess_config} == preprocess_config
    assert tuple(np.broadcast_to(image_encoder.preprocessing["size"], 2)) == (64, 64)


def test_the_activation_is_part_of_the_identity(
    make_folder: Callable[..., Path], tmp_path: Path, tiny_config: dict[str, Any], images: list[np.ndarray]
) -> None:
    # `Encoder.identity`: two encoders of one identity give equal vectors.
    plain = load_image_encoder(f"local-dir:{make_folder(tmp_path / 'a' / 'm', config=tiny_config)}")
    quick = load_image_encoder(
        f"local-dir:{make_folder(tmp_path / 'b' / 'm', config={**tiny_config, 'quick_gelu': True})}"
    )
    assert np.abs(encode(plain, images) - encode(quick, images)).max() > 100 * TOLERANCE
    assert plain.identity != quick.identity


def test_the_tokenizer_settings_are_part_of_the_identity(
    make_folder: Callable[..., Path], tmp_path: Path, tiny_config: dict[str, Any]
) -> None:
    plain = load_text_encoder(f"local-dir:{make_folder(tmp_path / 'a' / 'm', config=tiny_config)}")
    folder_copy = make_folder(tmp_path / "b" / "m", config=tiny_config)
    config = folder_copy / "open_clip_config.json"
    clean = '"text_cfg": {"tokenizer_kwargs": {"clean": "canonicalize"}, '
    config.write_text(config.read_text().replace('"text_cfg": {', clean))
    canonical = load_text_encoder(f"local-dir:{folder_copy}")
    assert np.abs(encode(plain, ["Hello, you!"]) - encode(canonical, ["Hello, you!"])).max() > 100 * TOLERANCE
    assert plain.identity != canonical.identity


def test_both_encoders_of_a_model_share_one_space(
    image_encoder: OpenClipImageEncoder, text_encoder: OpenClipTextEncoder
) -> None:
    assert image_encoder.space == text_encoder.space
    assert image_encoder.space == Space("tiny", 32, image_encoder.space.backbone)
    assert re.fullmatch("weights:[0-9a-f]{12}-[0-9a-f]{12}", image_encoder.space.backbone)


def test_embeddings_of_different_weights_cannot_be_compared(
    make_folder: Callable[..., Path],
    tmp_path: Path,
    text_encoder: OpenClipTextEncoder,
    images: list[np.ndarray],
    texts: list[str],
) -> None:
    # The same folder name, architecture and preprocessing: nothing but the weights tells them apart.
    other = load_image_encoder(f"local-dir:{make_folder(tmp_path / 'tiny', seed=1)}")
    assert other.space != text_encoder.space
    with pytest.raises(SpaceMismatch, match="compare image with text"):
        make_embeddings(other, images) @ make_embeddings(text_encoder, texts)


def test_a_moved_folder_of_the_same_name_keeps_its_space(folder_copy: Path, tmp_path: Path) -> None:
    before = load_image_encoder(f"local-dir:{folder_copy}").space
    (tmp_path / "elsewhere").mkdir()
    moved = shutil.move(folder_copy, tmp_path / "elsewhere" / "tiny")
    assert load_image_encoder(f"local-dir:{moved}").space == before


def test_renaming_the_folder_renames_the_space_and_keeps_its_backbone(folder_copy: Path) -> None:
    before = load_image_encoder(f"local-dir:{folder_copy}").space
    after = load_image_encoder(f"local-dir:{folder_copy.rename(folder_copy.with_name('small'))}").space
    assert (before.name, after.name) == ("tiny", "small")
    assert after.backbone == before.backbone
    assert after != before  # embeddings under the old name cannot be compared with new ones


def test_a_trailing_slash_or_relative_path_gives_the_same_space(
    folder_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = load_image_encoder(f"local-dir:{folder_copy}").space
    monkeypatch.chdir(folder_copy)
    assert load_image_encoder("local-dir:.").space == expected
    assert load_image_encoder(f"local-dir:{folder_copy}/").space == expected


ORDERS = sorted(set(itertools.permutations(("image", "image", "text", "text"))))


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_encoders_share_no_weights_in_any_load_order(folder_copy: Path, order: tuple[str, ...]) -> None:
    encoders = [LOADERS[modality](f"local-dir:{folder_copy}") for modality in order]
    pointers = [
        {value.data_ptr() for value in (*encoder.module.parameters(), *encoder.module.buffers())}
        for encoder in encoders
    ]
    for one, other in itertools.combinations(pointers, 2):
        assert not one & other


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_modifying_an_encoder_changes_no_other_one(
    folder_copy: Path, order: tuple[str, ...], reference: Any, images: list[np.ndarray], texts: list[str]
) -> None:
    samples = {"image": images[:3], "text": texts[:3]}
    expected = {"image": reference.embed_images(images[:3]), "text": reference.embed_texts(texts[:3])}
    first = LOADERS[order[0]](f"local-dir:{folder_copy}")
    second = LOADERS[order[1]](f"local-dir:{folder_copy}")
    perturb_weights(first)
    assert np.abs(encode(first, samples[order[0]]) - expected[order[0]]).max() > 100 * TOLERANCE
    third, fourth = (LOADERS[modality](f"local-dir:{folder_copy}") for modality in order[2:])
    for modality, encoder in zip(order[1:], (second, third, fourth), strict=True):
        np.testing.assert_allclose(encode(encoder, samples[modality]), expected[modality], rtol=0, atol=TOLERANCE)


def test_the_second_encoder_reads_the_current_weights_of_the_file(
    folder_copy: Path, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    load_image_encoder(f"local-dir:{folder_copy}")
    new = make_folder(tmp_path / "new" / "tiny", seed=1)
    shutil.copy(new / "open_clip_model.safetensors", folder_copy)
    assert load_text_encoder(f"local-dir:{folder_copy}").space == load_text_encoder(f"local-dir:{new}").space


def test_each_encoder_has_its_own_tower_only(
    image_encoder: OpenClipImageEncoder, text_encoder: OpenClipTextEncoder, reference: Any
) -> None:
    image_size = count_parameters(reference.model.visual)
    assert all(name.startswith("visual.") for name in image_encoder.module.state_dict())
    assert count_parameters(image_encoder.module) == image_size
    assert not any("visual" in name for name in text_encoder.module.state_dict())
    assert count_parameters(text_encoder.module) == count_parameters(reference.model) - image_size


def test_a_copied_encoder_has_independent_weights(text_encoder: OpenClipTextEncoder, texts: list[str]) -> None:
    before = encode(text_encoder, texts)
    perturb_weights(text_encoder.copy())
    assert np.array_equal(encode(text_encoder, texts), before)


def test_truncated_weights_are_an_error_with_the_path(folder_copy: Path) -> None:
    weights = folder_copy / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(BadInput, match=re.escape(str(weights))) as caught:
        load_image_encoder(f"local-dir:{folder_copy}")
    assert "\n" not in str(caught.value)


def test_a_pointer_of_git_lfs_as_weights_says_how_to_fetch_them(folder_copy: Path) -> None:
    weights = folder_copy / "open_clip_model.safetensors"
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(BadInput, match=r"open_clip_model\.safetensors: .* Git LFS pointer; fetch it: git lfs pull"):
        load_image_encoder(f"local-dir:{folder_copy}")


def test_weights_of_another_width_are_an_error_with_the_path(
    folder_copy: Path, make_folder: Callable[..., Path], tmp_path: Path, tiny_config: dict[str, Any]
) -> None:
    tiny_config["vision_cfg"]["width"] = 96
    wider = make_folder(tmp_path / "wider", config=tiny_config)
    weights = Path(shutil.copy(wider / "open_clip_model.safetensors", folder_copy))
    with pytest.raises(WeightsMismatch, match=re.escape(str(weights))) as caught:
        load_text_encoder(f"local-dir:{folder_copy}")
    assert "\n" not in str(caught.value)


def test_valid_weights_load_after_invalid_ones(folder_copy: Path, model_folder: Path) -> None:
    weights = folder_copy / "open_clip_model.safetensors"
    contents = weights.read_bytes()
    weights.write_bytes(contents[:1000])
    with pytest.raises(BadInput):
        load_text_encoder(f"local-dir:{folder_copy}")
    weights.write_bytes(contents)
    assert load_text_encoder(f"local-dir:{folder_copy}").space == load_text_encoder(f"local-dir:{model_folder}").space


@pytest.mark.parametrize("missing_key", ["embed_dim", "vision_cfg", "text_cfg"])
def test_an_incomplete_configuration_is_an_error_with_the_path(
    folder_copy: Path, tiny_config: dict[str, Any], preprocess_config: dict[str, Any], missing_key: str
) -> None:
    del tiny_config[missing_key]
    config = folder_copy / "open_clip_config.json"
    config.write_text(json.dumps({"model_cfg": tiny_config, "preprocess_cfg": preprocess_config}))
    with pytest.raises(BadInput, match=re.escape(str(config))):
        load_image_encoder(f"local-dir:{folder_copy}")


@pytest.mark.slow
@pytest.mark.parametrize("load", [pytest.param(load_image_encoder, marks=pytest.mark.long), load_text_encoder])
def test_the_other_tower_does_not_stay_in_memory(model_folder: Path, load: Any) -> None:
    gc.collect()
    before = {id(each) for each in gc.get_objects() if isinstance(each, torch.nn.Parameter)}
    encoder = load(f"local-dir:{model_folder}")
    gc.collect()
    alive = {id(each) for each in gc.get_objects() if isinstance(each, torch.nn.Parameter)}
    assert alive - before == {id(each) for each in encoder.module.parameters()}


def test_encoders_loaded_in_parallel_equal_those_loaded_sequentially(model_folder: Path) -> None:
    name = f"local-dir:{model_folder}"
    expected = [load(name).identity for load in (load_image_encoder, load_text_encoder)]
    with ThreadPoolExecutor(4) as pool:
        encoders = list(pool.map(lambda load: load(name), [load_image_encoder, load_text_encoder] * 3))
    assert [encoder.identity for encoder in encoders] == expected * 3
    assert len({id(each) for encoder in encoders for each in encoder.module.parameters()}) == sum(
        len(list(encoder.module.parameters())) for encoder in encoders
    )
