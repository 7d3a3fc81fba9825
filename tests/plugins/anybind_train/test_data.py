"""Training data: items, shots, versions, partners, and cached arrays."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

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
from anybind_train.input_augmentation import InputAugmentation
from anybind_train.precomputed import compute_teacher_embeddings, prepare_inputs
from anybind_train.recipe import DatasetConfig
from anybind_train.student import load_student_binder


class Paired(Dataset):
    """Recordings paired with images."""

    name, licence = "paired", "none"

    def __init__(self, folder, *, modalities=None, unpaired=0):
        self.folder, self.unpaired = Path(folder), unpaired

    @property
    def items(self):
        recordings = sorted(self.folder.glob("*.npz"))
        return [
            Item(path.name, path, partners={} if number < self.unpaired else {"image": path.with_suffix(".png")})
            for number, path in enumerate(recordings)
        ]

    @property
    def classes(self):
        return []


class Listed(Dataset):
    """A number of items of each class, without files."""

    name, licence = "listed", "none"

    def __init__(self, counts):
        self.counts = counts

    @property
    def items(self):
        return [Item(f"{name}/{number}", None, name) for name, count in self.counts.items() for number in range(count)]

    @property
    def classes(self):
        return list(self.counts)


@pytest.fixture
def training_set(world):
    """Build the training set of the small recipe with overrides."""

    def build(*overrides, data=world.data):
        recipe = world.parse_recipe(*overrides)
        binder = load_student_binder(recipe, "cpu")
        return TrainingSet(recipe, binder, data, binder.encoder(recipe.modality))

    return build


@pytest.fixture
def paired(world, tmp_path, add_plugin):
    """Make a folder of eight recordings paired with other images, and a dataset that reads both."""
    registry = Registry.from_entry_points()
    add_plugin(registry, DatasetSpec(name="paired", summary="s", target=f"{__name__}:Paired"))
    previous = use_registry(registry)
    folder = tmp_path / "paired"
    folder.mkdir()
    images = sorted((world.data / "images").rglob("*.png"))
    for number, path in enumerate(images[:8]):
        anybind.write(anybind.derive("event", anybind.read(path)), folder / f"{number}.npz")
        shutil.copy(images[number + 8], folder / f"{number}.png")
    yield tmp_path
    use_registry(previous)


PAIRED = 'data=[{"dataset":"paired","path":"paired"}]'


def select_ids(counts, shots, seed=0):
    return [item.id for item in select_few_shots(Listed(counts), shots, seed)]


def test_few_shots_are_the_same_number_of_each_class():
    ids = select_ids({"a": 9, "b": 5, "c": 30}, 5)
    assert {name: sum(id.startswith(name) for id in ids) for name in "abc"} == {"a": 5, "b": 5, "c": 5}
    assert len(set(ids)) == 15


def test_the_seed_determines_the_shots():
    draws = [select_ids({"a": 30, "b": 30}, 5, seed) for seed in (0, 1, 2)]
    assert draws[0] == select_ids({"a": 30, "b": 30}, 5, 0)
    assert len({tuple(draw) for draw in draws}) == 3
    assert [id[2:] for id in draws[0][:5]] != [id[2:] for id in draws[0][5:]]  # each class has a draw of its own


def test_0_shots_selects_all_samples():
    assert len(select_ids({"a": 3, "b": 4}, 0)) == 7


def test_a_class_with_too_few_samples_is_named():
    with pytest.raises(anybind.BadInput, match=r"listed: expected at least 5 samples of class 'b', got 4"):
        select_ids({"a": 9, "b": 4}, 5)


def test_every_epoch_is_a_permutation_of_its_own():
    orders = [shuffle_epoch(50, 3, epoch) for epoch in range(4)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert np.array_equal(orders[2], shuffle_epoch(50, 3, 2))
    assert not np.array_equal(orders[0], shuffle_epoch(50, 4, 0))


def test_labels_are_indices_into_the_classes_of_all_datasets(training_set):
    data = training_set(
        'data=[{"path":"images","classes":["disc","bar"]},{"path":"images","classes":["beam","disc"],"shots":2}]'
    )
    assert data.classes == ["bar", "disc", "beam"]
    assert len(data) == 12 + 4
    labels = [data.classes[label] for label in data.labels]
    assert labels == ["bar"] * 6 + ["disc"] * 6 + ["beam"] * 2 + ["disc"] * 2
    assert data.items[0].item.id == "images/bar/0.png"


def test_samples_without_classes_have_label_minus_1(training_set):
    data = training_set('data=[{"dataset":"files","path":"images/disc"}]')
    assert data.classes == []
    assert data.labels.tolist() == [-1] * 6


def test_classes_may_be_read_from_a_file_in_the_data_folder(own_data):
    (own_data / "splits.json").write_text(json.dumps({"few": ["ring", "bar"]}))
    (own_data / "list.txt").write_text("cross\n")
    assert open_dataset(DatasetConfig(path="images", classes="splits.json:few"), own_data, "event").classes == [
        "bar",
        "ring",
    ]
    assert open_dataset(DatasetConfig(path="images", classes="list.txt"), own_data, "event").classes == ["cross"]
    assert open_dataset(DatasetConfig(path="images", classes="disc,cross"), own_data, "event").classes == [
        "cross",
        "disc",
    ]


def test_fewer_samples_than_a_batch_are_rejected(training_set):
    with pytest.raises(
        anybind.BadInput, match=r"recipe tiny: expected at least one batch of 19 training samples, got 18"
    ):
        training_set("batch_size=19")


def test_the_hash_depends_on_files_and_versions(training_set, own_data):
    first = training_set(data=own_data).hash
    assert training_set().hash == first  # in another folder
    assert training_set("optimiser.lr=1", "epochs=7", data=own_data).hash == first
    overrides = [
        "variants=2",
        "seed=1",
        "augment.image.flip=true",
        'derive={"vary":true}',
        'data.0.classes=["disc","bar"]',
    ]
    hashes = {training_set(override, data=own_data).hash for override in overrides}
    (own_data / "images" / "disc" / "0.png").write_bytes((own_data / "images" / "bar" / "0.png").read_bytes() + b" ")
    hashes.add(training_set(data=own_data).hash)  # another image of the same name
    (own_data / "images" / "disc" / "0.png").unlink()
    hashes.add(training_set(data=own_data).hash)
    assert len(hashes | {first}) == 8


def test_the_hash_depends_on_labels(training_set, own_data):
    first = training_set(data=own_data).hash
    (own_data / "names.json").write_text(json.dumps({"disc": "circle"}))
    data = f'data=[{{"path":"images","classes":["circle","bar","ring"],"options":{{"names":"{own_data}/names.json"}}}}]'
    assert training_set(data, data=own_data).hash != first


def test_seeds_differ_by_sample_version_and_purpose(training_set):
    data = training_set()
    seeds = {
        data.make_seed(number, version, purpose) for number in range(5) for version in range(3) for purpose in range(3)
    }
    assert len(seeds) == 45
    assert data.make_seed(3, 1, 2) == training_set().make_seed(3, 1, 2)
    assert data.make_seed(3, 1, 2) != training_set("seed=1").make_seed(3, 1, 2)


def test_versions_are_different_crops_and_reproducible(training_set):
    overrides = ("variants=2", 'augment.image={"crop":[0.5,0.9]}')
    data, again = training_set(*overrides), training_set(*overrides)
    (first, modality), (second, _) = (data.read_source(4, version) for version in (0, 1))
    assert modality == "image"
    assert first.shape != second.shape
    assert np.array_equal(first, again.read_source(4, 0)[0])


def test_teacher_and_student_have_the_same_version(training_set):
    """The event frame of a version is simulated from the teacher's crop."""
    data = training_set("variants=2", 'augment.image={"crop":[0.5,0.9]}')
    source = data.read_source(4, 1)
    expected = anybind.derive("event", source[0], seed=data.make_seed(4, 1, 1))
    torch.testing.assert_close(data.prepare_student_input(source, 4, 1, 0), data.student.preprocess(expected))
    expected_teacher = data.binder.encoder("image").preprocess(source[0])
    torch.testing.assert_close(data.load_teacher_input(4, 1), expected_teacher)


