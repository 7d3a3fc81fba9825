"""`sentence-transformers:MODEL` as a binding."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("sentence_transformers", minversion="6")

import anybind
from anybind import BadInput
from anybind.plugin import BadOption, errors, modalities
from anybind_media.video import open_video
from anybind_sentence_transformers.encoders import SentenceTransformerTextEncoder, SentenceTransformerVideoEncoder
from anybind_sentence_transformers.model_files import find_model_folder

from .conftest import load_stock, measure_cosines

TEXTS = ["a cat", "Two dogs in the snow", "photo.jpg", "x"]


@pytest.fixture(scope="module")
def qwen_binder(qwen3_vl):
    return anybind.load(f"sentence-transformers:{qwen3_vl}")


@pytest.fixture
def own_clip(clip, tmp_path) -> Path:
    """Copy a model, for tests that change it."""
    return Path(shutil.copytree(clip, tmp_path / "own"))


def test_each_declared_modality_becomes_an_encoder(clip, clap, qwen_binder):
    assert anybind.find_binding(f"sentence-transformers:{clip}").encoders.keys() == {"text", "image"}
    assert anybind.find_binding(f"sentence-transformers:{clap}").encoders.keys() == {"text", "sound"}
    assert qwen_binder.modalities == ("text", "image", "video")


def test_declared_modalities_are_read_without_loading_the_model(qwen3_vl, monkeypatch):
    monkeypatch.setattr("anybind_sentence_transformers.encoders.load_model", lambda folder: pytest.fail("loaded"))
    assert set(anybind.find_binding(f"sentence-transformers:{qwen3_vl}").encoders) == {"text", "image", "video"}


@pytest.mark.parametrize("model", ["clip", "qwen3_vl"])
def test_text_and_image_embeddings_are_those_of_stock_sentence_transformers(model, images, request):
    folder = request.getfixturevalue(model)
    binder, stock = anybind.load(f"sentence-transformers:{folder}"), load_stock(folder)
    theirs = stock.encode([{"text": text} for text in TEXTS])
    assert measure_cosines(binder.embed("text", TEXTS).vectors, theirs) == pytest.approx(1, abs=1e-6)
    ours = binder.embed("image", images).vectors
    theirs = stock.encode([PIL.Image.fromarray(image) for image in images])
    assert measure_cosines(ours, theirs) == pytest.approx(1, abs=1e-6)
    assert (ours @ ours.T)[0, 1] < 0.99  # the inputs matter


def test_audio_is_resampled_to_the_rate_of_the_model(clap):
    random = np.random.default_rng(0)
    waves = [random.standard_normal((2, 9000 + 500 * number)).astype(np.float32) * 0.1 for number in range(2)]
    clips = [modalities.make_sample("sound", wave, 16_000) for wave in waves]
    binder, stock = anybind.load(f"sentence-transformers:{clap}"), load_stock(clap)
    mono = [clip.mono().resample(8000).samples[0] for clip in clips]
    theirs = stock.encode([{"array": wave, "sampling_rate": 8000} for wave in mono])
    assert measure_cosines(binder.embed("sound", clips).vectors, theirs) == pytest.approx(1, abs=1e-6)


def test_a_video_is_embedded_by_evenly_spaced_frames(qwen3_vl, qwen_binder, tmp_path, images):
    for number in range(9):
        PIL.Image.fromarray(images[0]).rotate(10 * number).resize((64, 64)).save(tmp_path / f"{number}.png")
    video = open_video(tmp_path)
    encoder = anybind.load_encoder("st-video", model=str(qwen3_vl), n_frames=4)
    ours = encoder.embed("video", [video])
    indices = [0, 2, 5, 8]
    frames = np.stack([np.asarray(PIL.Image.open(tmp_path / f"{number}.png")) for number in indices])
    metadata = {"total_num_frames": 9, "fps": 25.0, "duration": video.duration, "frames_indices": indices}
    item = {"video": {"array": frames.transpose(0, 3, 1, 2), "video_metadata": metadata}}
    theirs = load_stock(qwen3_vl).encode([item], processing_kwargs={"video": {"do_sample_frames": False}})
    assert measure_cosines(ours.vectors, theirs) == pytest.approx(1, abs=1e-6)
    all_frames = qwen_binder.embed("video", [video]).vectors  # 32 frames or all
    assert (all_frames @ ours.vectors.T).item() < 0.9999


def test_prompts_by_text_by_name_and_by_default_are_those_of_the_model(qwen3_vl):
    stock = load_stock(qwen3_vl)
    cases = (
        ({}, {}), ({"prompt_name": "query"}, {"prompt_name": "query"}), ({"prompt": "Say: "}, {"prompt": "Say: "}),
        ({"prompt": ""}, {"prompt": ""}),
    )  # fmt: skip
    identities = set()
    for options, theirs in cases:
        binder = anybind.load_encoder("st-text", model=str(qwen3_vl), **options)
        expected = stock.encode(TEXTS[:2], **theirs)
        assert measure_cosines(binder.embed("text", TEXTS[:2]).vectors, expected) == pytest.approx(1, abs=1e-6)
        identities.add(binder.identity("text"))
    assert len(identities) == len(cases)


def test_truncation_is_a_part_of_identity_and_space_and_shared_by_all_encoders(qwen3_vl, tmp_path, images):
    text = f"""
