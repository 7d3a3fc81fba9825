"""The suites of published figures: what they print of others, and that each runs from end to end.

They run on replicas of the data sets, with towers of random weights and two layers.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import open_clip
import PIL.Image
import pytest
import torch
from safetensors.torch import save_file

import anybind
from anybind.registry import create_part, find_part
from anybind_adapters.adapters import Linear
from anybind_adapters.file import AdapterFile
from anybind_bench.suite import Evaluation, Suite, find_suite
from helpers import replicas

TESTS = Path(__file__).parents[2]
CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
PREPROCESS = {"mean": [0.5] * 3, "std": [0.3] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
NAMES = (
    "paper-table1",
    "paper-table2",
    "paper-table3",
    "paper-table4",
    "paper-fig4",
    "imagebind-zero-shot",
    "languagebind-zero-shot",
)
RETRIEVAL = ("R@1", "R@5", "R@10", "mAP@1", "mAP@5", "MRR")


def test_table_1_prints_what_was_published():
    columns = ("N-ImageNet", "N-Caltech101", "N-MNIST")
    rows = {
        "HATS": (47.14, 64.2, 99.1),
        "AsynNet": (None, 74.5, None),
        "EvS-S": (None, 76.1, None),
        "AEGNN": (None, 66.8, None),
        "MEM": (57.89, 90.1, None),
        "RG-CNN": (None, 65.7, 99),
        "EST": (48.93, 81.7, None),
        "E2VID": (None, 86.6, 98.3),
        "Matrix-LSTM": (32.21, 84.31, 98.9),
        "DiST": (48.43, 86.81, None),
        "EventDrop": (None, 87.14, None),
        "DVS-ViT": (None, 83, None),
        "Event Camera Data Pre-training": (69.46, 87.66, None),
        "EventCLIP L/14": (53.2, 93.57, None),
        "EventBind B/32": (42.94, 93.74, 99.26),
        "EventBind L/14": (64.16, 95.29, 99.45),
        "paper B/32": (62.04, 89.26, 99.17),
        "paper L/14": (71.51, 95.41, 99.45),
    }
    suite = find_suite("paper-table1")
    assert published(suite) == {
        column: {whose: {"": of[number]} for whose, of in rows.items() if of[number] is not None}
        for number, column in enumerate(columns)
    }
    assert suite.compare == {"clip-vit-b-32": "paper B/32", "clip-vit-l-14": "paper L/14"}


def test_table_2_prints_what_was_published():
    columns = {
        "N-ImageNet": ("22.74 11.52 37.9", "25.39 17.6 44.3", "29.44 21.7 45.91", "35.43 28.1 50.4"),
        "N-Caltech101": ("58.82 61.8 66.34", "75.82 74.96 79.43", "78.86 79.78 81.91", "83.57 84.49 85.01"),
        "N-MNIST": ("48.72 56.81 46.95", "74.62 74.64 69.43", "82.78 82.89 83.33", "93.78 94.44 94.23"),
    }
    shots = ("0 shots", "1 shot", "2 shots", "5 shots")
    suite = find_suite("paper-table2")
    assert published(suite) == {
        f"{column}, {words}": {
            whose: {"": float(number)}
            for whose, number in zip(("EventCLIP", "EventBind", "paper"), cell.split(), strict=True)
        }
        for column, cells in columns.items()
        for words, cell in zip(shots, cells, strict=True)
    }
    for evaluation in suite.evaluations:
        assert evaluation.options.get("shots", 0) == int(evaluation.title.partition(", ")[2].split()[0])
        assert evaluation.task == ("few-shot" if evaluation.options.get("shots") else "zero-shot")


def test_table_3_prints_what_was_published():
    own = {"UCF-Crime": (58.63, 64.14), "XD-Violence": (27.21, 57.65), "ShanghaiTech": (49.17, 54.41)}
    others = {
        "UCF-Crime": {"zero-shot CLIP": 53.16, "ImageBind, pictures": 53.65, "LAVAD": 80.28},
        "XD-Violence": {
            "zero-shot CLIP": (38.21, 17.83),
            "ImageBind, pictures": (58.81, 27.25),
            "LAVAD": (85.36, 62.01),
        },
        "ShanghaiTech": {"zero-shot CLIP": 60.9, "ImageBind, pictures": 61.3},
    }
    expected: dict[str, Any] = {}
    for name, (clip, paper) in own.items():
        of_frames = {
            whose: dict(zip(("auc", "ap"), each if isinstance(each, tuple) else (each,), strict=False))
            for whose, each in others[name].items()
        }
        row = {"CLIP (paper)": {"window_auc": clip}, **of_frames}
        expected[name] = {**row, "paper": {"window_auc": paper}}
        expected[f"{name}: pictures in place of events"] = row
        expected[f"{name}: how much moves"] = {}
    assert published(find_suite("paper-table3")) == expected


def test_table_4_prints_what_was_published():
    """R@1, R@5, R@10, mAP@1, mAP@5 and MRR, from events and to them."""
    rows = {
        "image": ("pictures", "71.03 90.46 96.09 71.03 79.03 79.78", "72.76 91.26 95.57 72.76 80.10 80.69"),
        "text": ("words", "61.15 87.70 93.10 61.15 71.88 72.59", "56.84 84.48 92.70 56.84 67.86 68.96"),
        "sound": ("sounds", "55.37 82.77 90.11 55.37 66.07 67.04", "74.01 95.76 100.00 74.01 82.35 82.90"),
        "depth": ("depth maps", "52.20 78.46 88.46 51.12 63.01 65.30", "51.38 75.54 83.07 50.07 61.74 62.99"),
    }
    expected: dict[str, Any] = {}
    for to, (words, forth, back) in rows.items():
        ways = {f"in_batch_event_to_{to}": forth, f"in_batch_{to}_to_event": back}
        figures = {
            f"{way}_{metric}": float(number)
            for way, cells in ways.items()
            for metric, number in zip(RETRIEVAL, cells.split(), strict=True)
        }
        expected[f"events and {words}"] = {}
        expected[f"events and {words}, within batches"] = {"paper": figures}
    assert published(find_suite("paper-table4")) == expected


def test_the_towers_suites_print_what_was_published():
    assert published(find_suite("imagebind-zero-shot")) == {
        "ESC-50": {"ImageBind": {"": 66.9}, "MTEB": {"": 66.4}},
        "NYU-D": {"ImageBind": {"": 54.0}},
        "SUN-D": {"ImageBind": {"": 35.1}},
    }
    assert published(find_suite("languagebind-zero-shot")) == {
        "ESC-50": {"LanguageBind": {"": 91.8}, "LanguageBind, Audio_FT": {"": 94.0}},
        "NYU-D": {"LanguageBind": {"": 65.1}},
        "LLVIP": {"LanguageBind": {"": 87.2}},
    }


def test_figure_4_has_no_printed_figures_and_every_suite_names_its_source():
    assert published(find_suite("paper-fig4")) == {"N-ImageNet mini": {}}
    for name in NAMES:
        suite = find_suite(name)
        assert suite.name == name
        assert suite.source
        assert suite.differs
        assert not {*suite.compare.values()} - {whose for each in suite.evaluations for whose in each.published}


def published(suite: Suite) -> dict[str, dict[str, dict[str, float]]]:
    """Figures in per cent by evaluation, whose and metric; an empty name is the main metric's."""
    found = {}
    for evaluation in suite.evaluations:
        tables = {
            whose: each if isinstance(each, Mapping) else {"": each} for whose, each in evaluation.published.items()
        }
        found[evaluation.title] = {
            whose: {metric: round(100 * number, 4) for metric, number in table.items()}
            for whose, table in tables.items()
        }
    return found


