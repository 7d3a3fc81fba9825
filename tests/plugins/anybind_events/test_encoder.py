"""`EventEncoder` on a tiny image encoder: a copy with its own weights, and its weight files."""

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


class TinyImageEncoder(TorchEncoder):
    """A linear map of an image scaled to a few pixels."""

    def __init__(self, *, side: int = 6, hidden: int = 8, space: str = "tiny") -> None:
        torch.manual_seed(0)
        module = torch.nn.Sequential(
            torch.nn.Flatten(),
            torch.nn.Linear(3 * side * side, hidden),
            torch.nn.Tanh(),
            # Dropout reveals an encoder in training mode: its embeddings change from call to call.
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


class NumpyImageEncoder(Encoder):
    """An image encoder without torch."""

    modality = "image"
    space = Space("tiny", 5)
    weights_hash = "0" * 12
    preprocessing: dict[str, object] = {}  # noqa: RUF012

    def encode(self, inputs: Sequence[Any]) -> np.ndarray:
        return np.eye(5, dtype=np.float32)[: len(inputs)]


@pytest.fixture
def image_encoder() -> TinyImageEncoder:
    return TinyImageEncoder()


@pytest.fixture
def event_encoder(image_encoder: TinyImageEncoder) -> EventEncoder:
    return EventEncoder(image_encoder, options={"clamp": 20})


def make_recording(seed: int = 0) -> EventStream:
    random = np.random.default_rng(seed)
    x, y = random.integers(0, 12, 200), random.integers(0, 10, 200)
    return EventStream(x, y, np.sort(random.integers(0, 9999, 200)), random.random(200) < 0.5, 12, 10)


def embed(encoder: TorchEncoder, *samples: object) -> np.ndarray:
    return encoder.encode([encoder.preprocess(sample) for sample in samples])


def copy_weights(encoder: TorchEncoder) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in encoder.module.state_dict().items()}


def are_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def train(encoder: TorchEncoder) -> None:
    """Run one step of gradient descent."""
    optimiser = torch.optim.SGD(encoder.module.parameters(), lr=0.5)
    features = encoder.features(encoder.collate([encoder.preprocess(make_recording())]))
    features.square().sum().backward()
    optimiser.step()


def test_an_untrained_copy_embeds_a_recording_as_the_image_encoder_embeds_its_frame(
    image_encoder: TinyImageEncoder, event_encoder: EventEncoder
) -> None:
    frame = CountFrame(clamp=20)(make_recording())[0]
    gray = np.rint(255 * frame).astype(np.uint8)
    gray_image = np.stack([gray, gray, gray], axis=-1)
    np.testing.assert_array_equal(embed(event_encoder, make_recording()), embed(image_encoder, gray_image))


def test_different_recordings_have_different_embeddings(event_encoder: EventEncoder) -> None:
    one, other = embed(event_encoder, make_recording(0), make_recording(1))
    assert np.abs(one - other).max() > 1e-3


def test_the_copy_embeds_events_in_the_image_encoders_space(
    image_encoder: TinyImageEncoder, event_encoder: EventEncoder
) -> None:
    assert event_encoder.modality == "event"
    assert event_encoder.space == image_encoder.space
    assert event_encoder.logit_scale == image_encoder.logit_scale


def test_a_training_step_changes_the_copy_and_not_the_image_encoder(
    image_encoder: TinyImageEncoder, event_encoder: EventEncoder
) -> None:
    image_before, event_before = copy_weights(image_encoder), copy_weights(event_encoder)
    train(event_encoder)
    assert are_equal(copy_weights(image_encoder), image_before)
    assert not are_equal(copy_weights(event_encoder), event_before)


def test_a_training_step_changes_the_embeddings_of_the_copy_only(
    image_encoder: TinyImageEncoder, event_encoder: EventEncoder
) -> None:
    gray_image = np.full((8, 8, 3), 90, dtype=np.uint8)
    image_before, event_before = embed(image_encoder, gray_image), embed(event_encoder, make_recording())
    train(event_encoder)
    np.testing.assert_array_equal(embed(image_encoder, gray_image), image_before)
    assert np.abs(embed(event_encoder, make_recording()) - event_before).max() > 1e-4


def test_training_the_image_encoder_does_not_change_the_copy(
    image_encoder: TinyImageEncoder, event_encoder: EventEncoder
) -> None:
    before = copy_weights(event_encoder)
    with torch.no_grad():
        for parameter in image_encoder.module.parameters():
            parameter.add_(1.0)
    assert are_equal(copy_weights(event_encoder), before)


def test_an_image_encoder_in_training_mode_is_copied_in_evaluation_mode(image_encoder: TinyImageEncoder) -> None:
    image_encoder.module.train()
    event_encoder = EventEncoder(image_encoder)
    np.testing.assert_array_equal(embed(event_encoder, make_recording()), embed(event_encoder, make_recording()))