name = "short"
[encoders.text]
use = "st-text"
model = "{qwen3_vl}"
truncate_dim = 8
[encoders.image]
use = "st-image"
shared = "@text"
"""
    (tmp_path / "short.toml").write_text(text)
    binder, whole = anybind.load(tmp_path / "short.toml"), anybind.load(f"sentence-transformers:{qwen3_vl}")
    ours = binder.embed("image", images)
    theirs = load_stock(qwen3_vl, truncate_dim=8).encode([PIL.Image.fromarray(image) for image in images])
    assert ours.space.dim == 8
    assert measure_cosines(ours.vectors, theirs) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(ours.vectors, axis=1) == pytest.approx(1, abs=1e-6)
    assert binder.identity("image") != whole.identity("image")
    with pytest.raises(errors.SpaceMismatch):
        ours @ whole.embed("image", images)


def test_the_models_own_truncation_is_the_default(qwen3_vl, tmp_path):
    own = Path(shutil.copytree(qwen3_vl, tmp_path / "own"))
    config = json.loads((own / "config_sentence_transformers.json").read_text())
    (own / "config_sentence_transformers.json").write_text(json.dumps({**config, "truncate_dim": 12}))
    binder = anybind.load(f"sentence-transformers:{own}")
    assert binder.embed("text", TEXTS).vectors.shape == (4, 12)


def test_encoders_share_weights_and_space_and_have_the_identity_of_what_shapes_them(qwen_binder, qwen3_vl, tmp_path):
    text, image = qwen_binder.encoder("text"), qwen_binder.encoder("image")
    assert text.module is image.module
    assert text.space == image.space
    moved = Path(shutil.copytree(qwen3_vl, tmp_path / "elsewhere" / qwen3_vl.name))
    same = anybind.load(f"sentence-transformers:{moved}").encoder("text")
    assert (same.identity, same.space) == (text.identity, text.space)  # independent of the path
    config = json.loads((moved / "processor_config.json").read_text())
    config["image_processor"]["image_mean"] = [0.1, 0.1, 0.1]
    (moved / "processor_config.json").write_text(json.dumps(config))
    changed = anybind.load(f"sentence-transformers:{moved}").encoder("text")
    assert changed.identity != text.identity
    path = moved / "model.safetensors"
    save_file({name: 2 * tensor for name, tensor in load_file(path).items()}, path, metadata={"format": "pt"})
    other = anybind.load(f"sentence-transformers:{moved}").encoder("text")
    assert other.weights_hash != text.weights_hash
    assert other.space != text.space


def test_a_batch_and_single_inputs_give_the_same_embeddings(qwen_binder, images):
    batch = qwen_binder.embed("image", images).vectors
    single = np.concatenate([qwen_binder.embed("image", [image]).vectors for image in images])
    assert batch == pytest.approx(single, abs=1e-5)


def test_a_copy_has_weights_of_its_own(qwen_binder):
    encoder = qwen_binder.encoder("image")
    twin = encoder.copy()
    with torch.no_grad():
        next(twin.module.parameters()).add_(1.0)
    assert twin.weights_hash != encoder.weights_hash
    assert twin.model is twin.module


def test_the_models_logit_scale_is_read_where_it_has_one(clip, qwen_binder):
    scale = np.exp(load_file(clip / "model.safetensors")["logit_scale"].item())
    assert anybind.load(f"sentence-transformers:{clip}").encoder("text").logit_scale == pytest.approx(scale)
    assert qwen_binder.encoder("text").logit_scale is None


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("", BadOption, "expected a model after sentence-transformers:"),
        ("./absent", BadInput, "./absent: not a folder of a sentence-transformers model"),
        ("absent", BadOption, "expected a folder or ORG/REPO of the hub, got 'absent'"),
    ],
)
def test_an_invalid_name_is_an_error_that_says_what_is_expected(name, error, message):
    with pytest.raises(error, match=message):
        anybind.find_binding(f"sentence-transformers:{name}")


def test_a_repository_that_is_not_cached_is_an_error_without_network(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BadInput, match="cannot fetch some/model"):
        anybind.find_binding("sentence-transformers:some/model")


def test_a_cached_repository_is_named_by_its_commit(clip, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository, commit = tmp_path / "models--some--model", "0123456789" * 4
    shutil.copytree(clip, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    space = anybind.load("sentence-transformers:some/model").space("text")
    assert (space.name, space.backbone) == ("some/model", f"some/model@{commit}")


def test_pickled_weights_are_refused(own_clip):
    torch.save(load_file(own_clip / "model.safetensors"), own_clip / "pytorch_model.bin")
    (own_clip / "model.safetensors").unlink()
    with pytest.raises(BadInput, match=r"pytorch_model\.bin: expected weights as safetensors, got a pickle"):
        find_model_folder(str(own_clip))


def test_code_of_a_models_repository_is_refused_and_not_executed(own_clip, qwen3_vl, tmp_path):
    own = Path(shutil.copytree(qwen3_vl, tmp_path / "code"))
    (own / "custom.py").write_text("raise SystemExit('executed')")
    modules = json.loads((own / "modules.json").read_text())
    modules[0]["type"] = "custom.Module"
    (own / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(BadInput, match=r"the module 'custom\.Module' is code of the model's repository"):
        anybind.find_binding(f"sentence-transformers:{own}")
    (own_clip / "custom.py").write_text("raise SystemExit('executed')")
    config = json.loads((own_clip / "config.json").read_text())
    config |= {"model_type": "unknown", "auto_map": {"AutoConfig": "custom.C", "AutoModel": "custom.M"}}
    (own_clip / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadInput, match="not a valid sentence-transformers model") as raised:
        anybind.load(f"sentence-transformers:{own_clip}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("damage", ["missing", "mismatched", "nan", "truncated"])
def test_damaged_weights_are_refused(damage, own_clip):
    path = own_clip / "model.safetensors"
    state = load_file(path)
    name = "vision_model.post_layernorm.weight"
    if damage == "missing":
        del state[name]
    elif damage == "mismatched":
        state[name] = torch.ones(5)
    elif damage == "nan":
        state[name][0] = torch.nan
    save_file(state, path, metadata={"format": "pt"})
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises((BadInput, errors.WeightsMismatch)) as raised:
        anybind.load(f"sentence-transformers:{own_clip}")
    assert str(own_clip) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_folder_without_a_model_is_an_error(tmp_path):
    with pytest.raises(BadInput, match=r"expected modules\.json or config\.json"):
        anybind.find_binding(f"sentence-transformers:{tmp_path}")


def test_invalid_options_are_errors(clip, qwen3_vl, qwen_binder):
    folder = str(qwen3_vl)
    with pytest.raises(BadOption, match="no prompt 'querry'; did you mean 'query'"):
        SentenceTransformerTextEncoder(folder, prompt_name="querry")
    with pytest.raises(BadOption, match="either prompt or prompt_name"):
        SentenceTransformerTextEncoder(folder, prompt="a", prompt_name="query")
    with pytest.raises(BadOption, match="truncate_dim: expected 1 to 32, got 33"):
        SentenceTransformerTextEncoder(folder, truncate_dim=33)
    with pytest.raises(BadOption, match="n_frames: expected at least 1"):
        SentenceTransformerVideoEncoder(folder, n_frames=0)
    with pytest.raises(BadOption, match="expected either model, or shared"):
        SentenceTransformerTextEncoder()
    with pytest.raises(BadInput, match="expected a model of video, got text, image"):
        SentenceTransformerVideoEncoder(str(clip))
    with pytest.raises(BadOption, match="unexpected keyword"):
        anybind.load_encoder("st-text", model=folder, nonsense=1).encoder("text")