class World(NamedTuple):
    """Folders of made files."""

    data: Path
    clip: str
    models: Path


def test_table_1_runs(run):
    one = {"epochs": 1, "batch_size": 2}
    run(
        "paper-table1",
        "clip",
        {
            "N-ImageNet": (one, {"classes": replicas.lists("n_imagenet")["mini"][:2], "limit": 4}),
            "N-Caltech101": (one, {"classes": ["rooster", "helicopter"]}),
            "N-MNIST": (one, {"classes": ["0", "1"]}),
        },
    )


@pytest.mark.slow
def test_table_2_runs(run):
    def shorter(title: str) -> tuple[dict[str, Any], dict[str, Any]]:
        options = {} if ", 0 shots" in title else {"shots": 1, "epochs": 1}
        return options, {"classes": ["0", "1"]} if "MNIST" in title else {}

    suite = find_suite("paper-table2")
    results = run("paper-table2", "clip", {each.title: shorter(each.title) for each in suite.evaluations}, "--seed", 0)
    sizes = {suite.evaluations[cell["evaluation"]].title: cell["result"]["gallery_size"] for cell in results["cells"]}
    assert sizes["N-ImageNet, 0 shots"] == sizes["N-ImageNet, 5 shots"] == 100
    counts = {suite.evaluations[cell["evaluation"]].title: cell["result"]["n"] for cell in results["cells"]}
    assert counts["N-ImageNet, 0 shots"] == 20
    assert counts["N-Caltech101, 0 shots"] == 101


@pytest.mark.slow
def test_table_3_runs(run):
    run("paper-table3", "clip", {})


