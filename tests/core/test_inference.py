"""How a binder runs: batch size, workers, several devices, precision, decoding processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind import Binding
from anybind.binder import open_decoding_pool
from anybind.encoder import Encoder
from anybind.errors import BadOption
from anybind.modality import Modality
from anybind.reader import Reader
from anybind.spec import EncoderSpec, ModalitySpec, ReaderSpec
from anybind.store import EmbeddingStore

WAIT_S = 20
"""Seconds after which a barrier that too few threads reach breaks."""


class Letters(Modality):
    name = "letters"

    def accepts(self, item):
        return isinstance(item, bytes)

    def check(self, sample):
        pass

    def show(self, sample):
        return sample.decode()


class LettersReader(Reader):
    barrier: threading.Barrier | None = None
    open_files, most_open = 0, 0
    lock = threading.Lock()

    def sniff(self, head):
        return head.startswith(b"L:")

    def read(self, path):
        cls = type(self)
        with cls.lock:
            cls.open_files += 1
            cls.most_open = max(cls.most_open, cls.open_files)
        if cls.barrier is not None:
            cls.barrier.wait(WAIT_S)
        with cls.lock:
            cls.open_files -= 1
        return path.read_bytes()[2:]


class Counting(Encoder):
    modality = "letters"
    space = anybind.Space("own", 3)
    weights_hash = "0" * 12
    preprocessing = {"case": "lower"}  # noqa: RUF012 (an interface attribute)
    barrier: threading.Barrier | None = None

    def __init__(self):
        self.batches = []

    def preprocess(self, sample):
        return np.array([sample.count(b"a"), len(sample), 1.0])

    def encode(self, inputs):
        if any(each[1] == 7 for each in inputs):
            raise anybind.BadInput("7 letters have no direction")
        self.batches.append(len(inputs))
        if self.barrier is not None:
            self.barrier.wait(WAIT_S)
        return anybind.normalize(np.stack(inputs))


@pytest.fixture(autouse=True)
def plugin(registry, add_plugin, monkeypatch):
    add_plugin(
        registry,
        ModalitySpec(name="letters", summary="s", target=f"{__name__}:Letters"),
        ReaderSpec(name="l", summary="s", target=f"{__name__}:LettersReader", modality="letters", suffixes=(".let",)),
        EncoderSpec(name="count", summary="s", target=f"{__name__}:Counting", modality="letters"),
    )
    for cls in (LettersReader, Counting):
        monkeypatch.setattr(cls, "barrier", None)
    monkeypatch.setattr(LettersReader, "most_open", 0)


def load(**options) -> anybind.Binder:
    return anybind.load(Binding("b", {"letters": Binding.configure("count")}), **options)


def write_files(folder, count=12):
    files = [folder / f"{number:03}.let" for number in range(count)]
    for number, file in enumerate(files):
        file.write_bytes(b"L:" + b"a" * number + b"bbbbbbbb")
    return files


def test_the_batch_size_of_a_binder_is_the_default_of_its_calls():
    binder = load(batch_size=5)
    binder.embed("letters", [b"ab"] * 12)
    binder.embed("letters", [b"ab"] * 4, batch_size=3)
    list(binder.embed_batches("letters", [b"ab"] * 6))
    assert binder.encoder("letters").batches == [5, 5, 2, 3, 1, 5, 1]


def test_as_many_files_are_decoded_at_a_time_as_there_are_workers(tmp_path, monkeypatch):
    files = write_files(tmp_path)
    monkeypatch.setattr(LettersReader, "barrier", threading.Barrier(3))  # breaks unless three reach it together
    expected = load(workers=3).embed("letters", files)
    assert LettersReader.most_open == 3
    monkeypatch.setattr(LettersReader, "barrier", None)
    monkeypatch.setattr(LettersReader, "most_open", 0)
    result = load(workers=3).embed("letters", files, workers=1)
    assert LettersReader.most_open == 1
    np.testing.assert_array_equal(result.vectors, expected.vectors)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "the batch size: expected an integer above 0, got 0"),
        ({"workers": 0}, "the number of workers: expected an integer above 0, got 0"),
        ({"workers": 1.5}, "the number of workers: expected an integer above 0, got 1.5"),
        ({"precision": "int4"}, "expected a precision of fp32, bf16, fp16, got 'int4'"),
        ({"device": "cpu,cuda:0"}, "expected devices of one type, such as cuda:0,cuda:1, got 'cpu,cuda:0'"),
        ({"device": "cpu,"}, "expected a device, such as cpu or cuda:0,cuda:1, got 'cpu,'"),
    ],
)
def test_invalid_options_are_one_line(options, message):
    with pytest.raises(BadOption) as caught:
        load(**options)
    assert str(caught.value) == message
    with pytest.raises(BadOption, match="number of workers"):
        load().embed("letters", [b"ab"], workers=0)


def test_devices_encode_batches_at_the_same_time_and_keep_the_order(monkeypatch):
    items = [b"a" * number + b"bbbbbbbb" for number in range(23)]
    expected = load().embed("letters", items)
    binder = load(device="cpu,cpu", batch_size=6)
    monkeypatch.setattr(Counting, "barrier", threading.Barrier(2))  # breaks unless two encode at once
    result = binder.embed("letters", items)
    np.testing.assert_array_equal(result.vectors, expected.vectors)
    assert (result.ids, result.encoder) == (expected.ids, expected.encoder)
    assert binder.counts.computed == 23


def test_invalid_samples_on_several_devices_are_reported_by_the_caller():
    invalid = {}
    threads = set()

    def on_bad(id, error):
        threads.add(threading.current_thread())
        invalid[id] = str(error)

    items = [b"abcdefgh"] * 10 + [b"abcdefg"] + [b"abcdefgh"] * 4
    result = load(device="cpu,cpu", batch_size=2).embed("letters", items, on_bad=on_bad)
    assert invalid == {"letters[10]": "letters[10]: 7 letters have no direction"}
    assert threads == {threading.current_thread()}
    assert len(result) == 14
    with pytest.raises(anybind.BadInput, match=r"letters\[10\]: 7 letters"):
        load(device="cpu,cpu", batch_size=2).embed("letters", items)


def test_devices_share_one_table_of_stored_embeddings(tmp_path):
    store = EmbeddingStore(tmp_path)
    load(store=store).embed("letters", [b"ab", b"abc"])
    twice = load(device="cpu,cpu", store=store)
    twice.embed("letters", [b"ab", b"abc"])
    assert (twice.counts.computed, twice.counts.cached) == (0, 2)


def test_an_encoder_without_torch_refuses_a_lower_precision():
    with pytest.raises(BadOption, match="the letters encoder Counting computes in fp32 only, got bf16"):
        load(precision="bf16").embed("letters", [b"ab"])


def test_a_binding_with_objects_is_not_sent_to_processes(tmp_path):
    binding = Binding("b", {"letters": Binding.configure("count", lock=threading.Lock())})
    with pytest.raises(BadOption, match="holds objects that cannot be sent to decoding processes; use threads"):
        open_decoding_pool(anybind.load(binding), "letters", 2)


PLUGIN = """
import os
import numpy as np
import anybind
from anybind.plugin import BadInput, Encoder, EncoderSpec, Modality, ModalitySpec, Reader, ReaderSpec, hookimpl

