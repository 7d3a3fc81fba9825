"""Ranks: a single process, and two processes of torchrun that share the items of an embedding."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import anybind
from anybind import ranks

pytestmark = pytest.mark.slow

SCRIPT = """
import json, sys, warnings
import numpy as np
import anybind
from anybind import Binding, EmbeddingStore, ranks
from anybind.binding import ConfiguredPart
from anybind.plugin import Encoder, EncoderSpec, Modality, ModalitySpec, hookimpl
from anybind.registry import Plugin, Registry, use_registry


class Letters(Modality):
    name = "letters"

    def accepts(self, item):
        return isinstance(item, bytes)

    def check(self, sample):
        if not sample:
            raise anybind.BadInput("no letters")

    def show(self, sample):
        return "letters"


class Counting(Encoder):
    modality, space, weights_hash, preprocessing = "letters", anybind.Space("own", 3), "0" * 12, {}

    def preprocess(self, sample):
        if sample == b"bug":
            raise ZeroDivisionError("a bug")
        return np.array([sample.count(b"a"), len(sample), 1.0])

    def encode(self, inputs):
        if any(each[0] == 5 for each in inputs):
            raise MemoryError("not enough of it")
        return anybind.normalize(np.stack(inputs))


class Hooks:
    anybind_contract = 1

    @staticmethod
    @hookimpl
    def register(registry):
        registry.add(ModalitySpec(name="letters", summary="s", target="__main__:Letters"))
        registry.add(EncoderSpec(name="count", summary="s", target="__main__:Counting", modality="letters"))


registry = Registry()
use_registry(registry)
registry.add(Plugin("test", "test-dist", "1.0"), lambda: Hooks)


def ask(items, store=None, skip=True):
    binder = anybind.load(Binding("b", {"letters": ConfiguredPart("count")}), store=store)
    told = []
    try:
        made = binder.embed(
            "letters", items, batch_size=2, on_bad=(lambda *each: told.append(list(map(str, each)))) if skip else None
        )
    except Exception as error:
        return {"error": [type(error).__name__, str(error)]}
    counts = [binder.counts.computed, binder.counts.cached]
    return {"ids": made.ids, "vectors": made.vectors.tolist(), "told": told, "counts": counts}


started = ranks.join()
good = [b"a" * n + b"b" * 9 for n in (1, 2, 3, 4, 6, 7, 8)]
store = EmbeddingStore(sys.argv[1])
said = {
    "rank": [ranks.get_rank(), ranks.get_world_size(), started, ranks.join()],
    "first": ranks.broadcast({"rank": ranks.get_rank()}),
    "gathered": ranks.gather(ranks.get_rank()),
    "rows": [each.tolist() for each in ranks.gather_rows(np.full((ranks.get_rank(), 2), 7))],
    "good": ask(good),
    "none": ask([]),
    "one": ask(good[:1]),
    "cold": ask(good, store),
    "warm": ask(good, store),
    "bad": ask([good[0], b"", b"bug", good[1], b"", good[2]]),
    "raised": ask([*good, b""], skip=False),
    "broken": ask([*good, b"a" * 5]),
    "lists": ask(good[: 2 + ranks.get_rank()]),
}
rank = ranks.get_rank()
with ranks.single_process():
    said["alone"] = [ranks.get_rank(), ranks.get_world_size(), ask(good[: 2 + rank])["counts"]]
with open(f"{sys.argv[1]}/rank{rank}.json", "w") as file:
    json.dump(said, file)
ranks.leave()
"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "work.py").write_text(SCRIPT)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*launch, folder / "work.py", folder], check=True, timeout=120, env=environment)
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.slow
def test_two_processes_of_torchrun_share_the_items_and_agree(reports):
    first, second = reports
    assert [each["rank"] for each in reports] == [[0, 2, True, False], [1, 2, True, False]]
    for each in reports:
        assert each["first"] == {"rank": 0}
        assert each["gathered"] == [0, 1]
        assert each["rows"] == [[], [[7, 7]]]
    for what in first.keys() - {"rank", "alone", "broken"}:
        assert first[what] == second[what], what
    vectors = anybind.normalize(np.array([[n, n + 9, 1] for n in (1, 2, 3, 4, 6, 7, 8)], float))
    np.testing.assert_array_equal(np.float32(first["good"]["vectors"]), vectors)
    assert first["good"]["ids"] == [f"letters[{number}]" for number in range(7)]
    assert (first["good"]["counts"], first["none"]["ids"], len(first["one"]["ids"])) == ([7, 0], [], 1)


def test_ranks_share_a_store(reports):
    assert reports[0]["cold"]["counts"] == [7, 0]
    assert reports[0]["warm"]["counts"] == [0, 7]
    assert reports[0]["warm"]["vectors"] == reports[0]["good"]["vectors"]


def test_invalid_items_of_all_ranks_are_reported_on_every_rank_in_order(reports):
    bad = reports[1]["bad"]
    assert bad["ids"] == ["letters[0]", "letters[3]", "letters[5]"]
    assert [id for id, _ in bad["told"]] == ["letters[1]", "letters[2]", "letters[4]"]
    assert bad["told"][0][1] == "letters[1]: no letters"
    assert "ZeroDivisionError: a bug" in bad["told"][1][1]


def test_an_error_of_one_rank_is_raised_on_all(reports):
    assert reports[0]["raised"]["error"] == ["BadInput", "letters[7]: no letters"]
    kinds = {each["broken"]["error"][0] for each in reports}
    assert kinds <= {"MemoryError", "RuntimeError"}
    assert {each["broken"]["error"][1] for each in reports} == {"not enough of it"}
    assert reports[0]["lists"]["error"][0] == "BadOption"
    assert "the ranks were given [2, 3] items" in reports[0]["lists"]["error"][1]


def test_a_rank_works_alone_in_single_process(reports):
    assert [each["alone"] for each in reports] == [[0, 1, [2, 0]], [0, 1, [3, 0]]]


def test_a_single_process_is_rank_0_of_1_and_joins_no_group(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert (ranks.get_rank(), ranks.get_world_size(), ranks.join()) == (0, 1, False)
    assert ranks.gather({"a": (1, 2)}) == [{"a": [1, 2]}]
    assert ranks.broadcast([1]) == [1]
    np.testing.assert_array_equal(ranks.gather_rows(np.eye(2))[0], np.eye(2))
    assert ranks.run_collectively(lambda: 5) == 5
    with pytest.raises(KeyError):
        ranks.run_collectively(lambda: {}["a"])
    ranks.leave()


def test_errors_of_other_ranks_keep_their_class_if_it_is_anybinds():
    assert isinstance(ranks.rebuild_error("BadInput", "m"), anybind.BadInput)
    assert type(ranks.rebuild_error("ZeroDivisionError", "m")) is RuntimeError
    assert type(ranks.rebuild_error("nearest", "m")) is RuntimeError
