"""Parts of other kinds that are broken on purpose: each fails the checks of what it breaks."""

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


class WrongTarget(Turn):
    def map(self, vectors):
        return vectors[:, :3]


class Centring(Turn):
    def map(self, vectors):
        return vectors[:, :2] - vectors[:, :2].mean(0) if len(vectors) else vectors[:, :2]


class NoHash(Turn):
    identity = "my adapter"


class TakesAnySpace(Turn):
    def __call__(self, embeddings):
        return super().__call__(replace(embeddings, space=self.source))


class NeedsRows(Turn):
    def map(self, vectors):
        return super().map(vectors / vectors.max())


@pytest.mark.parametrize(
    ("adapter", "failure"),
    [
        (WrongTarget, "check_target_dimension"),
        (Centring, "check_batch_invariance"),
        (NoHash, "check_identity"),
        (TakesAnySpace, "check_refuses_another_space"),
        (NeedsRows, "check_maps_no_rows"),
    ],
)
def test_an_adapter_fails_the_check_of_what_it_breaks(adapter, failure, failed_checks):
    assert failed_checks(Turn()) == []
    assert failure in failed_checks(adapter())


@dataclass(frozen=True)
class Frame(Representation):
    @property
    def settings(self):
        return {"kind": "frame"}

    def __call__(self, sample):
        if not isinstance(sample, np.ndarray):
            raise BadInput("not an array")
        return np.array(sample).reshape(1, 2, 3)


class Flat(Frame):
    def __call__(self, sample):
        return super().__call__(sample)[0]


class Bytes(Frame):
    def __call__(self, sample):
        return super().__call__(sample).astype(np.uint8)


class Scribbles(Frame):
    def __call__(self, sample):
        array = super().__call__(sample)
        sample[:] = sample / 2
        return array


class OtherBatch(Frame):
    def batch(self, samples):
        return super().batch(samples) / len(samples)


@pytest.mark.parametrize(
    ("representation", "failures"),
    [
        (Frame, []),
        (Flat, ["check_shape"]),
        (Bytes, ["check_dtype"]),
        (Scribbles, ["check_deterministic", "check_leaves_samples_unchanged"]),
        (OtherBatch, ["check_batch"]),
    ],
)
def test_a_representation_fails_the_checks_of_what_it_breaks(representation, failures, failed_checks):
    example = Example(samples=[each.copy() for each in SAMPLES], wrong=["x"])
    assert failed_checks(representation(), example) == failures


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


class CrashesOnCuts(Counted):
    def read(self, path):
        content = path.read_bytes()
        return np.frombuffer(content, np.uint8, count=struct.unpack_from("<H", content, 3)[0], offset=5)


class ClaimsAll(Counted):
    def sniff(self, head):
        return True


class NamesNoFile(Counted):
    def read(self, path):
        try:
            return super().read(path)
        except BadInput:
            raise BadInput("something is wrong") from None


@pytest.mark.parametrize(
    ("reader", "failures"),
    [
        (Counted, []),
        (CrashesOnCuts, ["check_survives_truncation", "check_survives_damage", "check_refuses_foreign_files"]),
        (ClaimsAll, ["check_leaves_other_files"]),
        (NamesNoFile, ["check_refuses_foreign_files"]),
    ],
)
def test_a_reader_fails_the_checks_of_what_it_breaks(reader, failures, failed_checks):
    spec = ReaderSpec(name="counted", modality="counts", suffixes=(".cnt",), summary="s", target="m:a")
    assert failed_checks(reader(), Example(samples=[np.arange(200, dtype=np.uint8)]), spec=spec) == failures


class Numbers(Modality):
    name = "numbers"

    def accepts(self, item):
        return isinstance(item, np.ndarray)

    def check(self, sample):
        if not np.isfinite(sample).all():
            raise BadInput("the numbers are not finite")

    def show(self, sample):
        return str(sample)


class ChecksNothing(Numbers):
    def check(self, sample):
        pass


class AcceptsAll(Numbers):
    def accepts(self, item):
        return True


class ShowsFloats(Numbers):
    def show(self, sample):
        return sample


class AugmentsAtWill(Numbers):
    def augment(self, sample, /, *, seed):
        return sample + np.random.standard_normal(6)


class DerivesAtWill(Numbers):
    def derive(self, sample, source, /, *, seed):
        return np.random.standard_normal(6)


@pytest.mark.parametrize(
    ("modality", "failures"),
    [
        (Numbers, []),
        (ChecksNothing, ["check_refuses_wrong_samples"]),
        (AcceptsAll, ["check_accepts_nothing_else"]),
        (ShowsFloats, ["check_shows_samples"]),
        (AugmentsAtWill, ["check_augmentation"]),
        (DerivesAtWill, ["check_derive"]),
    ],
)
def test_a_modality_fails_the_check_of_what_it_breaks(modality, failures, failed_checks):
    sources = {"letters": "abc"} if modality is DerivesAtWill else {}
    example = Example(samples=SAMPLES, wrong=[SAMPLES[0] * np.nan], sources=sources)
    assert failed_checks(modality(), example) == failures
