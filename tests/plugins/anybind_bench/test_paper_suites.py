"""The suites with published results: their values, and runs from end to end.

Runs use replicas of the datasets and encoders of two layers with random weights.
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
    "text_cfg": {"context_length": 48, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
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


def test_table_1_has_published_values():
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
    assert list_published(suite) == {
        column: {method: {"": of[number]} for method, of in rows.items() if of[number] is not None}
        for number, column in enumerate(columns)
    }
    assert suite.compare == {"clip-vit-b-32": "paper B/32", "clip-vit-l-14": "paper L/14"}


def test_table_2_has_published_values():
    columns = {
        "N-ImageNet": ("22.74 11.52 37.9", "25.39 17.6 44.3", "29.44 21.7 45.91", "35.43 28.1 50.4"),
        "N-Caltech101": ("58.82 61.8 66.34", "75.82 74.96 79.43", "78.86 79.78 81.91", "83.57 84.49 85.01"),
        "N-MNIST": ("48.72 56.81 46.95", "74.62 74.64 69.43", "82.78 82.89 83.33", "93.78 94.44 94.23"),
    }
    shots = ("0 shots", "1 shot", "2 shots", "5 shots")
    suite = find_suite("paper-table2")
    assert list_published(suite) == {
        f"{column}, {words}": {
            method: {"": float(number)}
            for method, number in zip(("EventCLIP", "EventBind", "paper"), cell.split(), strict=True)
        }
        for column, cells in columns.items()
        for words, cell in zip(shots, cells, strict=True)
    }
    for evaluation in suite.evaluations:
        assert evaluation.options.get("shots", 0) == int(evaluation.title.partition(", ")[2].split()[0])
        assert evaluation.task == ("few-shot" if evaluation.options.get("shots") else "zero-shot")


def test_table_3_has_published_values():
    own = {"UCF-Crime": (58.63, 64.14), "XD-Violence": (27.21, 57.65), "ShanghaiTech": (49.17, 54.41)}
    others = {
        "UCF-Crime": {"zero-shot CLIP": 53.16, "ImageBind, images": 53.65, "LAVAD": 80.28},
        "XD-Violence": {
            "zero-shot CLIP": (38.21, 17.83),
            "ImageBind, images": (58.81, 27.25),
            "LAVAD": (85.36, 62.01),
        },
        "ShanghaiTech": {"zero-shot CLIP": 60.9, "ImageBind, images": 61.3},
    }
    expected: dict[str, Any] = {}
    for name, (clip, paper) in own.items():
        of_frames = {
            method: dict(zip(("auc", "ap"), each if isinstance(each, tuple) else (each,), strict=False))
            for method, each in others[name].items()
        }
        row = {"CLIP (paper)": {"window_auc": clip}, **of_frames}
        expected[name] = {**row, "paper": {"window_auc": paper}}
        expected[f"{name}: image baseline"] = row
        expected[f"{name}: event-rate baseline"] = {}
    assert list_published(find_suite("paper-table3")) == expected


def test_table_4_has_published_values():
    """R@1, R@5, R@10, mAP@1, mAP@5 and MRR, in both directions."""
    rows = {
        "image": ("images", "71.03 90.46 96.09 71.03 79.03 79.78", "72.76 91.26 95.57 72.76 80.10 80.69"),
        "text": ("text", "61.15 87.70 93.10 61.15 71.88 72.59", "56.84 84.48 92.70 56.84 67.86 68.96"),
        "sound": ("audio", "55.37 82.77 90.11 55.37 66.07 67.04", "74.01 95.76 100.00 74.01 82.35 82.90"),
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
        expected[f"events and {words}, in-batch"] = {"paper": figures}
    assert list_published(find_suite("paper-table4")) == expected


def test_encoder_suites_have_published_values():
    assert list_published(find_suite("imagebind-zero-shot")) == {
        "ESC-50": {"ImageBind": {"": 66.9}, "MTEB": {"": 66.4}},
        "NYU-D": {"ImageBind": {"": 54.0}},
        "SUN-D": {"ImageBind": {"": 35.1}},
    }
    assert list_published(find_suite("languagebind-zero-shot")) == {
        "ESC-50": {
            "LanguageBind": {"": 91.8},
            "LanguageBind, Audio_FT": {"": 94.0},
            "Audio_FT, measured by MTEB": {"": 94.25},
        },
        "NYU-D": {"LanguageBind": {"": 65.1}},
        "LLVIP": {"LanguageBind": {"": 87.2}},
    }


def test_every_suite_names_its_source():
    assert list_published(find_suite("paper-fig4")) == {"N-ImageNet, 100 classes": {}}
    for name in NAMES:
        suite = find_suite(name)
        assert suite.name == name
        assert suite.source
        assert suite.differences
        assert not {*suite.compare.values()} - {method for each in suite.evaluations for method in each.published}


def test_the_highest_values_since_are_rows_of_their_own():
    assert list_since("paper-table1") == {"N-ImageNet": {"ECDP, all 1,000 classes": {"": 64.83}}}
    assert list_since("paper-table2") == {
        "N-ImageNet, 0 shots": {"EZSR ViT-B/16 (CVPR 2025), 1,000-way": {"": 47.84}},
    }
    assert list_since("paper-table3") == {
        "UCF-Crime": {
            "Flashback, training-free": {"auc": 87.3},
            "VERA, training-free": {"auc": 86.55},
            "MM-VAD, training-free": {"auc": 83.24},
            "Holmes-VAD, weakly supervised": {"auc": 89.5},
        },
        "XD-Violence": {
            "MM-VAD, training-free": {"auc": 90.03, "ap": 65.3},
            "Flashback, training-free": {"ap": 75.1},
            "highest, weakly supervised": {"ap": 90.7},
        },
        "ShanghaiTech": {"MM-VAD": {"auc": 96.95}, "STPrompt": {"auc": 97.8}},
    }
    clap = {"LAION-CLAP in MAEB": {"": 94.76}}
    assert list_since("imagebind-zero-shot") == {
        "ESC-50": {**clap, "LAION-CLAP, measured again": {"": 91.55}},
        "NYU-D": {"ViT-Lens": {"": 68.5}, "LanguageBind, RGB-D": {"": 77.4}},
        "SUN-D": {"ViT-Lens": {"": 52.2}},
    }
    assert list_since("languagebind-zero-shot") == {
        "ESC-50": clap,
        "NYU-D": {"ViT-Lens": {"": 68.5}, "LanguageBind, RGB-D": {"": 77.4}},
        "LLVIP": {"CodeBind": {"": 95.5}},
    }


def test_event_counts_are_clamped_where_the_paper_clamps_them():
    for name in ("paper-table1", "paper-table2", "paper-table4"):
        for evaluation in find_suite(name).evaluations:
            clamped = "n-caltech101" in json.dumps([evaluation.dataset, evaluation.dataset_options])
            clamped = clamped or evaluation.dataset == "n-mnist"
            assert evaluation.clamp == (20 if clamped else None), evaluation.title


def list_since(name: str) -> dict[str, dict[str, dict[str, float]]]:
    """List values of later work as `list_published`."""
    rows = {title: _select(table, since=True) for title, table in _list_all(find_suite(name)).items()}
    return {title: table for title, table in rows.items() if table}


def list_published(suite: Suite) -> dict[str, dict[str, dict[str, float]]]:
    """List the paper's values in per cent by evaluation, method and metric; an empty name is the main metric."""
    return {title: _select(table, since=False) for title, table in _list_all(suite).items()}