def test_a_copy_of_the_copy_has_equal_embeddings_and_its_own_weights(event_encoder: EventEncoder) -> None:
    twin = event_encoder.copy()
    np.testing.assert_array_equal(embed(twin, make_recording()), embed(event_encoder, make_recording()))
    before = copy_weights(event_encoder)
    train(twin)
    assert are_equal(copy_weights(event_encoder), before)
    assert not are_equal(copy_weights(twin), before)
    assert np.abs(embed(twin, make_recording()) - embed(event_encoder, make_recording())).max() > 1e-4


def test_the_identity_changes_with_the_weights(event_encoder: EventEncoder) -> None:
    before = event_encoder.identity
    train(event_encoder)
    assert event_encoder.identity != before


def test_the_identity_of_a_copy_changes_only_with_training(event_encoder: EventEncoder) -> None:
    twin = event_encoder.copy()
    assert twin.identity == event_encoder.identity
    train(twin)
    assert twin.identity != event_encoder.identity


@pytest.mark.parametrize("options", [{}, {"clamp": 10}, {"clamp": 20, "invert": True}], ids=str)
def test_the_identity_changes_with_the_options_of_the_representation(
    image_encoder: TinyImageEncoder, event_encoder: EventEncoder, options: dict[str, object]
) -> None:
    assert EventEncoder(image_encoder, options=options).identity != event_encoder.identity
    assert EventEncoder(image_encoder, options=options).weights_hash == event_encoder.weights_hash


def test_the_identity_changes_with_the_image_preprocessing(
    image_encoder: TinyImageEncoder, event_encoder: EventEncoder
) -> None:
    image_encoder._preprocessing["offset"] = 0.25
    assert EventEncoder(image_encoder, options={"clamp": 20}).identity != event_encoder.identity


def test_an_embedding_is_independent_of_the_batch(event_encoder: EventEncoder) -> None:
    recordings = [make_recording(seed) for seed in range(7)]
    alone = np.concatenate([embed(event_encoder, recording) for recording in recordings])
    np.testing.assert_allclose(embed(event_encoder, *recordings), alone, atol=1e-6)


def test_embeddings_are_float32_of_norm_1(event_encoder: EventEncoder) -> None:
    vectors = embed(event_encoder, make_recording(0), make_recording(1))
    assert vectors.dtype == np.float32
    assert vectors.shape == (2, 5)
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(np.float64), axis=1), 1, atol=1e-6)


def test_loaded_weights_give_equal_embeddings(
    image_encoder: TinyImageEncoder, event_encoder: EventEncoder, tmp_path: Path
) -> None:
    train(event_encoder)
    event_encoder.save_weights(tmp_path / "event.safetensors")
    loaded = EventEncoder(image_encoder, options={"clamp": 20}).load_weights(tmp_path / "event.safetensors")
    np.testing.assert_array_equal(embed(loaded, make_recording()), embed(event_encoder, make_recording()))
    assert loaded.identity == event_encoder.identity


def test_weights_are_loaded_by_the_weights_option(
    image_encoder: TinyImageEncoder, event_encoder: EventEncoder, tmp_path: Path
) -> None:
    train(event_encoder)
    event_encoder.save_weights(tmp_path / "event.safetensors")
    path = str(tmp_path / "event.safetensors")
    loaded = create_part("encoder", "event-encoder", image_encoder=image_encoder, options={"clamp": 20}, weights=path)
    np.testing.assert_array_equal(embed(loaded, make_recording()), embed(event_encoder, make_recording()))


def get_rejection(encoder: EventEncoder, path: Path) -> str:
    """Return the error of loading a weight file, and check that the encoder keeps its weights."""
    train(encoder)
    before, vector = copy_weights(encoder), embed(encoder, make_recording())
    with pytest.raises(WeightsMismatch, match=path.name) as caught:
        encoder.load_weights(path)
    assert are_equal(copy_weights(encoder), before)
    np.testing.assert_array_equal(embed(encoder, make_recording()), vector)
    return str(caught.value)


def test_weights_of_another_representation_option_are_an_error_that_names_it(
    image_encoder: TinyImageEncoder, event_encoder: EventEncoder, tmp_path: Path
) -> None:
    EventEncoder(image_encoder, options={"clamp": 7}).save_weights(tmp_path / "other.safetensors")
    message = get_rejection(event_encoder, tmp_path / "other.safetensors")
    assert "another preprocessing: frame" in message
    assert "'clamp': 7" in message


def test_weights_of_another_image_preprocessing_are_an_error_that_names_it(
    image_encoder: TinyImageEncoder, event_encoder: EventEncoder, tmp_path: Path
) -> None:
    image_encoder._preprocessing["offset"] = 0.25
    EventEncoder(image_encoder, options={"clamp": 20}).save_weights(tmp_path / "other.safetensors")
    message = get_rejection(event_encoder, tmp_path / "other.safetensors")
    assert "another preprocessing" in message
    assert "'offset': 0.25" in message


