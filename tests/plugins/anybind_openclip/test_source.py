"""From a model's name to its files: folders, files, open_clip's list, the hub, and what is refused."""

from __future__ import annotations

import builtins
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file

from anybind import BadInput
from anybind.errors import BadOption, WeightsMismatch
from anybind_openclip.source import find_source
from anybind_openclip.towers import image_tower, text_tower
from helpers.hub import COMMIT, lay_out, serve_hub

CONFIG, WEIGHTS, PICKLED = "open_clip_config.json", "open_clip_model.safetensors", "open_clip_pytorch_model.bin"
B32_OPENAI = "timm/vit_base_patch32_clip_224.openai"
B32_LAION = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
ROBERTA_LAION = "laion/CLIP-ViT-B-32-roberta-base-laion2B-s12B-b32k"


def encode(tower: Any, samples: list[Any]) -> np.ndarray:
    return tower.encode([tower.preprocess(sample) for sample in samples])


def refusal(kind: type[Exception], model: str, **options: Any) -> str:
    """The message, which is one line, of the refusal to load a model."""
    with pytest.raises(kind) as caught:
        image_tower(model, **options)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change_config(folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    path = folder / CONFIG
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize("lacking", ["mean", "std"])
def test_a_folder_without_mean_or_std_is_refused_with_what_to_add(own_folder: Path, lacking: str) -> None:
    path = change_config(own_folder, lambda config: config["preprocess_cfg"].pop(lacking))
    assert f"{path} does not say how pictures are preprocessed: add {lacking} to preprocess_cfg" in refusal(
        WeightsMismatch, f"local-dir:{own_folder}"
    )


@pytest.mark.parametrize("preprocess", [{}, None, "absent"])
def test_a_folder_without_preprocessing_is_refused_with_what_to_add(own_folder: Path, preprocess: Any) -> None:
    if preprocess == "absent":
        path = change_config(own_folder, lambda config: config.pop("preprocess_cfg"))
    else:
        path = change_config(own_folder, lambda config: config.update(preprocess_cfg=preprocess))
    message = refusal(WeightsMismatch, f"local-dir:{own_folder}")
    assert str(path) in message
    assert "add mean and std to preprocess_cfg" in message


def test_the_text_tower_is_refused_like_the_image_tower(own_folder: Path) -> None:
    # Its vectors would be right, but only to be compared with those of pictures that no one can preprocess.
    change_config(own_folder, lambda config: config.pop("preprocess_cfg"))
    with pytest.raises(WeightsMismatch):
        text_tower(f"local-dir:{own_folder}")


def test_a_folder_without_weights_is_refused_with_the_names_of_those_looked_for(own_folder: Path) -> None:
    (own_folder / WEIGHTS).unlink()
    message = refusal(BadInput, f"local-dir:{own_folder}")
    assert str(own_folder) in message
    assert WEIGHTS in message
    assert PICKLED in message


def test_a_folder_without_a_configuration_is_refused_by_the_files_name(own_folder: Path) -> None:
    (own_folder / CONFIG).unlink()
    assert str(own_folder / CONFIG) in refusal(BadInput, f"local-dir:{own_folder}")


def test_a_folder_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    assert str(tmp_path / "absent") in refusal(BadInput, f"local-dir:{tmp_path / 'absent'}")


@pytest.mark.parametrize("held", ["", "{", "[]", "7", "null", "{}", '"model_cfg"', b"\xff\xfe"])
def test_a_configuration_that_is_none_is_refused_by_the_files_name(own_folder: Path, held: str | bytes) -> None:
    (own_folder / CONFIG).write_bytes(held if isinstance(held, bytes) else held.encode())
    assert str(own_folder / CONFIG) in refusal(BadInput, f"local-dir:{own_folder}")


def test_weights_that_cannot_hold_code_are_preferred(own_folder: Path, model_folder: Path) -> None:
    (own_folder / PICKLED).write_bytes(b"never read")
    assert find_source(f"local-dir:{own_folder}").weights == own_folder / WEIGHTS
    assert image_tower(f"local-dir:{own_folder}").space == image_tower(f"local-dir:{model_folder}").space


def test_pickled_weights_in_a_folder_give_the_same_space(own_folder: Path, model_folder: Path) -> None:
    torch.save(load_file(own_folder / WEIGHTS), own_folder / PICKLED)
    (own_folder / WEIGHTS).unlink()
    assert image_tower(f"local-dir:{own_folder}").space == image_tower(f"local-dir:{model_folder}").space


@pytest.fixture(scope="module")
def architecture(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The small architecture under a name in open_clip's list, as its users add theirs."""
    name = "tiny-for-tests"
    path = tmp_path_factory.mktemp("architectures") / f"{name}.json"
    path.write_text(json.dumps(json.loads((model_folder / CONFIG).read_text())["model_cfg"]))
    open_clip.add_model_config(path)
    return name


@pytest.fixture(params=[".safetensors", ".pt"])
def bare_file(request: pytest.FixtureRequest, model_folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / f"weights{request.param}"
    if request.param == ".safetensors":
        return Path(shutil.copy(model_folder / WEIGHTS, path))
    torch.save(load_file(model_folder / WEIGHTS), path)
    return path


def test_a_bare_file_is_refused_with_how_to_say_what_it_needs(bare_file: Path) -> None:
    message = refusal(WeightsMismatch, str(bare_file))
    assert str(bare_file) in message
    for way_out in ("architecture=", "preprocess=", "local-dir:"):
        assert way_out in message


def test_a_bare_file_is_refused_without_its_preprocessing(bare_file: Path, architecture: str) -> None:
    assert "preprocess=" in refusal(WeightsMismatch, str(bare_file), architecture=architecture)


def test_a_bare_file_is_refused_without_its_architecture(bare_file: Path, preprocess_config: dict[str, Any]) -> None:
    assert "architecture=" in refusal(WeightsMismatch, str(bare_file), preprocess=preprocess_config)


@pytest.mark.parametrize("lacking", ["mean", "std", "interpolation", "resize_mode"])
def test_a_bare_file_is_refused_with_half_of_its_preprocessing(
    bare_file: Path, architecture: str, preprocess_config: dict[str, Any], lacking: str
) -> None:
    del preprocess_config[lacking]
    message = refusal(WeightsMismatch, str(bare_file), architecture=architecture, preprocess=preprocess_config)
    assert lacking in message


def test_a_bare_file_with_architecture_and_preprocessing_gives_open_clips_vectors(
    bare_file: Path,
    architecture: str,
    preprocess_config: dict[str, Any],
    reference: Any,
    pictures: list[np.ndarray],
    texts: list[str],
) -> None:
    options = {"architecture": architecture, "preprocess": preprocess_config}
    image, text = image_tower(str(bare_file), **options), text_tower(str(bare_file), **options)
    np.testing.assert_allclose(encode(image, pictures), reference.images(pictures), rtol=0, atol=1e-6)
    np.testing.assert_allclose(encode(text, texts), reference.texts(texts), rtol=0, atol=1e-6)
    assert image.space == text.space
    assert image.space.name == "weights"


def test_two_towers_of_one_file_are_each_of_the_architecture_that_was_asked_for(
    bare_file: Path,
    architecture: str,
    preprocess_config: dict[str, Any],
    tmp_path: Path,
    reference: Any,
    texts: list[str],
) -> None:
    # The same shapes with another activation, so that nothing but the option tells them apart.
    quick = open_clip.get_model_config(architecture) | {"quick_gelu": True}
    (tmp_path / "tiny-quick-for-tests.json").write_text(json.dumps(quick))
    open_clip.add_model_config(tmp_path / "tiny-quick-for-tests.json")
    image_tower(str(bare_file), architecture=architecture, preprocess=preprocess_config)
    text = text_tower(str(bare_file), architecture="tiny-quick-for-tests", preprocess=preprocess_config)
    assert np.abs(encode(text, texts) - reference.texts(texts)).max() > 1e-4


def test_a_bare_file_that_is_not_there_is_refused_by_name(
    tmp_path: Path, architecture: str, preprocess_config: dict[str, Any]
) -> None:
    path = str(tmp_path / "absent.safetensors")
    assert path in refusal(BadInput, path, architecture=architecture, preprocess=preprocess_config)


def test_an_unknown_architecture_of_a_bare_file_is_refused_with_the_nearest(
    bare_file: Path, preprocess_config: dict[str, Any]
) -> None:
    message = refusal(BadOption, str(bare_file), architecture="ViT-B-23", preprocess=preprocess_config)
    assert "'ViT-B-23'" in message
    assert "did you mean 'ViT-B-32'" in message


class Touch:
    """Unpickled, it makes a file: what a hostile weight file would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return builtins.open, (str(self.path), "w")


@pytest.mark.parametrize("place", ["bare file", "folder"])
def test_a_file_that_would_run_code_is_refused_and_the_code_does_not_run(
    own_folder: Path, architecture: str, preprocess_config: dict[str, Any], tmp_path: Path, place: str
) -> None:
    trace = tmp_path / "the-code-ran"
    path = tmp_path / "hostile.pt" if place == "bare file" else own_folder / PICKLED
    (own_folder / WEIGHTS).unlink()
    torch.save({"visual.proj": torch.zeros(3), "code": Touch(trace)}, path)
    if place == "bare file":
        message = refusal(WeightsMismatch, str(path), architecture=architecture, preprocess=preprocess_config)
    else:
        message = refusal(WeightsMismatch, f"local-dir:{own_folder}")
    assert str(path) in message
    assert not trace.exists()
    assert bytes(trace) in path.read_bytes()  # the call that unpickling would make is there


def test_an_unknown_architecture_is_refused_with_the_nearest_names() -> None:
    message = refusal(BadOption, "ViT-B-23/openai")
    assert "'ViT-B-23'" in message
    assert "did you mean 'ViT-B-32'" in message


def test_an_unknown_tag_is_refused_with_the_nearest_names() -> None:
    message = refusal(BadOption, "ViT-B-32/openay")
    assert "'openay'" in message
    assert "did you mean 'openai'?" in message


@pytest.mark.parametrize("model", ["ViT-B-32", "ViT-B-32/"])
def test_an_architecture_without_a_tag_is_refused_with_all_its_tags(model: str) -> None:
    message = refusal(BadOption, model)
    assert "ViT-B-32/TAG" in message
    for tag in open_clip.list_pretrained_tags_by_model("ViT-B-32"):
        assert tag in message


# The hub. Three processes run at once, since importing torch takes most of their time, and the tests read their
# reports: LOOK finds everything in a cache laid out by hand and lists the connections that were tried; ASK has an
# empty cache and no way out; FETCH has a server of our own that speaks as much of the hub's protocol as is needed.

LOOK = """
import json, socket, sys
from dataclasses import asdict
tried = []
def refuse(*where, **more):
    tried.append(repr(where))
    raise OSError("this process may not connect")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse

import numpy as np
from open_clip.pretrained import get_pretrained_cfg
from anybind_openclip.source import _weights_of_tag, find_source
from anybind_openclip.towers import image_tower, text_tower

pictures, (repository, revision, *tags) = np.load(sys.argv[1]).values(), sys.argv[2:]
image, text = image_tower("hf-hub:" + repository), text_tower("hf-hub:" + repository)
report = {
    "image space": asdict(image.space),
    "text space": asdict(text.space),
    "image": image.encode([image.preprocess(picture) for picture in pictures]).tolist(),
    "text": text.encode([text.preprocess("a duck")]).tolist(),
    "by revision": find_source(f"hf-hub:{repository}@{revision}").backbone,
    "configs": {name: dict(find_source(name).config) for name in tags},
    "backbones": {name: find_source(name).backbone for name in tags},
}
for name in tags:
    path, backbone = _weights_of_tag(get_pretrained_cfg(*name.split("/")))
    report[name] = [str(path), backbone]
print(json.dumps({**report, "tried": tried}))
"""
TAGS = ("ViT-B-32/openai", "ViT-B-32/laion2b_s34b_b79k", "roberta-ViT-B-32/laion2b_s12b_b32k")

ASK = """
import sys
from anybind import AnybindError
from anybind_openclip.source import find_source
try:
    find_source(sys.argv[1])
except AnybindError as error:
    print(type(error).__name__, error)
"""

FETCH = """
import json, sys
from anybind_openclip.source import find_source
report = {}
for name in sys.argv[1:]:
    try:
        source = find_source("hf-hub:" + name)
        report[name] = [source.weights.name, source.weights.read_text(), source.backbone]
    except Exception as error:
        report[name] = [type(error).__name__, str(error)]
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def processes(
    model_folder: Path,
    pictures: list[np.ndarray],
    run_python: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[Any]]]:
    """LOOK, ASK and FETCH at work."""
    here, nothing, partly = (tmp_path_factory.mktemp(name) for name in ("here", "nothing", "partly"))
    lay_out(here, "org/repo", {name: model_folder / name for name in (CONFIG, WEIGHTS)}, "ab" * 20)
    # The real weights would be 600 MB each: here only finding them is asked for, not reading them.
    lay_out(here, B32_OPENAI, {WEIGHTS: b"openai"}, "0a" * 20)
    lay_out(here, B32_LAION, {PICKLED: b"pickled only"}, "1b" * 20)
    lay_out(here, ROBERTA_LAION, {WEIGHTS: b"roberta", PICKLED: b"the second choice"}, "2c" * 20)
    np.savez(here / "pictures.npz", *pictures[:3])

    config = (model_folder / CONFIG).read_bytes()
    repositories = {
        "org/whole": {CONFIG: config, WEIGHTS: b"safe", PICKLED: b"pickled"},
        "org/pickled": {CONFIG: config, PICKLED: b"pickled"},
        "org/interrupted": {CONFIG: config, WEIGHTS: b"safe"},
    }
    lay_out(partly, "org/interrupted", {CONFIG: config}, COMMIT)

    with serve_hub(repositories) as hub, ThreadPoolExecutor() as pool:
        look = (str(here / "pictures.npz"), "org/repo", "ab" * 20, *TAGS)
        yield {
            "look": pool.submit(run_python, "-c", LOOK, *look, hub_cache=here),
            "ask": pool.submit(run_python, "-c", ASK, "hf-hub:org/repo", hub_cache=nothing),
            "fetch": pool.submit(run_python, "-c", FETCH, *repositories, hub_cache=partly, HF_ENDPOINT=hub.url),
        }


@pytest.fixture(scope="module")
def looked(processes: dict[str, Future[Any]]) -> dict[str, Any]:
    done = processes["look"].result()
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def fetched(processes: dict[str, Future[Any]]) -> dict[str, Any]:
    done = processes["fetch"].result()
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_no_connection_is_tried_once_the_files_are_here(looked: dict[str, Any]) -> None:
    assert looked["tried"] == []


def test_a_cached_repository_gives_open_clips_vectors(
    looked: dict[str, Any], reference: Any, pictures: list[np.ndarray]
) -> None:
    np.testing.assert_allclose(looked["image"], reference.images(pictures[:3]), rtol=0, atol=1e-6)
    np.testing.assert_allclose(looked["text"], reference.texts(["a duck"]), rtol=0, atol=1e-6)


def test_the_space_of_a_repository_is_named_after_it_and_its_revision(looked: dict[str, Any]) -> None:
    assert looked["image space"] == {"name": "org/repo", "dim": 32, "backbone": f"org/repo@{'ab' * 20}"}
    assert looked["text space"] == looked["image space"]


def test_a_revision_can_be_asked_for(looked: dict[str, Any]) -> None:
    assert looked["by revision"] == f"org/repo@{'ab' * 20}"


def test_a_tag_takes_its_weights_and_its_revision_from_the_cache(looked: dict[str, Any]) -> None:
    path, backbone = looked["ViT-B-32/openai"]
    assert Path(path).read_bytes() == b"openai"
    assert backbone == looked["backbones"]["ViT-B-32/openai"] == f"{B32_OPENAI}@{'0a' * 20}"


def test_a_tag_takes_pickled_weights_where_the_cache_has_no_others(looked: dict[str, Any]) -> None:
    path, backbone = looked["ViT-B-32/laion2b_s34b_b79k"]
    assert Path(path).read_bytes() == b"pickled only"
    assert backbone == f"{B32_LAION}@{'1b' * 20}"


def test_a_tag_prefers_weights_that_cannot_hold_code(looked: dict[str, Any]) -> None:
    assert Path(looked["roberta-ViT-B-32/laion2b_s12b_b32k"][0]).read_bytes() == b"roberta"


def test_the_activation_is_the_one_that_the_tag_was_trained_with(looked: dict[str, Any]) -> None:
    # The architecture says neither; open_clip itself only warns of a mismatch.
    assert looked["configs"]["ViT-B-32/openai"]["quick_gelu"] is True
    assert looked["configs"]["ViT-B-32/laion2b_s34b_b79k"]["quick_gelu"] is False


def test_an_activation_that_the_architecture_itself_asks_for_stays(looked: dict[str, Any]) -> None:
    # Only this one model of open_clip's list says it in the architecture and not in the tag.
    assert open_clip.get_model_config("roberta-ViT-B-32")["quick_gelu"] is True
    assert looked["configs"]["roberta-ViT-B-32/laion2b_s12b_b32k"]["quick_gelu"] is True


def test_a_hub_out_of_reach_is_told_within_seconds_in_one_line_with_the_way_around(
    processes: dict[str, Future[Any]],
) -> None:
    done = processes["ask"].result()  # it has 40 seconds, most of which importing torch may need
    assert done.stderr == ""
    assert done.stdout.startswith("BadInput cannot fetch org/repo")
    assert done.stdout.count("\n") == 1
    assert "local-dir:FOLDER" in done.stdout


def test_what_is_no_repository_is_refused_as_an_option() -> None:
    assert "'no repository'" in refusal(BadOption, "hf-hub:no repository")


def test_a_repository_is_fetched_with_the_weights_that_cannot_hold_code(fetched: dict[str, Any]) -> None:
    assert fetched["org/whole"] == [WEIGHTS, "safe", f"org/whole@{COMMIT}"]


def test_a_repository_that_has_only_pickled_weights_is_fetched_with_them(fetched: dict[str, Any]) -> None:
    assert fetched["org/pickled"] == [PICKLED, "pickled", f"org/pickled@{COMMIT}"]


def test_a_download_that_was_interrupted_before_the_weights_goes_on(fetched: dict[str, Any]) -> None:
    assert fetched["org/interrupted"] == [WEIGHTS, "safe", f"org/interrupted@{COMMIT}"]