def _select(table: Mapping[str, dict[str, float]], *, since: bool) -> dict[str, dict[str, float]]:
    return {name.removeprefix("since: "): row for name, row in table.items() if name.startswith("since: ") == since}


def _list_all(suite: Suite) -> dict[str, dict[str, dict[str, float]]]:
    values = {}
    for evaluation in suite.evaluations:
        tables = {
            method: each if isinstance(each, Mapping) else {"": each} for method, each in evaluation.published.items()
        }
        values[evaluation.title] = {
            method: {metric: round(100 * number, 4) for metric, number in table.items()}
            for method, table in tables.items()
        }
    return values


class PaperWorkspace(NamedTuple):
    """Folders of replicas and model files."""

    data: Path
    clip: str
    models: Path


def test_table_1_runs(run):
    one = {"epochs": 1, "batch_size": 2}
    run(
        "paper-table1",
        "clip",
        {
            "N-ImageNet": (
                one,
                {"classes": list(replicas.import_lists("n_imagenet_authors")["names"])[:2], "limit": 4},
            ),
            "N-Caltech101": (one, {"classes": ["rooster", "helicopter"]}),
            "N-MNIST": (one, {"classes": ["0", "1"]}),
        },
    )


@pytest.mark.slow
def test_table_2_runs(run, workspace):
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
    encoders = {suite.evaluations[cell["evaluation"]].title: cell["result"]["encoders"] for cell in results["cells"]}
    binding = anybind.find_binding(workspace.clip)
    for title, used in (("N-MNIST, 0 shots", binding.with_clamp("event", 20)), ("N-ImageNet, 0 shots", binding)):
        assert encoders[title]["event"].partition("~")[0] == anybind.load(used).identity("event")


