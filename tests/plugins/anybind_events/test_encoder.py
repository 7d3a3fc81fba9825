"""`EventTower` on a tiny image tower: a copy with weights of its own, and the files of these weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file

from anybind import BadInput, Space
from anybind.encoder import Encoder
from anybind.errors import BadOption, WeightsMismatch
from anybind.registry import create_part
from anybind.torch_encoder import TorchEncoder
from anybind_events.encoder import EventEncoder
from anybind_events.representations.paper import CountFrame
from anybind_events.stream import EventStream


class TinyImageTower(TorchEncoder):
    """A linear map of a picture scaled to a few pixels."""

    def __init__(self, *, side: int = 6, hidden: int = 8, space: str = "tiny") -> None:
        torch.manual_seed(0)
        module = torch.nn.Sequential(
            torch.nn.Flatten(),
            torch.nn.Linear(3 * side * side, hidden),
            torch.nn.Tanh(),
            # Dropout shows a tower that was left in training mode: its vectors change from call to call.
            torch.nn.Dropout(0.5),
            torch.nn.Linear(hidden, 5),
        )
        super().__init__(
            module,
            modality="image",
            space=Space(space, 5, "test@1"),
            preprocessing={"side": side, "offset": 0.5},
            logit_scale=10.0,
        )
        self.side = side

    def preprocess(self, sample: np.ndarray) -> torch.Tensor:
        small = np.array(PIL.Image.fromarray(sample).resize((self.side, self.side)), dtype=np.float32)
        return torch.from_numpy(small / 255 - 0.5).permute(2, 0, 1)


class NoTower(Encoder):
    """An image encoder without torch."""

    modality = "image"
    space = Space("tiny", 5)
    weights_hash = "0" * 12
    preprocessing: dict[str, object] = {}  # noqa: RUF012

    def encode(self, inputs: Sequence[Any]) -> np.ndarray:
        return np.eye(5, dtype=np.float32)[: len(inputs)]


@pytest.fixture
def image() -> TinyImageTower:
    return TinyImageTower()


@pytest.fixture
def event(image: TinyImageTower) -> EventEncoder:
    return EventEncoder(image, options={"clamp": 20})


def a_recording(seed: int = 0) -> EventStream:
    random = np.random.default_rng(seed)
    x, y = random.integers(0, 12, 200), random.integers(0, 10, 200)
    return EventStream(x, y, np.sort(random.integers(0, 9999, 200)), random.random(200) < 0.5, 12, 10)


def vectors(tower: TorchEncoder, *samples: object) -> np.ndarray:
    return tower.encode([tower.preprocess(sample) for sample in samples])


def weights(tower: TorchEncoder) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in tower.module.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def train(tower: TorchEncoder) -> None:
    """One step of gradient descent."""
    optimiser = torch.optim.SGD(tower.module.parameters(), lr=0.5)
    features = tower.features(tower.collate([tower.preprocess(a_recording())]))
    features.square().sum().backward()
    optimiser.step()


def test_an_untrained_copy_embeds_a_recording_as_the_image_encoder_embeds_its_frame(
    image: TinyImageTower, event: EventEncoder
) -> None:
    frame = CountFrame(clamp=20)(a_recording())[0]
    gray = np.rint(255 * frame).astype(np.uint8)
    picture = np.stack([gray, gray, gray], axis=-1)
    np.testing.assert_array_equal(vectors(event, a_recording()), vectors(image, picture))


def test_different_recordings_have_different_embeddings(event: EventEncoder) -> None:
    one, other = vectors(event, a_recording(0), a_recording(1))
    assert np.abs(one - other).max() > 1e-3


def test_the_copy_embeds_events_in_the_image_encoders_space(image: TinyImageTower, event: EventEncoder) -> None:
    assert event.modality == "event"
    assert event.space == image.space
    assert event.logit_scale == image.logit_scale


def test_a_training_step_changes_the_copy_and_not_the_image_encoder(
    image: TinyImageTower, event: EventEncoder
) -> None:
    image_before, event_before = weights(image), weights(event)
    train(event)
    assert equal(weights(image), image_before)
    assert not equal(weights(event), event_before)


def test_a_training_step_changes_the_embeddings_of_the_copy_only(image: TinyImageTower, event: EventEncoder) -> None:
    picture = np.full((8, 8, 3), 90, dtype=np.uint8)
    image_before, event_before = vectors(image, picture), vectors(event, a_recording())
    train(event)
    np.testing.assert_array_equal(vectors(image, picture), image_before)
    assert np.abs(vectors(event, a_recording()) - event_before).max() > 1e-4


def test_training_the_image_encoder_does_not_change_the_copy(image: TinyImageTower, event: EventEncoder) -> None:
    before = weights(event)
    with torch.no_grad():
        for parameter in image.module.parameters():
            parameter.add_(1.0)
    assert equal(weights(event), before)


def test_an_image_encoder_in_training_mode_is_copied_in_evaluation_mode(image: TinyImageTower) -> None:
    image.module.train()
    event = EventEncoder(image)
    np.testing.assert_array_equal(vectors(event, a_recording()), vectors(event, a_recording()))


def test_a_copy_of_the_copy_has_equal_embeddings_and_its_own_weights(event: EventEncoder) -> None:
    twin = event.copy()
    np.testing.assert_array_equal(vectors(twin, a_recording()), vectors(event, a_recording()))
    before = weights(event)
    train(twin)
    assert equal(weights(event), before)
    assert not equal(weights(twin), before)
    assert np.abs(vectors(twin, a_recording()) - vectors(event, a_recording())).max() > 1e-4


def test_the_identity_changes_with_the_weights(event: EventEncoder) -> None:
    before = event.identity
    train(event)
    assert event.identity != before


def test_the_identity_of_a_copy_changes_only_with_training(event: EventEncoder) -> None:
    twin = event.copy()
    assert twin.identity == event.identity
    train(twin)
    assert twin.identity != event.identity


@pytest.mark.parametrize("options", [{}, {"clamp": 10}, {"clamp": 20, "invert": True}], ids=str)
def test_the_identity_changes_with_the_options_of_the_representation(
    image: TinyImageTower, event: EventEncoder, options: dict[str, object]
) -> None:
    assert EventEncoder(image, options=options).identity != event.identity
    assert EventEncoder(image, options=options).weights_hash == event.weights_hash


def test_the_identity_changes_with_the_image_preprocessing(image: TinyImageTower, event: EventEncoder) -> None:
    image._preprocessing["offset"] = 0.25
    assert EventEncoder(image, options={"clamp": 20}).identity != event.identity


def test_an_embedding_is_independent_of_the_batch(event: EventEncoder) -> None:
    recordings = [a_recording(seed) for seed in range(7)]
    alone = np.concatenate([vectors(event, recording) for recording in recordings])
    np.testing.assert_allclose(vectors(event, *recordings), alone, atol=1e-6)


def test_embeddings_are_float32_of_norm_1(event: EventEncoder) -> None:
    made = vectors(event, a_recording(0), a_recording(1))
    assert made.dtype == np.float32
    assert made.shape == (2, 5)
    np.testing.assert_allclose(np.linalg.norm(made.astype(np.float64), axis=1), 1, atol=1e-6)


def test_loaded_weights_give_equal_embeddings(
    image: TinyImageTower, event: EventEncoder, tmp_path: Path
) -> None:
    train(event)
    event.save_weights(tmp_path / "event.safetensors")
    loaded = EventEncoder(image, options={"clamp": 20}).load_weights(tmp_path / "event.safetensors")
    np.testing.assert_array_equal(vectors(loaded, a_recording()), vectors(event, a_recording()))
    assert loaded.identity == event.identity


def test_weights_are_loaded_by_the_weights_option(
    image: TinyImageTower, event: EventEncoder, tmp_path: Path
) -> None:
    train(event)
    event.save_weights(tmp_path / "event.safetensors")
    path = str(tmp_path / "event.safetensors")
    made = create_part("encoder", "event-encoder", image_encoder=image, options={"clamp": 20}, weights=path)
    np.testing.assert_array_equal(vectors(made, a_recording()), vectors(event, a_recording()))


def refused(tower: EventEncoder, path: Path) -> str:
    """The message with which the tower refuses a weight file; it must keep the weights it had."""
    train(tower)
    before, vector = weights(tower), vectors(tower, a_recording())
    with pytest.raises(WeightsMismatch, match=path.name) as caught:
        tower.load_weights(path)
    assert equal(weights(tower), before)
    np.testing.assert_array_equal(vectors(tower, a_recording()), vector)
    return str(caught.value)


def test_weights_of_another_representation_option_are_an_error_that_names_it(
    image: TinyImageTower, event: EventEncoder, tmp_path: Path
) -> None:
    EventEncoder(image, options={"clamp": 7}).save_weights(tmp_path / "other.safetensors")
    message = refused(event, tmp_path / "other.safetensors")
    assert "another preprocessing: frame" in message
    assert "'clamp': 7" in message


def test_weights_of_another_image_preprocessing_are_an_error_that_names_it(
    image: TinyImageTower, event: EventEncoder, tmp_path: Path
) -> None:
    image._preprocessing["offset"] = 0.25
    EventEncoder(image, options={"clamp": 20}).save_weights(tmp_path / "other.safetensors")
    message = refused(event, tmp_path / "other.safetensors")
    assert "another preprocessing: picture" in message
    assert "'offset': 0.25" in message


def test_weights_with_an_equal_float_clamp_are_loaded(
    image: TinyImageTower, event: EventEncoder, tmp_path: Path
) -> None:
    # 20 and 20.0 are one clamp; the one is what a TOML file says, the other what code does.
    EventEncoder(image, options={"clamp": 20.0}).save_weights(tmp_path / "same.safetensors")
    event.load_weights(tmp_path / "same.safetensors")


def test_weights_of_another_shape_are_an_error_that_names_the_layers(event: EventEncoder, tmp_path: Path) -> None:
    EventEncoder(TinyImageTower(hidden=9), options={"clamp": 20}).save_weights(tmp_path / "other.safetensors")
    message = refused(event, tmp_path / "other.safetensors")
    assert "another model: it has other shapes of 1.bias, 1.weight, 4.weight" in message


def test_weights_of_other_layers_are_an_error_that_names_the_layers(
    image: TinyImageTower, event: EventEncoder, tmp_path: Path
) -> None:
    image.module = torch.nn.Sequential(*image.module[:-1], torch.nn.Identity(), image.module[-1])
    EventEncoder(image, options={"clamp": 20}).save_weights(tmp_path / "other.safetensors")
    message = refused(event, tmp_path / "other.safetensors")
    assert "lacks 4.bias, 4.weight" in message
    assert "has too many 5.bias, 5.weight" in message


def test_weights_of_another_space_are_an_error_that_names_both_spaces(event: EventEncoder, tmp_path: Path) -> None:
    EventEncoder(TinyImageTower(space="elsewhere"), options={"clamp": 20}).save_weights(tmp_path / "other.safetensors")
    message = refused(event, tmp_path / "other.safetensors")
    assert "elsewhere (5-d of test@1)" in message
    assert "tiny (5-d of test@1)" in message


def test_weights_of_the_image_encoder_itself_are_an_error(
    image: TinyImageTower, event: EventEncoder, tmp_path: Path
) -> None:
    image.save_weights(tmp_path / "image.safetensors")
    assert "weights for image, not for event" in refused(event, tmp_path / "image.safetensors")


def test_weights_without_preprocessing_are_an_error_even_if_they_fit(
    event: EventEncoder, tmp_path: Path
) -> None:
    save_file(weights(event), tmp_path / "plain.safetensors")
    assert load_file(tmp_path / "plain.safetensors").keys() == weights(event).keys()
    assert "does not say which preprocessing" in refused(event, tmp_path / "plain.safetensors")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.99])
def test_a_truncated_weight_file_is_an_error_and_the_encoder_keeps_its_weights(
    image: TinyImageTower, event: EventEncoder, tmp_path: Path, share: float
) -> None:
    event.save_weights(tmp_path / "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: int(share * len(whole))])
    train(event)
    before = weights(event)
    with pytest.raises(BadInput, match=r"cut\.safetensors"):
        event.load_weights(tmp_path / "cut.safetensors")
    assert equal(weights(event), before)


def test_a_missing_weight_file_is_an_error_that_names_it(event: EventEncoder, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"missing\.safetensors"):
        event.load_weights(tmp_path / "missing.safetensors")


@pytest.mark.parametrize("of", [NoTower(), "mini-image", None], ids=["no torch", "a name", "nothing"])
def test_only_an_image_encoder_can_be_copied(of: Encoder) -> None:
    with pytest.raises(BadOption, match="expected an image encoder on torch"):
        EventEncoder(of)


def test_an_encoder_of_another_modality_cannot_be_copied(event: EventEncoder) -> None:
    with pytest.raises(BadOption, match="expected an image encoder on torch"):
        EventEncoder(event)


class Negated(torch.nn.Module):
    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return -self.inner(batch)


def test_a_replaced_module_is_used_for_embedding(image: TinyImageTower, event: EventEncoder) -> None:
    before, identity = vectors(event, a_recording()), event.identity
    event.module = Negated(event.module).eval()
    np.testing.assert_allclose(vectors(event, a_recording()), -before, atol=1e-6)
    assert event.identity != identity
    np.testing.assert_allclose(vectors(event.copy(), a_recording()), -before, atol=1e-6)


def test_options_that_are_not_a_table_are_an_error(image: TinyImageTower) -> None:
    with pytest.raises(BadOption, match="expected a table of representation options, got 3"):
        EventEncoder(image, options=3)  # pyright: ignore