def test_an_augmentation_of_the_students_modality_differs_each_epoch(training_set):
    data = training_set("modality=image", "student.options={}", 'augment.image={"crop":[0.5,0.9]}', "variants=2")
    source = data.read_source(0, 0)
    inputs = [data.prepare_student_input(source, 0, 0, epoch) for epoch in (0, 1, 2)]
    assert not torch.equal(inputs[0], inputs[1])
    assert not torch.equal(inputs[0], inputs[2])  # though epochs 0 and 2 are of one version
    assert torch.equal(inputs[1], data.prepare_student_input(source, 0, 0, 1))
    assert np.array_equal(source[0], data.read_source(0, 1)[0])  # the teacher's sample is unchanged


def test_simulated_recordings_are_augmented_each_epoch(training_set):
    data = training_set("augment.event.shift=9")
    source = data.read_source(0, 0)
    inputs = [data.prepare_student_input(source, 0, 0, epoch) for epoch in (0, 1)]
    assert not torch.equal(*inputs)
    assert torch.equal(inputs[1], data.prepare_student_input(source, 0, 0, 1))


def test_recordings_are_simulated_anew_each_epoch_on_request(training_set):
    data = training_set("derive_each_epoch=true")
    source = data.read_source(0, 0)
    inputs = [data.prepare_student_input(source, 0, 0, epoch) for epoch in (0, 1)]
    assert not torch.equal(*inputs)
    plain = training_set()
    assert torch.equal(*(plain.prepare_student_input(source, 0, 0, epoch) for epoch in (0, 1)))
    torch.testing.assert_close(data.load_teacher_input(0, 0), plain.load_teacher_input(0, 0))


