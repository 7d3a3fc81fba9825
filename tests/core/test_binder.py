"""The binder: encoders, adapters to the common space, and invalid items."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import anybind
from anybind import Binding
from anybind.adapter import Adapter
from anybind.binding import ConfiguredPart
from anybind.dataset import Item
from anybind.encoder import Encoder
from anybind.errors import BadOption, PluginError, SpaceMismatch, UnknownName
from anybind.modality import Modality
from anybind.reader import Reader
from anybind.spec import AdapterSpec, EncoderSpec, ModalitySpec, ReaderSpec

BAD = "bad sample"


class Letters(Modality):
    """Strings as recordings: short enough to embed by hand."""

    name = "letters"

    def accepts(self, item):
        return isinstance(item, bytes)

    def check(self, sample):
        if not sample:
            raise anybind.BadInput("no letters")

    def show(self, sample):
        return sample.decode()


class LettersReader(Reader):
    def sniff(self, head):
        return head.startswith(b"L:")

    def read(self, path, **options):
        return path.read_bytes()[2:]


class Counting(Encoder):
    """Embeds letters by how many vowels, consonants and other characters there are."""

    modality = "letters"
    weights_hash = "0" * 12
    preprocessing = {"case": "lower"}  # noqa: RUF012 (an interface attribute)

    def __init__(self, space="own", modality="letters", of=None):
        self.space = anybind.Space(space, 3)
        self.modality = modality
        self.of = of
        self.batches = []

    def preprocess(self, sample):
        if sample == BAD.encode():
            raise anybind.BadInput("cannot be preprocessed")
        vowels = sum(letter in b"aeiou" for letter in sample)
        return np.array([vowels, len(sample) - vowels, 1.0])

    def encode(self, inputs):
        self.batches.append(len(inputs))
        return anybind.normalize(np.stack(inputs))


class Turn(Adapter):
    """Moves the axes round by one."""

    identity = "turned"

    def __init__(self, source, target):
        self.source, self.target = anybind.Space(source, 3), anybind.Space(target, 3)

    def map(self, vectors):
        return 5 * np.roll(vectors, 1, axis=1)


@pytest.fixture
def plugin(registry, add_plugin):
    add_plugin(
        registry,
        ModalitySpec(name="letters", summary="s", target=f"{__name__}:Letters"),
        ReaderSpec(name="l", summary="s", target=f"{__name__}:LettersReader", modality="letters", suffixes=(".let",)),
        EncoderSpec(name="count", summary="s", target=f"{__name__}:Counting", modality="letters"),
        AdapterSpec(name="turn", summary="s", target=f"{__name__}:Turn"),
    )


def binder(space="", adapters=(), **options) -> anybind.Binder:
    adapters_used = tuple(ConfiguredPart("turn", {"source": source, "target": target}) for source, target in adapters)
    return anybind.load(
        Binding("b", {"letters": ConfiguredPart("count", options)}, space=space, adapters=adapters_used)
    )


def test_vectors_in_the_encoders_own_space_need_no_adapter(plugin):
    result = binder().embed("letters", [b"ab", b"aaa"])
    np.testing.assert_allclose(result.vectors, anybind.normalize(np.array([[1.0, 1, 1], [3, 0, 1]])))
    assert result.space == anybind.Space("own", 3)


def test_the_shortest_chain_of_adapters_leads_to_the_common_space(plugin):
    chain = [("a", "b"), ("own", "a"), ("b", "goal"), ("own", "x"), ("x", "own")]
    result = binder("goal", chain).embed("letters", [b"aab"])
    np.testing.assert_allclose(
        result.vectors, np.roll(anybind.normalize(np.array([[2.0, 1, 1]])), 3, axis=1), atol=1e-6
    )
    assert result.space.name == "goal"
    assert result.encoder.endswith("+turned+turned+turned")
    assert result.encoder == binder("goal", chain).identity("letters")
    shortcut = binder("goal", [*chain, ("own", "goal")])
    assert len(shortcut.route("letters")) == 1


def test_a_space_without_a_chain_of_adapters_raises_with_both_spaces(plugin):
    with pytest.raises(SpaceMismatch, match=r"no adapter leads letters from own \(3-d\) to 'goal'"):
        binder("goal", [("a", "goal")]).embed("letters", [b"ab"])


def test_an_adapter_refuses_embeddings_of_another_space(plugin):
    result = binder().embed("letters", [b"ab"])
    with pytest.raises(SpaceMismatch, match="cannot adapt letters embeddings"):
        Turn("elsewhere", "goal")(result)


def test_batching_changes_neither_embeddings_nor_order(plugin):
    items = [b"a" * (i + 1) + b"b" for i in range(23)]
    whole = binder().embed("letters", items, batch_size=100)
    parts_ = binder()
    in_parts = parts_.embed("letters", items, batch_size=5)
    np.testing.assert_array_equal(whole.vectors, in_parts.vectors)
    assert parts_.encoder("letters").batches == [5, 5, 5, 5, 3]
    assert in_parts.ids == tuple(f"letters[{i}]" for i in range(23))


def test_files_samples_and_items_mix_and_keep_their_names(plugin, tmp_path):
    path = tmp_path / "x.let"
    path.write_bytes(b"L:aab")
    result = binder().embed("letters", [path, str(path), b"aab", Item("mine", path)])
    assert result.ids == (str(path), str(path), "letters[2]", "mine")
    assert np.ptp(result.vectors, axis=0).max() == 0


def test_a_single_path_or_sample_is_a_list_of_one(plugin, tmp_path):
    path = tmp_path / "x.let"
    path.write_bytes(b"L:a")
    assert len(binder().embed("letters", path)) == len(binder().embed("letters", b"a")) == 1


def test_an_empty_list_gives_no_rows(plugin):
    assert binder().embed("letters", []).vectors.shape == (0, 3)


@pytest.mark.parametrize("bad", [b"", BAD.encode(), 7, "absent.let"])
def test_an_invalid_item_raises_with_its_id(plugin, bad):
    name = bad if isinstance(bad, str) else r"letters\[1\]"
    with pytest.raises(anybind.BadInput, match=name):
        binder().embed("letters", [b"a", bad, b"b"])


def test_with_on_bad_invalid_items_are_reported_and_skipped(plugin):
    errors = {}
    result = binder().embed(
        "letters", [b"a", b"", b"b", BAD.encode(), b"c"], on_bad=lambda id, e: errors.update({id: str(e)})
    )
    assert result.ids == ("letters[0]", "letters[2]", "letters[4]")
    assert errors == {"letters[1]": "letters[1]: no letters", "letters[3]": "letters[3]: cannot be preprocessed"}


def test_a_sample_with_a_zero_embedding_raises_with_its_id_and_affects_no_other(plugin, monkeypatch):
    monkeypatch.setattr(Counting, "preprocess", lambda self, sample: np.array([len(sample) - 3.0, 0, 0]))
    with pytest.raises(anybind.BadInput, match=r"letters\[1\]: .*no direction"):
        binder().embed("letters", [b"a", b"abc", b"ab"])
    errors = {}
    result = binder().embed("letters", [b"a", b"abc", b"ab"], on_bad=lambda id, e: errors.update({id: e}))
    assert result.ids == ("letters[0]", "letters[2]")
    assert list(errors) == ["letters[1]"]
    assert str(errors["letters[1]"]).startswith("letters[1]: ")  # a list of what was skipped shows nothing else


def test_an_encoder_is_loaded_at_its_first_use_and_only_once(plugin):
    loaded = binder()
    assert loaded._loader.encoders == {}
    assert loaded.encoder("letters") is loaded.encoder("letters")


def test_a_modality_without_an_encoder_raises_with_those_of_the_binding(plugin):
    with pytest.raises(UnknownName, match="binding 'b' has no encoder for 'image'; there are: letters"):
        binder().encoder("image")
    with pytest.raises(UnknownName, match="no modality 'leters'; did you mean 'letters'"):
        binder().embed("leters", [b"a"])


def test_an_encoder_of_another_modality_raises(plugin):
    with pytest.raises(BadOption, match="embeds image, not letters"):
        binder(modality="image").encoder("letters")


def test_an_option_with_an_at_sign_refers_to_another_encoder_of_the_binding(plugin):
    adapters_used = {
        "letters": ConfiguredPart("count", {"of": "@image"}),
        "image": ConfiguredPart("count", {"modality": "image"}),
    }
    result = anybind.load(Binding("b", adapters_used))
    assert result.encoder("letters").of is result.encoder("image")


def test_encoders_that_refer_to_each_other_raise(plugin):
    adapters_used = {
        "letters": ConfiguredPart("count", {"of": "@image"}),
        "image": ConfiguredPart("count", {"modality": "image", "of": "@letters"}),
    }
    with pytest.raises(BadOption, match="letters -> image -> letters refer to each other"):
        anybind.load(Binding("b", adapters_used)).encoder("letters")


@pytest.mark.parametrize("size", [0, -1, 2.5, True])
def test_an_invalid_batch_size_raises(plugin, size):
    with pytest.raises(BadOption, match="the batch size: expected an integer above 0"):
        binder().embed("letters", [b"a"], batch_size=size)


def test_embed_batches_yields_batches_and_iterates_items_lazily(plugin):
    taken = []

    def items():
        for number in range(1000):
            taken.append(number)
            yield b"a" * (number + 1)

    batches = binder().embed_batches("letters", items(), batch_size=4)
    first = next(batches)
    assert first.ids == tuple(f"letters[{i}]" for i in range(4))
    assert len(taken) < 20


def test_a_bug_in_a_plugin_is_reported_with_the_item_and_can_be_skipped(plugin, monkeypatch):
    def explode(self, sample):
        if sample == b"boom":
            raise ZeroDivisionError("two\nlines")
        return np.ones(3)

    monkeypatch.setattr(Counting, "preprocess", explode)
    with pytest.raises(PluginError, match=r"letters\[1\]: its reader or encoder failed: ZeroDivisionError: two lines"):
        binder().embed("letters", [b"a", b"boom"])
    errors = []
    assert len(binder().embed("letters", [b"a", b"boom"], on_bad=lambda id, e: errors.append(id))) == 1
    assert errors == ["letters[1]"]


def test_threads_may_load_an_encoder_at_once(plugin, monkeypatch):
    import time
    from concurrent.futures import ThreadPoolExecutor

    slow = Counting.__init__

    def create_slowly(self, *arguments, **options):
        time.sleep(0.05)
        slow(self, *arguments, **options)

    monkeypatch.setattr(Counting, "__init__", create_slowly)
    fresh = binder()
    with ThreadPoolExecutor(4) as pool:
        encoders = list(pool.map(lambda _: fresh.encoder("letters"), range(4)))
    assert len(set(map(id, encoders))) == 1


def test_a_plugin_that_creates_something_else_than_an_encoder_raises(plugin, registry, add_plugin):
    spec = EncoderSpec(name="nothing", summary="s", target=f"{__name__}:Letters", modality="letters")
    add_plugin(registry, spec, name="other", distribution="other-dist")
    with pytest.raises(PluginError, match="encoder 'nothing' of other-dist returned a Letters"):
        anybind.load(Binding("b", {"letters": ConfiguredPart("nothing")})).encoder("letters")


def test_loading_non_commercial_weights_warns(plugin, registry, add_plugin):
    about = {"name": "nc", "summary": "s", "modality": "letters", "weights_licence": "CC-BY-NC-SA-4.0"}
    spec = EncoderSpec(target=f"{__name__}:Counting", **about)
    add_plugin(registry, spec, name="other", distribution="other-dist")
    result = anybind.load(Binding("b", {"letters": ConfiguredPart("nc")}))
    with pytest.warns(anybind.AnybindWarning, match=r"the weights of nc are under CC-BY-NC-SA-4\.0: no commercial use"):
        result.encoder("letters")
    result.encoder("letters")  # once is enough: warnings are errors here


def test_options_of_an_item_reach_its_reader(plugin, tmp_path, monkeypatch):
    monkeypatch.setattr(LettersReader, "read", lambda self, path, repeat=1: path.read_bytes()[2:] * repeat)
    path = tmp_path / "x.let"
    path.write_bytes(b"L:ab")
    items = [Item("once", path), Item("many", path, options={"repeat": 9})]
    result = binder().embed("letters", items)
    expected = binder().embed("letters", [b"ab", b"ab" * 9])
    np.testing.assert_array_equal(result.vectors, expected.vectors)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (ValueError("oh no"), "failed: ValueError: oh no"),
        (None, r"expected vectors of shape \(1, 3\), got \(\)"),
        (np.ones((1, 2)), r"expected vectors of shape \(1, 3\), got \(1, 2\)"),
        ([object()], "failed: TypeError"),
    ],
)
def test_an_encoder_that_fails_or_returns_something_else_is_an_error_with_its_name(
    plugin, monkeypatch, result, message
):
    def encode(self, inputs):
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(Counting, "encode", encode)
    with pytest.raises(PluginError, match=f"the letters encoder .*Counting.*{message}"):
        binder().embed("letters", [b"ab"])


def test_vectors_of_another_norm_than_1_are_an_error_of_the_encoder(plugin, monkeypatch):
    monkeypatch.setattr(Counting, "encode", lambda self, inputs: np.full((len(inputs), 3), 2.0))
    with pytest.raises(PluginError, match=r"the letters encoder 'count': .*has norm"):
        binder().embed("letters", [b"ab"])


def test_an_adapter_that_returns_another_shape_is_an_error_with_its_name(plugin, monkeypatch):
    monkeypatch.setattr(Turn, "map", lambda self, vectors: vectors[:, :2])
    with pytest.raises(
        PluginError, match=r"the adapter Turn to goal .*expected vectors of shape \(1, 3\), got \(1, 2\)"
    ):
        binder("goal", [("own", "goal")]).embed("letters", [b"ab"])


@pytest.mark.parametrize("item", [3, None, 1.5, {b"ab": 1}])
def test_an_object_that_is_no_sample_is_an_invalid_item(plugin, item):
    for items in (item, [item]):
        with pytest.raises(anybind.BadInput, match=r"letters\[0\]: expected a path or a sample of letters, got an? \w"):
            binder().embed("letters", items)


def test_an_invalid_array_is_described_with_what_was_expected():
    expected = (
        r"a uint8 RGB array \(height, width, 3\), or an image of Pillow\), got a float64 array of shape \(3, 8, 8\)"
    )
    with pytest.raises(anybind.BadInput, match=expected):
        anybind.load("mini").embed("image", [np.zeros((3, 8, 8))])


def test_numpy_strings_are_texts():
    texts = anybind.load("mini").embed("text", np.array(["a cat", "a dog"]))
    assert [type(each) for each in texts.ids] == [str, str]


@pytest.mark.parametrize("seed", [-1, 1.5, "0"])
def test_a_seed_that_is_no_integer_of_at_least_0_raises(plugin, seed):
    with pytest.raises(BadOption, match="the seed must be an integer of 0 or more"):
        binder().embed("letters", [b"ab"], derive_seed=seed)


def test_a_torch_device_and_a_numpy_seed_are_accepted(plugin):
    torch = pytest.importorskip("torch")
    use = Binding("b", {"letters": ConfiguredPart("count")})
    result = anybind.load(use, device=torch.device("cpu")).embed("letters", [b"ab"], derive_seed=np.int64(3))
    assert len(result) == 1


def test_bytes_are_an_invalid_item_and_not_a_list_of_numbers():
    for items in (b"a cat", [b"a cat"], bytearray(b"a cat")):
        with pytest.raises(anybind.BadInput, match=r"text\[0\]: .* got a byte"):
            anybind.load("mini").embed("text", items)


def test_a_single_item_is_one_of_one_batch_too():
    for items, modality in (("ab", "text"), (np.zeros((4, 5, 3), np.uint8), "image")):
        batches = list(anybind.load("mini").embed_batches(modality, items))
        assert [len(each) for each in batches] == [1]
    with pytest.raises(anybind.BadInput, match="got a NoneType"):
        list(anybind.load("mini").embed_batches("text", None))


def test_a_numpy_batch_size_and_number_of_workers_are_accepted(plugin):
    assert len(binder().embed("letters", [b"ab", b"a"], batch_size=np.int64(1), workers=np.uint8(2))) == 2


def pickle_and_load(one):
    return pickle.loads(pickle.dumps(one))  # noqa: S301 (its own bytes)


@pytest.mark.parametrize("backend", ["onnx", "torch"])
@pytest.mark.parametrize("duplicate", [pickle_and_load, copy.deepcopy])
def test_a_pickled_or_deep_copied_binder_and_its_encoders_give_the_same_embeddings(tmp_path, duplicate, backend):
    if backend == "torch":
        pytest.importorskip("torch")
    used = anybind.load("mini", backend=backend, store=anybind.EmbeddingStore(tmp_path, 10**9), batch_size=3)
    expected = used.embed("text", ["a cat"])
    twin = duplicate(used)
    assert (twin.store.folder, twin.store.max_bytes, twin.options, twin.backend) == (
        tmp_path,
        10**9,
        used.options,
        backend,
    )
    assert len(pickle.dumps(used)) < 10_000  # without weights
    np.testing.assert_array_equal(twin.with_store(None).embed("text", ["a cat"]).vectors, expected.vectors)
    encoder = duplicate(used.encoder("text"))
    assert encoder.identity == used.encoder("text").identity
    np.testing.assert_allclose(encoder.encode([encoder.preprocess("a cat")]), expected.vectors, atol=1e-6)
    labelled = used.with_labels(expected)
    np.testing.assert_array_equal(duplicate(labelled).embed("text", ["a cat"]).vectors, expected.vectors)


def test_a_generator_and_a_store_may_live_until_the_interpreter_ends(tmp_path):
    script = f"""