@pytest.mark.filterwarnings("ignore:the weights of imagebind")
def test_table_4_runs(run):
    def shorter(evaluation: Evaluation) -> tuple[dict[str, Any], dict[str, Any]]:
        batches = {"gallery": "in-batch:2"} if "within" in evaluation.title else {}
        return {**batches, "resamples": 10}, {"limit": 4} if evaluation.dataset != "paired-by-class" else {"limit": 9}

    suite = find_suite("paper-table4")
    results = run("paper-table4", "both", {each.title: shorter(each) for each in suite.evaluations})
    whole = {suite.evaluations[cell["evaluation"]].title: cell["result"] for cell in results["cells"]}
    assert whole["events and words"]["gallery_size"] == 101
    assert whole["events and words, within batches"]["n"] == 9
    assert whole["events and sounds"]["n"] == 5  # one recording of each of the classes in common
    assert whole["events and sounds"]["gallery_size"] == 5


@pytest.mark.slow
def test_figure_4_runs(run):
    train = {"part": "seen", "split": "train", "pictures": "../ImageNet", "limit": 4}
    short = {"epochs": 1, "batch_size": 4, "train": train}
    results = run("paper-fig4", "clip", {"N-ImageNet mini": (short, {})})
    result = results["cells"][0]["result"]
    assert (result["n"], result["gallery_size"]) == (20, 100)
    curves = result["curves"]
    assert list(curves) == ["all", "without contrastive", "without zero-shot", "without kl"]
    assert all(curve["epoch"] == [0, 1] for curve in curves.values())


@pytest.mark.filterwarnings("ignore:the weights of imagebind")
def test_imagebind_runs(run):
    run("imagebind-zero-shot", "imagebind", {})


@pytest.mark.filterwarnings("ignore:text cut to 16 tokens")  # of letters: the small tower has no words
def test_languagebind_runs(run):
    run("languagebind-zero-shot", "languagebind", {})


@pytest.fixture
def run(
    world: World, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Run a suite whose options are shorter, see that all of it is done, and give what the results hold."""
    monkeypatch.setattr("anybind_train.engine.draw_curves", lambda *arguments: None)
    monkeypatch.setattr("anybind_train.metrics_log._open_tensorboard", lambda *arguments: None)
    _shrink_imagebind(monkeypatch)
    bindings = {
        "clip": world.clip,
        "both": world.models / "both.toml",
        "imagebind": f"imagebind:{world.models / 'imagebind.safetensors'}",
        "languagebind": f"languagebind:local-dir:{world.models}",
    }

    def go(name: str, binding: str, shorter: Mapping[str, tuple[Any, Any]], *more: object) -> dict[str, Any]:
        file = tmp_path / f"{name}.toml"
        file.write_text(shortened(name, shorter))
        command = ["bench", "run", file, "--data", world.data, "--binding", bindings[binding], "--no-store", "--json"]
        ended = cli(*command, "-o", tmp_path / "results", *more)
        results = json.loads((tmp_path / "results" / "results.json").read_text())
        suite = find_suite(name)
        told = [
            (suite.evaluations[cell["evaluation"]].title, cell["state"], cell["error"]) for cell in results["cells"]
        ]
        assert [each for each in told if each[1:] != ("done", None)] == []
        assert ended.code == 0, ended.err
        seeds = [1 if more else len(evaluation.seeds) for evaluation in suite.evaluations]
        assert len(results["cells"]) == sum(seeds)
        for cell in results["cells"]:
            evaluation, result = suite.evaluations[cell["evaluation"]], cell["result"]
            assert set(evaluation.metrics) <= set(result["metrics"]), evaluation.title
            for table in evaluation.published.values():
                assert set(table if isinstance(table, Mapping) else ()) <= set(evaluation.metrics)
        return results

    return go


def shortened(name: str, shorter: Mapping[str, tuple[Any, Any]]) -> str:
    """The suite's file with other options of tasks and of data sets, by title."""
    target = find_part("suite", name).spec.target.partition(":")[2]
    table = tomllib.loads(Path(anybind_bench_folder(), target).read_text(encoding="utf-8"))
    assert set(shorter) <= {evaluation["title"] for evaluation in table["evaluations"]}
    for evaluation in table["evaluations"]:
        options, dataset_options = shorter.get(evaluation["title"], ({}, {}))
        evaluation["options"] = {**evaluation.get("options", {}), **options}
        evaluation["dataset_options"] = {**evaluation.get("dataset_options", {}), **dataset_options}
    evaluations = table.pop("evaluations")
    lines = [f"{key} = {toml(value)}" for key, value in table.items()]
    for evaluation in evaluations:
        lines += ["[[evaluations]]", *(f"{key} = {toml(value)}" for key, value in evaluation.items())]
    return "\n".join(lines)


def toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in value.items()) + " }"
    return f"[{', '.join(map(toml, value))}]" if isinstance(value, list) else json.dumps(value, ensure_ascii=False)


