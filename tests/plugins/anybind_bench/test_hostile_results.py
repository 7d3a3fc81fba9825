"""Results files that are damaged or made to harm: one line with the file's name."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from anybind import BadInput
from anybind_bench.results import FORMAT, read_results

EMPTY = {"format": FORMAT, "suite": {"name": "a"}, "evaluations": [], "bindings": [], "cells": []}
CELL = {"evaluation": 0, "binding": "b", "seed": 0, "identity": None}
CONTENTS = {
    "pickle": pickle.dumps({"a": 1}),
    "empty": b"",
    "list": b"[]",
    "nested": b"[" * 100_000,
    "digits": b'{"format": ' + b"1" * 5000 + b"}",
    "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "no evaluations": json.dumps({**EMPTY, "evaluations": 3}).encode(),
    "evaluations of text": json.dumps({**EMPTY, "evaluations": ["a"]}).encode(),
    "suite of a list": json.dumps({**EMPTY, "suite": [1]}).encode(),
    "cells of numbers": json.dumps({**EMPTY, "cells": [1]}).encode(),
    "cell beyond the end": json.dumps({**EMPTY, "cells": [CELL | {"evaluation": 10**30}]}).encode(),
    "infinite seed": json.dumps({**EMPTY, "cells": [CELL | {"seed": float("inf")}]}).encode(),
    "no format": b"{}",
    "format of a table": json.dumps({**EMPTY, "format": {}}).encode(),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_hostile_results_are_an_error_of_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "results.json").write_bytes(content)
    for source in (tmp_path, tmp_path / "results.json"):
        with pytest.raises(BadInput, match=r"results\.json") as caught:
            read_results(source)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 600