def test_finished_inputs_are_augmented_each_epoch_and_the_teachers_are_not(training_set):
    options = 'augment_input={"crop":[0.45,0.8],"flip":true}'
    data, plain = training_set(options), training_set()
    source = data.read_source(0, 0)
    inputs = [data.prepare_student_input(source, 0, 0, epoch) for epoch in (0, 1)]
    assert not torch.equal(*inputs)
    assert torch.equal(inputs[1], data.prepare_student_input(source, 0, 0, 1))
    finished = plain.prepare_student_input(source, 0, 0, 0)
    assert inputs[0].shape == finished.shape
    assert set(inputs[0].unique().tolist()) < set(finished.unique().tolist())  # nearest: no new values
    torch.testing.assert_close(data.load_teacher_input(0, 0), plain.load_teacher_input(0, 0))


def test_a_crop_of_finished_inputs_has_the_area_and_keeps_rows_and_columns():
    height, width = 40, 60
    grid = torch.arange(height * width).reshape(1, height, width)
    areas, mirrored = [], 0
    for seed in range(300):
        cropped = InputAugmentation(crop=(0.45, 1.0), flip=True)(grid, seed)[0]
        rows, columns = cropped[:, 0] // width, cropped[0] % width
        assert torch.equal(cropped, rows[:, None] * width + columns)
        mirrored += bool(columns[0] > columns[-1])
        assert (rows.diff() >= 0).all()
        areas.append(rows.unique().numel() * columns.unique().numel() / grid.numel())
    assert 0.42 < min(areas) < 0.5
    assert 0.95 < max(areas) <= 1
    assert 110 < mirrored < 190
    assert torch.equal(InputAugmentation()(grid, 0), grid)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("augment_input.crop=[0.5]", r"augment_input.crop: expected two fractions above 0 and up to 1, got \[0.5\]"),
        ("augment_input.crop=[0.5,1.5]", "augment_input.crop: expected two fractions"),
        ("augment_input.flop=true", "augment_input has an unknown key 'flop'; did you mean 'flip'"),
    ],
)
def test_an_invalid_augmentation_of_inputs_is_rejected_before_reading(training_set, override, message):
    with pytest.raises(BadOption, match=message):
        training_set(override)


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("augment.imgae.flip=true", UnknownName, "no modality 'imgae'; did you mean 'image'"),
        ("augment.image.flop=true", BadOption, "augment.image: .*'flop'.*options: .*crop, flip"),
        ("augment.event.shft=1", BadOption, "augment.event: .*'shft'.*options: .*shift"),
        ("augment.text.x=1", BadOption, "augment.text: "),
        ("augment.image=3", BadOption, "augment.image: "),
    ],
)
def test_an_unknown_augmentation_is_rejected_before_reading(training_set, override, error, message):
    with pytest.raises(error, match=message):
        training_set(override)


