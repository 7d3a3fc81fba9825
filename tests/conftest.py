"""Fixtures of all tests: the command, temporary distributions, registries, real data."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest

from anybind.cli import main
from anybind.hooks import Plugin, Registrar, hookimpl
from anybind.registry import Registry, use_registry
from anybind.spec import Spec
from helpers.command import Command, CommandResult, install_distribution
from helpers.command import run_anybind as run_anybind_process

# Compiled loops take long at their first call, and machines of continuous integration at any.
hypothesis.settings.register_profile("anybind", deadline=None)
hypothesis.settings.load_profile("anybind")

# A shell lets commands in its background ignore Ctrl-C, and so do the processes that they start: tests send it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


ROOT = Path(__file__).resolve().parents[1]
_IMPORTS_TORCH = re.compile(
    r"^(?:(?:import|from) |(?:\w+ = )?pytest\.importorskip\(\")"
    r"(?:captum|lightning|mteb|open_clip|peft|sentence_transformers|timm|torch|torchaudio|torchvision|transformers)\b"
    r"|^pytestmark = pytest\.mark\.torch$",
    re.M,
)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Return the folder of real data; skip tests that use it if it is absent."""
    folder = Path(os.environ.get("ANYBIND_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the folder of test data is absent: ANYBIND_TEST_DATA names it")
    return folder


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip modules that import torch, directly or in their conftest.py, or are marked so, under `-m "not torch"`:
    importing torch takes longer than running all other tests."""
    path = collection_path / "conftest.py" if collection_path.is_dir() else collection_path
    if "not torch" not in config.option.markexpr or path.suffix != ".py" or not path.is_file():
        return None
    return True if _IMPORTS_TORCH.search(path.read_text(encoding="utf-8")) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that use real data, and those of modules that import torch; run the files with slow tests first.

    Workers that run whole files would wait for the one that begins such a file as the last.
    """
    for item in items:
        if isinstance(item, pytest.Function):
            if "test_data" in item.fixturenames:
                item.add_marker(pytest.mark.data)
            if "torch" in vars(item.module):
                item.add_marker(pytest.mark.torch)
    n_slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -n_slow[item.path])


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use a separate embedding store in each test instead of the user's."""
    monkeypatch.setenv("ANYBIND_STORE", str(tmp_path / "embedding-store"))
    return tmp_path / "embedding-store"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Limit torch, if imported, to one thread: for small models, threads cost more time than they save."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@pytest.fixture
def run_anybind() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command in a separate process and capture its output."""

    return run_anybind_process


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command in this process, without importing torch again each time."""

    def run(*arguments: object) -> CommandResult:
        monkeypatch.setattr(sys, "argv", ["anybind", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return CommandResult(ended.value.code or 0, said.out, said.err)

    return run


@pytest.fixture
def make_distribution(tmp_path: Path) -> Callable[..., Path]:
    """Install a distribution into a folder, in the layout of pip, for PYTHONPATH."""

    def make(name: str, entry_points: Mapping[str, str], modules: Mapping[str, str], version: str = "1.0") -> Path:
        install_distribution(tmp_path / "site", name, entry_points, modules, version)
        return tmp_path / "site"

    return make


@pytest.fixture
def registry() -> Iterator[Registry]:
    """Use an empty registry during the test."""
    clean = Registry()
    former = use_registry(clean)
    yield clean
    use_registry(former)


@pytest.fixture
def add_plugin() -> Callable[..., None]:
    """Add a plugin with these specs to a registry: `add(registry, EncoderSpec(...), ...)`."""

    def add(to: Registry, *specs: Spec, name: str = "test", distribution: str = "test-dist") -> None:
        class Module:
            anybind_contract = 1

            @staticmethod
            @hookimpl
            def register(registry: Registrar) -> None:
                for spec in specs:
                    registry.add(spec)

        to.add(Plugin(name, distribution, "1.0"), lambda: Module)

    return add
