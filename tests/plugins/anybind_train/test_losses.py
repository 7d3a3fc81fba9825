"""The losses: values and gradients against plain transcriptions of the equations, and common properties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind.errors import BadOption, PluginError, UnknownName
from anybind.spec import KindSpec
from anybind_train.loss import Loss, LossSpec, TrainingBatch
from anybind_train.losses.author_code import AuthorContrastiveLoss, AuthorKLLoss, AuthorZeroShotLoss, sinkhorn
from anybind_train.losses.divergence import KLLoss
from anybind_train.losses.pairs import ContrastiveLoss, CosineLoss
from anybind_train.losses.texts import PredictionLoss, ZeroShotLoss
from anybind_train.losses.weighted_sum import PRESETS, LossTerm, WeightedSum

RELATIVE = 1e-6


# The equations as float64 loops. They are analytic, so the derivative by a component is the imaginary part of the
# value at a tiny imaginary step (complex-step differentiation), without the rounding error of a finite difference.


def dot(a: Any, b: Any) -> Any:
    return sum(a[k] * b[k] for k in range(len(a)))


def softmax(logits: list[Any]) -> list[Any]:
    powers = [np.exp(value) for value in logits]
    return [power / sum(powers) for power in powers]


def contrastive(s: Any, z: Any, t: Any, y: Any, tau: float, symmetric: bool = False) -> Any:
    n = len(s)
    loss = -sum(np.log(softmax([dot(s[i], z[j]) / tau for j in range(n)])[i]) for i in range(n)) / n
    if symmetric:
        back = -sum(np.log(softmax([dot(z[i], s[j]) / tau for j in range(n)])[i]) for i in range(n)) / n
        loss = (loss + back) / 2
    return loss


def zero_shot(s: Any, z: Any, t: Any, y: Any, tau: float, target_t: Any = None) -> Any:
    n, m = len(s), len(t)
    target_t = t if target_t is None else target_t
    total = 0
    for i in range(n):
        p = softmax([dot(z[i], target_t[j]) / tau for j in range(m)])
        q = softmax([dot(s[i], t[j]) / tau for j in range(m)])
        total -= sum(p[j] * np.log(q[j]) for j in range(m)) / n
    return total


def zero_shot_label(s: Any, z: Any, t: Any, y: Any, tau: float) -> Any:
    total, labelled = 0, [i for i in range(len(s)) if y[i] >= 0]
    for i in labelled:
        total -= np.log(softmax([dot(s[i], each) / tau for each in t])[y[i]])
        total -= np.log(softmax([dot(z[i], each) / tau for each in t])[y[i]])
    return total / max(1, len(labelled))


def author_contrastive(s: Any, z: Any, t: Any, y: Any, tau: float) -> Any:
    return contrastive(z, s, t, y, tau)


def author_zero_shot(s: Any, z: Any, t: Any, y: Any, tau: float = 2.0, scale: float = 1 / 0.07) -> Any:
    total = 0
    for i in range(len(s)):
        p = softmax([scale * dot(z[i], each) / tau for each in t])
        q = softmax([scale * dot(s[i], each) / tau for each in t])
        total -= sum(p[j] * np.log(q[j]) + q[j] * np.log(p[j]) for j in range(len(t)))
    return tau**2 * total / len(s)


def divergence(p: list[Any], q: list[Any]) -> Any:
    return sum(p[k] * (np.log(p[k]) - np.log(q[k])) for k in range(len(p)))


def kl(s: Any, z: Any, t: Any, y: Any, tau: float, over: str = "dimensions", teacher_first: bool = False) -> Any:
    total = 0
    for i in range(len(s)):
        if over == "dimensions":
            student, teacher = list(s[i] / tau), list(z[i] / tau)
        else:
            keys = t if over == "texts" else z
            student, teacher = ([dot(v[i], key) / tau for key in keys] for v in (s, z))
        p, q = softmax(student), softmax(teacher)
        total += divergence(q, p) if teacher_first else divergence(p, q)
    return total / len(s)


def author_kl(s: Any, z: Any, t: Any, y: Any, tau: float, steps: int) -> Any:
    n = len(s)
    q = [[np.exp(dot(z[i], z[j]) / tau) for j in range(n)] for i in range(n)]
    for _ in range(steps):
        columns = [sum(q[i][j] for i in range(n)) for j in range(n)]
        q = [[q[i][j] / columns[j] for j in range(n)] for i in range(n)]
        q = [[value / sum(row) for value in row] for row in q]
    return sum(divergence(q[i], softmax([dot(z[i], s[j]) / tau for j in range(n)])) for i in range(n)) / n


def prediction(s: Any, z: Any, t: Any, y: Any, tau: float) -> Any:
    labelled = [i for i in range(len(s)) if y[i] >= 0]
    return -sum(np.log(softmax([dot(s[i], each) / tau for each in t])[y[i]]) for i in labelled) / max(1, len(labelled))


def prediction_cosine(s: Any, z: Any, t: Any, y: Any) -> Any:
    labelled = [i for i in range(len(s)) if y[i] >= 0]
    return sum(1 - dot(s[i], t[y[i]]) for i in labelled) / max(1, len(labelled))


def cosine(s: Any, z: Any, t: Any, y: Any) -> Any:
    return sum(1 - dot(s[i], z[i]) for i in range(len(s))) / len(s)


def paper(*batch: Any) -> Any:
    return contrastive(*batch, 1.0) + 0.1 * zero_shot_label(*batch, 2.0) + kl(*batch, 1.0)


def paper_zscl(*batch: Any) -> Any:
    return contrastive(*batch, 1.0) + 0.1 * zero_shot(*batch, 2.0) + kl(*batch, 1.0)


def author_code_mended(*batch: Any) -> Any:
    return author_contrastive(*batch, 0.02) * 2 * 0.02 + 0.1 * author_zero_shot(*batch) + author_kl(*batch, 0.01, 3)


Case = tuple[Loss, Callable[..., Any]]
CASES: dict[str, Case] = {
    "contrastive": (ContrastiveLoss(), lambda *g: contrastive(*g, 1.0)),
    "contrastive, tau 0.05": (ContrastiveLoss(temperature=0.05), lambda *g: contrastive(*g, 0.05)),
    "contrastive, symmetric": (
        ContrastiveLoss(temperature=0.1, symmetric=True),
        lambda *g: contrastive(*g, 0.1, symmetric=True),
    ),
    "zero-shot": (ZeroShotLoss(), lambda *g: zero_shot(*g, 2.0)),
    "zero-shot, multiplied": (
        ZeroShotLoss(temperature=20.0, temperature_means="multiply"),
        lambda *g: zero_shot(*g, 0.05),
    ),
    "zero-shot, label": (ZeroShotLoss(target="label"), lambda *g: zero_shot_label(*g, 2.0)),
    "zero-shot, label, tau 0.1": (
        ZeroShotLoss(target="label", temperature=0.1),
        lambda *g: zero_shot_label(*g, 0.1),
    ),
    "zero-shot, learned tau": (
        ZeroShotLoss(temperature=0.5, learn_temperature=True),
        lambda *g: zero_shot(*g, 0.5),
    ),
    "kl": (KLLoss(), lambda *g: kl(*g, 1.0)),
    "kl, teacher first": (KLLoss(temperature=0.1, first="teacher"), lambda *g: kl(*g, 0.1, teacher_first=True)),
    "kl over texts": (KLLoss(over="texts", temperature=0.05), lambda *g: kl(*g, 0.05, "texts")),
    "kl over texts, teacher first": (
        KLLoss(over="texts", temperature=0.05, first="teacher"),
        lambda *g: kl(*g, 0.05, "texts", teacher_first=True),
    ),
    "kl over the batch": (KLLoss(over="batch", temperature=0.1), lambda *g: kl(*g, 0.1, "batch")),
    "author-kl": (AuthorKLLoss(), lambda *g: author_kl(*g, 0.01, 3)),
    "author-contrastive": (AuthorContrastiveLoss(), lambda *g: author_contrastive(*g, 0.02)),
    "author-zero-shot": (AuthorZeroShotLoss(), author_zero_shot),
    "prediction": (PredictionLoss(), lambda *g: prediction(*g, 0.01)),
    "prediction, tau 1": (PredictionLoss(temperature=1.0), lambda *g: prediction(*g, 1.0)),
    "prediction, cosine": (PredictionLoss(cosine=True), prediction_cosine),
    "cosine": (CosineLoss(), cosine),
}


def draw_unit_vectors(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    vectors = random.normal(size=(rows, columns))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def make_random_batch(seed: int, n: int = 6, m: int = 5, d: int = 8) -> TrainingBatch:
    random = np.random.default_rng(seed)
    student, teacher, texts = (torch.from_numpy(draw_unit_vectors(random, rows, d)) for rows in (n, n, m))
    labels = torch.from_numpy(random.integers(-1, m, n))
    return TrainingBatch(student, teacher, texts, labels, student, teacher, texts)  # raw ones too: gradients add up


def move_teachers_closer(batch: TrainingBatch) -> TrainingBatch:
    """Move the teachers so close to each other that their softmax is not one-hot even at tau 0.01."""
    teacher = torch.nn.functional.normalize(batch.teacher + 8)
    return replace(batch, teacher=teacher, raw_teacher=teacher)


def get_arrays(batch: TrainingBatch) -> list[Any]:
    return [field.detach().numpy() for field in (batch.student, batch.teacher, batch.texts, batch.labels)]


def differentiate(equation: Callable[..., Any], arrays: list[Any], argument: int) -> np.ndarray:
    """Differentiate an equation by each component of one of its arrays."""
    step = 1e-30
    gradient = np.zeros(arrays[argument].shape)
    for index in np.ndindex(gradient.shape):
        shifted = arrays[argument].astype(complex)
        shifted[index] += 1j * step
        gradient[index] = np.imag(equation(*arrays[:argument], shifted, *arrays[argument + 1 :])) / step
    return gradient


def compute_gradient(loss: Loss, batch: TrainingBatch) -> tuple[torch.Tensor, torch.Tensor]:
    student = batch.student.clone().requires_grad_()
    raw = student if batch.raw_student is batch.student else batch.raw_student
    value = loss(replace(batch, student=student, raw_student=raw))
    value.backward()
    assert value.shape == ()
    assert value.dtype == batch.student.dtype
    assert student.grad is not None
    return value.detach(), student.grad


def assert_equals_its_equation(loss: Loss, equation: Callable[..., Any], batch: TrainingBatch) -> None:
    value, gradient = compute_gradient(loss, batch)
    arrays = get_arrays(batch)
    np.testing.assert_allclose(value.item(), equation(*arrays), rtol=RELATIVE, atol=1e-14)
    np.testing.assert_allclose(gradient.numpy(), differentiate(equation, arrays, 0), rtol=RELATIVE, atol=1e-12)


SIZES: dict[str, Any] = {
    "seed": st.integers(0, 2**32 - 1),
    "n": st.integers(1, 6),
    "m": st.integers(1, 5),
    "d": st.integers(1, 7),
}


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=25, deadline=None, database=None, derandomize=True)
@given(**SIZES)
def test_a_loss_and_its_gradient_equal_the_equation(case: str, seed: int, n: int, m: int, d: int) -> None:
    assert_equals_its_equation(*CASES[case], make_random_batch(seed, n, m, d))


LOSSES = {
    "author-contrastive": "author_code:AuthorContrastiveLoss",
    "author-kl": "author_code:AuthorKLLoss",
    "author-zero-shot": "author_code:AuthorZeroShotLoss",
    "contrastive": "pairs:ContrastiveLoss",
    "cosine": "pairs:CosineLoss",
    "kl": "divergence:KLLoss",
    "prediction": "texts:PredictionLoss",
    "zero-shot": "texts:ZeroShotLoss",
}


@pytest.fixture
def registered(registry: Any, add_plugin: Callable[..., None]) -> None:
    specs = [LossSpec(name=name, summary=name, target=f"anybind_train.losses.{path}") for name, path in LOSSES.items()]
    invalid = LossSpec(name="invalid", summary="not a loss", target="fractions:Fraction")
    loss = KindSpec(
        name="loss", plural="losses", summary="s", target="anybind_train.loss:Loss", spec="anybind_train.loss:LossSpec"
    )
    add_plugin(registry, loss, *specs, invalid)


@pytest.mark.parametrize(
    ("preset", "equation"),
    [("paper", paper), ("paper-zscl", paper_zscl), ("author-code-mended", author_code_mended)],
)
def test_each_preset_and_its_gradient_equal_the_equation(
    registered: None, preset: str, equation: Callable[..., Any]
) -> None:
    losses = WeightedSum.from_recipe(preset)
    for seed in range(5):
        batch = make_random_batch(seed, n=6, m=4, d=6)
        assert_equals_its_equation(losses, equation, batch)
        assert_equals_its_equation(losses, equation, move_teachers_closer(batch))


@pytest.mark.parametrize(
    ("loss", "equation"),
    [
        (PredictionLoss(temperature=0.1), lambda *g: prediction(*g, 0.1)),
        (PredictionLoss(cosine=True), prediction_cosine),
        (ZeroShotLoss(target="label", temperature=0.1), lambda *g: zero_shot_label(*g, 0.1)),
        (ZeroShotLoss(temperature=0.1), lambda s, z, t, y, fixed: zero_shot(s, z, t, y, 0.1, target_t=fixed)),
    ],
)
def test_learned_texts_get_the_gradient_of_the_equation_with_a_constant_target(
    loss: Loss, equation: Callable[..., Any]
) -> None:
    batch = make_random_batch(3)
    texts = batch.texts.clone().requires_grad_()
    loss(replace(batch, texts=texts)).backward()
    arrays = get_arrays(batch)
    if isinstance(loss, ZeroShotLoss) and loss.target == "teacher":
        arrays.append(arrays[2])
    np.testing.assert_allclose(texts.grad.numpy(), differentiate(equation, arrays, 2), rtol=RELATIVE, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_the_loss_does_not_depend_on_the_order_of_the_batch(case: str) -> None:
    loss, batch = CASES[case][0], make_random_batch(0)
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    student, teacher = batch.student[order], batch.teacher[order]
    shuffled = TrainingBatch(student, teacher, batch.texts, batch.labels[order], student, teacher, batch.texts)
    torch.testing.assert_close(loss(shuffled), loss(batch), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_a_teacher_gets_no_gradient(case: str) -> None:
    batch = make_random_batch(1)
    student, teacher = (vectors.clone().requires_grad_() for vectors in (batch.student, batch.teacher))
    CASES[case][0](
        replace(batch, student=student, teacher=teacher, raw_student=student, raw_teacher=teacher)
    ).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


MINIMISED_BY_TEACHER = [
    case for case in CASES if case.startswith(("zero-shot", "kl", "cosine")) and "label" not in case
]


@pytest.mark.parametrize("case", MINIMISED_BY_TEACHER)
def test_a_student_equal_to_its_teacher_is_the_minimum(case: str) -> None:
    loss = CASES[case][0]
    for seed in range(20):
        batch = make_random_batch(seed)
        assert loss(replace(batch, student=batch.teacher)) <= loss(batch)
    minimum, gradient = compute_gradient(loss, replace(batch, student=batch.teacher))
    if case != "cosine":  # its gradient there is along the embeddings, which have norm 1
        assert gradient.abs().max() < 1e-12
    if not case.startswith("zero-shot"):
        assert abs(minimum.item()) < 1e-12


@pytest.mark.parametrize("symmetric", [False, True])
def test_matching_partners_have_the_lowest_contrastive_loss(symmetric: bool) -> None:
    batch = make_random_batch(2)
    loss = ContrastiveLoss(symmetric=symmetric)
    matching = loss(replace(batch, student=batch.teacher))
    for shift in range(1, 6):
        assert matching < loss(replace(batch, student=batch.teacher.roll(shift, dims=0)))


def test_infonce_of_equal_embeddings_is_the_logarithm_of_their_number() -> None:
    same = torch.ones(7, 4, dtype=torch.float64) / 2
    assert ContrastiveLoss(temperature=0.3)(TrainingBatch(same, same)).item() == pytest.approx(np.log(7), rel=1e-12)


USING_LABELS = [PredictionLoss(), PredictionLoss(cosine=True), ZeroShotLoss(target="label")]


@pytest.mark.parametrize("loss", USING_LABELS, ids=["softmax", "cosine", "zero-shot"])
def test_samples_without_a_label_have_no_effect_and_no_gradient(loss: Loss) -> None:
    batch = make_random_batch(4)
    batch = replace(batch, labels=torch.tensor([2, -1, 0, 1, -1, 3]))
    labelled = batch.labels >= 0
    subset = TrainingBatch(batch.student[labelled], batch.teacher[labelled], batch.texts, batch.labels[labelled])
    value, gradient = compute_gradient(loss, batch)
    torch.testing.assert_close(value, loss(subset), rtol=1e-12, atol=0)
    assert (gradient[~labelled] == 0).all()
    assert (gradient[labelled].abs().sum(1) > 0).all()


@pytest.mark.parametrize("loss", USING_LABELS, ids=["softmax", "cosine", "zero-shot"])
def test_a_batch_without_labels_has_loss_0_and_no_gradient(loss: Loss) -> None:
    value, gradient = compute_gradient(loss, replace(make_random_batch(5), labels=torch.full((6,), -1)))
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("case", CASES)
def test_float32_equals_float64(case: str) -> None:
    loss, batch = CASES[case][0], make_random_batch(6)
    student = batch.student.float()
    single = replace(
        batch, student=student, raw_student=student
    )  # the other fields are cast to the student's precision
    value, gradient = compute_gradient(loss, single)
    expected, expected_gradient = compute_gradient(loss, batch)
    torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-6)
    scale = expected_gradient.abs().max().item()
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-3, atol=1e-4 * scale)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("sign", [1, -1])
def test_float32_does_not_overflow(case: str, sign: int) -> None:
    batch = make_random_batch(7)
    student = sign * batch.teacher
    single = [vectors.float() for vectors in (student, batch.teacher, batch.texts)]
    value, gradient = compute_gradient(CASES[case][0], TrainingBatch(*single, batch.labels, *single))
    assert value.isfinite()
    assert gradient.isfinite().all()


def test_sinkhorn_normalises_rows_and_approaches_normalised_columns() -> None:
    logits = torch.randn(9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    errors = []
    for steps in (1, 3, 30):
        normalised = sinkhorn(logits, steps).exp()
        torch.testing.assert_close(normalised.sum(1), torch.ones(9, dtype=torch.float64))
        errors.append((normalised.sum(0) - 1).abs().max().item())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-3


@pytest.mark.parametrize(
    ("loss_class", "options", "message"),
    [
        (ContrastiveLoss, {"temperature": 0}, "temperature: expected a number above 0, got 0"),
        (ContrastiveLoss, {"temperature": float("nan")}, "temperature: expected a number above 0, got nan"),
        (ContrastiveLoss, {"temperature": "1"}, "temperature: expected a number above 0, got '1'"),
        (ContrastiveLoss, {"symmetric": 1}, "symmetric: expected true or false, got 1"),
        (ZeroShotLoss, {"temperature": True}, "temperature: expected a number above 0, got True"),
        (ZeroShotLoss, {"target": "labels"}, "did you mean 'label'"),
        (ZeroShotLoss, {"learn_temperature": 1}, "learn_temperature: expected true or false, got 1"),
        (ZeroShotLoss, {"temperature_means": "divides"}, "did you mean 'divide'"),
        (KLLoss, {"over": "text"}, "did you mean 'texts'"),
        (KLLoss, {"first": "image"}, "first: expected one of student, teacher, got 'image'"),
        (AuthorKLLoss, {"sinkhorn": 1.5}, "sinkhorn: expected a number of steps, 1 or more, got 1.5"),
        (AuthorKLLoss, {"sinkhorn": 0}, "sinkhorn: expected a number of steps, 1 or more, got 0"),
        (AuthorZeroShotLoss, {"scale": 0}, "scale: expected a number above 0, got 0"),
        (PredictionLoss, {"cosine": True, "temperature": 0.1}, "cosine = true has no temperature"),
    ],
)
def test_an_invalid_option_is_rejected(loss_class: type[Loss], options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message) as caught:
        loss_class(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", CASES)
def test_a_batch_without_a_needed_field_is_rejected(case: str) -> None:
    loss = CASES[case][0]
    assert loss.needs
    for name in loss.needs:
        with pytest.raises(BadOption, match=f"a loss needs '{name}' in every batch"):
            loss(replace(make_random_batch(0), **{name: None}))


@pytest.mark.parametrize("case", CASES)
def test_a_loss_reads_only_the_fields_that_it_needs(case: str) -> None:
    loss, batch = CASES[case][0], make_random_batch(0)
    optional = [field.name for field in fields(TrainingBatch)][1:]
    unused = {name: None for name in optional if name not in loss.needs}
    assert torch.equal(loss(replace(batch, **unused)), loss(batch))


@pytest.mark.parametrize("case", CASES)
def test_only_losses_that_compare_rows_have_no_gradient_for_one_sample(case: str) -> None:
    loss = CASES[case][0]
    batch = replace(make_random_batch(8, n=1), labels=torch.tensor([1]))
    assert bool(compute_gradient(loss, batch)[1].abs().max() == 0) == loss.compares_rows


def test_the_weighted_sum_is_built_from_recipe_tables(registered: None) -> None:
    tables = [
        {"use": "contrastive", "temperature": 0.07, "weight": 2},
        {"use": "kl", "space": "own"},
        {"use": "kl", "over": "texts", "weight": 0.5},
    ]
    losses, batch, own = WeightedSum.from_recipe(tables), make_random_batch(9), make_random_batch(10)
    values = losses.compute_terms({"common": batch, "own": own})
    assert list(values) == ["contrastive", "kl", "kl 2"]
    assert losses.terms[1:] == (LossTerm("kl", space="own"), LossTerm("kl", 0.5, {"over": "texts"}))
    first, last = 2 * ContrastiveLoss(temperature=0.07)(batch), 0.5 * KLLoss(over="texts")(batch)
    torch.testing.assert_close(losses.sum_terms(values), first + KLLoss()(own) + last, rtol=1e-12, atol=0)
    torch.testing.assert_close(losses(batch), first + KLLoss()(batch) + last, rtol=1e-12, atol=0)
    assert losses.needs == ("teacher", "texts")
    assert losses.compares_rows
    assert not WeightedSum([LossTerm("cosine"), LossTerm("prediction")]).compares_rows


def test_the_presets_have_the_weights_of_the_paper_and_of_the_authors_code() -> None:
    assert {name: [(term.use, term.weight) for term in terms] for name, terms in PRESETS.items()} == {
        "paper": [("contrastive", 1.0), ("zero-shot", 0.1), ("kl", 1.0)],
        "paper-zscl": [("contrastive", 1.0), ("zero-shot", 0.1), ("kl", 1.0)],
        "author-code": [("author-contrastive", 0.04), ("author-zero-shot", 0.1), ("author-kl", 1.0)],
        "author-code-mended": [("author-contrastive", 0.04), ("author-zero-shot", 0.1), ("author-kl", 1.0)],
    }


@pytest.mark.parametrize(
    ("losses", "error", "message"),
    [
        ("papers", BadOption, "losses: unknown preset 'papers'; did you mean 'paper'"),
        (3, BadOption, "the name of a preset or tables"),
        ([], BadOption, "at least one loss"),
        ([{"use": "kl", "weight": 0}], BadOption, "at least one loss with a weight above 0"),
        ([{"use": "kl"}, {"weight": 1}], BadOption, r"\[\[losses\]\] 2 lacks the key 'use'"),
        (["kl"], BadOption, r"\[\[losses\]\] 1: expected a table"),
        ([{"use": ["kl"]}], BadOption, "use: expected the name of a loss"),
        ([{"use": "kl", "weight": -1}], BadOption, r"1 \(kl\): weight: expected a number, 0 or more, got -1"),
        ([{"use": "kl", "weight": float("inf")}], BadOption, "weight: expected a number"),
        ([{"use": "kl", "space": "text"}], BadOption, r"1 \(kl\): space: expected common or own, got 'text'"),
        ([{"use": "kl", "tau": 1}], BadOption, r"1 \(kl\): loss 'kl': .*'tau'.*options: over, temperature"),
        ([{"use": "kl", "temperature": -1}], BadOption, r"1 \(kl\): temperature: expected a number above 0, got -1"),
        ([{"use": "contrast"}], UnknownName, "no loss 'contrast'; did you mean 'contrastive'"),
        ([{"use": "invalid"}], PluginError, "loss 'invalid' of test-dist: expected a Loss, got Fraction"),
    ],
)
def test_invalid_losses_of_a_recipe_are_rejected(
    registered: None, losses: Any, error: type[anybind.AnybindError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        WeightedSum.from_recipe(losses)
    assert "\n" not in str(caught.value)
