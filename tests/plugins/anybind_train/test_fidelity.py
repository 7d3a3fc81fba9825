"""Statements of the paper about its losses and updates, and facts about the authors' code, as numbers.

Vectors like CLIP's are drawn here: n 32, d 512, 80 texts, cosines .52 between images and .23 between images and texts,
raw event norm 10. Cosines .66 between texts and .75 between an event and its image, and raw norm 10 of images and texts
are our choices: the gradient of Eq. 3 as printed depends on the first of them alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from anybind.errors import BadOption
from anybind_train.loss import TrainingBatch
from anybind_train.losses.author_code import AuthorContrastiveLoss, AuthorKLLoss, AuthorZeroShotLoss
from anybind_train.losses.pairs import ContrastiveLoss
from anybind_train.losses.texts import PredictionLoss, ZeroShotLoss
from anybind_train.optimise import MomentumTarget, make_optimiser, scale_learning_rate
from anybind_train.recipe import OptimiserConfig, Recipe

pytestmark = pytest.mark.torch
N, D, M = 32, 512, 80
IMAGE_IMAGE, IMAGE_TEXT, TEXT_TEXT, EVENT_IMAGE = 0.52, 0.23, 0.66, 0.75
NORM = 10.0
SEEDS = range(20)


def draw_batch(seed: int) -> TrainingBatch:
    """Draw a batch in float64: all images share a direction, all texts another, which share a part."""
    generator = torch.Generator().manual_seed(seed)

    def draw(rows: int) -> torch.Tensor:
        return normalize(torch.randn(rows, D, generator=generator, dtype=torch.float64))

    shared, of_texts = torch.linalg.qr(draw(2).T)[0].T
    images = normalize(math.sqrt(IMAGE_IMAGE) * shared + math.sqrt(1 - IMAGE_IMAGE) * draw(N))
    part = IMAGE_TEXT / math.sqrt(IMAGE_IMAGE)
    common = part * shared + math.sqrt(TEXT_TEXT - part**2) * of_texts
    texts = normalize(common + math.sqrt(1 - TEXT_TEXT) * draw(M))
    events = NORM * normalize(EVENT_IMAGE * images + math.sqrt(1 - EVENT_IMAGE**2) * draw(N))
    labels = torch.randint(M, (N,), generator=generator)
    return TrainingBatch(normalize(events), images, texts, labels, events, NORM * images, NORM * texts)


def compute_raw_gradient(loss: Callable[[TrainingBatch], torch.Tensor], batch: TrainingBatch) -> torch.Tensor:
    """Compute the gradient by the raw event embeddings, through their normalisation."""
    assert batch.raw_student is not None
    raw = batch.raw_student.clone().requires_grad_()
    loss(replace(batch, student=normalize(raw), raw_student=raw)).backward()
    assert raw.grad is not None
    return raw.grad


def compute_mean_norm(loss: Callable[[TrainingBatch], torch.Tensor]) -> float:
    norms = [float(compute_raw_gradient(lambda batch: 0.1 * loss(batch), draw_batch(seed)).norm()) for seed in SEEDS]
    return sum(norms) / len(norms)


def test_the_drawn_vectors_have_the_stated_cosines():
    batch = draw_batch(0)
    images, texts = batch.teacher, batch.texts
    assert images is not None
    assert texts is not None
    between = (images @ images.T)[~torch.eye(N, dtype=torch.bool)]
    assert between.mean().item() == pytest.approx(IMAGE_IMAGE, abs=0.01)
    assert (images @ texts.T).mean().item() == pytest.approx(IMAGE_TEXT, abs=0.01)
    assert (texts @ texts.T)[~torch.eye(M, dtype=torch.bool)].mean().item() == pytest.approx(TEXT_TEXT, abs=0.01)
    assert (batch.student * images).sum(1).mean().item() == pytest.approx(EVENT_IMAGE, abs=0.01)


def test_gradient_norms_of_the_readings_of_eq_3():
    assert compute_mean_norm(ZeroShotLoss(target="label")) == pytest.approx(5.1e-4, rel=0.02)
    assert compute_mean_norm(ZeroShotLoss()) == pytest.approx(5.4e-7, rel=0.1)
    assert compute_mean_norm(AuthorZeroShotLoss()) == pytest.approx(8.5, rel=0.1)


def test_eq_3_as_printed_has_the_gradient_of_the_prediction_loss_and_the_image_half_in_its_value():
    batch = draw_batch(0)
    eq_3, prediction = ZeroShotLoss(target="label"), PredictionLoss(temperature=2.0)
    gradients = [compute_raw_gradient(loss, batch) for loss in (eq_3, prediction)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=0)
    assert batch.teacher is not None
    image_half = prediction(replace(batch, student=batch.teacher))
    torch.testing.assert_close(eq_3(batch), prediction(batch) + image_half, rtol=1e-12, atol=0)


def test_the_authors_l_ct_has_no_gradient_and_the_mended_one_has():
    batch = draw_batch(0)
    student = batch.student.clone().requires_grad_()
    published = AuthorContrastiveLoss(gradient=False)(replace(batch, student=student))
    assert not published.requires_grad
    mended = AuthorContrastiveLoss()(replace(batch, student=student))
    torch.testing.assert_close(published, mended.detach(), rtol=0, atol=0)
    assert torch.autograd.grad(mended, student)[0].norm() > 0


def test_the_authors_l_ct_has_the_images_as_queries():
    batch = draw_batch(1)
    assert batch.teacher is not None
    swapped = replace(batch, student=batch.teacher, teacher=batch.student)
    loss, others = AuthorContrastiveLoss(temperature=0.5), ContrastiveLoss(temperature=0.5)
    torch.testing.assert_close(loss(batch), others(swapped), rtol=1e-12, atol=0)
    assert abs(loss(batch) - others(batch)) > 1e-4


def test_the_authors_l_kl_is_nan_in_float32_and_equals_the_mended_one_without_overflow():
    batch = draw_batch(0)
    assert AuthorKLLoss(in_logarithms=False)(batch).isnan()
    assert AuthorKLLoss()(batch).isfinite()
    literal, mended = (AuthorKLLoss(temperature=0.05, in_logarithms=flag)(batch) for flag in (False, True))
    torch.testing.assert_close(literal, mended, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("temperature", "untrainable"), [(0.01, True), (0.0112, True), (0.0113, False), (1.0, False)])
def test_l_kl_is_untrainable_where_the_exponential_of_cosine_1_overflows(temperature, untrainable):
    loss = AuthorKLLoss(temperature=temperature, in_logarithms=False)
    assert bool(loss.untrainable) == untrainable
    apart = torch.eye(3)
    assert bool(loss(TrainingBatch(apart, apart)).isnan()) == untrainable


def test_training_with_the_authors_loss_stops_at_once_and_says_why(command, tmp_path):
    result = command("losses=author-code", data=tmp_path / "absent")  # before any data is read
    error = result.error()
    assert "author-kl cannot train: it is NaN" in error
    assert "exp(1 / 0.01), which overflows float32" in error
    assert "author-code-mended" in error


def test_the_momentum_target_is_eq_4():
    generator = torch.Generator().manual_seed(0)
    start, target, gradient = torch.randn(3, 4, 5, generator=generator, dtype=torch.float64)
    parameter = nn.Parameter(start.clone())
    optimiser = MomentumTarget([parameter], lr=0.3, momentum=0.9)
    optimiser.set_targets({parameter: target})
    expected = start
    for scale in (1.0, -2.0, 0.5):
        parameter.grad = scale * gradient
        optimiser.step()
        expected = 0.9 * expected + (1 - 0.9) * (target - 0.3 * scale * gradient)
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-14, atol=1e-15)


def test_with_a_momentum_target_the_weights_stay_within_lr_times_the_largest_gradient():
    parameter = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    optimiser = MomentumTarget([parameter], lr=0.1, momentum=0.5)
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        parameter.grad = torch.rand(3, generator=generator, dtype=torch.float64)
        optimiser.step()
        assert (parameter.abs() <= 0.1).all()


def test_training_pulls_the_weights_toward_those_of_the_image_encoder(train, tmp_path):
    start = train("epochs=1", probe=False, output=tmp_path / "start")
    image = dict(start.run.binder.encoder("image").module.named_parameters())

    def measure_distance(finished) -> float:
        weights = finished.run.encoder.module.named_parameters()
        return math.sqrt(sum(float((value.detach() - image[name]).square().sum()) for name, value in weights))

    options = (f"student.weights={start.output / 'last.safetensors'}", "optimiser.lr=1e-9", "epochs=2")
    pulled = train(*options, "optimiser.momentum_target=0.5", probe=False)
    assert measure_distance(pulled) == pytest.approx(0.5**6 * measure_distance(start), rel=1e-2)  # six steps


def test_a_momentum_target_needs_a_teacher_with_the_students_weights(train):
    with pytest.raises(BadOption, match="momentum_target: expected a teacher that has the student's weights, got none"):
        make_optimiser(OptimiserConfig(momentum_target=0.9), nn.Linear(2, 2))
    with pytest.raises(BadOption, match="expected a teacher that has the student's weights"):
        train("optimiser.momentum_target=0.9", "student.method=lora")


@pytest.mark.parametrize("model", ["b32", "l14"])
def test_the_pre_training_recipes_have_the_settings_of_the_paper(request, model):
    path = request.config.rootpath / "benchmarks" / "recipes" / f"paper-pretrain-{model}.toml"
    recipe = Recipe.from_toml(path)
    assert (recipe.epochs, recipe.optimiser.lr, recipe.losses) == (200, 1e-6, "paper")
    assert (recipe.optimiser.base_batch, recipe.optimiser.momentum_target) == (0, 0)
    assert recipe.augment == {"image": {"gray": True}}
    assert recipe.templates == ("a photo of a {}",)
    assert recipe.probe is not None
    assert (recipe.data[0].options["subset"], recipe.probe.options["subset"]) == ("authors-seen", "authors-unseen")


def test_the_learning_rate_of_the_authors_code_is_1_25e_7(request):
    path = request.config.rootpath / "benchmarks" / "recipes" / "author-code-mended-b32.toml"
    recipe = Recipe.from_toml(path)
    scaled = scale_learning_rate(recipe.optimiser, recipe.batch_size)
    assert scaled.lr == pytest.approx(1.25e-7, rel=1e-12)
    assert scale_learning_rate(recipe.optimiser, 4 * recipe.batch_size).lr == pytest.approx(5e-7, rel=1e-12)
    assert (recipe.optimiser.warmup_epochs, recipe.epochs, recipe.optimiser.schedule) == (40, 200, "cosine")
    assert (recipe.optimiser.betas, recipe.optimiser.weight_decay) == ((0.9, 0.999), 0.03)


def test_a_learned_temperature_has_the_gradient_of_its_logarithm():
    batch = draw_batch(0)
    for make in (ContrastiveLoss, ZeroShotLoss, lambda **options: ZeroShotLoss(target="label", **options)):
        loss, step = make(temperature=0.5, learn_temperature=True), 1e-5
        (parameter,) = loss.parameters.values()
        loss(batch).backward()
        above, below = (make(temperature=0.5 * math.exp(sign * step))(batch) for sign in (1, -1))
        if make is ZeroShotLoss:  # the targets are constants
            assert parameter.grad.abs() > 0
        else:
            assert parameter.grad.item() == pytest.approx(float(above - below) / (2 * step), rel=1e-4)
        assert not make(temperature=0.5).parameters


def test_temperatures_are_learned_with_the_student_without_weight_decay(train):
    losses = (
        'losses=[{"use":"contrastive","temperature":0.2,"learn_temperature":true},'
        '{"use":"zero-shot","target":"label","learn_temperature":true}]'
    )
    finished = train(losses, "optimiser.weight_decay=0.1", probe=False)
    values = [line["contrastive.log_temperature"] for line in finished.read_log()]
    assert values[0] == pytest.approx(math.log(0.2))
    assert len(set(values)) == len(values)
    learned = finished.run.losses.parameters
    assert set(learned) == {"contrastive.log_temperature", "zero-shot.log_temperature"}
    groups = finished.run.optimiser.param_groups
    decays = {id(each): group["weight_decay"] for group in groups for each in group["params"]}
    assert [decays[id(parameter)] for parameter in learned.values()] == [0.0, 0.0]


def test_the_mended_loss_gets_embeddings_before_their_normalisation(train):
    finished = train("losses=author-code-mended", "optimiser.lr=1e-12", "epochs=1", "batch_size=18", probe=False)
    run = finished.run
    text, image = run.binder.encoder("text"), run.binder.encoder("image")
    texts = text.encode_raw([text.preprocess(f"a photo of a {name}") for name in run.data.classes])
    images = image.encode_raw([run.data.load_teacher_input(number, 0) for number in range(18)])
    events = run.encoder.encode_raw([run.data.load_student_input(number, 0, 0) for number in range(18)])
    raw = [torch.from_numpy(each) for each in (events, images, texts)]
    expected = AuthorZeroShotLoss()(TrainingBatch(normalize(raw[0]), None, None, None, *raw))
    assert finished.read_log()[0]["author-zero-shot"] == pytest.approx(expected.item(), rel=1e-4)
