"""The memory budget of worker threads, and reader options of `embed`."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind import memory
from anybind.loading import Loader
from anybind.memory import MemoryBudget, reserve_memory
from anybind.plugin import BadInput, BadOption, Encoder, Item, loops, modalities
from helpers.command import Command


@pytest.fixture
def budget(monkeypatch):
    budget = MemoryBudget(100)
    monkeypatch.setattr(memory, "_budget", budget)
    return budget


def measure_peak(sizes: list[int], budget: MemoryBudget) -> list[int]:
    """Reserve sizes in four threads; return the bytes in use after each reservation was granted."""
    together = threading.Barrier(2)

    def reserve(size: int) -> int:
        reserve_memory(size)
        used = budget.used
        try:  # an item ends when another one was granted, or when none can be
            together.wait(timeout=0.05)
        except threading.BrokenBarrierError:
            together.reset()
        return used

    return list(loops.prefetch(reserve, sizes, workers=4))


def test_items_of_several_threads_share_the_budget(budget):
    assert max(measure_peak([50] * 8, budget)) == 100
    assert budget.used == 0


def test_an_item_beyond_the_budget_runs_alone(budget):
    used = measure_peak([30, 30, 1000, 30, 30], budget)
    assert used[2] == 1000
    assert max(used[:2] + used[3:]) <= 100


def test_a_failed_item_returns_its_memory(budget):
    def fail(size: int) -> None:
        reserve_memory(size)
        raise ValueError("damaged")

    for _ in range(3):
        with pytest.raises(ValueError, match="damaged"):
            list(loops.prefetch(fail, [90]))
    assert budget.used == 0


def test_an_item_that_reserves_twice_or_starts_threads_does_not_wait_for_itself(budget):
    def reserve_again(size: int) -> list[None]:
        reserve_memory(size)
        reserve_memory(size)
        return list(loops.prefetch(reserve_memory, [90, 90]))

    assert list(loops.prefetch(reserve_again, [80, 80])) == [[None, None]] * 2
    assert budget.used == 0


def test_no_memory_is_reserved_outside_of_worker_threads(budget):
    reserve_memory(1000)
    assert budget.used == 0


def test_the_environment_sets_the_budget(monkeypatch):
    monkeypatch.setattr(memory, "_budget", None)
    monkeypatch.setenv(memory.VARIABLE, "64")
    assert memory.get_budget().limit == 64 << 20
    for value in ("0", "many"):
        monkeypatch.setattr(memory, "_budget", None)
        monkeypatch.setenv(memory.VARIABLE, value)
        with pytest.raises(BadOption, match=f"ANYBIND_MEMORY_BUDGET: expected MiB, .* got '{value}'"):
            memory.get_budget()


class _Recorder(Encoder):
    modality, reader_options = "image", {"min_side": 10, "unknown": 1}
    weights_hash, preprocessing = "", {}

    def encode(self, inputs):
        raise NotImplementedError


def test_a_loader_reads_large_images_with_the_options_of_the_encoder(tmp_path, monkeypatch):
    from anybind_media import reduction

    monkeypatch.setattr(reduction, "LARGE_PIXELS", 100)
    PIL.Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    load = Loader(modalities.find_modality("image"), _Recorder(), None)
    item = Item("a", tmp_path / "a.png")
    assert load((0, item)).prepared.shape == (10, 15, 3)
    item = Item("a", tmp_path / "a.png", options={"min_side": 20})
    assert load((0, item)).prepared.shape == (20, 30, 3)


@pytest.mark.torch
def test_embed_passes_options_to_the_readers_that_take_them(cli: Command, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        PIL.Image.fromarray(np.zeros((30, 20 if name == "a.png" else 50, 3), np.uint8)).save(tmp_path / name)
    arguments = ["embed", str(tmp_path), "-o", str(tmp_path / "o.safetensors"), "--no-store"]
    assert cli(*arguments, "--reader-option", "max_pixels=1500").code == 0
    refused = cli(*arguments, "--reader-option", "max_pixels=1499")
    assert refused.code == 2
    assert "b.png: 50x30 pixels exceed the limit of 1499" in refused.err
    skipped = cli(*arguments, "--reader-option", "max_pixels=1499", "--skip-invalid")
    assert skipped.code == 0
    assert "skipped 1:" in skipped.err
    unknown = cli(*arguments, "--reader-option", "sampels=1")
    assert unknown.code == 2
    assert "no reader of these files (image) has an option 'sampels'" in unknown.err
    for name in ("path", "reader"):
        assert (
            f"cannot set the option {name}, which the command sets"
            in cli(*arguments, "--reader-option", f"{name}=1").error()
        )
    with pytest.raises(BadInput, match="50x30 pixels"):
        anybind.embed(tmp_path / "b.png", reader_options={"max_pixels": 1})
