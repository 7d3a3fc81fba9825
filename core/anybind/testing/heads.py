"""Checks of heads, on random embeddings of two classes of samples."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from anybind.embeddings import Embeddings, normalize
from anybind.errors import BadOption, SpaceMismatch, WeightsMismatch
from anybind.head import Head, HeadInput
from anybind.spec import HeadTarget
from anybind.testing.assertions import (
    BATCH_TOLERANCE,
    SAME_TOLERANCE,
    assert_array,
    assert_close,
    assert_hash,
    assert_json,
    assert_refused,
    assert_spec,
    assert_texts,
)
from anybind.testing.checks import Case, Checks, computed_once
from anybind.testing.random_encoder import get_binder

CHECKS = Checks()
SAMPLES, GROUPS, QUERIES = 24, 4, 3
CLASS_NAMES = ("normal", "abnormal")


def make_embeddings(case: Case[Head], modality: str, labels: np.ndarray, seed: int) -> Embeddings:
    """Make unit vectors in the binding's space, (n, d), around one centre per label, (n,)."""
    space = get_binder(case).space(modality)
    vectors = np.random.default_rng(seed).standard_normal((len(labels), space.dim)) + 3.0 * labels[:, None]
    ids = tuple(f"sample {number}" for number in range(len(labels)))
    return Embeddings(normalize(vectors), space, modality, ids, get_binder(case).identity(modality))