def test_an_unknown_derive_option_names_the_sample(training_set, tmp_path):
    data = training_set("derive.nonsense=1", "cache_inputs=true")
    with pytest.raises(BadOption, match=r"images/bar/0\.png: .*nonsense"):
        prepare_inputs(data, tmp_path)


def test_inputs_are_resized_to_input_size(training_set):
    datasets = training_set("student.input_size=16"), training_set()
    resized, original = (data.prepare_student_input(data.read_source(0, 0), 0, 0, 0) for data in datasets)
    assert resized.shape == (3, 16, 16)
    assert original.shape == (3, 32, 32)
    torch.testing.assert_close(resized.mean(), original.mean(), rtol=0.02, atol=0.02)


def test_a_recipe_may_select_the_modalities_of_files(own_data):
    anybind.write(anybind.derive("event", anybind.read(own_data / "images/bar/0.png")), own_data / "images/bar/r.npz")
    everything = open_dataset(DatasetConfig(path="images"), own_data, "event")
    recordings = open_dataset(
        DatasetConfig(path="images/bar", dataset="files", options={"modalities": ["event"]}), own_data, "event"
    )
    assert len(everything.items) == 25
    assert [item.id for item in recordings.items] == ["r.npz"]


def test_input_size_is_for_images_only(training_set):
    overrides = ("modality=text", "teacher=", "student.options={}", "student.input_size=16")
    data = training_set(*overrides, 'data=[{"path":"images","options":{"modalities":["image"]}}]')
    with pytest.raises(BadOption, match=r"student.input_size: expected image inputs \(c, h, w\), got shape \(16,\)"):
        data.prepare_student_input(("a disc", "text"), 0, 0, 0)


def test_the_teacher_embeds_the_partner_of_a_sample(training_set, paired):
    data = training_set(PAIRED, data=paired)
    images = [anybind.read(paired / "paired" / f"{number}.png") for number in range(8)]
    vectors = compute_teacher_embeddings(data, paired / "cache")
    assert vectors.shape == (1, 8, 16)
    np.testing.assert_allclose(vectors[0], data.binder.embed("image", images).vectors, atol=1e-6)


def test_a_partner_is_augmented_by_version(training_set, paired):
    data = training_set(PAIRED, 'augment.image={"crop":[0.5,0.9]}', "variants=2", data=paired)
    first, second = (data.load_teacher_input(0, version) for version in (0, 1))
    assert not torch.equal(first, second)


def test_a_sample_without_a_partner_is_rejected(training_set, paired):
    data = training_set('data=[{"dataset":"paired","path":"paired","options":{"unpaired":3}}]', data=paired)
    with pytest.raises(
        anybind.BadInput, match=r"paired/0\.npz: expected a paired image for the teacher, got event alone"
    ):
        compute_teacher_embeddings(data, paired / "cache")