@pytest.mark.slow
def test_table_3_runs(run):
    run("paper-table3", "clip", {})


@pytest.mark.filterwarnings("ignore:the weights of imagebind")
def test_table_4_runs(run):
    def shorter(evaluation: Evaluation) -> tuple[dict[str, Any], dict[str, Any]]:
        batches = {"gallery": "in-batch:2"} if "in-batch" in evaluation.title else {}
        return {**batches, "resamples": 10}, {"limit": 4} if evaluation.dataset != "paired-by-class" else {"limit": 9}

    suite = find_suite("paper-table4")
    results = run("paper-table4", "both", {each.title: shorter(each) for each in suite.evaluations})
    whole = {suite.evaluations[cell["evaluation"]].title: cell["result"] for cell in results["cells"]}
    assert whole["events and text"]["gallery_size"] == 101
    assert whole["events and text, in-batch"]["n"] == 9
    assert whole["events and audio"]["n"] == 5  # one recording of each common class
    assert whole["events and audio"]["gallery_size"] == 5


@pytest.mark.long
@pytest.mark.slow
def test_figure_4_runs(run):
    train = {"subset": "authors-seen", "split": "train", "images": "../ImageNet", "limit": 4}
    short = {"epochs": 1, "batch_size": 4, "train": train}
    results = run("paper-fig4", "clip", {"N-ImageNet, 100 classes": (short, {})})
    result = results["cells"][0]["result"]
    assert (result["n"], result["gallery_size"]) == (20, 100)
    curves = result["curves"]
    assert list(curves) == [
        "all", "zero-shot to teacher", "without contrastive", "without zero-shot", "without kl",
    ]  # fmt: skip
    assert all(curve["epoch"] == [0, 1] for curve in curves.values())


@pytest.mark.filterwarnings("ignore:the weights of imagebind")
def test_imagebind_runs(run):
    run("imagebind-zero-shot", "imagebind", {})


@pytest.mark.filterwarnings("ignore:text truncated to 16 tokens")  # the small text encoder tokenizes letters
def test_languagebind_runs(run):
    run("languagebind-zero-shot", "languagebind", {})


@pytest.fixture
def run(
    workspace: PaperWorkspace, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Return a function that runs a shortened suite, checks that all cells are done, and returns the results."""
    monkeypatch.setattr("anybind_train.engine.draw_curves", lambda *arguments: None)
    monkeypatch.setattr("anybind_train.metrics_log._open_tensorboard", lambda *arguments: None)
    _shrink_imagebind(monkeypatch)
    bindings = {
        "clip": workspace.clip,
        "both": workspace.models / "both.toml",
        "imagebind": f"imagebind:{workspace.models / 'imagebind.safetensors'}",
        "languagebind": f"languagebind:local-dir:{workspace.models}",
    }

    def run_suite(name: str, binding: str, shorter: Mapping[str, tuple[Any, Any]], *more: object) -> dict[str, Any]:
        file = tmp_path / f"{name}.toml"
        file.write_text(shorten_suite(name, shorter))
        command = [
            "bench",
            "run",
            file,
            "--data",
            workspace.data,
            "--binding",
            bindings[binding],
            "--no-store",
            "--json",
        ]
        outcome = cli(*command, "-o", tmp_path / "results", *more)
        results = json.loads((tmp_path / "results" / "results.json").read_text())
        suite = find_suite(name)
        message = [
            (suite.evaluations[cell["evaluation"]].title, cell["state"], cell["error"]) for cell in results["cells"]
        ]
        assert [each for each in message if each[1:] != ("done", None)] == []
        assert outcome.code == 0, outcome.err
        seeds = [1 if more else len(evaluation.seeds) for evaluation in suite.evaluations]
        assert len(results["cells"]) == sum(seeds)
        for cell in results["cells"]:
            evaluation, result = suite.evaluations[cell["evaluation"]], cell["result"]
            assert set(evaluation.metrics) <= set(result["metrics"]), evaluation.title
            for table in evaluation.published.values():
                assert set(table if isinstance(table, Mapping) else ()) <= set(evaluation.metrics)
        return results

    return run_suite


def shorten_suite(name: str, shorter: Mapping[str, tuple[Any, Any]]) -> str:
    """Return the suite's file with other task and dataset options, by title."""
    target = find_part("suite", name).spec.target.partition(":")[2]
    table = tomllib.loads(Path(find_package_folder(), target).read_text(encoding="utf-8"))
    assert set(shorter) <= {evaluation["title"] for evaluation in table["evaluations"]}
    for evaluation in table["evaluations"]:
        options, dataset_options = shorter.get(evaluation["title"], ({}, {}))
        evaluation["options"] = {**evaluation.get("options", {}), **options}
        evaluation["dataset_options"] = {**evaluation.get("dataset_options", {}), **dataset_options}
    evaluations = table.pop("evaluations")
    lines = [f"{key} = {format_toml(value)}" for key, value in table.items()]
    for evaluation in evaluations:
        lines += ["[[evaluations]]", *(f"{key} = {format_toml(value)}" for key, value in evaluation.items())]
    return "\n".join(lines)


def format_toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {format_toml(each)}" for key, each in value.items()) + " }"
    return (
        f"[{', '.join(map(format_toml, value))}]" if isinstance(value, list) else json.dumps(value, ensure_ascii=False)
    )


