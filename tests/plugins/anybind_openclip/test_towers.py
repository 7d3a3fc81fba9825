"""The two towers: the vectors that open_clip gives, weights of their own, and texts that are too long."""

from __future__ import annotations

import gc
import itertools
import json
import re
import shutil
import string
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anybind import AnybindWarning, BadInput, Embeddings, Space
from anybind.errors import SpaceMismatch, WeightsMismatch
from anybind_openclip.towers import ImageTower, TextTower, image_tower, text_tower

TOLERANCE = 1e-6
TOWERS = {"image": image_tower, "text": text_tower}


def encode(tower: Any, samples: list[Any], batch: int = 32) -> np.ndarray:
    inputs = [tower.preprocess(sample) for sample in samples]
    return np.concatenate([tower.encode(inputs[start : start + batch]) for start in range(0, len(inputs), batch)])


def embeddings(tower: Any, samples: list[Any]) -> Embeddings:
    return Embeddings(encode(tower, samples), tower.space, tower.modality, tuple(map(str, range(len(samples)))))


def spoil(tower: Any) -> None:
    """Change all weights in place, as training would, only more."""
    with torch.no_grad():
        for weight in tower.module.parameters():
            weight.mul_(-0.7).add_(0.1)


def size(module: torch.nn.Module) -> int:
    return sum(value.numel() for value in module.state_dict().values())


@pytest.mark.parametrize("batch", [1, 32])
def test_image_vectors_are_those_of_open_clip(
    image: ImageTower, reference: Any, pictures: list[np.ndarray], batch: int
) -> None:
    np.testing.assert_allclose(encode(image, pictures, batch), reference.images(pictures), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("batch", [1, 32])
def test_text_vectors_are_those_of_open_clip(text: TextTower, reference: Any, texts: list[str], batch: int) -> None:
    np.testing.assert_allclose(encode(text, texts, batch), reference.texts(texts), rtol=0, atol=TOLERANCE)


def test_the_vectors_compared_here_differ_between_samples_by_far_more_than_the_tolerance(
    image: ImageTower, text: TextTower, pictures: list[np.ndarray], texts: list[str]
) -> None:
    # Without this, a model whose random weights ignore their input would pass every test above. "NO" and "no"
    # are one text to this tokenizer.
    for vectors, apart in ((encode(image, pictures), 32), (encode(text, texts), 31)):
        distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
        assert len(np.unique((distances < 1e-3).argmax(axis=1))) == apart


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_batching_does_not_change_vectors(
    image: ImageTower, text: TextTower, pictures: list[np.ndarray], texts: list[str], batch: int
) -> None:
    for tower, samples in ((image, pictures), (text, texts)):
        np.testing.assert_allclose(encode(tower, samples, batch), encode(tower, samples), rtol=0, atol=TOLERANCE)


def test_the_same_samples_give_the_same_bits_again_and_from_a_tower_loaded_anew(
    model_folder: Path, image: ImageTower, text: TextTower, pictures: list[np.ndarray], texts: list[str]
) -> None:
    for tower, samples in ((image, pictures), (text, texts)):
        first = encode(tower, samples)
        assert np.array_equal(encode(tower, samples), first)
        assert np.array_equal(encode(TOWERS[tower.modality](f"local-dir:{model_folder}"), samples), first)


def test_vectors_are_float32_of_norm_1(
    image: ImageTower, text: TextTower, pictures: list[np.ndarray], texts: list[str]
) -> None:
    for tower, samples in ((image, pictures), (text, texts)):
        vectors = encode(tower, samples)
        assert vectors.dtype == np.float32
        assert vectors.shape == (32, 32)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=TOLERANCE)


def test_logit_scale_is_the_exponential_of_the_models_own(image: ImageTower, text: TextTower, reference: Any) -> None:
    wanted = reference.model.logit_scale.exp().item()
    assert image.logit_scale == pytest.approx(wanted, rel=1e-6)
    assert text.logit_scale == pytest.approx(wanted, rel=1e-6)


def test_the_settings_that_shape_a_picture_are_those_of_the_folder(
    image: ImageTower, preprocess_config: dict[str, Any]
) -> None:
    assert {key: image.preprocessing[key] for key in preprocess_config} == preprocess_config
    assert tuple(np.broadcast_to(image.preprocessing["size"], 2)) == (64, 64)


