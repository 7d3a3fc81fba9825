"""Training with `skip_invalid`: unreadable and empty samples are left out, listed and limited."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from anybind.errors import BadInput
from anybind_train import engine
from anybind_train.metrics_log import read_log

IMAGE = ("modality=image", "student.options={}")
TEXTS = ("teacher=", 'losses=[{"use":"prediction"}]')
TRUNCATED, UNIFORM, PROBED = "images/disc/3.png", "images/bar/1.png", "beam/0.png"


@pytest.fixture
def damaged(own_data: Path) -> Path:
    """Truncate one of 18 training images, make another uniform, which gives no events, and truncate one of the probe."""
    for name in (TRUNCATED, f"images/{PROBED}"):
        path = own_data / name
        path.write_bytes(path.read_bytes()[:100])
    PIL.Image.new("RGB", (40, 40)).save(own_data / UNIFORM)
    return own_data


@pytest.mark.parametrize(
    ("overrides", "invalid"),
    [
        pytest.param((), {TRUNCATED, UNIFORM}, id="events of a teacher's images"),
        pytest.param(("cache_inputs=true", "variants=2"), {TRUNCATED, UNIFORM}, id="cached inputs"),
        pytest.param(TEXTS, {TRUNCATED, UNIFORM}, id="no teacher"),
        pytest.param(IMAGE, {TRUNCATED}, id="images"),
        pytest.param((*IMAGE, "losses=author-code-mended"), {TRUNCATED}, id="raw embeddings of the teacher"),
    ],
)
def test_invalid_samples_are_left_out_and_listed(train, damaged, overrides, invalid):
    finished = train(*overrides, "skip_invalid=0.4", data=damaged)
    assert len(finished.read_log()) == 6  # as many steps as without invalid samples
    assert np.isfinite(finished.read_losses()).all()
    skipped = finished.result["skipped"]
    assert skipped.keys() == {*invalid, PROBED}
    assert all(id in reason for id, reason in skipped.items())
    assert {line["id"]: line["error"] for line in finished.read_log("skipped")} == skipped
    assert json.loads((finished.output / "result.json").read_text())["skipped"] == skipped


def test_an_invalid_sample_is_replaced_by_one_of_another_batch(train, damaged, monkeypatch):
    seen, train_step = [], engine.TrainingRun.train_step

    def record(self, module, optimiser, numbers, *arguments):
        seen.append([self.data.items[number].item.id for number in numbers])
        return train_step(self, module, optimiser, numbers, *arguments)

    monkeypatch.setattr(engine.TrainingRun, "train_step", record)
    train("skip_invalid=0.4", data=damaged)
    assert [len(set(batch)) for batch in seen] == [6] * 6
    assert not {TRUNCATED, UNIFORM} & {id for batch in seen for id in batch}


def test_a_cache_with_invalid_samples_is_read_again(train, damaged, tmp_path):
    runs = [
        train("cache_inputs=true", "skip_invalid=0.4", data=damaged, output=tmp_path / name, teacher_cache=tmp_path)
        for name in ("first", "second")
    ]
    assert runs[0].result["skipped"] == runs[1].result["skipped"]
    assert runs[0].read_losses() == runs[1].read_losses()
    with pytest.raises(BadInput, match=TRUNCATED):
        train("cache_inputs=true", data=damaged, output=tmp_path / "strict", teacher_cache=tmp_path)


def test_more_invalid_samples_than_allowed_are_an_error(command, damaged):
    (damaged / f"images/{PROBED}").unlink()
    message = command("skip_invalid=0.1", "cache_inputs=true", data=damaged).error()
    assert "2 of 18 training samples are invalid, more than skip_invalid = 0.1 allows; the last one: images/" in message


def test_a_probe_of_invalid_samples_is_an_error(command, damaged):
    message = command(*IMAGE, "skip_invalid=0.1", data=damaged).error()
    assert "1 of 6 probe samples are invalid, more than skip_invalid = 0.1 allows" in message


def test_an_invalid_option_is_an_error_with_skip_invalid_too(command, world):
    assert "nonsense" in command("derive.nonsense=1", "skip_invalid=0.9").error()


def test_the_command_lists_samples_that_were_left_out(command, damaged):
    ended = command("skip_invalid=0.4", data=damaged)
    assert ended.code == 0
    assert "skipped 3:" in ended.err
    assert TRUNCATED in ended.err


def test_a_linear_probe_leaves_invalid_samples_out(command, damaged, tmp_path):
    overrides = ("student.method=linear-probe", 'probe.classes=["disc","bar","ring"]', "data.0.shots=2")
    overrides += ("probe.held_out=true", *IMAGE)
    assert TRUNCATED.removeprefix("images/") in command(*overrides, data=damaged).error()
    assert command(*overrides, "skip_invalid=0.4", data=damaged).code == 0
    skipped = json.loads((tmp_path / "run" / "result.json").read_text())["skipped"]
    assert {id.removeprefix("images/") for id in skipped} == {TRUNCATED.removeprefix("images/")}


def test_an_interrupted_run_leaves_the_same_samples_out(train, damaged, tmp_path, monkeypatch):
    overrides = ("skip_invalid=0.4", "checkpoint_steps=1", 'augment.event={"shift":3}')
    whole = train(*overrides, data=damaged, output=tmp_path / "whole")
    train_step = engine.TrainingRun.train_step

    def interrupt(self, module, optimiser, numbers, inputs, epoch, step, lr):
        if step == 4:
            raise KeyboardInterrupt
        return train_step(self, module, optimiser, numbers, inputs, epoch, step, lr)

    monkeypatch.setattr(engine.TrainingRun, "train_step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(*overrides, data=damaged)
    monkeypatch.setattr(engine.TrainingRun, "train_step", train_step)
    resumed = train(*overrides, data=damaged, resume=True)
    assert resumed.result["skipped"] == whole.result["skipped"]
    weights = resumed.load_weights()
    assert all(torch.equal(value, weights[name]) for name, value in whole.load_weights().items())
    kinds = [[(line["kind"], line["step"]) for line in read_log(run.output)] for run in (whole, resumed)]
    assert kinds[0] == kinds[1]
