"""Each head on made embeddings: what it scores high, what it refuses, and that batches do not matter."""

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
from anybind_vad.heads.prompts import SHIPPED, read_prompt_set

DIM = 8
WORDS = {"calm": 0, "quiet": 1, "fight": 2, "fire": 3}
"""The coordinate of each word, on which windows of that kind lie."""


class Binder:
    """Embeds sentences by the word in them."""

    def __init__(self, space="made", encoder="words"):
        self.space, self.encoder = Space(space, DIM), encoder

    def embed(self, of, sentences):
        assert of == "text"
        axes = [next(axis for word, axis in WORDS.items() if word in sentence) for sentence in sentences]
        return Embeddings(np.eye(DIM)[axes], self.space, of, tuple(sentences), self.encoder)


def windows(kinds, seed=0, modality="event", encoder="tower", space="made", scale=None, rows=None):
    """Windows that lie about the coordinates of these kinds."""
    random = np.random.default_rng(seed)
    vectors = anybind.normalize(np.eye(DIM)[kinds] + 0.1 * random.normal(size=(len(kinds), DIM)))
    held = Embeddings(vectors, Space(space, DIM), modality, tuple(map(str, kinds)), encoder, scale)
    count = len(kinds) if rows is None else max(rows) + 1
    measures = {"events": np.full(count, 5.0), "frames": np.full(count, 16.0), "pixels": np.full(count, 100.0)}
    return HeadInput({modality: held}, measures, {} if rows is None else {modality: np.array(rows)})


def words_head(**options):
    head = Head.find("zero-shot", **{"normal": ["calm", "quiet"], "abnormal": ["fight", "fire"], **options})
    head.prepare(Binder())
    return head


FITTED = {
    "zero-shot": words_head,
    "nearest": lambda: Head.find("one-class").fit(windows([0, 1] * 20), np.zeros(40)),
    "gaussian": lambda: Head.find("one-class", method="gaussian").fit(windows([0, 1] * 20), np.zeros(40)),
    "motion": lambda: Head.find("one-class", method="gaussian", motion=True).fit(windows([0, 1] * 20), np.zeros(40)),
    "ranking": lambda: Head.find("mil", steps=60).fit(*films()),
    "top-k": lambda: Head.find("mil", steps=60, loss="top-k").fit(*films()),
}


def films():
    """Six normal films, and six with a few windows of a fight."""
    calm = [windows([0, 1] * 16, seed) for seed in range(6)]
    wild = [windows([0, 1] * 8 + [2] * 6 + [1] * 10, seed) for seed in range(6, 12)]
    return HeadInput.concatenate(calm + wild), [0] * 6 + [1] * 6


@pytest.fixture(params=FITTED, scope="module")
def fitted(request):
    return FITTED[request.param]()


def test_abnormal_windows_score_higher_than_any_normal_one(fitted):
    scores = fitted.score(windows([0, 1, 2, 0, 2, 1], seed=99))
    assert scores.dtype == np.float32
    assert scores.min() >= 0
    assert min(scores[[2, 4]]) > max(scores[[0, 1, 3, 5]])


def test_scores_do_not_depend_on_the_batch(fitted):
    together = windows([0, 1, 2, 3] * 10, seed=5)
    rows = together.embeddings["event"]
    measures = {name: values[:1] for name, values in together.measures.items()}
    alone = [HeadInput({"event": rows[place]}, measures) for place in range(len(rows))]
    np.testing.assert_allclose(
        np.concatenate([fitted.score(each) for each in alone]), fitted.score(together), rtol=1e-5
    )


def test_a_window_without_rows_scores_0_and_one_with_several_their_largest(fitted):
    parts = windows([0, 2, 1], rows=[0, 0, 3])
    alone = fitted.score(windows([0, 2, 1]))
    np.testing.assert_allclose(fitted.score(parts), [alone[:2].max(), 0, 0, alone[2]], rtol=1e-5)


def test_films_without_any_events_can_be_scored(fitted):
    measures = {"events": np.zeros(2), "frames": np.full(2, 16.0), "pixels": np.full(2, 100.0)}
    empty = HeadInput({"event": windows([0]).embeddings["event"][:0]}, measures, {"event": np.array([])})
    assert fitted.score(empty).tolist() == [0, 0]


def test_a_saved_head_scores_alike(fitted, tmp_path):
    fitted.save(tmp_path / "head.safetensors")
    again = Head.find(tmp_path / "head.safetensors")
    assert again.identity == fitted.identity
    np.testing.assert_array_equal(again.score(windows([0, 2, 3])), fitted.score(windows([0, 2, 3])))