def test_an_unreadable_file_is_named_and_no_cache_is_written(training_set, own_data, tmp_path):
    broken = own_data / "images" / "disc" / "3.png"
    broken.write_bytes(broken.read_bytes()[:100])
    data = training_set(data=own_data)
    with pytest.raises(anybind.BadInput, match=r"images/disc/3\.png"):
        compute_teacher_embeddings(data, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_teacher_embeddings_are_computed_once(training_set, tmp_path, monkeypatch):
    data = training_set("variants=2")
    teacher = data.binder.encoder("image")
    calls, encode = [], teacher.encode
    monkeypatch.setattr(teacher, "encode", lambda inputs: calls.append(len(inputs)) or encode(inputs))
    first = np.array(compute_teacher_embeddings(data, tmp_path))
    assert sum(calls) == 2 * 18
    calls.clear()
    assert np.array_equal(first, compute_teacher_embeddings(data, tmp_path))
    assert calls == []
    assert np.array_equal(first, compute_teacher_embeddings(training_set("variants=2"), tmp_path))
    np.testing.assert_allclose(np.linalg.norm(first, axis=2), 1, atol=1e-6)


def test_another_teacher_has_another_cache(training_set, tmp_path):
    first = training_set()
    second = training_set()
    compute_teacher_embeddings(first, tmp_path)
    with torch.no_grad():
        second.binder.encoder("image").module.visual.proj.mul_(2).add_(1)
    compute_teacher_embeddings(second, tmp_path)
    assert len(list(tmp_path.glob("teacher-*.npy"))) == 2


def test_cached_inputs_equal_fresh_ones_in_half_precision(training_set, tmp_path):
    data = training_set("cache_inputs=true", "variants=2")
    cached = prepare_inputs(data, tmp_path)
    assert cached.shape == (2, 18, 3, 32, 32)
    assert cached.dtype == np.float16
    for number, version in ((0, 0), (17, 0), (5, 1)):
        fresh = data.prepare_student_input(data.read_source(number, version), number, version, 0).numpy()
        np.testing.assert_array_equal(cached[version, number], fresh.astype(np.float16))
    assert not np.array_equal(cached[0, 5], cached[1, 5])  # simulated with different seeds


def test_inputs_are_cached_only_with_cache_inputs(training_set, tmp_path):
    assert prepare_inputs(training_set(), tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"nonsense" * 9, "cut", "shape"])
def test_a_damaged_cache_file_is_named_with_the_fix(tmp_path, damage):
    fill = lambda array: array.fill(3)  # noqa: E731
    cache_array(tmp_path, "a", (5, 4), np.float32, fill)
    path = tmp_path / "a.npy"
    if damage == "shape":
        np.save(path, np.zeros((5, 3), np.float32))
    else:
        path.write_bytes(path.read_bytes()[:-7] if damage == "cut" else damage)
    with pytest.raises(anybind.BadInput, match=r"a\.npy: .*delete it to recompute it"):
        cache_array(tmp_path, "a", (5, 4), np.float32, fill)


def test_a_cache_file_with_a_pickle_is_rejected(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(anybind.BadInput, match="damaged cache file"):
        cache_array(tmp_path, "a", (1,), np.float32, lambda array: None)


def test_an_interrupted_array_leaves_no_file(tmp_path):
    def interrupt(array):
        array[0] = 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache_array(tmp_path, "a", (5,), np.float32, interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_before_the_computation(tmp_path, monkeypatch):
    def raise_full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", raise_full)
    with pytest.raises(anybind.BadInput, match=r"cannot write .*a\.npy: No space left on device"):
        cache_array(tmp_path, "a", (5,), np.float32, lambda array: pytest.fail("it was filled"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_arrays_are_cached_on_every_platform(tmp_path, monkeypatch, platform):
    # The module's own `sys`: locks are those of this platform.
    monkeypatch.setattr("anybind_train.cache.sys", SimpleNamespace(platform=platform))
    monkeypatch.setattr("anybind_train.cache._BLOCK", 7)

    def fill(array):
        assert not array.any()
        array[:] = 3

    assert (cache_array(tmp_path, "a", (5, 2), np.float32, fill) == 3).all()
    assert (tmp_path / "a.npy").stat().st_size == 128 + 40


def test_a_cache_folder_that_cannot_be_created_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(anybind.BadInput, match=r"file/cache: cannot create the folder"):
        cache_array(tmp_path / "file" / "cache", "a", (5,), np.float32, lambda array: None)
