"""Anomaly heads on synthetic embeddings: scores, batches, saving, and errors."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

import anybind
from anybind import BadInput, Embeddings, Space
from anybind.errors import BadOption, SpaceMismatch, UnknownName, WeightsMismatch
from anybind.head import Head
from anybind.head_input import HeadInput
from anybind_vad.heads.prompts import BUNDLED, read_prompt_set

pytestmark = pytest.mark.torch

DIM = 8
AXES = {"calm": 0, "quiet": 1, "fight": 2, "fire": 3}
"""Axis of each class name; windows of a class lie near its axis."""


class FakeBinder:
    """A binder that embeds prompts by their class name."""

    def __init__(self, space="made", encoder="text-encoder"):
        self.space, self.encoder = Space(space, DIM), encoder

    def embed(self, modality, prompts):
        assert modality == "text"
        axes = [next(axis for name, axis in AXES.items() if name in prompt) for prompt in prompts]
        return Embeddings(np.eye(DIM)[axes], self.space, modality, tuple(prompts), self.encoder)


def make_windows(axes, seed=0, modality="event", encoder="event-encoder", space="made", scale=None, rows=None):
    """Make windows that lie near these axes."""
    random = np.random.default_rng(seed)
    vectors = anybind.normalize(np.eye(DIM)[axes] + 0.1 * random.normal(size=(len(axes), DIM)))
    embeddings = Embeddings(vectors, Space(space, DIM), modality, tuple(map(str, axes)), encoder, scale)
    count = len(axes) if rows is None else max(rows) + 1
    measures = {"events": np.full(count, 5.0), "steps": np.full(count, 15.0), "pixels": np.full(count, 100.0)}
    return HeadInput({modality: embeddings}, measures, {} if rows is None else {modality: np.array(rows)})


def make_zero_shot_head(**options):
    head = Head.find("zero-shot", **{"normal": ["calm", "quiet"], "abnormal": ["fight", "fire"], **options})
    head.prepare(FakeBinder())
    return head


FITTED = {
    "zero-shot": make_zero_shot_head,
    "nearest": lambda: Head.find("one-class").fit(make_windows([0, 1] * 20), np.zeros(40)),
    "gaussian": lambda: Head.find("one-class", method="gaussian").fit(make_windows([0, 1] * 20), np.zeros(40)),
    "motion": lambda: Head.find("one-class", method="gaussian", motion=True).fit(
        make_windows([0, 1] * 20), np.zeros(40)
    ),
    "ranking": lambda: Head.find("mil", steps=60).fit(*make_videos()),
    "top-k": lambda: Head.find("mil", steps=60, loss="top-k").fit(*make_videos()),
}


def make_videos():
    """Make six normal videos, and six with a few windows of a fight."""
    calm = [make_windows([0, 1] * 16, seed) for seed in range(6)]
    wild = [make_windows([0, 1] * 8 + [2] * 6 + [1] * 10, seed) for seed in range(6, 12)]
    return HeadInput.concatenate(calm + wild), [0] * 6 + [1] * 6


@pytest.fixture(params=FITTED, scope="module")
def fitted(request):
    return FITTED[request.param]()


def test_abnormal_windows_score_higher_than_any_normal_one(fitted):
    scores = fitted.score(make_windows([0, 1, 2, 0, 2, 1], seed=99))
    assert scores.dtype == np.float32
    assert scores.min() >= 0
    assert min(scores[[2, 4]]) > max(scores[[0, 1, 3, 5]])


def test_scores_do_not_depend_on_the_batch(fitted):
    together = make_windows([0, 1, 2, 3] * 10, seed=5)
    rows = together.embeddings["event"]
    measures = {name: values[:1] for name, values in together.measures.items()}
    alone = [HeadInput({"event": rows[number]}, measures) for number in range(len(rows))]
    np.testing.assert_allclose(
        np.concatenate([fitted.score(window) for window in alone]), fitted.score(together), rtol=1e-5
    )


def test_window_without_rows_scores_0_and_one_with_several_the_largest(fitted):
    grouped = make_windows([0, 2, 1], rows=[0, 0, 3])
    alone = fitted.score(make_windows([0, 2, 1]))
    np.testing.assert_allclose(fitted.score(grouped), [alone[:2].max(), 0, 0, alone[2]], rtol=1e-5)


def test_videos_without_events_can_be_scored(fitted):
    measures = {"events": np.zeros(2), "steps": np.full(2, 15.0), "pixels": np.full(2, 100.0)}
    empty = HeadInput({"event": make_windows([0]).embeddings["event"][:0]}, measures, {"event": np.array([])})
    assert fitted.score(empty).tolist() == [0, 0]


def test_saved_head_has_equal_scores(fitted, tmp_path):
    fitted.save(tmp_path / "head.safetensors")
    again = Head.find(tmp_path / "head.safetensors")
    assert again.identity == fitted.identity
    np.testing.assert_array_equal(again.score(make_windows([0, 2, 3])), fitted.score(make_windows([0, 2, 3])))


def test_windows_of_another_space_are_refused(fitted):
    with pytest.raises(SpaceMismatch):
        fitted.score(make_windows([0], space="other"))


def test_fitting_is_deterministic():
    for make in FITTED.values():
        assert make().identity == make().identity


def test_zero_shot_is_the_softmax_probability_at_the_logit_scale_of_the_encoder():
    inputs = make_windows([2, 0], scale=7.0)
    logits = np.exp(7.0 * inputs.embeddings["event"].vectors.astype(float)[:, :4])
    np.testing.assert_allclose(
        make_zero_shot_head().score(inputs), logits[:, 2:].sum(axis=1) / logits.sum(axis=1), rtol=1e-5
    )
    own = make_zero_shot_head(scale=7.0).score(make_windows([2, 0], scale=50.0))
    np.testing.assert_allclose(own, make_zero_shot_head().score(inputs), rtol=1e-6)


def test_zero_shot_prompts_must_be_embedded_by_the_same_encoder(tmp_path):
    with pytest.raises(BadOption, match="call prepare"):
        Head.find("zero-shot").score(make_windows([0]))
    make_zero_shot_head().save(tmp_path / "head.safetensors")
    loaded = Head.find(tmp_path / "head.safetensors")
    loaded.prepare(FakeBinder())
    with pytest.raises(WeightsMismatch, match="of the encoder text-encoder, got those of others"):
        loaded.prepare(FakeBinder(encoder="others"))


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_prompt_sets_have_normal_and_abnormal_classes(name):
    prompts = read_prompt_set(name)
    assert prompts.normal
    assert prompts.abnormal


def test_bundled_prompt_sets_have_the_classes_of_the_paper():
    assert len(read_prompt_set("ucf-crime").abnormal) == 13
    assert len(read_prompt_set("xd-violence").abnormal) == 6


def test_prompt_sets_are_read_from_files_and_overridden_by_options(tmp_path):
    prompt_set = {"normal": ["calm"], "abnormal": ["fight"], "templates": ["so {}"]}
    (tmp_path / "own.json").write_text(json.dumps(prompt_set))
    (tmp_path / "own.toml").write_text('normal = ["calm"]\nabnormal = ["fight"]\ntemplates = ["so {}"]\n')
    for name in ("own.json", "own.toml"):
        head = Head.find("zero-shot", prompts=str(tmp_path / name), abnormal=["fire"])
        assert [head.settings[key] for key in prompt_set] == [["calm"], ["fire"], ["so {}"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ('{"normal": ["a"]}', "lacks the key 'abnormal'"),
        ('{"normal": ["a"], "abnormal": []}', "abnormal is empty"),
        ('{"normal": ["a"], "abnormal": [1]}', "expected a text"),
        ('{"normal": ["a"], "abnormal": ["a"]}', "got 'a' twice"),
        ('{"normal": ["a"], "abnormal": ["b"], "templates": ["x"]}', "needs {}"),
        ('{"normal": ["a"], "abnormal": ["b"], "mood": []}', "unknown key 'mood'"),
    ],
)
def test_invalid_prompt_files_are_refused(tmp_path, text, message):
    (tmp_path / "own.json").write_text(text)
    with pytest.raises(BadOption, match=message):
        read_prompt_set(tmp_path / "own.json")


def test_unknown_prompt_set_is_refused_with_similar_names(tmp_path):
    with pytest.raises(UnknownName, match="'ucf-crime'"):
        read_prompt_set("ucf-crimes")
    with pytest.raises(BadInput, match=r"none\.json"):
        read_prompt_set(tmp_path / "none.json")


def test_one_class_is_fitted_on_normal_windows_only():
    mixed = make_windows([0, 2, 1, 3, 0], seed=3)
    marked = Head.find("one-class").fit(mixed, [0, 1, 0, -1, 0])
    rows = mixed.embeddings["event"][[0, 2, 4]]
    alone = Head.find("one-class").fit(HeadInput({"event": rows}), np.zeros(3))
    assert marked.identity == alone.identity


def test_one_class_is_the_mean_distance_to_the_nearest_windows():
    normal, query = make_windows([0, 1] * 10), make_windows([0, 2], seed=7)
    head = Head.find("one-class", neighbours=3).fit(normal, np.zeros(20))
    distances = 1 - query.embeddings["event"].vectors @ normal.embeddings["event"].vectors.T
    np.testing.assert_allclose(head.score(query), np.sort(distances, axis=1)[:, :3].mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("count", [3, 40])
def test_gaussian_equals_ledoit_wolf_of_scikit_learn(count):
    normal, query = make_windows([0, 1, 2, 3] * (count // 4) + [0] * (count % 4)), make_windows([0, 2, 5], seed=7)
    head = Head.find("one-class", method="gaussian").fit(normal, np.zeros(count))
    reference = LedoitWolf().fit(normal.embeddings["event"].vectors.astype(float))
    expected = np.sqrt(reference.mahalanobis(query.embeddings["event"].vectors.astype(float)) / DIM)
    np.testing.assert_allclose(head.score(query), expected, rtol=1e-4)


def test_motion_adds_the_z_score_of_a_larger_log_event_rate():
    def make_moving(events):
        inputs = make_windows([0, 1] * (len(events) // 2), seed=len(events))
        return HeadInput(inputs.embeddings, {**inputs.measures, "events": np.array(events, float)})

    normal, query = make_moving([160, 320, 240, 200]), make_moving([80, 4000])
    plain, with_motion = (
        Head.find("one-class", method="gaussian", motion=motion).fit(normal, [0, 0, 0, 1]) for motion in (False, True)
    )
    logs = np.log(np.array([160, 320, 240]) / 1600)
    z = (np.log(4000 / 1600) - logs.mean()) / logs.std()
    expected = np.hypot(plain.score(query), [0, z])
    np.testing.assert_allclose(with_motion.score(query), expected, rtol=1e-3)


def test_one_class_keeps_at_most_rows_windows():
    head = Head.find("one-class", rows=7).fit(make_windows([0, 1] * 50), np.zeros(100))
    assert head.tensors["normal"].shape == (7, DIM)


def test_too_few_training_windows_or_videos_are_refused():
    with pytest.raises(BadInput, match=r"2 or more normal windows .*, got 1"):
        Head.find("one-class").fit(make_windows([0, 1]), [0, 1])
    with pytest.raises(BadInput, match=r"normal windows .*, got 0"):
        Head.find("one-class").fit(make_windows([0, 1]), [-1, -1])
    with pytest.raises(BadInput, match="got 2 and 0"):
        Head.find("mil").fit(HeadInput.concatenate([make_windows([0])] * 3), [0, 0, -1])


def test_mil_ignores_unlabelled_videos():
    inputs, labels = make_videos()
    extended = HeadInput.concatenate([inputs, make_windows([2, 3] * 16, seed=20)])
    groups = np.concatenate([inputs.groups, np.full(32, 12)])
    unknown = HeadInput(extended.embeddings, extended.measures, groups=groups)
    heads = [Head.find("mil", steps=2) for _ in range(2)]
    assert heads[0].fit(unknown, [*labels, -1]).identity == heads[1].fit(inputs, labels).identity


def test_mil_does_not_change_the_global_random_state():
    import torch

    torch.manual_seed(3)
    before = torch.get_rng_state()
    Head.find("mil", steps=2).fit(*make_videos())
    assert torch.equal(torch.get_rng_state(), before)


def test_ranking_loss_equals_a_plain_reference():
    import torch

    from anybind_vad.heads.mil_training import ranking_loss

    normal, abnormal = np.array([[0.1, 0.3], [0.2, 0.0]]), np.array([[0.5, 0.9], [0.1, 0.4]])
    plain = [
        max(0, 1 - max(b) + max(a)) + 8e-5 * (sum((y - x) ** 2 for x, y in pairwise(b)) + sum(b))
        for a, b in zip(normal, abnormal, strict=True)
    ]
    assert float(ranking_loss(torch.tensor(normal), torch.tensor(abnormal))) == pytest.approx(np.mean(plain))


def test_event_rate_is_events_per_pixel_and_step():
    measures = {"events": np.array([0.0, 70]), "steps": np.array([15.0, 7]), "pixels": np.array([100.0, 100])}
    np.testing.assert_allclose(Head.find("event-rate").score(HeadInput({}, measures)), [0, 0.1])
    with pytest.raises(BadInput, match="'pixels'"):
        Head.find("event-rate").score(HeadInput({}, {"events": np.ones(1), "steps": np.ones(1)}))


def test_image_head_is_another_head_on_image_embeddings():
    head = Head.find("image", base="one-class", neighbours=2)
    assert head.needs == ("image",)
    head.fit(make_windows([0, 1] * 10, modality="image"), np.zeros(20))
    scores = head.score(make_windows([0, 2], modality="image", seed=4))
    assert scores[1] > scores[0]


@pytest.mark.parametrize(
    "options", [{"base": "image"}, {"modality": "event"}, {"base": "event-rate"}, {"base": "one-class", "x": 1}]
)
def test_image_head_refuses_heads_without_embeddings_and_unknown_options(options):
    with pytest.raises(BadOption):
        Head.find("image", **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("zero-shot", {"scale": 0}),
        ("one-class", {"method": "far"}),
        ("one-class", {"neighbours": 0}),
        ("one-class", {"rows": 1.5}),
        ("one-class", {"motion": True}),
        ("one-class", {"motion": 1, "method": "gaussian"}),
        ("zero-shot", {"normal": []}),
        ("mil", {"loss": "least"}),
        ("mil", {"steps": 0}),
        ("mil", {"dropout": 1}),
        ("mil", {"rate": 0}),
    ],
)
def test_invalid_options_are_refused(name, options):
    with pytest.raises(BadOption):
        Head.find(name, **options)