def find_package_folder() -> Path:
    spec = importlib.util.find_spec("anybind_bench")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def load_module(path: Path) -> ModuleType:
    """Load a test module from its file, as tests are not packages."""
    spec = importlib.util.spec_from_file_location(f"at_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> PaperWorkspace:
    """Write replicas of all datasets and models of all bindings; tests do not modify them."""
    root = tmp_path_factory.mktemp("paper")
    data, models = root / "data", root / "models"
    folders = {
        "n-imagenet-authors": ("N_Imagenet", {}),
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
    _write_images_for(data / "N_Imagenet" / "extracted_train", data / "ImageNet" / "train", ".JPEG")
    _write_images_for(data / "N-Caltech101" / "Caltech101", data / "Caltech101" / "101_ObjectCategories", ".jpg")
    clip = _write_clip(models / "clip")
    _write_imagebind(models, clip)
    make = inspect.unwrap(load_module(TESTS / "plugins" / "anybind_languagebind" / "conftest.py").make_checkpoint)()
    for part in ("image", "sound", "depth", "thermal"):
        make(models, part)
    return PaperWorkspace(data, clip, models)


def _write_images_for(recordings: Path, folder: Path, suffix: str) -> None:
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
    """Write ImageBind's weights, and a binding of ImageBind and CLIP with an adapter."""
    theirs = load_module(TESTS / "plugins" / "anybind_imagebind" / "conftest.py")
    torch.manual_seed(0)
    state = {name: each for of in theirs.SMALL.values() for name, each in theirs.make_random_state(of).items()}
    weights, adapter = folder / "imagebind.safetensors", folder / "adapter.safetensors"
    save_file(state, weights)
    random = torch.Generator().manual_seed(0)
    source = anybind.load(clip).encoder("text").space
    target = replace(anybind.Space("imagebind", 16), backbone=_get_backbone(weights))
    tensors = {"weight": torch.randn(16, 16, generator=random), "bias": torch.zeros(16)}
    Linear(AdapterFile("linear", source, target, {}, tensors, {})).save(adapter)
    model = clip.removeprefix("open_clip:")
    towers = {
        "text": {"use": "open_clip-text", "model": model},
        "image": {"use": "open_clip-image", "model": model},
        "event": {"use": "event-encoder", "image_encoder": "@image", "representation": "paper"},
        "sound": {"use": "imagebind-sound", "weights": str(weights)},
        "depth": {"use": "imagebind-depth", "weights": str(weights)},
    }
    lines = ['name = "both"', 'space = "imagebind"']
    for of, options in towers.items():
        lines += [f"[encoders.{of}]", *(f"{key} = {format_toml(value)}" for key, value in options.items())]
    (folder / "both.toml").write_text("\n".join([*lines, f'[[adapters]]\nuse = "linear"\nweights = "{adapter}"\n']))


def _get_backbone(weights: Path) -> str:
    """Return the name of the weights in the space of ImageBind's encoders."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        _shrink_imagebind(monkeypatch)
        return create_part("encoder", "imagebind-depth", weights=str(weights)).space.backbone


def _shrink_imagebind(monkeypatch: pytest.MonkeyPatch) -> None:
    from anybind_imagebind import encoders, text_encoder

    small = load_module(TESTS / "plugins" / "anybind_imagebind" / "conftest.py").SMALL
    classes = {
        "sound": encoders.ImageBindSoundEncoder,
        "depth": encoders.ImageBindDepthEncoder,
        "image": encoders.ImageBindImageEncoder,
        "text": text_encoder.ImageBindTextEncoder,
    }
    for modality, encoder in classes.items():
        monkeypatch.setitem(encoder.__init__.__kwdefaults__, "architecture", small[modality])