anybind_contract = 1

@hookimpl
def register(registry):
    registry.add(ModalitySpec(name="letters", summary="s", target="letters:Letters"))
    registry.add(ReaderSpec(name="l", summary="s", target="letters:L", modality="letters", suffixes=(".let",)))
    registry.add(EncoderSpec(name="count", summary="s", target="letters:Counting", modality="letters"))

class Letters(Modality):
    name = "letters"
    def accepts(self, item):
        return isinstance(item, bytes)
    def check(self, sample):
        pass
    def show(self, sample):
        return sample.decode()

class L(Reader):
    def sniff(self, head):
        return head.startswith(b"L:")
    def read(self, path):
        content = path.read_bytes()
        if b"bad" in content:
            raise BadInput(f"{path} is bad")
        if b"crash" in content:
            os._exit(3)
        return content

class Counting(Encoder):
    modality, space = "letters", anybind.Space("own", 3)
    weights_hash, preprocessing = "0" * 12, {"case": "lower"}
    def preprocess(self, sample):
        return np.array([len(sample), os.getpid(), 1.0])
    def encode(self, inputs):
        return anybind.normalize(np.stack([[each[0], 1.0, each[1] == os.getpid()] for each in inputs]))
"""

SCRIPT = """
import sys
import anybind
from anybind import Binding

