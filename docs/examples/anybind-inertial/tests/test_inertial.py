"""Traces are recognised by words, however the device lies and however fast it measures."""

import anybind
import numpy as np
import pytest
from anybind.plugin import create_part, prompts

from anybind_inertial.activities import ACTIVITIES, make_trace
from anybind_inertial.fit import fit_motion, fit_words
from anybind_inertial.motion import WEIGHTS, MotionEncoder, load_tensors
from anybind_inertial.table import TableReader
from anybind_inertial.trace import Inertial, Trace


@pytest.fixture(scope="module")
def binder():
    return anybind.load("inertial")


def test_activities_are_distinguished_by_their_names_alone(binder, tmp_path):
    data = create_part("dataset", "made-activities", tmp_path)
    words = prompts.embed_class_names(binder, "text", list(data.classes), ["a trace of {}"])
    order = (binder.embed("inertial", data.items) @ words).argmax(axis=1)
    right = np.array([data.classes[number] for number in order]) == [item.label for item in data.items]
    assert right.mean() > 0.9


def test_a_word_of_the_same_stem_is_more_similar_than_others(binder):
    traces = binder.embed("inertial", [make_trace("running", 5), make_trace("walking", 5)])
    similarity = traces @ binder.embed("text", ["he runs, a runner", "he walks, a walker"])
    assert similarity[0, 0] > similarity[0, 1]
    assert similarity[1, 1] > similarity[1, 0]


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_the_embedding_does_not_depend_on_the_orientation_of_the_device(activity):
    encoder, trace = MotionEncoder(), make_trace(activity, 3)
    turned = Inertial().augment(trace, seed=1, noise=0.0)
    assert np.abs(turned.acceleration - trace.acceleration).max() > 1
    one, other = encoder.encode([encoder.preprocess(each) for each in (trace, turned)])
    assert one @ other > 0.9999


def test_the_sample_rate_hardly_changes_the_embedding():
    encoder, fast = MotionEncoder(), make_trace("running", 3, rate=200)
    slow = Trace(fast.acceleration[::2], fast.rotation[::2], 100.0)
    one, other = encoder.encode([encoder.preprocess(each) for each in (fast, slow)])
    assert one @ other > 0.98


def test_a_written_table_is_read_unchanged(tmp_path):
    trace = make_trace("waving", 1)
    anybind.write(trace, tmp_path / "a.imu")
    again = anybind.read(tmp_path / "a.imu")
    np.testing.assert_array_equal(again.acceleration, trace.acceleration)
    np.testing.assert_array_equal(again.rotation, trace.rotation)
    assert again.rate == pytest.approx(trace.rate)


def test_a_gap_in_time_raises_with_its_line(tmp_path):
    anybind.write(make_trace("waving", 1), tmp_path / "a.imu")
    lines = (tmp_path / "a.imu").read_text().splitlines()
    (tmp_path / "b.imu").write_text("\n".join(lines[:50] + lines[60:]))
    with pytest.raises(anybind.BadInput, match=r"b\.imu, line 51: 0\.22 s after the line before"):
        TableReader().read(tmp_path / "b.imu")


def test_the_bundled_weights_are_those_of_the_fit(tmp_path, binder):
    fit_motion(tmp_path / "motion.safetensors")
    for name, tensors in load_tensors(WEIGHTS, ("centre",)).items():
        np.testing.assert_allclose(load_tensors(tmp_path / "motion.safetensors", (name,))[name], tensors, atol=1e-4)
    fit_words(tmp_path / "words.safetensors", binder, MotionEncoder())
    fitted = create_part("adapter", "inertial-to-words", weights=tmp_path / "words.safetensors")
    shipped = create_part("adapter", "inertial-to-words")
    np.testing.assert_allclose(fitted.tensors["map"], shipped.tensors["map"], atol=1e-3)
    assert (fitted.source, fitted.target) == (shipped.source, shipped.target)