def test_weights_with_an_equal_float_clamp_are_loaded(
    image_encoder: TinyImageEncoder, event_encoder: EventEncoder, tmp_path: Path
) -> None:
    # 20 and 20.0 are equal clamps, one from a TOML file, the other from code.
    EventEncoder(image_encoder, options={"clamp": 20.0}).save_weights(tmp_path / "same.safetensors")
    event_encoder.load_weights(tmp_path / "same.safetensors")


def test_weights_of_another_shape_are_an_error_that_names_the_layers(
    event_encoder: EventEncoder, tmp_path: Path
) -> None:
    EventEncoder(TinyImageEncoder(hidden=9), options={"clamp": 20}).save_weights(tmp_path / "other.safetensors")
    message = get_rejection(event_encoder, tmp_path / "other.safetensors")
    assert "another model: it has other shapes of 1.bias, 1.weight, 4.weight" in message


def test_weights_of_other_layers_are_an_error_that_names_the_layers(
    image_encoder: TinyImageEncoder, event_encoder: EventEncoder, tmp_path: Path
) -> None:
    image_encoder.module = torch.nn.Sequential(
        *image_encoder.module[:-1], torch.nn.Identity(), image_encoder.module[-1]
    )
    EventEncoder(image_encoder, options={"clamp": 20}).save_weights(tmp_path / "other.safetensors")
    message = get_rejection(event_encoder, tmp_path / "other.safetensors")
    assert "lacks 4.bias, 4.weight" in message
    assert "has too many 5.bias, 5.weight" in message


def test_weights_of_another_space_are_an_error_that_names_both_spaces(
    event_encoder: EventEncoder, tmp_path: Path
) -> None:
    EventEncoder(TinyImageEncoder(space="elsewhere"), options={"clamp": 20}).save_weights(
        tmp_path / "other.safetensors"
    )
    message = get_rejection(event_encoder, tmp_path / "other.safetensors")
    assert "elsewhere (5-d of test@1)" in message
    assert "tiny (5-d of test@1)" in message


def test_weights_of_the_image_encoder_itself_are_an_error(
    image_encoder: TinyImageEncoder, event_encoder: EventEncoder, tmp_path: Path
) -> None:
    image_encoder.save_weights(tmp_path / "image.safetensors")
    assert "weights for image, not for event" in get_rejection(event_encoder, tmp_path / "image.safetensors")


def test_weights_without_preprocessing_are_an_error_even_if_they_fit(
    event_encoder: EventEncoder, tmp_path: Path
) -> None:
    save_file(copy_weights(event_encoder), tmp_path / "plain.safetensors")
    assert load_file(tmp_path / "plain.safetensors").keys() == copy_weights(event_encoder).keys()
    assert "the preprocessing of its weights is unknown" in get_rejection(event_encoder, tmp_path / "plain.safetensors")


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.1, 0.5, 0.99])
def test_a_truncated_weight_file_is_an_error_and_the_encoder_keeps_its_weights(
    image_encoder: TinyImageEncoder, event_encoder: EventEncoder, tmp_path: Path, fraction: float
) -> None:
    event_encoder.save_weights(tmp_path / "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: int(fraction * len(whole))])
    train(event_encoder)
    before = copy_weights(event_encoder)
    with pytest.raises(BadInput, match=r"cut\.safetensors"):
        event_encoder.load_weights(tmp_path / "cut.safetensors")
    assert are_equal(copy_weights(event_encoder), before)


def test_a_missing_weight_file_is_an_error_that_names_it(event_encoder: EventEncoder, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"missing\.safetensors"):
        event_encoder.load_weights(tmp_path / "missing.safetensors")


@pytest.mark.parametrize("of", [NumpyImageEncoder(), "mini-image", None], ids=["no torch", "a name", "nothing"])
def test_only_an_image_encoder_can_be_copied(of: Encoder) -> None:
    with pytest.raises(BadOption, match="expected an image encoder on torch"):
        EventEncoder(of)


def test_an_encoder_of_another_modality_cannot_be_copied(event_encoder: EventEncoder) -> None:
    with pytest.raises(BadOption, match="expected an image encoder on torch"):
        EventEncoder(event_encoder)


class Negated(torch.nn.Module):
    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return -self.inner(batch)


def test_a_replaced_module_is_used_for_embedding(image_encoder: TinyImageEncoder, event_encoder: EventEncoder) -> None:
    before, identity = embed(event_encoder, make_recording()), event_encoder.identity
    event_encoder.module = Negated(event_encoder.module).eval()
    np.testing.assert_allclose(embed(event_encoder, make_recording()), -before, atol=1e-6)
    assert event_encoder.identity != identity
    np.testing.assert_allclose(embed(event_encoder.copy(), make_recording()), -before, atol=1e-6)


def test_options_that_are_not_a_table_are_an_error(image_encoder: TinyImageEncoder) -> None:
    with pytest.raises(BadOption, match="expected a table of representation options, got 3"):
        EventEncoder(image_encoder, options=3)  # pyright: ignore
