"""Classification of live sources: answers, summary, and the command."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind.errors import BadInput, BadOption, UnknownName
from anybind.windows import WindowOptions, embed_windows
from anybind_classification import WatchSummary, classify_windows, watch
from anybind_classification.demo_images import RECORDING
from anybind_events import EventStream
from helpers.command import Command
from helpers.streams import draw_noise, move_bar

LABELS = ["a face", "a cat", "a motorcycle"]
FAST = {"source_options": {"speed": 0}, "drop": "block"}


@pytest.fixture(scope="module")
def mini() -> anybind.Binder:
    return anybind.load("mini")


@pytest.mark.parametrize(("window", "stride"), [("100ms", "50ms"), ("20000ev", "15000ev")])
def test_answers_and_embeddings_are_those_of_the_file(window: str, stride: str, mini: anybind.Binder) -> None:
    answers = list(watch(RECORDING, LABELS, binding=mini, window=window, stride=stride, **FAST))
    options = WindowOptions(window=window, stride=stride)
    (offline,) = embed_windows(mini, "event", [RECORDING], options)
    (classified,) = classify_windows(RECORDING, LABELS, binding=mini, options=options)
    vectors = np.concatenate([each.embedding.vectors for each in answers if each.embedding])
    np.testing.assert_allclose(vectors, offline.embeddings.vectors, atol=1e-5)
    assert len(answers) > 3
    assert [each.name for each in answers] == [each.name for each in classified.windows]
    assert [(each.start_us, each.end_us) for each in answers] == [
        (each.start_us, each.end_us) for each in classified.windows
    ]
    assert answers[-1].encoder_calls == len(answers)
    assert answers[-1].counts["dropped"] == 0


def test_windows_without_motion_have_no_label_and_no_encoder_call(mini: anybind.Binder, tmp_path: Path) -> None:
    anybind.write(draw_noise(300_000, 5.0, 64, 64, seed=1), tmp_path / "noise.npz")
    summary = WatchSummary()
    for answer in watch(tmp_path / "noise.npz", LABELS, binding=mini, **FAST):
        assert (answer.name, answer.answer.scores, answer.embedding) == ("nothing moved", (), None)
        summary.add(answer)
    record = summary.to_dict()
    assert (record["windows"], record["shares"], record["encoder_calls"]) == (3, {"nothing moved": 1.0}, 0)


def test_a_replay_in_real_time_gives_the_same_labels(mini: anybind.Binder) -> None:
    answers = list(watch(RECORDING, LABELS, binding=mini, drop="block"))
    assert [each.name for each in answers] == ["a face"] * 3
    assert [each.share for each in answers] == [1.0] * 3
    assert all(each.latency_ms > 0 for each in answers)


@pytest.mark.parametrize(
    ("source", "options", "error", "message"),
    [
        (RECORDING, {"labels": []}, BadOption, "either labels or a head"),
        (RECORDING, {"labels": LABELS, "window": "auto"}, BadOption, "duration"),
        (RECORDING, {"labels": LABELS, "source_options": {"height": 3}}, BadOption, "height"),
        (RECORDING, {"labels": LABELS, "reader_options": {"source": 3}}, BadOption, "has an option 'source'"),
        (RECORDING, {"labels": LABELS, "reader_options": {"path": "x"}}, BadOption, "cannot set the option path"),
        ("stdin", {"labels": LABELS, "reader_options": {"size": "9x9"}}, BadOption, "only recordings have reader"),
        ("replai", {"labels": LABELS}, UnknownName, "did you mean 'replay'|no source 'replai'"),
        ("absent.raw", {"labels": LABELS}, BadInput, "cannot read absent.raw"),
        (None, {"labels": LABELS}, BadInput, "LiveSource, got a NoneType"),
        (EventStream([0], [0], [0], [1], 4, 3), {"labels": LABELS}, BadInput, "LiveSource, got an anybind_events"),
    ],
)
def test_invalid_sources_and_options_are_refused(source, options, error, message: str, mini: anybind.Binder) -> None:
    with pytest.raises(error, match=message):
        watch(source, binding=mini, **options)


ARGUMENTS = ("--labels", ",".join(LABELS), "--speed", "0", "--drop", "block")


def test_the_command_prints_a_line_a_window_and_a_summary(cli: Command) -> None:
    result = cli("watch", RECORDING, *ARGUMENTS)
    lines = result.out.splitlines()
    assert result.code == 0
    assert [line.split("  ")[0] for line in lines[:3]] == ["a face"] * 3
    assert "67445 events, 0 dropped, 0 jumps of the clock" in lines[-1]


def test_the_command_writes_json_lines(cli: Command, tmp_path: Path) -> None:
    result = cli("watch", RECORDING, *ARGUMENTS, "--jsonl", "-o", tmp_path / "log.jsonl", "--duration", "200ms")
    *windows, last = map(json.loads, result.out.splitlines())
    assert [each["label"] for each in windows] == ["a face"] * 2
    assert last["summary"]["windows"] == 2
    assert (tmp_path / "log.jsonl").read_text().splitlines() == [json.dumps(each) for each in (*windows, last)]


def test_filters_of_the_command_are_those_of_classify(cli: Command) -> None:
    filters = ("--filter", "background-activity,hot-pixel")
    live = cli("watch", RECORDING, *ARGUMENTS, *filters, "--jsonl")
    *answers, last = map(json.loads, live.out.splitlines())
    offline = cli("classify", RECORDING, "--labels", ",".join(LABELS), "--window", "100ms", *filters, "--json")
    (record,) = json.loads(offline.out)["files"]
    assert [each["label"] for each in answers] == [each["label"] for each in record["windows"]]
    assert all(each["scores"][0].keys() == record["windows"][0]["scores"][0].keys() for each in answers)
    assert last["summary"]["counts"]["events"] == 67445
    assert cli("watch", RECORDING, *ARGUMENTS, "--filter", "hot-pixels").code == 2


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (RECORDING, ("--source-option", "path=x"), r"'path' \(options: speed, rate, loop\)"),
        (RECORDING, ("--source-option", "reader_options=size=1x1"), r"'reader_options' \(options: speed, rate, loop\)"),
        (RECORDING, ("--source-option", "loop=x"), "loop: expected true or false, got 'x'"),
        (
            RECORDING,
            ("--speed", "0", "--source-option", "speed=1"),
            "either --speed or --source-option speed=, not both",
        ),
        (RECORDING, ("--reader-option", "sizes=1x1"), "no reader of these files .* has an option 'sizes'"),
        (RECORDING, ("--reader-option", "path=x"), "cannot set the option path, which the command sets"),
        (RECORDING, ("--reader-option", "size=1x"), "size: expected width and height"),
        ("-", ("--source-option", "descriptor=x"), r"'descriptor' \(options: size, columns, time_unit\)"),
        ("-", ("--reader-option", "size=9x9"), "only recordings have reader options"),
        ("stdin", ("--source-option", "descriptor=x"), "descriptor: expected the number of a file descriptor, got 'x'"),
    ],
)
def test_invalid_options_are_one_error_line(cli: Command, source, options: tuple[str, ...], message: str) -> None:
    result = cli("watch", source, "--labels", "a,b", *options)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert re.search(message, result.err)


def test_one_of_several_recordings_in_a_file_is_chosen(cli: Command, test_data: Path) -> None:
    command = ("watch", test_data / "more_events/n_datasets_example.mat", *ARGUMENTS, "--jsonl")
    assert "choose one with source=: 'EM', 'TD'" in cli(*command).err
    *_, last = map(json.loads, cli(*command, "--reader-option", "source=TD").out.splitlines())
    assert last["summary"]["counts"]["events"] == 242_040


def run_command(*arguments: object, **options) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "anybind", "watch", *map(str, arguments), "--labels", ",".join(LABELS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent otherwise")
def test_ctrl_c_ends_with_a_summary_and_closed_files(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    process = run_command(RECORDING, "--loop", "--jsonl", "-o", log)
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    last = json.loads(out.splitlines()[-1])
    assert first["label"] == "a face"
    assert last["summary"]["windows"] >= 1
    assert json.loads(log.read_text().splitlines()[-1]) == last


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "message", "windows"),
    [
        (b"", "no data", 0),
        (b"\x00\xff garbage" * 1000, "neither EVT2, EVT2.1 or EVT3 with its header, nor text", 0),
        (None, "has sent nothing for 0.5 s", 4),
    ],
)
def test_a_source_that_fails_is_one_error_after_the_summary(data: bytes | None, message: str, windows: int) -> None:
    process = run_command("-", "--jsonl", "--timeout", 0.5, "--source-option", "size=64x64", stdin=subprocess.PIPE)
    assert process.stdin is not None
    if data is None:
        rows = zip(*(getattr(move_bar(350_000), name).tolist() for name in "xyt"), strict=True)
        process.stdin.write("x,y,t,p\n" + "".join(f"{x},{y},{t},1\n" for x, y, t in rows))
        process.stdin.flush()
    else:
        process.stdin.buffer.write(data)  # pyright: ignore[reportAttributeAccessIssue]
        process.stdin.close()
    assert process.stdout is not None
    assert process.stderr is not None
    out, err = process.stdout.read(), process.stderr.read()  # the standard input stays open
    process.wait(60)
    assert process.returncode == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    last = json.loads(out.splitlines()[-1])
    assert message in last["error"]
    assert last["summary"]["windows"] == windows
