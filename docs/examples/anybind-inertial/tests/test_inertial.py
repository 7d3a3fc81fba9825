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


def test_activities_are_told_apart_by_words_alone(binder, tmp_path):
    data = create_part("dataset", "made-activities", tmp_path)
    words = prompts.embed_class_names(binder, "text", list(data.classes), ["a trace of {}"])
    found = (binder.embed("inertial", data.items) @ words).argmax(axis=1)
    right = np.array([data.classes[number] for number in found]) == [item.label for item in data.items]
    assert right.mean() > 0.9


def test_a_word_of_the_same_stem_is_nearer_than_others(binder):
    traces = binder.embed("inertial", [make_trace("running", 5), make_trace("walking", 5)])
    similarity = traces @ binder.embed("text", ["he runs, a runner", "he walks, a walker"])
    assert similarity[0, 0] > similarity[0, 1]
    assert similarity[1, 1] > similarity[1, 0]


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_the_vector_is_that_of_the_motion_not_of_how_the_device_lies(activity):
    encoder, trace = MotionEncoder(), make_trace(activity, 3)
    turned = Inertial().augment(trace, seed=1, noise=0.0)
    assert np.abs(turned.acceleration - trace.acceleration).max() > 1
    one, other = encoder.encode([encoder.preprocess(each) for each in (trace, turned)])
    assert one @ other > 0.9999


def test_the_rate_hardly_matters():
    encoder, fast = MotionEncoder(), make_trace("running", 3, rate=200)
    slow = Trace(fast.acceleration[::2], fast.rotation[::2], 100.0)
    one, other = encoder.encode([encoder.preprocess(each) for each in (fast, slow)])
    assert one @ other > 0.98


def test_a_table_brings_back_what_was_written(tmp_path):
    trace = make_trace("waving", 1)
    anybind.write(trace, tmp_path / "a.imu")
    again = anybind.read(tmp_path / "a.imu")
    np.testing.assert_array_equal(again.acceleration, trace.acceleration)
    np.testing.assert_array_equal(again.rotation, trace.rotation)
    assert again.rate == pytest.approx(trace.rate)


def test_a_gap_in_time_is_refused_with_its_line(tmp_path):
    anybind.write(make_trace("waving", 1), tmp_path / "a.imu")
    lines = (tmp_path / "a.imu").read_text().splitlines()
    (tmp_path / "b.imu").write_text("\n".join(lines[:50] + lines[60:]))
    with pytest.raises(anybind.BadInput, match=r"b\.imu, line 51: 0\.22 s after the line before"):
        TableReader().read(tmp_path / "b.imu")


def test_the_weights_that_come_along_are_those_that_fitting_gives(tmp_path, binder):
    fit_motion(tmp_path / "motion.safetensors")
    for name, held in load_tensors(WEIGHTS, ("centre",)).items():
        np.testing.assert_allclose(load_tensors(tmp_path / "motion.safetensors", (name,))[name], held, atol=1e-4)
    fit_words(tmp_path / "words.safetensors", binder, MotionEncoder())
    fitted = create_part("adapter", "inertial-to-words", weights=tmp_path / "words.safetensors")
    shipped = create_part("adapter", "inertial-to-words")
    np.testing.assert_allclose(fitted.tensors["map"], shipped.tensors["map"], atol=1e-3)
    assert (fitted.source, fitted.target) == (shipped.source, shipped.target)