import builtins, anybind
store = anybind.EmbeddingStore({str(tmp_path)!r})
builtins.references = store, anybind.load("mini", store=store).embed_batches("text", map(str, range(99)), batch_size=1)
next(builtins.references[1])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == ""


def test_numpy_numbers_of_an_encoder_are_saved_as_plain_ones(plugin, monkeypatch, tmp_path):
    create = Counting.__init__

    def create_with_numpy(self):
        create(self)
        self.space, self.logit_scale = anybind.Space("own", np.int64(3)), np.float32(10)

    monkeypatch.setattr(Counting, "__init__", create_with_numpy)
    anybind.save_embeddings(tmp_path / "letters.safetensors", binder().embed("letters", [b"ab"]))
    loaded = anybind.load_embeddings(tmp_path / "letters.safetensors")["letters"]
    assert (loaded.space.dim, loaded.logit_scale) == (3, 10)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("logit_scale", "10", "encoder 'count' of test-dist: logit_scale: expected a finite number above 0, got '10'"),
        (
            "preprocessing",
            {"size": np.int64(3)},
            "the letters encoder Counting: expected a preprocessing of JSON types",
        ),
    ],
)
def test_settings_of_an_encoder_of_another_type_are_an_error_with_its_name(plugin, monkeypatch, name, value, message):
    monkeypatch.setattr(Counting, name, value)
    with pytest.raises(PluginError, match=message):
        binder().embed("letters", [b"ab"])


def test_an_encoder_that_cannot_be_created_is_an_error_with_its_name(plugin, monkeypatch):
    def fail(self):
        raise ValueError("no weights")

    monkeypatch.setattr(Counting, "__init__", fail)
    with pytest.raises(PluginError, match="encoder 'count' of test-dist cannot be created: ValueError: no weights"):
        binder().encoder("letters")