def anybind_bench_folder() -> Path:
    spec = importlib.util.find_spec("anybind_bench")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def module_at(path: Path) -> ModuleType:
    """A module of the tests, by its file: there are no packages of tests."""
    spec = importlib.util.spec_from_file_location(f"at_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Replicas of all the data and towers for all the bindings; tests leave them as they are."""
    root = tmp_path_factory.mktemp("paper")
    data, models = root / "data", root / "models"
    folders = {
        "n-imagenet-mini": ("N_Imagenet", {}),
        "n-caltech101": ("N-Caltech101", {}),
        "n-mnist": ("N-MNIST", {}),
        "ucf-crime": ("UCF-Crime", {"classes": 1, "per_class": 1}),
        "xd-violence": ("XD-Violence", {"classes": 1, "per_class": 1}),
        "shanghai-tech": ("ShanghaiTech", {"classes": 1, "per_class": 1}),
        "esc-50": ("ESC-50", {"classes": 50, "per_class": 1}),
        "dense": ("DENSE", {}),
        "nyu-d": ("NYU-D", {"classes": 9, "per_class": 1}),
        "sun-d": ("SUN-D", {}),
        "llvip": ("LLVIP", {"classes": 1}),
    }
    for name, (folder, sizes) in folders.items():
        replicas.make_replica(name, data / folder, **sizes)
    _pictures_beside(data / "N_Imagenet" / "extracted_train", data / "ImageNet" / "train", ".JPEG")
    _pictures_beside(data / "N-Caltech101" / "Caltech101", data / "Caltech101" / "101_ObjectCategories", ".jpg")
    clip = _write_clip(models / "clip")
    _write_imagebind(models, clip)
    make = inspect.unwrap(module_at(TESTS / "plugins" / "anybind_languagebind" / "conftest.py").make_checkpoint)()
    for part in ("image", "sound", "depth", "thermal"):
        make(models, part)
    return World(data, clip, models)


def _pictures_beside(recordings: Path, folder: Path, suffix: str) -> None:
    random = np.random.default_rng(0)
    for path in sorted(recordings.rglob("image_*.bin") if suffix == ".jpg" else recordings.rglob("*.npz")):
        place = folder / path.parent.name / f"{path.stem}{suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(place, "JPEG")


def _write_clip(folder: Path) -> str:
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    model = open_clip.CLIP(**CLIP)  # pyright: ignore[reportArgumentType]
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    described = {"model_cfg": CLIP, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    return f"open_clip:local-dir:{folder}"


def _write_imagebind(folder: Path, clip: str) -> None:
    """ImageBind's weights, and a binding of it and CLIP with an adapter in between."""
    theirs = module_at(TESTS / "plugins" / "anybind_imagebind" / "conftest.py")
    torch.manual_seed(0)
    state = {name: each for of in theirs.SMALL.values() for name, each in theirs.random_state(of).items()}
    weights, adapter = folder / "imagebind.safetensors", folder / "adapter.safetensors"
    save_file(state, weights)
    random = torch.Generator().manual_seed(0)
    source = anybind.load(clip).encoder("text").space
    target = replace(anybind.Space("imagebind", 16), backbone=_backbone(weights))
    tensors = {"weight": torch.randn(16, 16, generator=random), "bias": torch.zeros(16)}
    Linear(AdapterFile("linear", source, target, {}, tensors, {})).save(adapter)
    model = clip.removeprefix("open_clip:")
    towers = {
        "text": {"use": "open_clip-text", "model": model},
        "image": {"use": "open_clip-image", "model": model},
        "event": {"use": "event-tower", "of": "@image", "representation": "paper"},
        "sound": {"use": "imagebind-sound", "weights": str(weights)},
        "depth": {"use": "imagebind-depth", "weights": str(weights)},
    }
    lines = ['name = "both"', 'space = "imagebind"']
    for of, options in towers.items():
        lines += [f"[encoders.{of}]", *(f"{key} = {toml(value)}" for key, value in options.items())]
    (folder / "both.toml").write_text("\n".join([*lines, f'[[adapters]]\nuse = "linear"\nweights = "{adapter}"\n']))


def _backbone(weights: Path) -> str:
    """How ImageBind's towers name the weights that their space belongs to."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        _shrink_imagebind(monkeypatch)
        return create_part("encoder", "imagebind-depth", weights=str(weights)).space.backbone


def _shrink_imagebind(monkeypatch: pytest.MonkeyPatch) -> None:
    from anybind_imagebind import towers, words

    small = module_at(TESTS / "plugins" / "anybind_imagebind" / "conftest.py").SMALL
    kinds = {"sound": towers.SoundTower, "depth": towers.DepthTower, "image": towers.ImageTower}
    for of, tower in {**kinds, "text": words.TextTower}.items():
        monkeypatch.setitem(tower.__init__.__kwdefaults__, "architecture", small[of])