def test_windows_of_another_space_are_refused(fitted):
    with pytest.raises(SpaceMismatch):
        fitted.score(windows([0], space="other"))


def test_fitting_twice_gives_the_same_head():
    for make in FITTED.values():
        assert make().identity == make().identity


def test_zero_shot_is_the_share_of_the_softmax_at_the_towers_scale():
    held = windows([2, 0], scale=7.0)
    logits = np.exp(7.0 * held.embeddings["event"].vectors.astype(float)[:, :4])
    np.testing.assert_allclose(words_head().score(held), logits[:, 2:].sum(axis=1) / logits.sum(axis=1), rtol=1e-5)
    own = words_head(scale=7.0).score(windows([2, 0], scale=50.0))
    np.testing.assert_allclose(own, words_head().score(held), rtol=1e-6)


def test_zero_shot_wants_its_words_embedded_by_the_same_encoder(tmp_path):
    with pytest.raises(BadOption, match="call prepare"):
        Head.find("zero-shot").score(windows([0]))
    words_head().save(tmp_path / "head.safetensors")
    loaded = Head.find(tmp_path / "head.safetensors")
    loaded.prepare(Binder())
    with pytest.raises(WeightsMismatch, match="of the encoder words, got those of others"):
        loaded.prepare(Binder(encoder="others"))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_prompts_have_both_kinds(name):
    prompts = read_prompt_set(name)
    assert prompts.normal
    assert prompts.abnormal


def test_shipped_prompts_name_the_papers_classes():
    assert len(read_prompt_set("ucf-crime").abnormal) == 13
    assert len(read_prompt_set("xd-violence").abnormal) == 6


def test_prompts_come_from_files_and_can_be_replaced(tmp_path):
    held = {"normal": ["calm"], "abnormal": ["fight"], "templates": ["so {}"]}
    (tmp_path / "own.json").write_text(json.dumps(held))
    (tmp_path / "own.toml").write_text('normal = ["calm"]\nabnormal = ["fight"]\ntemplates = ["so {}"]\n')
    for name in ("own.json", "own.toml"):
        head = Head.find("zero-shot", prompts=str(tmp_path / name), abnormal=["fire"])
        assert [head.settings[key] for key in held] == [["calm"], ["fire"], ["so {}"]]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not valid JSON"),
        ('{"normal": ["a"]}', "lacks the key 'abnormal'"),
        ('{"normal": ["a"], "abnormal": []}', "abnormal is empty"),
        ('{"normal": ["a"], "abnormal": [1]}', "expected a text"),
        ('{"normal": ["a"], "abnormal": ["a"]}', "'a' stands twice"),
        ('{"normal": ["a"], "abnormal": ["b"], "templates": ["x"]}', "needs {}"),
        ('{"normal": ["a"], "abnormal": ["b"], "mood": []}', "unknown key 'mood'"),
    ],
)
def test_prompt_files_that_make_no_sense_are_refused(tmp_path, text, why):
    (tmp_path / "own.json").write_text(text)
    with pytest.raises(BadOption, match=why):
        read_prompt_set(tmp_path / "own.json")


def test_unknown_prompts_are_told_with_those_there_are(tmp_path):
    with pytest.raises(UnknownName, match="'ucf-crime'"):
        read_prompt_set("ucf-crimes")
    with pytest.raises(BadInput, match=r"none\.json"):
        read_prompt_set(tmp_path / "none.json")


def test_one_class_learns_from_normal_windows_alone():
    mixed = windows([0, 2, 1, 3, 0], seed=3)
    marked = Head.find("one-class").fit(mixed, [0, 1, 0, -1, 0])
    rows = mixed.embeddings["event"][[0, 2, 4]]
    alone = Head.find("one-class").fit(HeadInput({"event": rows}), np.zeros(3))
    assert marked.identity == alone.identity