def test_two_folders_that_differ_only_in_the_activation_give_towers_of_different_identity(
    make_folder: Callable[..., Path], tmp_path: Path, tiny_config: dict[str, Any], pictures: list[np.ndarray]
) -> None:
    # `Encoder.identity`: two encoders of one identity give equal vectors.
    plain = image_tower(f"local-dir:{make_folder(tmp_path / 'a' / 'm', config=tiny_config)}")
    quick = image_tower(f"local-dir:{make_folder(tmp_path / 'b' / 'm', config={**tiny_config, 'quick_gelu': True})}")
    assert np.abs(encode(plain, pictures) - encode(quick, pictures)).max() > 100 * TOLERANCE
    assert plain.identity != quick.identity


def test_two_folders_that_differ_only_in_the_tokenizers_settings_give_towers_of_different_identity(
    make_folder: Callable[..., Path], tmp_path: Path, tiny_config: dict[str, Any]
) -> None:
    plain = text_tower(f"local-dir:{make_folder(tmp_path / 'a' / 'm', config=tiny_config)}")
    own_folder = make_folder(tmp_path / "b" / "m", config=tiny_config)
    config = own_folder / "open_clip_config.json"
    clean = '"text_cfg": {"tokenizer_kwargs": {"clean": "canonicalize"}, '
    config.write_text(config.read_text().replace('"text_cfg": {', clean))
    canonical = text_tower(f"local-dir:{own_folder}")
    assert np.abs(encode(plain, ["Hello, you!"]) - encode(canonical, ["Hello, you!"])).max() > 100 * TOLERANCE
    assert plain.identity != canonical.identity


def test_both_towers_of_a_model_share_one_space(image: ImageTower, text: TextTower) -> None:
    assert image.space == text.space
    assert image.space == Space("tiny", 32, image.space.backbone)
    assert re.fullmatch("weights:[0-9a-f]{12}-[0-9a-f]{12}", image.space.backbone)


def test_embeddings_of_two_weight_files_cannot_be_compared(
    make_folder: Callable[..., Path], tmp_path: Path, text: TextTower, pictures: list[np.ndarray], texts: list[str]
) -> None:
    # The same folder name, architecture and preprocessing: nothing but the weights tells them apart.
    other = image_tower(f"local-dir:{make_folder(tmp_path / 'tiny', seed=1)}")
    assert other.space != text.space
    with pytest.raises(SpaceMismatch, match="compare image with text"):
        embeddings(other, pictures) @ embeddings(text, texts)


def test_a_folder_that_moves_under_its_own_name_keeps_its_space(own_folder: Path, tmp_path: Path) -> None:
    before = image_tower(f"local-dir:{own_folder}").space
    (tmp_path / "elsewhere").mkdir()
    moved = shutil.move(own_folder, tmp_path / "elsewhere" / "tiny")
    assert image_tower(f"local-dir:{moved}").space == before


def test_renaming_the_folder_renames_the_space_and_keeps_its_backbone(own_folder: Path) -> None:
    before = image_tower(f"local-dir:{own_folder}").space
    after = image_tower(f"local-dir:{own_folder.rename(own_folder.with_name('small'))}").space
    assert (before.name, after.name) == ("tiny", "small")
    assert after.backbone == before.backbone
    assert after != before  # so what was embedded under the old name is not compared with what is embedded now


