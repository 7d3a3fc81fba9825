"""Windows to what heads read, in batches: from a video, or from a store."""

from __future__ import annotations

import numpy as np
import pytest

from anybind import BadInput, EmbeddingStore
from anybind.errors import UnknownName
from anybind_vad.embedding import EmbeddedVideo, make_empty_embeddings, embed_windows
from anybind_vad.presets import WindowSettings
from anybind_vad.windows import VideoWindows
from helpers.videos import MemoryVideo, noise

FOUR = WindowSettings(4, 4)


def still(count, moving):
    """Frames that change in those windows of four frames that are named."""
    frames, changing = [np.zeros((6, 8), np.uint8)], noise(count, (6, 8))
    for number in range(1, count):
        frames.append(changing[number] if number % 4 and number // 4 in moving else frames[-1])
    return MemoryVideo(frames, colours=lambda number: np.full((6, 8, 3), 1 + number, np.uint8))


def embedded(toy, video, needs=("event",), **options):
    return EmbeddedVideo(video, toy, needs, FOUR, **{"batch_size": 2, **options})


@pytest.fixture
def windows():
    return list(VideoWindows(still(20, moving=(1, 3)), FOUR))


def test_windows_without_events_have_no_row(toy, windows):
    found = embed_windows(toy, windows, make_empty_embeddings(toy, ("event", "image"), FOUR))
    assert len(found) == 5
    assert found.rows["event"].tolist() == [1, 3]
    assert found.rows["image"].tolist() == [0, 1, 2, 3, 4]
    assert len(found.embeddings["event"]) == 2
    assert found.measures["events"].tolist() == [float(len(each.events)) for each in windows]
    assert found.embeddings["event"].encoder == toy.identity("event") + "/frames=4,threshold=25"
    assert found.embeddings["image"].encoder == toy.identity("image")


def test_only_what_is_needed_is_embedded(toy, windows):
    assert embed_windows(toy, windows, {}).embeddings == {}
    embed_windows(toy, windows, make_empty_embeddings(toy, ("image",), FOUR))
    assert (toy.encoder("event").embedded, toy.encoder("image").embedded) == (0, 5)


def test_windows_in_which_nothing_moves_make_a_set_without_rows(toy):
    (batch,) = embedded(toy, still(8, moving=()))
    assert (len(batch.inputs), len(batch.inputs.embeddings["event"])) == (2, 0)


def test_what_windows_cannot_be_embedded_as_is_refused(toy):
    with pytest.raises(UnknownName, match="event or image, not as sound"):
        embedded(toy, still(4, ()), ("sound",))


def test_embeddings_are_those_that_the_binder_gives(toy, windows):
    found = embed_windows(toy, windows, make_empty_embeddings(toy, ("event",), FOUR))
    whole = toy.embed("event", [each.events for each in windows if len(each.events)])
    assert np.array_equal(found.embeddings["event"].vectors, whole.vectors)


def test_batches_are_of_one_size_and_come_before_the_damage(toy):
    video = embedded(toy, MemoryVideo(noise(26), damaged=True), batch_size=3)
    assert [batch.spans[:, 0].tolist() for batch in video] == [[0, 4, 8], [12, 16, 20], [24]]
    assert "damaged" in str(video.problem)
    assert len(video.times_us) == 26


def test_windows_are_handed_on_where_they_are_asked_for(toy):
    assert [len(batch.windows) for batch in embedded(toy, still(20, ()))] == [0, 0, 0]
    batches = list(embedded(toy, still(20, ()), with_windows=True))
    assert [window.image[0, 0, 0] for batch in batches for window in batch.windows] == [3, 7, 11, 15, 19]


def test_a_record_is_all_batches_together_as_one_group(toy):
    record = embedded(toy, still(20, moving=(1, 3))).embed()
    assert record.inputs.rows["event"].tolist() == [1, 3]
    assert record.inputs.groups.tolist() == [0] * 5
    assert record.spans[:, 0].tolist() == [0, 4, 8, 12, 16]
    assert record.times_us.tolist() == [1000 * number for number in range(20)]


def test_a_record_of_a_damaged_video_is_refused(toy):
    with pytest.raises(BadInput, match="damaged"):
        embedded(toy, MemoryVideo(noise(26), damaged=True)).embed()


@pytest.fixture
def stored(toy, tmp_path):
    """Embed a video whose content is a file, with a store: the record, rows embedded, and frames decoded."""
    (tmp_path / "film.mp4").write_bytes(b"the content of this file stands for that of the video")
    store = EmbeddingStore(tmp_path / "store")

    def run(video, needs=("event",), **options):
        video.path = tmp_path / "film.mp4"
        before = toy.encoder("event").embedded
        batches = list(embedded(toy, video, needs, store=store, **options))
        return batches, toy.encoder("event").embedded - before, len(video.decoded)

    return run


def same(one, other):
    for first, second in zip(one, other, strict=True):
        assert np.array_equal(first.spans, second.spans)
        for of in first.inputs.embeddings:
            assert np.array_equal(first.inputs.embeddings[of].vectors, second.inputs.embeddings[of].vectors)
            assert first.inputs.embeddings[of].encoder == second.inputs.embeddings[of].encoder
            assert np.array_equal(first.inputs.rows[of], second.inputs.rows[of])
        for name in first.inputs.measures:
            assert np.array_equal(first.inputs.measures[name], second.inputs.measures[name])


@pytest.mark.parametrize("needs", [("event",), ("event", "image"), ()], ids=str)
def test_a_video_that_is_stored_is_neither_decoded_nor_embedded_again(stored, needs):
    first, _, decoded = stored(MemoryVideo(noise(26)), needs)
    again, computed, decoded_again = stored(MemoryVideo(noise(26)), needs)
    assert (decoded, computed, decoded_again) == (26, 0, 0)
    same(first, again)


def test_a_video_is_decoded_again_where_its_windows_are_asked_for(stored):
    first, *_ = stored(MemoryVideo(noise(26)))
    again, computed, decoded = stored(MemoryVideo(noise(26)), with_windows=True)
    assert (computed, decoded) == (0, 26)
    same(first, again)


def test_a_run_that_stopped_resumes_behind_its_last_batch(stored):
    stored(MemoryVideo(noise(17)[:17], damaged=True))  # two batches, and one of a window
    again, computed, _ = stored(MemoryVideo(noise(40)))
    assert computed == 10 - 4
    same(again, stored(MemoryVideo(noise(40)))[0])


def test_other_settings_are_not_confused(stored):
    stored(MemoryVideo(noise(26)))
    # The last batch, of one window, is the same.
    assert stored(MemoryVideo(noise(26)), batch_size=3)[1:] == (7 - 1, 26)
    assert stored(MemoryVideo(noise(26, seed=1)), ("image",))[2] == 26


def test_what_was_evicted_is_embedded_again(stored, tmp_path, toy):
    import sqlite3

    first, *_ = stored(MemoryVideo(noise(26)))
    database = sqlite3.connect(tmp_path / "store" / "embeddings.sqlite")
    with database:
        rows = database.execute("SELECT rowid FROM embeddings ORDER BY rowid").fetchall()
        database.execute("DELETE FROM embeddings WHERE rowid = ?", rows[2])
    database.close()
    again, computed, decoded = stored(MemoryVideo(noise(26)))
    assert (computed, decoded) == (2, 26)
    same(first, again)