def main():
    binder = anybind.load(Binding("b", {"letters": Binding.configure("count")}), processes=True, workers=2)
    skipped = {}
    result = binder.embed("letters", sys.argv[1:], on_bad=lambda id, error: skipped.update({id: repr(error)}))
    print(result.vectors[:, 2].tolist(), list(skipped.values()), flush=True)
    return binder

MAIN
"""


@pytest.fixture
def run_script(make_distribution, tmp_path):
    site = make_distribution("letters-dist", {"letters": "letters"}, {"letters": PLUGIN})

    def start(main, *arguments):
        script = tmp_path / "script.py"
        script.write_text(SCRIPT.replace("MAIN", textwrap.dedent(main)))
        environment = {**os.environ, "PYTHONPATH": str(site)}
        command = [sys.executable, script, *map(str, arguments)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


@pytest.mark.slow
def test_processes_decode_files_and_report_errors_as_threads_do(run_script, tmp_path):
    files = write_files(tmp_path, 6)
    files[2].write_bytes(b"L:bad")
    process = run_script('if __name__ == "__main__":\n    main()', *files)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.strip() == f"""[0.0, 0.0, 0.0, 0.0, 0.0] ["BadInput('{files[2]} is bad')"]""", err


@pytest.mark.slow
def test_a_script_without_a_guard_is_one_error(run_script, tmp_path):
    out, _ = run_script("main()", *write_files(tmp_path, 1)).communicate(timeout=120)
    assert "PluginError" in out
    assert 'a script needs `if __name__ == "__main__":`' in out


@pytest.mark.slow
def test_a_reader_that_crashes_is_one_error_and_the_next_call_starts_processes_again(run_script, tmp_path):
    crash, intact = write_files(tmp_path, 2)
    crash.write_bytes(b"L:crash")
    main = f"""
    if __name__ == "__main__":
        binder = main()
        print(len(binder.embed("letters", {str(intact)!r})))
    """
    out, err = run_script(main, crash).communicate(timeout=120)
    first, second = out.splitlines()
    assert first.startswith("[] [")
    assert "PluginError" in first
    assert second == "1", err


@pytest.mark.slow
def test_processes_end_with_a_killed_parent(run_script, tmp_path):
    main = """
    if __name__ == "__main__":
        import multiprocessing, time
        main()
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        time.sleep(600)
    """
    process = run_script(main, *write_files(tmp_path, 4))
    process.stdout.readline()
    children = [int(pid) for pid in process.stdout.readline().split()]
    assert children
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    deadline = time.monotonic() + 60
    while any(map(is_running, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, children))


def is_running(pid):
    try:
        with Path(f"/proc/{pid}/stat").open() as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_command_embeds_with_these_options(cli, tmp_path, monkeypatch):
    files = write_files(tmp_path, 7)
    sizes = []
    encode = Counting.encode
    monkeypatch.setattr(Counting, "encode", lambda self, inputs: [sizes.append(len(inputs)), encode(self, inputs)][1])
    arguments = ["embed", *files, "-o", tmp_path / "e.safetensors", "--encoder", "count", "--no-store"]
    process = cli(*arguments, "--batch-size", "3", "--workers", "1", "--device", "cpu,cpu")
    assert process.code == 0, process
    assert sorted(sizes) == [1, 3, 3]
    assert LettersReader.most_open == 1
    result = anybind.load_embeddings(tmp_path / "e.safetensors")["letters"]
    np.testing.assert_array_equal(result.vectors, load().embed("letters", files).vectors)
    refused = cli(*arguments, "--precision", "int4")
    assert (refused.code, refused.err) == (2, "error: expected a precision of fp32, bf16, fp16, got 'int4'\n")
