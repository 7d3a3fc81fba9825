"""`import-checkpoint`: small files laid out as the paper's authors lay theirs, and ones that must be refused."""

from __future__ import annotations

import builtins
import copy
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import PIL.Image
import pytest
import torch
from safetensors.torch import save_file

import anybind
from anybind import AnybindWarning, BadInput
from anybind.errors import BadOption, WeightsMismatch
from anybind_events.encoder import EventEncoder, frame_to_image
from anybind_events.stream import EventStream
from anybind_train import import_checkpoint as module
from anybind_train.import_checkpoint import event_encoder_state, fitting_binding, import_checkpoint

TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    "quick_gelu": True,  # as in OpenAI's models
}
PREPROCESS = {
    "mean": [0.4, 0.5, 0.6],
    "std": [0.2, 0.25, 0.3],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
SIZES = {"conv1.weight": (64, 3, 16, 16), "positional_embedding": (17, 64), "proj": (64, 32)}

State = dict[str, torch.Tensor]


def random_model(seed: int) -> Any:
    torch.manual_seed(seed)
    return open_clip.CLIP(**copy.deepcopy(TINY)).eval()


@pytest.fixture(scope="session")
def binding(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The binding of a small CLIP, what `clip-vit-b-32` is to the authors' files."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    state = {name: value.contiguous() for name, value in random_model(0).state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    config = {"model_cfg": TINY, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    return f"open_clip:local-dir:{folder}"


@pytest.fixture(scope="session")
def trained() -> Any:
    """The small CLIP after some training: another image half, and the text half that it was frozen with."""
    model = random_model(1)
    text = {name: value for name, value in random_model(0).state_dict().items() if not name.startswith("visual.")}
    model.load_state_dict(text, strict=False)
    return model


@pytest.fixture
def checkpoint(trained: Any, tmp_path: Path) -> Callable[..., Path]:
    """Write a file as the authors do: `{"checkpoint": ...}`, the event encoder beside others."""

    def write(prefix: str = "encoder_k.", /, name: str = "vitb.pt", half: bool = False, **changed: Any) -> Path:
        own = {prefix + key: value.half() if half else value for key, value in trained.state_dict().items()}
        other = {"encoder_q.visual.proj": torch.ones(64, 32), "logit_scale": torch.tensor(1.0)}
        torch.save({"checkpoint": {**other, **own, **changed}}, tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture(scope="session")
def recording() -> EventStream:
    random = np.random.default_rng(0)
    count = 20_000
    x, y = (random.beta(2, 5, count) * size for size in (90, 70))
    return EventStream(x.astype(int), y.astype(int), np.arange(count), random.random(count) < 0.5, 90, 70)


def imported(path: Path, binding: str | None) -> Path:
    output = path.with_name("tower.safetensors")
    import_checkpoint(path, output, binding=binding)
    return output


def by_open_clip(model: Any, tower: EventEncoder, recording: EventStream) -> np.ndarray:
    """The vector that open_clip itself gives the picture of a recording's frame."""
    described = open_clip.transform.merge_preprocess_dict(
        open_clip.transform.PreprocessCfg(), {**PREPROCESS, "size": 64}
    )
    transform = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(**described), is_train=False)
    picture = PIL.Image.fromarray(frame_to_image(tower.frame(recording)))
    with torch.inference_mode():
        features = model.encode_image(transform(picture)[None])
    return anybind.normalize(features.numpy(), "vector")


@pytest.mark.parametrize("prefix", ["encoder_k.", "module.encoder_k.", "model._orig_mod.encoder_k."])
def test_the_imported_tower_embeds_exactly_as_open_clip_does_with_the_checkpoints_weights(
    checkpoint: Callable[..., Path], binding: str, trained: Any, recording: EventStream, prefix: str
) -> None:
    output = imported(checkpoint(prefix), binding)
    binder = anybind.load(binding)
    tower = binder.encoder("event")
    assert isinstance(tower, EventEncoder)
    untrained = tower.encode([tower.preprocess(recording)])
    tower.load_weights(output)
    vector = tower.encode([tower.preprocess(recording)])
    np.testing.assert_array_equal(vector, by_open_clip(trained, tower, recording))
    assert (vector @ untrained.T).item() < 0.9  # so that weights left as they were would be seen
    words = binder.embed("text", ["a duck", "a kettle"])
    assert (binder.embed("event", [recording]) @ words).shape == (1, 2)


def test_weights_in_half_precision_are_taken_as_they_are(
    checkpoint: Callable[..., Path], binding: str, trained: Any, recording: EventStream
) -> None:
    output = imported(checkpoint(half=True), binding)
    tower: Any = anybind.load(binding).encoder("event").load_weights(output)
    rounded = copy.deepcopy(trained).half().float()
    np.testing.assert_array_equal(tower.encode([tower.preprocess(recording)]), by_open_clip(rounded, tower, recording))


def test_the_command_says_what_it_wrote(
    cli: Callable[..., Any], checkpoint: Callable[..., Path], binding: str, tmp_path: Path
) -> None:
    output = tmp_path / "out.safetensors"
    ended = cli("import-checkpoint", checkpoint(), "-o", output, "--binding", binding, "--json")
    assert (ended.code, ended.err) == (0, "")
    told = json.loads(ended.out)
    tower: Any = anybind.load(binding).encoder("event").load_weights(output)
    assert told["output"] == str(output)
    assert told["binding"] == binding
    assert told["weights"] == tower.weights_hash
    assert told["preprocessing"]["frame"]["representation"] == "paper"
    assert "frames" in told["note"]
    plain = cli("import-checkpoint", checkpoint(), "-o", output, "--binding", binding)
    assert plain.code == 0
    assert str(output) in plain.out
    assert "note: " in plain.out


def test_the_binding_is_found_by_the_sizes_of_the_weights(
    checkpoint: Callable[..., Path], binding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SIZES", {**module.SIZES, binding: SIZES})
    output = imported(checkpoint(), None)
    assert anybind.load(binding).encoder("event").load_weights(output)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(("architecture", "wanted"), [("ViT-B-32", "clip-vit-b-32"), ("ViT-L-14", "clip-vit-l-14")])
def test_the_sizes_are_those_of_the_two_architectures(architecture: str, wanted: str) -> None:
    with torch.device("meta"):
        model = open_clip.CLIP(**open_clip.get_model_config(architecture))
    assert fitting_binding(Path("x.pt"), model.state_dict()) == wanted


@pytest.mark.parametrize("architecture", ["ViT-B-16", "ViT-L-14-336"])
def test_weights_of_another_architecture_are_refused_with_their_size(architecture: str) -> None:
    with torch.device("meta"):
        state = open_clip.CLIP(**open_clip.get_model_config(architecture)).state_dict()
    shape = "x".join(map(str, state["visual.conv1.weight"].shape))
    with pytest.raises(BadInput, match=rf"x\.pt fits neither of clip-vit-b-32, .*weight: {shape}.*--binding"):
        fitting_binding(Path("x.pt"), state)


class Touch:
    """Unpickled, it makes a file: what a hostile checkpoint would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return builtins.open, (str(self.path), "w")


@pytest.mark.parametrize("as_archive", [True, False])
@pytest.mark.parametrize("place", ["beside", "inside", "weight"])
def test_a_file_that_would_run_code_is_refused_and_the_code_does_not_run(
    trained: Any, tmp_path: Path, as_archive: bool, place: str
) -> None:
    trace, path = tmp_path / "the-code-ran", tmp_path / "hostile.pt"
    own = {f"encoder_k.{key}": value for key, value in trained.state_dict().items()}
    held: dict[str, Any] = {"checkpoint": own}
    if place == "beside":
        held = {"arguments": Touch(trace), **held}
    else:
        own["encoder_k.visual.proj" if place == "weight" else "epoch"] = Touch(trace)  # pyright: ignore[reportArgumentType]
    torch.save(held, path, _use_new_zipfile_serialization=as_archive)
    message = refusal(BadInput, path)
    assert re.search(r"hostile\.pt calls _?io\.open to be read, and nothing in a weight file is executed", message)
    assert not trace.exists()
    assert bytes(trace) in path.read_bytes()  # the call that unpickling would make is there


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(tmp_path / "program.pt")
    assert "program.pt is a TorchScript program" in refusal(BadInput, tmp_path / "program.pt")


def refusal(error: type[anybind.AnybindError], path: Path, binding: str | None = None) -> str:
    """The one line with which a file is refused; nothing is written."""
    with pytest.raises(error) as caught:
        imported(path, binding)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not path.with_name("tower.safetensors").exists()
    return str(caught.value)


def cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(checkpoint: Callable[..., Path], share: float) -> None:
    path = checkpoint()
    cut(path, share)
    assert "not a weight file that torch can load" in refusal(BadInput, path)


@pytest.mark.parametrize("content", [b"hello", b"PK\x03\x04", b"\x80\x04\x95", b"\x00" * 4096])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    assert "not a weight file that torch can load" in refusal(BadInput, tmp_path / "x.pt")


def test_a_small_file_that_claims_a_huge_array_is_refused(tmp_path: Path) -> None:
    held = {"checkpoint": {"encoder_k.visual.proj": torch.zeros(300)}}
    torch.save(held, tmp_path / "small.pt")
    number = b"M" + (300).to_bytes(2, "little")
    huge = b"J" + (2**31 - 1).to_bytes(4, "little")
    with zipfile.ZipFile(tmp_path / "small.pt") as small, zipfile.ZipFile(tmp_path / "claims.pt", "w") as claims:
        for name in small.namelist():
            assert (number in small.read(name)) == name.endswith("data.pkl")
            claims.writestr(name, small.read(name).replace(number, huge))
    refusal(BadInput, tmp_path / "claims.pt")


def test_an_array_that_repeats_one_number_without_end_is_refused_before_it_is_looked_at(
    checkpoint: Callable[..., Path], binding: str
) -> None:
    endless = torch.zeros(1).expand(2**40)
    path = checkpoint(**{"encoder_k.visual.proj": endless, "encoder_k.text_projection": endless})
    assert "other shapes of visual.proj" in refusal(WeightsMismatch, path, binding)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(BadInput, tmp_path / "missing.pt")
    (tmp_path / "folder.pt").mkdir()
    assert "directory" in refusal(BadInput, tmp_path / "folder.pt")


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (torch.zeros(3), "holds no weights by name"),
        ({"checkpoint": {1: torch.zeros(3)}}, "holds no weights by name"),
        ({}, "no key contains 'encoder_k.' (keys begin with: there is none)"),
        ({"checkpoint": {"encoder_q.visual.proj": torch.zeros(3)}}, "(keys begin with: encoder_q)"),
        ({"encoder_k.epoch": 3}, "'encoder_k.epoch' is no array of floating-point numbers"),
        ({"encoder_k.visual.proj": torch.zeros(3, dtype=torch.int64)}, "is no array of floating-point numbers"),
        ({"encoder_k.visual.proj": torch.zeros(3, device="meta")}, "is no array of floating-point numbers"),
        ({"encoder_k.a": torch.zeros(3), "module.encoder_k.a": torch.ones(3)}, "holds two event encoders"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, held: Any, message: str) -> None:
    torch.save(held, tmp_path / "x.pt")
    assert message in refusal(BadInput, tmp_path / "x.pt")


def test_weights_that_do_not_lie_behind_the_word_checkpoint_are_found(trained: Any, tmp_path: Path) -> None:
    own: Mapping[str, torch.Tensor] = trained.state_dict()
    torch.save({f"module.encoder_k.{key}": value for key, value in own.items()}, tmp_path / "bare.pt")
    found = event_encoder_state(tmp_path / "bare.pt")
    assert found.keys() == own.keys()
    assert all(torch.equal(found[key], own[key]) for key in own)


def test_a_tower_of_another_shape_is_refused_by_the_names_of_weights(
    checkpoint: Callable[..., Path], binding: str
) -> None:
    other = checkpoint(**{"encoder_k.visual.proj": torch.zeros(64, 48)})
    assert "other shapes of visual.proj" in refusal(WeightsMismatch, other, binding)
    deeper = checkpoint(**{"encoder_k.visual.transformer.resblocks.2.ln_1.weight": torch.zeros(64)})
    assert "has too many visual.transformer.resblocks.2.ln_1.weight" in refusal(WeightsMismatch, deeper, binding)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(
    checkpoint: Callable[..., Path], binding: str, value: float
) -> None:
    path = checkpoint(**{"encoder_k.visual.proj": torch.full((64, 32), value)})
    assert "'visual.proj' holds numbers that are not finite" in refusal(BadInput, path, binding)


def test_a_text_half_that_is_not_the_bindings_is_warned_of(checkpoint: Callable[..., Path], binding: str) -> None:
    path = checkpoint(**{"encoder_k.text_projection": torch.ones(32, 32)})
    with pytest.warns(AnybindWarning, match=r"text half in .*vitb\.pt .* \(1 weights differ, such as text\.text_proj"):
        assert imported(path, binding).exists()


def test_an_event_encoder_without_torch_is_refused(
    checkpoint: Callable[..., Path], binding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anybind.Binder, "encoder", lambda self, of: object())
    with pytest.raises(BadOption, match="has no weights on torch"):
        imported(checkpoint(), binding)


def test_an_output_that_cannot_be_written_is_told_before_the_checkpoint_is_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=re.escape(str(tmp_path / "nowhere"))):
        import_checkpoint(tmp_path / "missing.pt", tmp_path / "nowhere" / "tower.safetensors")