def make_inputs(case: Case[Head], seed: int) -> tuple[HeadInput, np.ndarray]:
    """Make samples in groups, and their labels, (n,): 1 in the second half of every other group."""
    random, size = np.random.default_rng(seed), SAMPLES // GROUPS
    groups, positions = np.divmod(np.arange(SAMPLES), size)
    labels = ((groups % 2 == 1) & (positions >= size // 2)).astype(np.int64)
    modalities = case.part.needs or get_binder(case).modalities[:1]
    embeddings = {each: make_embeddings(case, each, labels, seed) for each in modalities}
    measures = {name: random.integers(1, 1000, SAMPLES) * (1.0 + labels) for name in case.example.measures}
    return HeadInput(embeddings, measures, groups=groups), labels


def make_queries(case: Case[Head]) -> Embeddings | None:
    """Make the queries of a ranking head; None for any other."""
    if case.part.predicts != "ranking":
        return None
    modality = (case.part.needs or get_binder(case).modalities)[0]
    return make_embeddings(case, modality, np.arange(QUERIES) % 2, seed=7)


def fit_head(case: Case[Head], seed: int = 0) -> Head:
    """Prepare and fit a copy of the head."""
    head = copy.deepcopy(case.part)
    head.prepare(get_binder(case))
    inputs, labels = make_inputs(case, seed)
    if head.learns == "groups":
        labels = np.array([labels[inputs.groups == group].max() for group in range(GROUPS)])
    return head.fit(inputs, labels, CLASS_NAMES if head.predicts == "classification" else ())


@computed_once
def get_fitted_head(case: Case[Head]) -> Head:
    """Return the head, fitted."""
    return fit_head(case)


@computed_once
def get_scores(case: Case[Head]) -> np.ndarray:
    """Return scores of other samples than those of the fit."""
    return score_samples(case, get_fitted_head(case))


@computed_once
def get_scored_inputs(case: Case[Head]) -> HeadInput:
    """Return the samples to score."""
    return make_inputs(case, seed=99)[0]


def score_samples(case: Case[Head], head: Head, **changes: object) -> np.ndarray:
    """Score the samples, with some fields of `HeadInput` changed."""
    return head.score_unchecked(replace(get_scored_inputs(case), **changes), make_queries(case))


def select_samples(inputs: HeadInput, chosen: Sequence[int]) -> HeadInput:
    """Select samples; each has one row."""
    rows = list(chosen)
    measures = {name: values[rows] for name, values in inputs.measures.items()}
    return HeadInput({of: each[rows] for of, each in inputs.embeddings.items()}, measures, groups=inputs.groups[rows])


def reads_embeddings(case: Case[Head]) -> bool:
    """Return whether the head reads embeddings of given modalities."""
    return bool(case.part.needs)


@CHECKS.add("set `name`, `predicts` and `learns` in the class, and pass `needs` and `settings` to super().__init__")
def check_declarations(case: Case[Head]) -> None:
    head, targets = case.part, HeadTarget.__args__
    assert_texts(head, "name", "predicts")
    assert head.predicts in targets, f"predicts is not one of {', '.join(targets)}"
    assert_spec(case.spec, predicts=head.predicts)
    assert head.learns in ("nothing", "samples", "groups"), f"learns is {head.learns!r}"
    assert isinstance(head.needs, tuple), f"needs is {head.needs!r}"
    assert_json(head.settings, "settings")


@CHECKS.add(f"make `fit_tensors` and `compute_scores` work on {SAMPLES} samples in {GROUPS} groups")
def check_fits_and_scores(case: Case[Head]) -> None:
    head = fit_head(case)
    assert isinstance(head, Head), f"fit returns a {type(head).__name__}, not the head"
    score_samples(case, head)


@CHECKS.add(
    "return (n, classes) for classification, (n,) for anomaly and (queries, n) for ranking from `compute_scores`"
)
def check_score_shape(case: Case[Head]) -> None:
    shapes = {
        "classification": (SAMPLES, len(get_fitted_head(case).classes)),
        "anomaly": (SAMPLES,),
        "ranking": (QUERIES, SAMPLES),
    }
    assert_array(get_scores(case), "score", *shapes[case.part.predicts])


@CHECKS.add("fix divisions by zero and overflows; make the scores of an anomaly head 0 or more")
def check_score_range(case: Case[Head]) -> None:
    valid = np.isfinite(get_scores(case))
    if case.part.predicts == "anomaly":
        valid &= get_scores(case) >= 0
    assert valid.all(), f"scores are {get_scores(case)[~valid][:3].tolist()}"


@CHECKS.add(
    "score samples independently in `compute_scores`",
    applies=lambda case: case.part.predicts != "ranking",
)
def check_batch_invariance(case: Case[Head]) -> None:
    inputs = get_scored_inputs(case)
    alone = [get_fitted_head(case).score_unchecked(select_samples(inputs, [number])) for number in range(SAMPLES)]
    what = "each sample alone and all in one input"
    assert_close(np.concatenate(alone), get_scores(case), BATCH_TOLERANCE, what, relative=True)


@CHECKS.add(
    "score queries independently in `compute_scores`",
    applies=lambda case: case.part.predicts == "ranking",
)
def check_query_invariance(case: Case[Head]) -> None:
    queries = make_queries(case)
    assert queries is not None
    alone = [
        get_fitted_head(case).score_unchecked(get_scored_inputs(case), queries[[number]]) for number in range(QUERIES)
    ]
    assert_close(
        np.concatenate(alone), get_scores(case), BATCH_TOLERANCE, "each query alone and all at once", relative=True
    )


@CHECKS.add("inherit `score`: it raises BadInput without queries", applies=lambda case: case.part.predicts == "ranking")
def check_requires_queries(case: Case[Head]) -> None:
    assert_refused(lambda: get_fitted_head(case).score(get_scored_inputs(case)), "ranking without queries")


@CHECKS.add(
    "return scores in the order of the class names from `compute_scores`",
    applies=lambda case: case.part.predicts == "classification" and case.part.learns == "samples",
)
def check_learns_the_classes(case: Case[Head]) -> None:
    head, (inputs, labels) = get_fitted_head(case), make_inputs(case, seed=0)
    assert head.classes == CLASS_NAMES, f"fitted for the classes {CLASS_NAMES}, it has {head.classes}"
    correct = head.score_unchecked(inputs).argmax(axis=1) == labels
    accuracy = float(np.mean([correct[labels == number].mean() for number in range(len(CLASS_NAMES))]))
    assert accuracy > 0.5, f"its balanced accuracy is {accuracy:.0%} on the separable samples of its fit"


@CHECKS.add(
    "return 0 for a sample without rows: `HeadInput.max_by_sample` does",
    applies=lambda case: case.part.predicts == "anomaly" and reads_embeddings(case),
)
def check_no_rows_score_zero(case: Case[Head]) -> None:
    inputs = get_scored_inputs(case)
    embeddings = {of: each[1:] for of, each in inputs.embeddings.items()}
    rows = dict.fromkeys(embeddings, np.arange(1, SAMPLES))
    first = get_fitted_head(case).score_unchecked(HeadInput(embeddings, inputs.measures, rows, inputs.groups))[0]
    assert first == 0, f"a sample without rows has the score {first}"


@CHECKS.add("take all randomness of `fit_tensors` from a seed among the options")
def check_fit_is_deterministic(case: Case[Head]) -> None:
    again = fit_head(case)
    assert again.identity == get_fitted_head(case).identity, "fitted twice on the same samples, its identity differs"
    assert_close(score_samples(case, again), get_scores(case), SAME_TOLERANCE, "fitted twice on the same samples")


@CHECKS.add("return everything that is fitted from `fit_tensors`, so that `identity` and `save` cover it")
def check_identity(case: Case[Head]) -> None:
    assert_hash(get_fitted_head(case).identity, "identity")
    if case.part.learns != "nothing":
        other = fit_head(case, seed=50)
        same = np.array_equal(score_samples(case, other), get_scores(case))
        changed = other.identity != get_fitted_head(case).identity
        assert same or changed, "fitted on other samples, it has other scores and the same identity"


@CHECKS.add("return everything that is fitted from `fit_tensors`; inherit `save` and `load`")
def check_save_and_load(case: Case[Head]) -> None:
    path = case.folder / "head.safetensors"
    get_fitted_head(case).save(path)
    loaded = copy.deepcopy(case.part).load(path)
    assert loaded.identity == get_fitted_head(case).identity, "after load the identity differs"
    assert_close(score_samples(case, loaded), get_scores(case), SAME_TOLERANCE, "before save and after load")


@CHECKS.add("inherit `score`: it raises BadOption", applies=lambda case: case.part.learns != "nothing")
def check_refuses_to_score_unfitted(case: Case[Head]) -> None:
    unfitted = copy.deepcopy(case.part)
    assert_refused(
        lambda: unfitted.score(get_scored_inputs(case), make_queries(case)), "scoring without a fit", BadOption
    )


@CHECKS.add("list in `needs` every modality that `compute_scores` reads", applies=reads_embeddings)
def check_refuses_missing_embeddings(case: Case[Head]) -> None:
    fitted = get_fitted_head(case)
    assert_refused(lambda: score_samples(case, fitted, embeddings={}, rows={}), "samples without embeddings")


@CHECKS.add("inherit `fit` and `score`, or compare with `@`: they check space and encoder", applies=reads_embeddings)
def check_refuses_other_embeddings(case: Case[Head]) -> None:
    fitted, given = get_fitted_head(case), get_scored_inputs(case).embeddings
    space = replace(get_binder(case).space(case.part.needs[0]), name="some-other-space")
    changes: dict[str, dict[str, object]] = {"another space": {"space": space}, "another encoder": {"encoder": "other"}}
    for what, changed in list(changes.items())[: 1 if case.part.learns == "nothing" else 2]:
        other = {modality: replace(each, **changed) for modality, each in given.items()}
        attempt = functools.partial(score_samples, case, fitted, embeddings=other)
        assert_refused(attempt, f"embeddings of {what}", (WeightsMismatch, SpaceMismatch))
