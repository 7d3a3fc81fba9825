"""Parts of other kinds that are broken on purpose: each fails the right checks."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

import numpy as np
import pytest

from anybind import BadInput, Space
from anybind.adapter import Adapter
from anybind.modality import Modality
from anybind.reader import Reader
from anybind.representation import Representation
from anybind.spec import ReaderSpec
from anybind.testing import Example

SAMPLES = [np.random.default_rng(n).standard_normal(6).astype(np.float32) for n in range(4)]


class Turn(Adapter):
    source, target, identity = Space("here", 4), Space("there", 2), "0123456789ab"

    def map(self, vectors):
        return vectors[:, :2] + 3


@pytest.mark.parametrize(
    ("members", "failure"),
    [
        ({"map": lambda self, vectors: vectors[:, :3]}, "check_target_dimension"),
        ({"map": lambda self, vectors: vectors[:, :2] - vectors[:1, :2]}, "check_batch_invariance"),
        ({"map": lambda self, vectors: vectors[:, :2] + vectors.max()}, "check_maps_no_rows"),
        ({"map": lambda self, vectors: vectors[:, :2].tolist()}, "check_maps_vectors"),
        ({"map": lambda self, vectors: vectors[:, :2] * np.nan}, "check_finite"),
        ({"map": lambda self, vectors: vectors[:, :2] + np.random.rand()}, "check_deterministic"),
        ({"identity": "my adapter"}, "check_identity"),
        ({"target": "there"}, "check_spaces"),
        (
            {"__call__": lambda self, given: Turn.__call__(self, replace(given, space=self.source))},
            "check_refuses_another_space",
        ),
    ],
)
def test_an_adapter_fails_the_check_of_what_it_breaks(members, failure, failed_checks):
    assert failure in failed_checks(type("Broken", (Turn,), members)())


def test_a_correct_adapter_passes(failed_checks):
    assert failed_checks(Turn()) == []


@dataclass(frozen=True)
class Frame(Representation):
    @property
    def settings(self):
        return {"kind": "frame"}

    def __call__(self, sample):
        if not isinstance(sample, np.ndarray):
            raise BadInput("not an array")
        return np.array(sample).reshape(1, 2, 3)


def scribble(self, sample):
    array = Frame.__call__(self, sample)
    sample[:] = sample / 2
    return array


@pytest.mark.parametrize(
    ("members", "failures"),
    [
        ({}, []),
        ({"__call__": lambda self, sample: Frame.__call__(self, sample)[0]}, ["check_shape"]),
        ({"__call__": lambda self, sample: Frame.__call__(self, sample).astype(np.uint8)}, ["check_dtype"]),
        ({"__call__": lambda self, sample: Frame.__call__(self, sample) * np.float32(np.nan)}, ["check_finite"]),
        ({"__call__": scribble}, ["check_deterministic", "check_leaves_samples_unchanged"]),
        ({"batch": lambda self, samples: Frame.batch(self, samples) / len(samples)}, ["check_batch"]),
    ],
)
def test_a_representation_fails_the_checks_of_what_it_breaks(members, failures, failed_checks):
    example = Example(samples=[each.copy() for each in SAMPLES], wrong=["x"])
    assert failed_checks(type("Broken", (Frame,), members)(), example) == failures


class Counted(Reader):
    """A mark, a number, and so many bytes."""

    def sniff(self, head):
        return head.startswith(b"CNT")

    def read(self, path):
        content = path.read_bytes()
        if (
            len(content) < 5
            or not content.startswith(b"CNT")
            or len(content) != 5 + struct.unpack_from("<H", content, 3)[0]
        ):
            raise BadInput(f"{path} is cut or damaged at byte {len(content)}")
        return np.frombuffer(content, np.uint8, offset=5)

    def write(self, sample, path):
        path.write_bytes(b"CNT" + struct.pack("<H", len(sample)) + sample.tobytes())


def crash_on_cuts(self, path):
    content = path.read_bytes()
    return np.frombuffer(content, np.uint8, count=struct.unpack_from("<H", content, 3)[0], offset=5)


def name_no_file(self, path):
    try:
        return Counted.read(self, path)
    except BadInput:
        raise BadInput("something is wrong") from None


@pytest.mark.parametrize(
    ("members", "failures"),
    [
        ({}, []),
        (
            {"read": crash_on_cuts},
            ["check_survives_truncation", "check_survives_damage", "check_refuses_foreign_files"],
        ),
        ({"sniff": lambda self, head: True}, ["check_leaves_other_files"]),
        ({"read": name_no_file}, ["check_refuses_foreign_files"]),
    ],
)
def test_a_reader_fails_the_checks_of_what_it_breaks(members, failures, failed_checks):
    reader = type("Broken", (Counted,), members)()
    spec = ReaderSpec(name="counted", modality="counts", suffixes=(".cnt",), summary="s", target="m:a")
    example = Example(samples=[np.arange(200, dtype=np.uint8)])
    assert failed_checks(reader, example, spec=spec) == failures


def test_a_reader_fails_for_signatures_that_its_files_lack(failed_checks):
    spec = ReaderSpec(
        name="counted", modality="counts", suffixes=(".cnt",), signatures=(b"no file",), summary="s", target="m:a"
    )
    example = Example(samples=[np.arange(200, dtype=np.uint8)])
    assert failed_checks(Counted(), example, spec=spec) == ["check_sniffs_its_files"]


class Numbers(Modality):
    name = "numbers"

    def accepts(self, item):
        return isinstance(item, np.ndarray)

    def check(self, sample):
        if not np.isfinite(sample).all():
            raise BadInput("the numbers are not finite")

    def show(self, sample):
        return str(sample)


def draw(self, *arguments, seed):
    return np.random.standard_normal(6)


@pytest.mark.parametrize(
    ("members", "sources", "failures"),
    [
        ({}, {}, []),
        ({"name": ""}, {}, ["check_name"]),
        ({"check": lambda self, sample: None}, {}, ["check_refuses_wrong_samples"]),
        ({"accepts": lambda self, item: True}, {}, ["check_accepts_no_other_types"]),
        ({"show": lambda self, sample: sample}, {}, ["check_shows_samples"]),
        ({"augment": draw}, {}, ["check_augmentation"]),
        ({"split": lambda self, sample, options: iter(())}, {}, ["check_split"]),
        ({"derive": draw}, {"letters": "abc"}, ["check_derive"]),
    ],
)
def test_a_modality_fails_the_check_of_what_it_breaks(members, sources, failures, failed_checks):
    example = Example(samples=SAMPLES, wrong=[SAMPLES[0] * np.nan], sources=sources)
    assert failed_checks(type("Broken", (Numbers,), members)(), example) == failures