def test_a_trailing_slash_or_a_relative_path_names_the_same_space(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = image_tower(f"local-dir:{own_folder}").space
    monkeypatch.chdir(own_folder)
    assert image_tower("local-dir:.").space == wanted
    assert image_tower(f"local-dir:{own_folder}/").space == wanted


ORDERS = sorted(set(itertools.permutations(("image", "image", "text", "text"))))


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_no_two_towers_share_weights_in_whatever_order_they_are_loaded(
    own_folder: Path, order: tuple[str, ...]
) -> None:
    towers = [TOWERS[modality](f"local-dir:{own_folder}") for modality in order]
    places = [{value.data_ptr() for value in (*tower.module.parameters(), *tower.module.buffers())} for tower in towers]
    for one, other in itertools.combinations(places, 2):
        assert not one & other


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_changing_a_tower_changes_none_that_is_loaded_before_or_after(
    own_folder: Path, order: tuple[str, ...], reference: Any, pictures: list[np.ndarray], texts: list[str]
) -> None:
    samples = {"image": pictures[:3], "text": texts[:3]}
    wanted = {"image": reference.images(pictures[:3]), "text": reference.texts(texts[:3])}
    first = TOWERS[order[0]](f"local-dir:{own_folder}")
    second = TOWERS[order[1]](f"local-dir:{own_folder}")
    spoil(first)
    assert np.abs(encode(first, samples[order[0]]) - wanted[order[0]]).max() > 100 * TOLERANCE
    third, fourth = (TOWERS[modality](f"local-dir:{own_folder}") for modality in order[2:])
    for modality, tower in zip(order[1:], (second, third, fourth), strict=True):
        np.testing.assert_allclose(encode(tower, samples[modality]), wanted[modality], rtol=0, atol=TOLERANCE)


def test_the_second_tower_has_the_weights_that_stand_in_the_file_when_it_is_loaded(
    own_folder: Path, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    image_tower(f"local-dir:{own_folder}")
    new = make_folder(tmp_path / "new" / "tiny", seed=1)
    shutil.copy(new / "open_clip_model.safetensors", own_folder)
    assert text_tower(f"local-dir:{own_folder}").space == text_tower(f"local-dir:{new}").space


def test_the_image_tower_holds_no_text_weights(image: ImageTower, reference: Any) -> None:
    assert all(name.startswith("visual.") for name in image.module.state_dict())
    assert size(image.module) == size(reference.model.visual)


def test_the_text_tower_holds_no_image_weights(text: TextTower, reference: Any) -> None:
    assert not any("visual" in name for name in text.module.state_dict())
    assert size(text.module) == size(reference.model) - size(reference.model.visual)


def test_a_copy_of_a_tower_has_weights_of_its_own(text: TextTower, texts: list[str]) -> None:
    before = encode(text, texts)
    spoil(text.copy())
    assert np.array_equal(encode(text, texts), before)


def test_truncated_weights_are_refused_by_name(own_folder: Path) -> None:
    weights = own_folder / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(WeightsMismatch, match=re.escape(str(weights))) as caught:
        image_tower(f"local-dir:{own_folder}")
    assert "\n" not in str(caught.value)


def test_weights_of_another_width_are_refused_by_name(
    own_folder: Path, make_folder: Callable[..., Path], tmp_path: Path, tiny_config: dict[str, Any]
) -> None:
    tiny_config["vision_cfg"]["width"] = 96
    wider = make_folder(tmp_path / "wider", config=tiny_config)
    weights = Path(shutil.copy(wider / "open_clip_model.safetensors", own_folder))
    with pytest.raises(WeightsMismatch, match=re.escape(str(weights))) as caught:
        text_tower(f"local-dir:{own_folder}")
    assert "\n" not in str(caught.value)


def test_after_weights_that_do_not_fit_the_right_ones_load(own_folder: Path, model_folder: Path) -> None:
    weights = own_folder / "open_clip_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    with pytest.raises(WeightsMismatch):
        text_tower(f"local-dir:{own_folder}")
    weights.write_bytes(whole)
    assert text_tower(f"local-dir:{own_folder}").space == text_tower(f"local-dir:{model_folder}").space


@pytest.mark.parametrize("lacking", ["embed_dim", "vision_cfg", "text_cfg"])
def test_a_configuration_without_one_of_its_parts_is_refused_by_name(
    own_folder: Path, tiny_config: dict[str, Any], preprocess_config: dict[str, Any], lacking: str
) -> None:
    del tiny_config[lacking]
    config = own_folder / "open_clip_config.json"
    config.write_text(json.dumps({"model_cfg": tiny_config, "preprocess_cfg": preprocess_config}))
    with pytest.raises(BadInput, match=re.escape(str(config))):
        image_tower(f"local-dir:{own_folder}")


# Texts that are too long for the context of 16: 14 tokens and the marks of start and end

NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
COUNTED = [*NUMBERS, "red", "green", "blue", "black", "white", "grey", "pink", "brown"]


def warned(text: TextTower, sample: str) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        text.preprocess(sample)
    return [str(each.message) for each in caught if issubclass(each.category, AnybindWarning)]


def test_a_text_that_is_cut_is_told_with_the_end_that_is_kept_and_the_beginning_that_is_dropped(
    text: TextTower,
) -> None:
    sample = " ".join(COUNTED)
    with pytest.warns(AnybindWarning, match="cut to 16 tokens") as caught:
        text.preprocess(sample)
    shown = re.search(r"kept up to '(.*)', dropped '(.*)'", str(caught[0].message))
    assert shown is not None
    kept, dropped = shown.groups()
    assert " ".join(COUNTED[:14]).endswith(kept)
    assert kept.endswith("red green blue black")
    assert dropped.split()[:2] == ["white", "grey"]
    assert kept + dropped in sample


def test_a_text_that_is_cut_gives_the_vector_of_the_part_that_is_kept(text: TextTower, reference: Any) -> None:
    with pytest.warns(AnybindWarning):
        inputs = text.preprocess(" ".join(COUNTED))
    np.testing.assert_allclose(text.encode([inputs]), reference.texts([" ".join(COUNTED[:14])]), rtol=0, atol=TOLERANCE)


def test_a_text_of_exactly_the_context_is_not_cut(text: TextTower, reference: Any) -> None:
    sample = " ".join(COUNTED[:14])
    assert len(reference.tokenizer.encode(sample)) == 14
    assert warned(text, sample) == []


def test_a_text_of_one_token_more_than_the_context_is_told(text: TextTower) -> None:
    assert len(warned(text, " ".join(COUNTED[:15]))) == 1


def test_a_text_whose_last_word_is_cut_in_two_is_told(text: TextTower, reference: Any) -> None:
    long = "xylophonically"
    assert len(reference.tokenizer.encode(long)) > 2  # else it would not be cut in two
    assert len(warned(text, " ".join([*COUNTED[:13], long]))) == 1


def test_a_single_word_that_is_too_long_is_told(text: TextTower, reference: Any) -> None:
    word = "qxzj" * 20
    assert len(reference.tokenizer.encode(word)) > 14
    assert len(warned(text, word)) == 1


def test_a_text_of_few_bytes_that_grows_when_it_is_cleaned_until_it_is_cut_is_told(
    text: TextTower, reference: Any
) -> None:
    sample = "\u01c6" * 6  # one letter of Croatian, two bytes, which the tokenizer takes apart into three
    assert len(sample.encode()) == 12
    assert len(reference.tokenizer.encode(sample)) > 14
    assert len(warned(text, sample)) == 1


@pytest.mark.parametrize(
    "sample",
    [
        "internationally representative photographs",
        "  a   text   with   much   space   between   its   words   ",
        "cats &amp; dogs &amp; birds &amp; bees",
        "cats&amp;dogs&amp;birds&amp;",
        "a duck on a lake \x01",
        "日本 東京 大阪",
    ],
)
def test_a_long_text_of_few_tokens_is_not_told_to_be_cut(text: TextTower, reference: Any, sample: str) -> None:
    assert len(sample.encode()) > 13  # longer than what can never be cut
    assert len(reference.tokenizer.encode(sample)) <= 14
    assert warned(text, sample) == []


WORDS = st.one_of(st.sampled_from(COUNTED), st.text(string.ascii_letters + string.digits + "'-,.!&éüß", min_size=1))


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(words=st.lists(WORDS, min_size=1, max_size=30))
@example(words=COUNTED[:14])
@example(words=COUNTED[:15])
@example(words=[*COUNTED[:12], "o'clock's"])
def test_a_warning_comes_if_and_only_if_open_clips_tokenizer_drops_tokens(
    text: TextTower, reference: Any, words: list[str]
) -> None:
    sample = " ".join(words)
    dropped = len(reference.tokenizer.encode(sample)) > text.context_length - 2
    assert len(warned(text, sample)) == int(dropped)


@pytest.mark.slow
@pytest.mark.parametrize("load", [image_tower, text_tower])
def test_the_other_half_of_the_model_does_not_stay_in_memory(model_folder: Path, load: Any) -> None:
    gc.collect()
    before = {id(each) for each in gc.get_objects() if isinstance(each, torch.nn.Parameter)}
    tower = load(f"local-dir:{model_folder}")
    gc.collect()
    alive = {id(each) for each in gc.get_objects() if isinstance(each, torch.nn.Parameter)}
    assert alive - before == {id(each) for each in tower.module.parameters()}


def test_towers_loaded_at_once_are_those_loaded_one_by_one(model_folder: Path) -> None:
    name = f"local-dir:{model_folder}"
    expected = [load(name).identity for load in (image_tower, text_tower)]
    with ThreadPoolExecutor(4) as pool:
        towers = list(pool.map(lambda load: load(name), [image_tower, text_tower] * 3))
    assert [tower.identity for tower in towers] == expected * 3
    assert len({id(each) for tower in towers for each in tower.module.parameters()}) == sum(
        len(list(tower.module.parameters())) for tower in towers
    )
