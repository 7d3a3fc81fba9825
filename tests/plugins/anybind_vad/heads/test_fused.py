"""The head `fused`: calibration against references, and fusion with an uninformative modality."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

import anybind
from anybind import BadInput, Embeddings, Space
from anybind.errors import BadOption
from anybind.head import Head
from anybind.head_input import HeadInput
from anybind_vad.heads.calibration import Calibration, fit_calibrations, fit_student

pytestmark = pytest.mark.torch

DIM = 16
LABELS = np.repeat([0, 1], (45, 15))


def make_video(seed, informative, labels=LABELS, missing=()):
    """Make windows whose embeddings lean to another axis if abnormal, in the informative modalities only."""
    random = np.random.default_rng(seed)
    embeddings, rows = {}, {}
    for modality in ("event", "image"):
        vectors = 0.15 * random.normal(size=(len(labels), DIM))
        vectors[:, 0] += 1
        vectors[:, 1] += 0.8 * labels * (modality in informative)
        windows = np.setdiff1d(np.arange(len(labels)), missing if modality == "event" else [])
        vectors = anybind.normalize(vectors.astype(np.float32))[windows]
        ids = tuple(map(str, windows))
        embeddings[modality] = Embeddings(vectors, Space("made", DIM), modality, ids, f"{modality}-encoder")
        rows[modality] = windows
    return HeadInput(embeddings, {"events": np.full(len(labels), 5.0)}, rows)


def make_data(seed, informative, videos=4):
    inputs = HeadInput.concatenate([make_video(100 * seed + number, informative) for number in range(videos)])
    return inputs, np.tile(LABELS, videos)


def compute_auc(head, data):
    inputs, labels = data
    return roc_auc_score(labels, head.score(inputs))


@pytest.mark.parametrize("options", [{}, {"method": "gaussian"}])
@pytest.mark.parametrize("informative", ["event", "image"])
def test_an_uninformative_modality_costs_at_most_a_point_of_auc_if_the_other_is_clear(options, informative):
    for seed in range(3):
        training, test = make_data(seed, [informative]), make_data(seed + 50, [informative])
        single = {
            modality: compute_auc(Head.find("one-class", modality=modality, **options).fit(*training), test)
            for modality in ("event", "image")
        }
        fused = compute_auc(Head.find("fused", **options).fit(*training), test)
        other = {"event": "image", "image": "event"}[informative]
        assert single[informative] > 0.85
        assert fused > single[informative] - 0.01
        assert fused > single[other] + 0.2


def test_two_informative_modalities_are_better_than_each():
    training, test = make_data(1, ["event", "image"]), make_data(51, ["event", "image"])
    single = [compute_auc(Head.find("one-class", modality=name).fit(*training), test) for name in ("event", "image")]
    assert compute_auc(Head.find("fused").fit(*training), test) > max(single)
    normal_only = np.where(training[1] == 1, -1, 0)
    assert compute_auc(Head.find("fused").fit(training[0], normal_only), test) > max(single)


def test_scores_are_the_mean_of_the_states_weighted_by_precision():
    training, (inputs, _) = make_data(2, ["event", "image"]), make_data(52, ["event"])
    head = Head.find("fused").fit(*training)
    total, weighted = 0.0, np.zeros(len(inputs))
    for modality in ("event", "image"):
        location, step, precision = head.tensors[f"{modality}.calibration"]
        scores = Head.find("one-class", modality=modality).fit(*training).score(inputs).astype(np.float64)
        weighted += precision * (scores - location) / step
        total += precision
    offsets = weighted / total - 0.5
    np.testing.assert_allclose(head.score(inputs), (offsets + np.sqrt(offsets**2 + 4)) / 2, rtol=1e-5)


def test_a_still_window_is_scored_by_its_image():
    head = Head.find("fused").fit(*make_data(3, ["event", "image"]))
    labels = np.array([0, 1, 0, 1])
    still = make_video(9, ["image"], labels, missing=[2, 3])
    scores = head.score(still)
    location, step, _ = head.tensors["image.calibration"]
    offsets = (head.heads["image"].score(still)[2:] - location) / step - 0.5
    np.testing.assert_allclose(scores[2:], (offsets + np.sqrt(offsets**2 + 4)) / 2, rtol=1e-5)
    head.tensors["image.calibration"][2] = 0
    assert head.score(still)[2:].tolist() == [0, 0]


def test_scores_keep_their_order_far_below_normal():
    head = Head.find("fused").fit(*make_data(4, ["event"]))
    for modality in ("event", "image"):
        head.tensors[f"{modality}.calibration"] = np.array([1e6, 1e-2, 1.0])
    scores = head.score(make_data(54, ["event"])[0])
    assert scores.min() > 0
    assert len(np.unique(scores)) > 1


def test_student_locations_and_scale_have_the_largest_likelihood():
    random = np.random.default_rng(0)
    values = stats.t.rvs(4, loc=3, scale=0.7, size=400, random_state=random)
    (location,), scale = fit_student(values, np.zeros(400), 4.0)
    _, expected_location, expected_scale = stats.t.fit(values, fix_df=4)
    np.testing.assert_allclose([location, scale], [expected_location, expected_scale], rtol=1e-3)
    labels = np.repeat([0, 1], 200)
    locations, _ = fit_student(values + 5 * labels, labels, 4.0)
    assert locations[1] - locations[0] == pytest.approx(5, abs=0.3)


def test_an_outlier_hardly_changes_the_noise_scale():
    values = np.random.default_rng(1).normal(size=200)
    with_outlier = np.append(values, 1e3)
    scales = [fit_student(each, np.zeros(len(each)), 4.0)[1] for each in (values, with_outlier)]
    assert scales[1] == pytest.approx(scales[0], rel=0.05)


def test_precision_is_the_inverse_laplace_variance_of_the_state_less_its_bias():
    random = np.random.default_rng(2)
    labels = np.repeat([0, 1], (300, 100))
    scores = 1 + 2 * labels + 0.5 * random.standard_t(4, 400)
    fitted = fit_calibrations({"event": (scores, labels), "image": (random.normal(size=400), labels)}, 4.0)
    (normal, abnormal), scale = fit_student(scores, labels, 4.0)
    expected = (abnormal - normal) ** 2 / (4 / 5 * scale**2) - (1 / 300 + 1 / 100)
    np.testing.assert_allclose(fitted["event"], [normal, abnormal - normal, expected])
    assert fitted["image"].precision < 0.02 * expected


def test_a_modality_that_scores_abnormal_windows_lower_has_no_weight():
    labels = np.repeat([0, 1], 50)
    scores = np.random.default_rng(3).normal(size=100)
    fitted = fit_calibrations({"event": (scores + 2 * labels, labels), "image": (scores - 2 * labels, labels)}, 4.0)
    assert fitted["event"].precision > 1
    assert fitted["image"] == Calibration(fitted["image"].location, 1.0, 0.0)


@pytest.mark.parametrize("offset", [None, -2.0])
def test_standardised_scores_have_equal_weights_if_no_modality_is_known_to_be_informative(offset):
    random = np.random.default_rng(4)
    labels = np.zeros(80, int) if offset is None else np.repeat([0, 1], 40)
    drop = (offset or 0.0) * labels
    fitted = fit_calibrations(
        {"event": (random.normal(size=80) + drop, labels), "image": (9 * random.normal(size=80) + 9 * drop, labels)}, 4
    )
    assert fitted["event"].precision == fitted["image"].precision == 9
    assert fitted["image"].step > 4 * fitted["event"].step


@pytest.mark.parametrize("base", ["one-class", "mil"])
def test_a_saved_fused_head_has_equal_scores(tmp_path, base):
    inputs, labels = make_data(5, ["event"])
    options = {"steps": 5} if base == "mil" else {}
    if base == "mil":
        inputs = HeadInput.concatenate([make_video(n, ["event"], np.full(20, n % 2)) for n in range(6)])
        labels = np.array([0, 1] * 3)
    head = Head.find("fused", base=base, **options).fit(inputs, labels)
    head.save(tmp_path / "head.safetensors")
    loaded = Head.find(tmp_path / "head.safetensors")
    assert loaded.identity == head.identity
    test, _ = make_data(55, ["event"])
    np.testing.assert_array_equal(loaded.score(test), head.score(test))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": "fused"}, "expected another head"),
        ({"modality": "image"}, "and no modality"),
        ({"modalities": ["event"]}, "two different ones or more"),
        ({"dof": 0}, "above 0"),
        ({"base": "event-rate"}, "modality"),
    ],
)
def test_invalid_options_are_refused(options, message):
    with pytest.raises(BadOption, match=message):
        Head.find("fused", **options)


def test_too_few_windows_or_videos_are_refused():
    with pytest.raises(BadInput, match="three normal windows"):
        Head.find("fused").fit(make_video(0, []), np.where(np.arange(60) < 2, 0, -1))
    videos = HeadInput.concatenate([make_video(number, []) for number in range(3)])
    with pytest.raises(BadInput, match="two normal and two abnormal videos"):
        Head.find("fused", base="mil").fit(videos, [0, 0, 1])
