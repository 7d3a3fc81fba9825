"""Embeddings and measures of windows, in batches, from a video or from a store."""

from __future__ import annotations

import numpy as np
import pytest

from anybind import BadInput, EmbeddingStore
from anybind.errors import UnknownName
from anybind_vad.embedding import EmbeddedVideo, embed_windows, make_empty_embeddings
from anybind_vad.presets import WindowSettings
from anybind_vad.windows import VideoWindows
from helpers.videos import MemoryVideo, make_noise

FOUR = WindowSettings(4, 4)


def make_still_video(count, moving):
    """Make a video that changes only in some windows of four frames."""
    frames, changing = [np.zeros((6, 8), np.uint8)], make_noise(count, (6, 8))
    for number in range(1, count):
        frames.append(changing[number] if number % 4 and number // 4 in moving else frames[-1])
    return MemoryVideo(frames, colours=lambda number: np.full((6, 8, 3), 1 + number, np.uint8))


def embed_video(toy, video, needs=("event",), **options):
    return EmbeddedVideo(video, toy, needs, FOUR, **{"batch_size": 2, **options})


@pytest.fixture
def windows():
    return list(VideoWindows(make_still_video(20, moving=(1, 3)), FOUR))


def test_windows_without_events_have_no_row(toy, windows):
    inputs = embed_windows(toy, windows, make_empty_embeddings(toy, ("event", "image"), FOUR))
    assert len(inputs) == 5
    assert inputs.rows["event"].tolist() == [1, 3]
    assert inputs.rows["image"].tolist() == [0, 1, 2, 3, 4]
    assert len(inputs.embeddings["event"]) == 2
    assert inputs.measures["events"].tolist() == [float(len(window.events)) for window in windows]
    assert inputs.embeddings["event"].encoder == toy.identity("event") + "/frames=4,threshold=25,difference=luma"
    assert inputs.embeddings["image"].encoder == toy.identity("image")


def test_only_needed_modalities_are_embedded(toy, windows):
    assert embed_windows(toy, windows, {}).embeddings == {}
    embed_windows(toy, windows, make_empty_embeddings(toy, ("image",), FOUR))
    assert (toy.encoder("event").n_embedded, toy.encoder("image").n_embedded) == (0, 5)


def test_static_windows_give_embeddings_without_rows(toy):
    (batch,) = embed_video(toy, make_still_video(8, moving=()))
    assert (len(batch.inputs), len(batch.inputs.embeddings["event"])) == (2, 0)


def test_other_modalities_of_windows_are_refused(toy):
    with pytest.raises(UnknownName, match=r"\(event or image\), got 'sound'"):
        embed_video(toy, make_still_video(4, ()), ("sound",))


def test_embeddings_equal_those_of_the_binder(toy, windows):
    inputs = embed_windows(toy, windows, make_empty_embeddings(toy, ("event",), FOUR))
    whole = toy.embed("event", [window.events for window in windows if len(window.events)])
    assert np.array_equal(inputs.embeddings["event"].vectors, whole.vectors)


def test_batches_have_one_size_and_precede_a_decoding_error(toy):
    video = embed_video(toy, MemoryVideo(make_noise(26), damaged=True), batch_size=3)
    assert [batch.spans[:, 0].tolist() for batch in video] == [[0, 4, 8], [12, 16, 20]]
    assert "damaged" in str(video.problem)
    assert len(video.times_us) == 26


def test_batches_have_windows_on_request(toy):
    assert [len(batch.windows) for batch in embed_video(toy, make_still_video(20, ()))] == [0, 0, 0]
    batches = list(embed_video(toy, make_still_video(20, ()), keep_windows=True))
    assert [window.image[0, 0, 0] for batch in batches for window in batch.windows] == [3, 7, 11, 15, 19]


def test_embed_concatenates_all_batches_as_one_group(toy):
    video = embed_video(toy, make_still_video(20, moving=(1, 3))).embed()
    assert video.inputs.rows["event"].tolist() == [1, 3]
    assert video.inputs.groups.tolist() == [0] * 5
    assert video.spans[:, 0].tolist() == [0, 4, 8, 12, 16]
    assert video.times_us.tolist() == [1000 * number for number in range(20)]


def test_embed_refuses_a_damaged_video(toy):
    with pytest.raises(BadInput, match="damaged"):
        embed_video(toy, MemoryVideo(make_noise(26), damaged=True)).embed()


@pytest.fixture
def embed_stored(toy, tmp_path):
    """Embed a video with a store; return its batches, and the numbers of embedded rows and decoded frames."""
    (tmp_path / "clip.mp4").write_bytes(b"content of the video")
    store = EmbeddingStore(tmp_path / "store")

    def run(video, needs=("event",), **options):
        video.path = tmp_path / "clip.mp4"
        before = toy.encoder("event").n_embedded
        batches = list(embed_video(toy, video, needs, store=store, **options))
        return batches, toy.encoder("event").n_embedded - before, len(video.decoded)

    return run


def assert_equal_batches(batches, others):
    for first, second in zip(batches, others, strict=True):
        assert np.array_equal(first.spans, second.spans)
        for modality, embeddings in first.inputs.embeddings.items():
            assert np.array_equal(embeddings.vectors, second.inputs.embeddings[modality].vectors)
            assert embeddings.encoder == second.inputs.embeddings[modality].encoder
            assert np.array_equal(first.inputs.rows[modality], second.inputs.rows[modality])
        for name in first.inputs.measures:
            assert np.array_equal(first.inputs.measures[name], second.inputs.measures[name])


@pytest.mark.parametrize("needs", [("event",), ("event", "image"), ()], ids=str)
def test_stored_video_is_neither_decoded_nor_embedded_again(embed_stored, needs):
    first, _, decoded = embed_stored(MemoryVideo(make_noise(26)), needs)
    again, computed, decoded_again = embed_stored(MemoryVideo(make_noise(26)), needs)
    assert (decoded, computed, decoded_again) == (26, 0, 0)
    assert_equal_batches(first, again)


def test_stored_video_is_decoded_again_to_keep_windows(embed_stored):
    first, *_ = embed_stored(MemoryVideo(make_noise(26)))
    again, computed, decoded = embed_stored(MemoryVideo(make_noise(26)), keep_windows=True)
    assert (computed, decoded) == (0, 26)
    assert_equal_batches(first, again)


def test_interrupted_run_resumes_after_its_last_batch(embed_stored):
    embed_stored(MemoryVideo(make_noise(17)[:17], damaged=True))  # two batches; the last window has a frame more
    again, computed, _ = embed_stored(MemoryVideo(make_noise(40)))
    assert computed == 10 - 2
    assert_equal_batches(again, embed_stored(MemoryVideo(make_noise(40)))[0])


def test_other_settings_are_embedded_again(embed_stored):
    embed_stored(MemoryVideo(make_noise(26)))
    # The last batch, of one window, is the same.
    assert embed_stored(MemoryVideo(make_noise(26)), batch_size=3)[1:] == (7 - 1, 26)
    assert embed_stored(MemoryVideo(make_noise(26, seed=1)), ("image",))[2] == 26


def test_evicted_batches_are_embedded_again(embed_stored, tmp_path, toy):
    import sqlite3

    first, *_ = embed_stored(MemoryVideo(make_noise(26)))
    database = sqlite3.connect(tmp_path / "store" / "embeddings.sqlite")
    with database:
        rows = database.execute("SELECT rowid FROM embeddings ORDER BY rowid").fetchall()
        database.execute("DELETE FROM embeddings WHERE rowid = ?", rows[2])
    database.close()
    again, computed, decoded = embed_stored(MemoryVideo(make_noise(26)))
    assert (computed, decoded) == (2, 26)
    assert_equal_batches(first, again)
