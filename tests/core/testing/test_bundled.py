"""The bundled plugins keep the contract that strangers' are held to: every part that can be tried here."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import anybind
import anybind_mini
from anybind.testing import Example, examine_part
from anybind.testing.checks import SUITES
from anybind_events.stream import EventStream
from anybind_languagebind.thermal import ThermalPicture
from anybind_media.depth import DepthMap
from anybind_media.sound import Waveform

SHARED = Path(os.environ.get("ANYBIND_SHARED", Path(__file__).resolve().parents[4] / "shared"), "data")
RECORDINGS = {
    "aedat2": "dvs128_walking.aedat",
    "aedat4": "davis240.aedat4",
    "es": "dvs.es",
    "evt2": "evt2_small.raw",
    "evt3": "evt3_small.raw",
}
"""Of formats that we do not write; the beginning of a recording is one."""
FOLDERS = {"esc-50": "esc10", "tuxpaint-triplets": "tuxpaint_triplets", "ucsd-ped": "ucsd_ped2"}
DOWNLOAD = "weights to download"
NOT_HERE = "no files of it here"


@functools.cache
def mini() -> anybind.Binder:
    return anybind.load("mini")


def events(seed: int, size: tuple[int, int] = (40, 30), count: int = 900) -> EventStream:
    random = np.random.default_rng(seed)
    columns = (random.integers(0, size[0], count), random.integers(0, size[1], count))
    times = np.sort(random.integers(0, 100_000, count))
    return EventStream(
        columns[0].astype(np.uint16), columns[1].astype(np.uint16), times, random.random(count) < 0.5, *size
    )


def picture(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(PIL.Image.fromarray(coarse).resize((width, height), PIL.Image.Resampling.BICUBIC))


def tone(seed: int, seconds: float = 1.5, rate: int = 16000) -> Waveform:
    time = np.arange(int(seconds * rate)) / rate
    wave = 0.3 * np.sin(2 * np.pi * (200 + 300 * seed) * time)
    return Waveform(
        (wave + 0.01 * np.random.default_rng(seed).standard_normal(len(time))).astype(np.float32)[None], rate
    )


def depth(seed: int) -> DepthMap:
    metres = np.random.default_rng(seed).uniform(0.5, 9, (24, 32)).astype(np.float32)
    metres[0, :5] = np.nan
    return DepthMap(np.round(metres, 3), fx=30.0, baseline=0.1)


def film(folder: Path, name: str = "film") -> Path:
    (folder / name).mkdir(parents=True)
    for number in range(4):
        PIL.Image.fromarray(picture(number)).save(folder / name / f"{number}.png")
    return folder / name


def modality(name: str, folder: Path) -> Example:
    empty = np.zeros(0, np.uint16)
    return {
        "image": lambda: Example(samples=[picture(0), picture(1, 64, 40)], wrong=[picture(0)[:0]]),
        "text": lambda: Example(samples=["a cat", "two dogs in the rain", "x"], wrong=["", "  "]),
        "sound": lambda: Example(
            samples=[tone(1), tone(2)], wrong=[Waveform(np.full((1, 99), np.nan, np.float32), 16000)]
        ),
        "depth": lambda: Example(samples=[depth(0), depth(1)], wrong=[DepthMap(np.full((4, 4), np.nan, np.float32))]),
        "event": lambda: Example(
            samples=[events(0), events(1), events(2)],
            wrong=[EventStream(empty, empty, empty.astype(np.int64), empty.astype(bool), 40, 30)],
            sources={"image": picture(3)},
        ),
        "thermal": lambda: Example(
            samples=[ThermalPicture(picture(0)), ThermalPicture(picture(1))], sources={"image": picture(2)}
        ),
        "video": lambda: Example(samples=[anybind.find_part("reader", "video").load()().read(film(folder))]),
    }[name]()


def reader(name: str, folder: Path) -> Example | None:
    if name in RECORDINGS:
        path = SHARED / "events" / RECORDINGS[name]
        if not path.is_file():
            return Example(cannot=NOT_HERE)
        with path.open("rb") as file:
            (folder / f"recording{path.suffix}").write_bytes(file.read(30_000))
        return Example(files=[folder / f"recording{path.suffix}"])
    if name == "npy-events":
        columns = [("x", "u2"), ("y", "u2"), ("t", "i8"), ("p", "?")]
        np.save(folder / "events.npy", np.array([(1, 2, 3 * n, True) for n in range(40)], columns))
        return Example(files=[folder / "events.npy"])
    if name == "depth":
        return Example(samples=[depth(0)])
    if name == "thermal-picture":
        PIL.Image.fromarray(picture(0)).save(folder / "warm.png")
        return Example(files=[folder / "warm.png"])
    return Example(cannot=NOT_HERE) if name in ("aedat3", "evt21", "video") else None


def encoder(name: str, folder: Path) -> Example | None:
    image = mini().encoder("image")
    options = {
        "mini-image": {},
        "mini-text": {},
        "mini-sound": {"weights": str(Path(anybind_mini.__file__).with_name("sound.safetensors"))},
        "depth-as-picture": {"of": image},
        "event-tower": {"of": image, "representation": "paper", "size": 64},
        "prompted-text": {"use": "mini-text"},
    }
    return Example(options=options[name]) if name in options else Example(cannot=DOWNLOAD)


def adapter(name: str, folder: Path) -> Example:
    if name == "mini-image-to-text":
        return Example()
    random = np.random.default_rng(0)
    sides = [
        anybind.Embeddings(
            anybind.unit(random.normal(size=(40, dim)) + 0.3),
            anybind.Space(side, dim),
            "image",
            tuple(map(str, range(40))),
        )
        for side, dim in (("here", 8), ("there", 6))
    ]
    few = {"epochs": 2} if name in ("linear", "mlp") else {}
    fitted = anybind.find_part("adapter", name).load().fit(*sides, groups=np.arange(40), seed=0, **few)
    fitted.save(folder / "adapter.safetensors")
    return Example(options={"weights": str(folder / "adapter.safetensors")})


def dataset(name: str, folder: Path) -> Example:
    if name in FOLDERS:
        there = SHARED / FOLDERS[name]
        return Example(folder=there) if there.is_dir() else Example(cannot=NOT_HERE)
    if name in ("folder", "files", "manifest"):
        for label in ("cat", "dog"):
            (folder / label).mkdir()
            PIL.Image.fromarray(picture(1)).save(folder / label / "a.png")
        (folder / "manifest.csv").write_text("image,label\ncat/a.png,cat\ndog/a.png,dog\n")
        return Example(folder=folder / "cat" if name == "files" else folder)
    if name == "labelled-films":
        film(folder, "01")
        (folder / "labels.json").write_text(json.dumps({"01": {"anomalous": [[2, 3]]}}))
        return Example(folder=folder)
    if name == "n-cars":
        for label in ("cars", "background"):
            (folder / "n-cars_test" / label).mkdir(parents=True)
            (folder / "n-cars_test" / label / "obj_000001_td.dat").touch()
        return Example(folder=folder)
    return Example(cannot=NOT_HERE)


def head(name: str, folder: Path) -> Example:
    return Example(options={"steps": 10} if name == "mil" else {})


class Pictures(anybind.Dataset):
    name, licence, classes = "pictures", "Apache-2.0", ("cat", "dog")
    items = tuple(
        anybind.Item(f"{number}", picture(number), label, partners={"text": f"a {label}, number {number}"})
        for number, label in enumerate(["cat", "dog"] * 3)
    )


def task(name: str, folder: Path) -> Example:
    if name == "vad":
        return Example(cannot="films to play for a minute")
    return Example(options={"to": "text"} if name == "retrieval" else {}, dataset=Pictures(), modality="image")


OFFERS: dict[str, Callable[[str, Path], Example | None]] = {
    "modality": modality,
    "reader": reader,
    "encoder": encoder,
    "adapter": adapter,
    "dataset": dataset,
    "head": head,
    "task": task,
}


def offer(part: anybind.Part, folder: Path) -> Example | None:
    return OFFERS[part.kind](part.name, folder) if part.kind in OFFERS else None


BUNDLED = [part for kind in anybind.KINDS for part in anybind.parts(kind) if part.distribution == "anybind"]


@pytest.mark.parametrize("part", BUNDLED, ids=lambda part: f"{part.kind}-{part.name}")
def test_a_bundled_part_keeps_every_rule_that_can_be_checked_here(part):
    report = examine_part(part, offer).require()
    (tried,) = [outcome.seen for outcome in report.outcomes if outcome.rule == "tried"] or [""]
    known = ("", NOT_HERE, DOWNLOAD, "films to play for a minute", f"there are no rules for a {part.kind} at work")
    assert tried in known


def test_all_kinds_that_have_rules_are_tried():
    kinds = {part.kind for part in BUNDLED if part.kind in SUITES}
    assert kinds == set(SUITES) - {"spec"}