def test_one_class_is_the_mean_distance_to_the_nearest():
    normal, asked = windows([0, 1] * 10), windows([0, 2], seed=7)
    head = Head.find("one-class", neighbours=3).fit(normal, np.zeros(20))
    distances = 1 - asked.embeddings["event"].vectors @ normal.embeddings["event"].vectors.T
    np.testing.assert_allclose(head.score(asked), np.sort(distances, axis=1)[:, :3].mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("count", [3, 40])
def test_gaussian_equals_scikit_learns_ledoit_and_wolf(count):
    normal, asked = windows([0, 1, 2, 3] * (count // 4) + [0] * (count % 4)), windows([0, 2, 5], seed=7)
    head = Head.find("one-class", method="gaussian").fit(normal, np.zeros(count))
    reference = LedoitWolf().fit(normal.embeddings["event"].vectors.astype(float))
    expected = np.sqrt(reference.mahalanobis(asked.embeddings["event"].vectors.astype(float)) / DIM)
    np.testing.assert_allclose(head.score(asked), expected, rtol=1e-4)


def test_motion_counts_in_standard_deviations_where_there_is_more_than_in_normal_windows():
    def moving(events):
        held = windows([0, 1] * (len(events) // 2), seed=len(events))
        return HeadInput(held.embeddings, {**held.measures, "events": np.array(events, float)})

    normal, asked = moving([160, 320, 240, 200]), moving([80, 4000])
    plain, joined = (
        Head.find("one-class", method="gaussian", motion=motion).fit(normal, [0, 0, 0, 1]) for motion in (False, True)
    )
    logs = np.log(np.array([160, 320, 240]) / 1600)
    more = (np.log(4000 / 1600) - logs.mean()) / logs.std()
    expected = np.hypot(plain.score(asked), [0, more])
    np.testing.assert_allclose(joined.score(asked), expected, rtol=1e-3)


def test_one_class_keeps_no_more_than_it_is_told():
    head = Head.find("one-class", rows=7).fit(windows([0, 1] * 50), np.zeros(100))
    assert head.tensors["normal"].shape == (7, DIM)


def test_heads_that_have_too_little_to_learn_from_say_so():
    with pytest.raises(BadInput, match="two normal windows or more to learn from, got 1"):
        Head.find("one-class").fit(windows([0, 1]), [0, 1])
    with pytest.raises(BadInput, match="to learn from, got 0"):
        Head.find("one-class").fit(windows([0, 1]), [-1, -1])
    with pytest.raises(BadInput, match="got 2 and 0"):
        Head.find("mil").fit(HeadInput.concatenate([windows([0])] * 3), [0, 0, -1])


def test_mil_learns_from_known_videos_alone():
    inputs, labels = films()
    more = HeadInput.concatenate([inputs, windows([2, 3] * 16, seed=20)])
    groups = np.concatenate([inputs.groups, np.full(32, 12)])
    unknown = HeadInput(more.embeddings, more.measures, groups=groups)
    heads = [Head.find("mil", steps=2) for _ in range(2)]
    assert heads[0].fit(unknown, [*labels, -1]).identity == heads[1].fit(inputs, labels).identity


def test_mil_leaves_the_chance_of_others_alone():
    import torch

    torch.manual_seed(3)
    before = torch.get_rng_state()
    Head.find("mil", steps=2).fit(*films())
    assert torch.equal(torch.get_rng_state(), before)


def test_ranking_loss_equals_a_plain_count():
    import torch

    from anybind_vad.heads.mil_training import ranking_loss

    normal, abnormal = np.array([[0.1, 0.3], [0.2, 0.0]]), np.array([[0.5, 0.9], [0.1, 0.4]])
    plain = [
        max(0, 1 - max(b) + max(a)) + 8e-5 * (sum((y - x) ** 2 for x, y in pairwise(b)) + sum(b))
        for a, b in zip(normal, abnormal, strict=True)
    ]
    assert float(ranking_loss(torch.tensor(normal), torch.tensor(abnormal))) == pytest.approx(np.mean(plain))


def test_event_rate_is_events_per_pixel_and_frame():
    measures = {"events": np.array([0.0, 80]), "frames": np.array([16.0, 8]), "pixels": np.array([100.0, 100])}
    np.testing.assert_allclose(Head.find("event-rate").score(HeadInput({}, measures)), [0, 0.1])
    with pytest.raises(BadInput, match="'pixels'"):
        Head.find("event-rate").score(HeadInput({}, {"events": np.ones(1), "frames": np.ones(1)}))


def test_the_head_image_asks_another_head_about_pictures():
    head = Head.find("image", of="one-class", neighbours=2)
    assert head.needs == ("image",)
    head.fit(windows([0, 1] * 10, modality="image"), np.zeros(20))
    scores = head.score(windows([0, 2], modality="image", seed=4))
    assert scores[1] > scores[0]


@pytest.mark.parametrize(
    "options", [{"of": "image"}, {"modality": "event"}, {"of": "event-rate"}, {"of": "one-class", "x": 1}]
)
def test_the_head_image_refuses_what_reads_no_pictures(options):
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
def test_options_that_make_no_sense_are_refused(name, options):
    with pytest.raises(BadOption):
        Head.find(name, **options)
