"""What a run trains on: items, shots, versions and partners, and what is computed once and kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import anybind
from anybind.dataset import Dataset, Item
from anybind.errors import BadOption, UnknownName
from anybind.registry import Registry, use_registry
from anybind.spec import DatasetSpec
from anybind_train.cache import cache_array
from anybind_train.data import TrainingSet, open_dataset, select_few_shots, shuffle_epoch
from anybind_train.recipe import DatasetConfig
from anybind_train.student import load_student_binder


class Paired(Dataset):
    """Recordings with the pictures beside them that they were made of."""

    name, licence = "paired", "none"

    def __init__(self, folder, *, modalities=None, alone=0):
        self.folder, self.alone = Path(folder), alone

    @property
    def items(self):
        recordings = sorted(self.folder.glob("*.npz"))
        return [
            Item(path.name, path, partners={} if number < self.alone else {"image": path.with_suffix(".png")})
            for number, path in enumerate(recordings)
        ]

    @property
    def classes(self):
        return []


class Made(Dataset):
    """Items that are nowhere, by class."""

    name, licence = "made", "none"

    def __init__(self, counts):
        self.counts = counts

    @property
    def items(self):
        return [Item(f"{name}/{each}", None, name) for name, count in self.counts.items() for each in range(count)]

    @property
    def classes(self):
        return list(self.counts)


@pytest.fixture
def training_set(world):
    """The training set of the tiny recipe with changes, and its binder."""

    def make(*changes, data=world.data):
        plan = world.plan(*changes)
        binder = load_student_binder(plan, "cpu")
        return TrainingSet(plan, binder, data, binder.encoder(plan.modality))

    return make


@pytest.fixture
def own_data(world, tmp_path):
    """A copy of the data that a test may change."""
    return Path(shutil.copytree(world.data, tmp_path / "data"))


@pytest.fixture
def paired(world, tmp_path, add_plugin):
    """A folder of eight recordings with other pictures beside them, and a data set that knows of both."""
    registry = Registry.from_entry_points()
    add_plugin(registry, DatasetSpec(name="paired", summary="s", target=f"{__name__}:Paired"))
    former = use_registry(registry)
    folder = tmp_path / "paired"
    folder.mkdir()
    pictures = sorted((world.data / "pictures").rglob("*.png"))
    for number, path in enumerate(pictures[:8]):
        anybind.write(anybind.derive("event", anybind.read(path)), folder / f"{number}.npz")
        shutil.copy(pictures[number + 8], folder / f"{number}.png")
    yield tmp_path
    use_registry(former)


PAIRED = 'data=[{"dataset":"paired","path":"paired"}]'


def chosen(counts, shots, seed=0):
    return [item.id for item in select_few_shots(Made(counts), shots, seed)]


def test_shots_are_exactly_so_many_of_each_class():
    ids = chosen({"a": 9, "b": 5, "c": 30}, 5)
    assert {name: sum(id.startswith(name) for id in ids) for name in "abc"} == {"a": 5, "b": 5, "c": 5}
    assert len(set(ids)) == 15


def test_shots_are_drawn_by_the_seed():
    draws = [chosen({"a": 30, "b": 30}, 5, seed) for seed in (0, 1, 2)]
    assert draws[0] == chosen({"a": 30, "b": 30}, 5, 0)
    assert len({tuple(draw) for draw in draws}) == 3
    assert [id[2:] for id in draws[0][:5]] != [id[2:] for id in draws[0][5:]]  # each class has a draw of its own


def test_no_shots_are_all_samples():
    assert len(chosen({"a": 3, "b": 4}, 0)) == 7


def test_a_class_with_too_few_samples_is_named():
    with pytest.raises(anybind.BadInput, match=r"made: the class 'b' has 4 samples, fewer than 5 shots"):
        chosen({"a": 9, "b": 4}, 5)


def test_every_epoch_takes_each_sample_once_in_an_order_of_its_own():
    orders = [shuffle_epoch(50, 3, epoch) for epoch in range(4)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert np.array_equal(orders[2], shuffle_epoch(50, 3, 2))
    assert not np.array_equal(orders[0], shuffle_epoch(50, 4, 0))


def test_labels_are_numbers_of_the_classes_of_all_data_sets(training_set):
    data = training_set(
        'data=[{"path":"pictures","classes":["disc","bar"]},{"path":"pictures","classes":["beam","disc"],"shots":2}]'
    )
    assert data.classes == ["bar", "disc", "beam"]
    assert len(data) == 12 + 4
    labels = [data.classes[label] for label in data.labels]
    assert labels == ["bar"] * 6 + ["disc"] * 6 + ["beam"] * 2 + ["disc"] * 2
    assert data.pairs[0].item.id == "pictures/bar/0.png"


def test_samples_of_files_without_classes_have_no_label(training_set):
    data = training_set('data=[{"dataset":"files","path":"pictures/disc"}]')
    assert data.classes == []
    assert data.labels.tolist() == [-1] * 6


def test_classes_may_stand_in_a_file_below_the_data_folder(own_data):
    (own_data / "splits.json").write_text(json.dumps({"few": ["ring", "bar"]}))
    (own_data / "list.txt").write_text("cross\n")
    assert open_dataset(DatasetConfig(path="pictures", classes="splits.json:few"), own_data, "event").classes == [
        "bar",
        "ring",
    ]
    assert open_dataset(DatasetConfig(path="pictures", classes="list.txt"), own_data, "event").classes == ["cross"]
    assert open_dataset(DatasetConfig(path="pictures", classes="disc,cross"), own_data, "event").classes == [
        "cross",
        "disc",
    ]


def test_fewer_samples_than_a_batch_are_too_few(training_set):
    with pytest.raises(anybind.BadInput, match=r"there are 18 samples to train on, fewer than a batch of 19"):
        training_set("batch_size=19")


def test_the_hash_is_of_the_files_and_what_is_made_of_them(training_set, own_data):
    first = training_set(data=own_data).hash
    assert training_set().hash == first  # in another folder
    assert training_set("optimiser.lr=1", "epochs=7", data=own_data).hash == first
    changed = [
        "variants=2",
        "seed=1",
        "augment.image.flip=true",
        'derive={"vary":true}',
        'data.0.classes=["disc","bar"]',
    ]
    hashes = {training_set(change, data=own_data).hash for change in changed}
    (own_data / "pictures" / "disc" / "0.png").write_bytes(
        (own_data / "pictures" / "bar" / "0.png").read_bytes() + b" "
    )
    hashes.add(training_set(data=own_data).hash)  # another picture of the same name
    (own_data / "pictures" / "disc" / "0.png").unlink()
    hashes.add(training_set(data=own_data).hash)
    assert len(hashes | {first}) == 8


def test_the_hash_tells_other_labels_apart(training_set, own_data):
    first = training_set(data=own_data).hash
    (own_data / "names.json").write_text(json.dumps({"disc": "circle"}))
    named = (
        f'data=[{{"path":"pictures","classes":["circle","bar","ring"],"options":{{"names":"{own_data}/names.json"}}}}]'
    )
    assert training_set(named, data=own_data).hash != first


def test_seeds_differ_by_sample_version_and_purpose(training_set):
    data = training_set()
    seeds = {
        data.seed_of(number, version, purpose) for number in range(5) for version in range(3) for purpose in range(3)
    }
    assert len(seeds) == 45
    assert data.seed_of(3, 1, 2) == training_set().seed_of(3, 1, 2)
    assert data.seed_of(3, 1, 2) != training_set("seed=1").seed_of(3, 1, 2)


def test_versions_are_other_parts_of_the_picture_the_same_in_every_run(training_set):
    changes = ("variants=2", 'augment.image={"crop":[0.5,0.9]}')
    data, again = training_set(*changes), training_set(*changes)
    (first, modality), (second, _) = (data.source(4, version) for version in (0, 1))
    assert modality == "image"
    assert first.shape != second.shape
    assert np.array_equal(first, again.source(4, 0)[0])


def test_teacher_and_student_see_the_same_version(training_set):
    """The event frame of a version is made of just the part that its teacher sees."""
    data = training_set("variants=2", 'augment.image={"crop":[0.5,0.9]}')
    source = data.source(4, 1)
    expected = anybind.derive("event", source[0], seed=data.seed_of(4, 1, 1))
    torch.testing.assert_close(data.student_input(source, 4, 1, 0), data.student.preprocess(expected))
    picture = data.binder.encoder("image").preprocess(source[0])
    torch.testing.assert_close(data.teacher_input(source, 4, 1), picture)


def test_an_augmentation_of_the_students_modality_is_drawn_anew_each_epoch(training_set):
    data = training_set("modality=image", "student.options={}", 'augment.image={"crop":[0.5,0.9]}', "variants=2")
    source = data.source(0, 0)
    inputs = [data.student_input(source, 0, 0, epoch) for epoch in (0, 1, 2)]
    assert not torch.equal(inputs[0], inputs[1])
    assert not torch.equal(inputs[0], inputs[2])  # though epochs 0 and 2 are of one version
    assert torch.equal(inputs[1], data.student_input(source, 0, 0, 1))
    assert np.array_equal(source[0], data.source(0, 1)[0])  # what the teacher sees stays


def test_recordings_that_are_simulated_are_changed_anew_each_epoch(training_set):
    data = training_set("augment.event.shift=9")
    source = data.source(0, 0)
    inputs = [data.student_input(source, 0, 0, epoch) for epoch in (0, 1)]
    assert not torch.equal(*inputs)
    assert torch.equal(inputs[1], data.student_input(source, 0, 0, 1))


@pytest.mark.parametrize(
    ("change", "error", "problem"),
    [
        ("augment.imgae.flip=true", UnknownName, "no modality 'imgae'; did you mean 'image'"),
        ("augment.image.flop=true", BadOption, "augment.image: .*'flop'.*options: .*crop, flip"),
        ("augment.event.shft=1", BadOption, "augment.event: .*'shft'.*options: .*shift"),
        ("augment.text.x=1", BadOption, "augment.text: "),
        ("augment.image=3", BadOption, "augment.image: "),
    ],
)
def test_an_augmentation_that_there_is_not_is_refused_before_anything_is_read(training_set, change, error, problem):
    with pytest.raises(error, match=problem):
        training_set(change)


def test_a_derivation_that_there_is_not_is_told_with_the_sample(training_set, tmp_path):
    data = training_set("derive.nonsense=1", "cache_inputs=true")
    with pytest.raises(BadOption, match=r"pictures/bar/0\.png: .*nonsense"):
        data.inputs(tmp_path)


def test_prepared_pictures_are_scaled_to_the_size_asked_for(training_set):
    small, plain = training_set("student.input_size=16"), training_set()
    scaled, whole = (data.student_input(data.source(0, 0), 0, 0, 0) for data in (small, plain))
    assert scaled.shape == (3, 16, 16)
    assert whole.shape == (3, 32, 32)
    torch.testing.assert_close(scaled.mean(), whole.mean(), rtol=0.02, atol=0.02)


def test_a_recipe_may_say_which_kinds_of_file_are_samples(own_data):
    anybind.write(
        anybind.derive("event", anybind.read(own_data / "pictures/bar/0.png")), own_data / "pictures/bar/r.npz"
    )
    everything = open_dataset(DatasetConfig(path="pictures"), own_data, "event")
    recordings = open_dataset(
        DatasetConfig(path="pictures/bar", dataset="files", options={"modalities": ["event"]}), own_data, "event"
    )
    assert len(everything.items) == 25
    assert [item.id for item in recordings.items] == ["r.npz"]


def test_what_is_no_picture_has_no_size_to_scale_to(training_set):
    changes = ("modality=text", "teacher=", "student.options={}", "student.input_size=16")
    data = training_set(*changes, 'data=[{"path":"pictures","options":{"modalities":["image"]}}]')
    with pytest.raises(BadOption, match=r"student.input_size is for pictures, but .* shape \(16,\)"):
        data.student_input(("a disc", "text"), 0, 0, 0)


def test_the_teacher_sees_the_partner_of_a_sample(training_set, paired):
    data = training_set(PAIRED, data=paired)
    pictures = [anybind.read(paired / "paired" / f"{number}.png") for number in range(8)]
    vectors = data.teacher_vectors(paired / "cache")
    assert vectors.shape == (1, 8, 16)
    np.testing.assert_allclose(vectors[0], data.binder.embed("image", pictures).vectors, atol=1e-6)


def test_a_partner_is_changed_as_the_version_says(training_set, paired):
    data = training_set(PAIRED, 'augment.image={"crop":[0.5,0.9]}', "variants=2", data=paired)
    first, second = (data.teacher_input(data.source(0, version), 0, version) for version in (0, 1))
    assert not torch.equal(first, second)


def test_samples_without_a_partner_do_not_pair(training_set, paired):
    data = training_set('data=[{"dataset":"paired","path":"paired","options":{"alone":3}}]', data=paired)
    with pytest.raises(anybind.BadInput, match=r"paired/0\.npz does not pair: it is event and has no image beside it"):
        data.teacher_vectors(paired / "cache")


def test_a_file_that_cannot_be_read_is_named_and_nothing_is_kept(training_set, own_data, tmp_path):
    broken = own_data / "pictures" / "disc" / "3.png"
    broken.write_bytes(broken.read_bytes()[:100])
    data = training_set(data=own_data)
    with pytest.raises(anybind.BadInput, match=r"pictures/disc/3\.png is no complete picture"):
        data.teacher_vectors(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_teacher_is_computed_once_and_read_from_then_on(training_set, tmp_path, monkeypatch):
    data = training_set("variants=2")
    teacher = data.binder.encoder("image")
    calls, encode = [], teacher.encode
    monkeypatch.setattr(teacher, "encode", lambda inputs: calls.append(len(inputs)) or encode(inputs))
    first = np.array(data.teacher_vectors(tmp_path))
    assert sum(calls) == 2 * 18
    calls.clear()
    assert np.array_equal(first, data.teacher_vectors(tmp_path))
    assert calls == []
    assert np.array_equal(first, training_set("variants=2").teacher_vectors(tmp_path))
    np.testing.assert_allclose(np.linalg.norm(first, axis=2), 1, atol=1e-6)


def test_another_teacher_is_not_read_from_what_is_kept(training_set, tmp_path):
    first = training_set()
    second = training_set()
    first.teacher_vectors(tmp_path)
    with torch.no_grad():
        second.binder.encoder("image").module.visual.proj.mul_(2).add_(1)
    second.teacher_vectors(tmp_path)
    assert len(list(tmp_path.glob("teacher-*.npy"))) == 2


def test_kept_inputs_equal_those_made_anew_up_to_half_precision(training_set, tmp_path):
    data = training_set("cache_inputs=true", "variants=2")
    kept = data.inputs(tmp_path)
    assert kept.shape == (2, 18, 3, 32, 32)
    assert kept.dtype == np.float16
    for number, version in ((0, 0), (17, 0), (5, 1)):
        made = data.student_input(data.source(number, version), number, version, 0).numpy()
        np.testing.assert_array_equal(kept[version, number], made.astype(np.float16))
    assert not np.array_equal(kept[0, 5], kept[1, 5])  # simulated by other seeds


def test_inputs_are_kept_only_where_the_recipe_says_so(training_set, tmp_path):
    assert training_set().inputs(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"nonsense" * 9, "cut", "shape"])
def test_a_damaged_array_is_named_with_the_way_out(tmp_path, damage):
    fill = lambda array: array.fill(3)  # noqa: E731
    cache_array(tmp_path, "a", (5, 4), np.float32, fill)
    path = tmp_path / "a.npy"
    if damage == "shape":
        np.save(path, np.zeros((5, 3), np.float32))
    else:
        path.write_bytes(path.read_bytes()[:-7] if damage == "cut" else damage)
    with pytest.raises(anybind.BadInput, match=r"a\.npy .*remove it, and it is made anew"):
        cache_array(tmp_path, "a", (5, 4), np.float32, fill)


def test_an_array_that_holds_a_pickle_is_never_opened(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(anybind.BadInput, match="is damaged"):
        cache_array(tmp_path, "a", (1,), np.float32, lambda array: None)


def test_an_array_is_kept_whole_or_not_at_all(tmp_path):
    def stop(array):
        array[0] = 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache_array(tmp_path, "a", (5,), np.float32, stop)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_before_anything_is_computed(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(anybind.BadInput, match=r"cannot write .*a\.npy: No space left on device"):
        cache_array(tmp_path, "a", (5,), np.float32, lambda array: pytest.fail("it was filled"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_an_array_is_kept_on_every_platform(tmp_path, monkeypatch, platform):
    monkeypatch.setattr("anybind_train.cache.sys.platform", platform)
    monkeypatch.setattr("anybind_train.cache._BLOCK", 7)

    def fill(array):
        assert not array.any()
        array[:] = 3

    assert (cache_array(tmp_path, "a", (5, 2), np.float32, fill) == 3).all()
    assert (tmp_path / "a.npy").stat().st_size == 128 + 40


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(anybind.BadInput, match=r"cannot make the folder .*file/cache"):
        cache_array(tmp_path / "file" / "cache", "a", (5,), np.float32, lambda array: None)
