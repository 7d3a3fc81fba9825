"""Scores on disk: taken up after any cut, and never those of another run."""

from __future__ import annotations

import pytest

from anybind import BadInput
from anybind.errors import BadOption
from anybind_vad.score_log import ScoreLog, film_mark

ABOUT = {"film": "abc", "threshold": 25.0, "head": {"name": "event-rate"}}
GROUPS = [[0.1, 1 / 3], [2.5e-30, 7.0], [0.0, 1e9]]


@pytest.fixture
def kept(tmp_path):
    path = tmp_path / "scores.jsonl"
    log = ScoreLog.begin(path, ABOUT)
    for group in GROUPS:
        log.append(group)
    log.close(remove=False)
    return path


def test_scores_are_taken_up_as_they_were(kept):
    assert ScoreLog.resume(kept, ABOUT).done == GROUPS


def test_a_file_cut_anywhere_gives_its_whole_lines_and_goes_on_behind_them(kept):
    whole = kept.read_bytes()
    ends = [number + 1 for number, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(len(whole) + 1):
        kept.write_bytes(whole[:length])
        log = ScoreLog.resume(kept, ABOUT)
        count = max(0, sum(end <= length for end in ends) - 1)
        assert log.done == GROUPS[:count]
        log.append([9.0])
        log.close(remove=False)
        assert ScoreLog.resume(kept, ABOUT).done == [*GROUPS[:count], [9.0]]


def test_where_there_is_no_file_one_is_begun(tmp_path):
    log = ScoreLog.resume(tmp_path / "new.jsonl", ABOUT)
    assert log.done == []
    log.append([1.0])
    log.close(remove=False)
    assert ScoreLog.resume(tmp_path / "new.jsonl", ABOUT).done == [[1.0]]


def test_scores_of_a_run_with_other_settings_are_refused(kept):
    with pytest.raises(BadOption, match=r"threshold was 25\.0, and is now 10"):
        ScoreLog.resume(kept, {**ABOUT, "threshold": 10})


@pytest.mark.parametrize("held", [b"no scores\n", b"[1]\n", b'{"film": "abc"}\n', b"\xff\xfe\n"])
def test_a_file_of_something_else_is_refused_and_left(kept, held):
    kept.write_bytes(held)
    with pytest.raises(BadInput, match="holds no scores"):
        ScoreLog.resume(kept, ABOUT)
    assert kept.read_bytes() == held


def test_the_file_of_a_finished_run_is_removed(tmp_path):
    log = ScoreLog.begin(tmp_path / "done.jsonl", ABOUT)
    log.close(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_a_film_that_was_cut_off_has_the_mark_of_the_whole(tmp_path):
    whole, cut, other = (tmp_path / name for name in ("whole.mp4", "cut.mp4", "other.mp4"))
    whole.write_bytes(bytes(range(256)) * 1000)
    cut.write_bytes(whole.read_bytes()[:100_000])
    other.write_bytes(bytes(100_000))
    assert film_mark(whole) == film_mark(cut) != film_mark(other)


def test_a_folder_is_known_by_its_first_frame(tmp_path):
    (tmp_path / "1.png").write_bytes(b"one")
    first = film_mark(tmp_path)
    (tmp_path / "2.png").write_bytes(b"two")
    assert film_mark(tmp_path) == first
    (tmp_path / "1.png").write_bytes(b"another")
    assert film_mark(tmp_path) != first
