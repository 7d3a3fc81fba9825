"""Finding the reader of a file by content and name; atomic writes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import anybind
import anybind_events
from anybind.binding import ConfiguredPart
from anybind.commandline import SkippedFiles
from anybind.encoder import Encoder
from anybind.errors import BadOption, MissingExtra, PluginError
from anybind.item import Item
from anybind.loading import Loader
from anybind.modality import Modality, find_modality
from anybind.reader import Reader, find_reader, group_by_modality, list_samples
from anybind.spec import BindingSpec, EncoderSpec, ModalitySpec, ReaderSpec


class Marked(Reader):
    def sniff(self, head):
        return head.startswith(b"MARK")

    def read(self, path, **options):
        return ("marked", options)


class AlsoMarked(Marked):
    def read(self, path, **options):
        return ("also", options)


class Unmarked(Reader):
    """A format without a mark."""

    def sniff(self, head):
        return None

    def read(self, path, **options):
        return ("unmarked", options)

    def write(self, sample, path):
        path.write_bytes(sample)
        if sample == b"fail":
            raise OSError(28, "No space left on device")


class Bytes(Modality):
    name = "bytes"

    def accepts(self, item):
        return isinstance(item, bytes)

    def check(self, sample): ...

    def show(self, sample):
        return ""


@pytest.fixture
def readers(registry, add_plugin):
    add_readers(registry, add_plugin)


def add_readers(registry, add_plugin, signatures=()):
    """Add the three readers; Marked with signatures."""

    def spec(name, *suffixes, signatures=()):
        target = f"{__name__}:{name}"
        return ReaderSpec(
            name=name, summary="s", target=target, modality="bytes", suffixes=suffixes, signatures=signatures
        )

    add_plugin(
        registry,
        ModalitySpec(name="bytes", summary="s", target=f"{__name__}:Bytes"),
        *(spec("Marked", ".m", signatures=signatures), spec("AlsoMarked", ".also"), spec("Unmarked", ".u", ".uu")),
    )


def file(tmp_path, name, contents=b"MARK and more"):
    path = tmp_path / name
    path.write_bytes(contents)
    return path


@pytest.mark.parametrize(
    ("name", "contents", "reader"),
    [
        ("x.also", b"MARK", "also"),
        ("x.m", b"MARK", "marked"),
        ("x.u", b"other", "unmarked"),
        ("x.UU", b"other", "unmarked"),
    ],
)
def test_the_suffix_decides_among_readers_that_accept_the_content(readers, tmp_path, name, contents, reader):
    assert anybind.read(file(tmp_path, name, contents))[0] == reader


def test_the_content_takes_precedence_over_the_suffix(readers, registry, tmp_path):
    # .u is the name of a format without a mark, but this content bears the mark of two others.
    with pytest.raises(anybind.BadInput, match="'AlsoMarked' and 'Marked' both claim it; say which with reader="):
        anybind.read(file(tmp_path, "x.u"))


def test_a_reader_is_chosen_by_name(readers, tmp_path):
    assert anybind.read(file(tmp_path, "x.u"), reader="AlsoMarked", deep=True) == ("also", {"deep": True})


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("x.m", b"no mark", "x.m is not a valid .m file"),
        ("x.zzz", b"no mark", "unsupported format"),
        ("x.m", b"", "is empty"),
    ],
)
def test_a_file_without_a_reader_raises_with_its_path(readers, tmp_path, name, contents, message):
    with pytest.raises(anybind.BadInput, match=message) as caught:
        anybind.read(file(tmp_path, name, contents))
    assert str(tmp_path) in str(caught.value)


def test_an_unknown_option_of_a_reader_raises(tmp_path):
    anybind.write(anybind.derive("event", np.eye(3, dtype=np.uint8)[..., None].repeat(3, 2)), tmp_path / "e.npz")
    assert anybind.read(tmp_path / "e.npz", size=(300, 200)).width == 300
    with pytest.raises(BadOption, match=r"reader 'npz-events': .*'sise' \(options: strict, size, .*on_disorder\)"):
        anybind.read(tmp_path / "e.npz", sise=(300, 200))


@pytest.mark.parametrize(("contents", "expected_calls"), [(b"other", 0), (b"MA", 1)])
def test_a_reader_is_not_called_for_a_file_without_any_of_its_signatures(
    registry, add_plugin, tmp_path, monkeypatch, contents, expected_calls
):
    calls = []
    add_readers(registry, add_plugin, signatures=(b"NOT", b"MA"))
    monkeypatch.setattr(Marked, "sniff", lambda self, head: bool(calls.append(head)))
    monkeypatch.setattr(AlsoMarked, "sniff", lambda self, head: False)
    assert anybind.read(file(tmp_path, "x.u", contents))[0] == "unmarked"
    assert calls == [contents] * expected_calls


def test_a_reader_is_called_for_a_file_with_its_suffix_whatever_its_signatures(registry, add_plugin, tmp_path):
    add_readers(registry, add_plugin, signatures=(b"NOT",))
    assert anybind.read(file(tmp_path, "x.m"))[0] == "marked"


def test_a_suffix_that_is_read_only_is_neither_written_nor_offered(tmp_path):
    stream = anybind.derive("event", np.eye(9, dtype=np.uint8)[..., None].repeat(3, 2) * 255)
    for write in (anybind.write, lambda each, path: anybind_events.convert(tmp_path / "e.npz", path)):
        anybind.write(stream, tmp_path / "e.npz")
        with pytest.raises(anybind.BadInput, match=r"\.npz"):
            write(stream, tmp_path / "e.mat")
    assert not (tmp_path / "e.mat").exists()


def test_a_file_that_only_begins_like_a_format_names_it(tmp_path):
    anybind.write(anybind.derive("event", np.eye(9, dtype=np.uint8)[..., None].repeat(3, 2)), tmp_path / "e.h5")
    (tmp_path / "e.h5").rename(tmp_path / "e")
    with pytest.raises(anybind.BadInput, match="if it is hdf5-events, say so with reader="):
        anybind.read(tmp_path / "e")
    assert anybind.read(tmp_path / "e", reader="hdf5-events").width == 180


class Crashing(Marked):
    def sniff(self, head):
        raise ZeroDivisionError("in a stranger's code")


def test_a_reader_that_fails_affects_only_files_of_its_format(readers, registry, add_plugin, tmp_path, monkeypatch):
    file(tmp_path, "needy_reader.py", b"import package_that_nobody_has")
    monkeypatch.syspath_prepend(tmp_path)

    def spec(name, target, suffix, extra=""):
        return ReaderSpec(name=name, summary="s", target=target, modality="bytes", suffixes=(suffix,), extra=extra)

    broken = [spec("crash", f"{__name__}:Crashing", ".crash"), spec("needy", "needy_reader:R", ".needy", "x")]
    add_plugin(registry, *broken, name="strange", distribution="strange-dist")
    assert anybind.read(file(tmp_path, "x.m"))[0] == "marked"
    with pytest.raises(PluginError, match="reader 'crash' of strange-dist failed: ZeroDivisionError"):
        anybind.read(file(tmp_path, "x.crash", b"?"))
    with pytest.raises(MissingExtra, match=r"strange-dist\[x\]"):
        anybind.read(file(tmp_path, "x.needy", b"?"))


@pytest.mark.parametrize("reader", [None, "Marked"])
def test_a_missing_file_and_a_folder_raise_with_and_without_a_reader(readers, tmp_path, reader):
    with pytest.raises(anybind.BadInput, match=r"absent\.m: No such file"):
        anybind.read(tmp_path / "absent.m", reader=reader)
    (tmp_path / "folder.m").mkdir()
    with pytest.raises(anybind.BadInput, match=r"folder\.m is a folder"):
        anybind.read(tmp_path / "folder.m", reader=reader)


def test_writing_chooses_the_format_by_name(readers, tmp_path):
    anybind.write(b"data", tmp_path / "o.uu")
    assert (tmp_path / "o.uu").read_bytes() == b"data"
    with pytest.raises(anybind.BadInput, match=r"no format of that ending"):
        anybind.write(b"data", tmp_path / "o.none")


def test_a_failed_write_leaves_the_former_file_only(readers, tmp_path):
    path = file(tmp_path, "o.u", b"old")
    with pytest.raises(anybind.BadInput, match="No space left"):
        anybind.write(b"fail", path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_format_that_cannot_be_written_raises_with_the_output_path(readers, tmp_path):
    with pytest.raises(anybind.BadInput) as caught:
        anybind.write(b"data", tmp_path / "o.m")
    assert (
        str(caught.value)
        == f"cannot write {tmp_path / 'o.m'}: this format can be read and not written; choose another ending"
    )
    assert not list(tmp_path.iterdir())


def test_notes_are_not_listed_as_samples(tmp_path):
    (tmp_path / "readme.txt").write_text("Recorded on a rainy day.\nBy nobody in particular.\n")
    (tmp_path / "events.txt").write_text("".join(f"{t} 1 2 1\n" for t in range(100, 140)))
    assert [path.name for path in list_samples(tmp_path, ["event"])] == ["events.txt"]
    (tmp_path / "events.txt").unlink()
    with pytest.raises(anybind.BadInput, match=r"only notes such as readme\.txt"):
        list_samples(tmp_path)


class Letters(Modality):
    name = "letters"

    def accepts(self, item):
        return isinstance(item, str)

    def check(self, sample): ...

    def show(self, sample):
        return sample


class PerhapsLetters(Reader):
    """What is marked, or called .m, may be letters: only whoever asks for them can tell."""

    def sniff(self, head):
        return None if head.startswith(b"MARK") else False

    def read(self, path):
        return path.read_text()


@pytest.fixture
def letters(readers, registry, add_plugin):
    reader = ReaderSpec(
        name="Letters", summary="s", target=f"{__name__}:PerhapsLetters", modality="letters", suffixes=(".m", ".l")
    )
    modality = ModalitySpec(name="letters", summary="s", target=f"{__name__}:Letters")
    add_plugin(registry, modality, reader, name="more", distribution="more-dist")


@pytest.mark.parametrize(
    ("name", "modality", "reader"),
    [
        ("x.m", None, "Marked"),
        ("x.m", "bytes", "Marked"),
        ("x.m", "letters", "Letters"),
        ("x.also", "letters", "AlsoMarked"),  # it may not be letters by its name
        ("x.m", "nothing", "Marked"),
    ],
)
def test_a_reader_of_the_expected_modality_takes_precedence(letters, tmp_path, name, modality, reader):
    assert find_reader(file(tmp_path, name), modality).name == reader


def test_a_file_is_read_as_the_modality_of_the_encoder(letters, tmp_path):
    path = file(tmp_path, "x.m")
    for modality, sample in (("letters", "MARK and more"), ("bytes", ("marked", {}))):
        loader = Loader(find_modality(modality), encoder=SimpleNamespace(reader_options={}), derive_seed=None)
        assert loader.load_sample(Item("x", path)) == sample
    unmarked = file(tmp_path, "x.u", b"other")
    with pytest.raises(anybind.BadInput, match=r"x\.u holds bytes, not letters; letters cannot be derived from it$"):
        Loader(find_modality("letters"), encoder=SimpleNamespace(reader_options={}), derive_seed=None).load_sample(
            Item("x", unmarked)
        )


def test_files_are_grouped_by_modality_or_by_one_that_accepts_them(letters, tmp_path):
    marked, unmarked = file(tmp_path, "x.m"), file(tmp_path, "x.u", b"other")

    def grouped(files, modalities, on_bad=None):
        return {
            name: [each.path for each in group] for name, group in group_by_modality(files, modalities, on_bad).items()
        }

    assert grouped([marked, unmarked], ["letters", "bytes"]) == {"bytes": [marked, unmarked]}
    assert grouped([marked], ["letters"]) == {"letters": [marked]}
    skipped = SkippedFiles()
    assert grouped([marked, unmarked], ["letters"], skipped.record) == {"letters": [marked]}
    assert "holds bytes, which the binding does not embed (it embeds letters)" in skipped[str(unmarked)]


@pytest.fixture
def counted(monkeypatch, readers, registry, add_plugin):
    """How often files are opened to find a reader, and how often each reader looks at one."""
    import collections

    add_plugin(
        registry,
        EncoderSpec(name="length", summary="s", target=f"{__name__}:Length", modality="bytes"),
        BindingSpec(name="lengths", summary="s", target=f"{__name__}:lengths"),
        name="lengths",
        distribution="lengths-dist",
    )
    counts = collections.Counter()
    head = anybind.detection.read_beginning
    monkeypatch.setattr("anybind.detection.read_beginning", lambda path: counts.update(["opened"]) or head(path))
    for reader in (Marked, AlsoMarked, Unmarked):
        sniff = reader.sniff
        note = f"{reader.__name__} sniffs"
        monkeypatch.setattr(
            reader, "sniff", lambda self, head, sniff=sniff, note=note: counts.update([note]) or sniff(self, head)
        )
    monkeypatch.setattr(Marked, "read", lambda self, path: counts.update(["read"]) or path.read_bytes())
    return counts


class Length(Encoder):
    modality, space, weights_hash = "bytes", anybind.Space("lengths", 2), "0" * 12
    preprocessing = {}  # noqa: RUF012 (an interface attribute)

    def encode(self, inputs):
        return anybind.normalize(np.array([[len(each), 1.0] for each in inputs]))


def lengths(argument):
    return anybind.Binding("lengths", {"bytes": ConfiguredPart("length", {})})


@pytest.mark.parametrize("as_folder", [False, True])
def test_finding_a_reader_opens_the_file_once_and_calls_each_reader_once(counted, tmp_path, cli, as_folder):
    path = file(tmp_path, "x.m")
    path_or_folder = tmp_path if as_folder else path
    assert cli("embed", path_or_folder, "--binding", "lengths", "-o", tmp_path / "o.safetensors").code == 0
    assert counted == {"opened": 1, "Marked sniffs": 1, "read": 1}
    cli("embed", path_or_folder, "--binding", "lengths", "-o", tmp_path / "o.safetensors")
    assert counted["read"] == 1  # stored


def test_readers_of_other_modalities_are_not_called_if_one_of_a_source_recognises_the_file(
    letters, registry, add_plugin, tmp_path
):
    sentences = ModalitySpec(name="sentences", summary="s", target=f"{__name__}:Letters", derived_from=("bytes",))
    about = {"name": "Sentences", "summary": "s", "modality": "sentences", "suffixes": (".sentence",)}
    broken = ReaderSpec(target="no_such_module:Reader", **about)
    add_plugin(registry, sentences, broken, name="sentences", distribution="sentences-dist")
    detector = anybind.detection.FormatDetector(file(tmp_path, "x.also"))
    assert detector.find_reader("sentences").name == "AlsoMarked"
    assert {part.name for part in (*detector.verdicts, *detector.failures)} == {"AlsoMarked"}


def test_a_file_removed_after_its_reader_was_found_raises_with_its_path(readers, tmp_path, monkeypatch):
    path = file(tmp_path, "x.u")
    reader = find_reader(file(tmp_path, "y.m"))
    path.unlink()
    monkeypatch.setattr(Marked, "read", lambda self, path: path.read_bytes())
    with pytest.raises(anybind.BadInput, match=r"x\.u: No such file"):
        anybind.read(path, reader=reader)
