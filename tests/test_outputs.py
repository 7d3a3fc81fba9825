"""Outputs of all commands on a full disk and in a read-only folder: one line that names the file, and the old file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL.Image
import pytest

from helpers.command import Command
from helpers.disk import fill_disk, make_read_only, mount_disk

WRITERS = {
    "convert-h5": "convert events.npz DISK/out.h5",
    "convert-npz": "convert events.npz DISK/out.npz",
    "convert-csv": "convert events.npz DISK/out.csv",
    "convert-dat": "convert events.npz DISK/out.dat",
    "simulate-h5": "simulate clip.mp4 -o DISK/out.h5",
    "simulate-npz": "simulate clip.mp4 -o DISK/out.npz",
    "render-png": "render events.npz -o DISK/out.png",
    "render-gif": "render events.npz --window 500ms -o DISK/out.gif",
    "render-mp4": "render events.npz --window 500ms -o DISK/out.mp4",
    "info": "info events.npz -o DISK/out.png",
    "embed": "embed classes -o DISK/out.safetensors",
    "index": "index classes -o DISK/out.safetensors",
    "lance": "index classes -o DISK/out.lance",
    "search": "search red --in classes -o DISK/out.html",
    "classify": "classify events.npz --labels red,blue --page DISK/out.html",
    "evaluate": "evaluate zero-shot --data classes --modality event --window 1s --page DISK/out.html",
    "fit-head": "fit-head classes -o DISK/out.safetensors",
    "fit-adapter": "fit-adapter --source mini:image --target mini --data classes -o DISK/out.safetensors",
    "explain-png": "explain events.npz --text red -o DISK/out.png",
    "explain-html": "explain events.npz --text red -o DISK/out.html",
    "vad": "vad clip.mp4 --head zero-shot -o DISK/out.html",
    "bench-run": "bench run suite.toml --limit 6 -o DISK/out",
    "bench-html": "bench report results -o DISK/out.html",
    "bench-csv": "bench report results -o DISK/out.csv",
    "demo": "demo classes --labels a,b -o DISK/out",
    "plugin": "plugins new out --kind encoder",
}
"""Command lines that write: `DISK` is the folder of the output. The training engine has tests of its own."""
FAST = ("convert-h5", "render-gif", "embed")
REPLACING = (
    "convert events.npz events.npz --end 1ms",
    "convert events.npz -o events.npz --filter hot-pixel",
    "corrupt events.npz -o events.npz --corruption dropped-events",
    "watch events.npz --labels red,blue --speed 0 -o events.npz",
    "explain classes/a/0.png --text red -o classes/a/0.png",
    "classify classes/a/0.png --labels red,blue --page events.npz",
    "search red --in classes -o events.npz",
    "vad clip.mp4 --head zero-shot -o clip.mp4",
    "embed events.npz -o events.npz",
    "fit-head classes -o events.npz",
)
"""Command lines whose output would replace a file of another kind, or their input."""
SUITE = """
name = "outputs"
bindings = ["mini"]

[[evaluations]]
title = "Digits, zero-shot"
task = "zero-shot"
dataset = "digits-8x8"
modality = "image"
generated = true
options = { templates = "the digit {}" }
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write images of two classes, a recording, a video and a suite."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for number in range(12):  # an adapter needs ten pairs
        path = folder / "classes" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(random.integers(0, 256, (32, 32, 3)).astype(np.uint8)).save(path)
    t = np.sort(random.integers(0, 1_000_000, 20_000))
    x, y, p = (random.integers(0, size, len(t)) for size in (64, 48, 2))
    np.savez(folder / "events.npz", x=x, y=y, t=t, p=p)
    with av.open(folder / "clip.mp4", "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(40):
            pixels = random.integers(0, 256, (48, 64, 3)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())
    (folder / "suite.toml").write_text(SUITE)
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 1 MiB."""
    with mount_disk(tmp_path / "disk"):
        yield tmp_path / "disk"


def run(cli: Command, writer: str, arguments: list[str]) -> str:
    """Run a command and return its error line; `bench run` has printed its cells by then."""
    result = cli(*arguments)
    return (result._replace(out="") if writer == "bench-run" else result).error()


@pytest.mark.parametrize("state", ["full", "read-only"])
@pytest.mark.parametrize(
    "writer", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in WRITERS]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_an_output_that_cannot_be_written_is_one_line_and_keeps_the_old_file(
    cli: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Path, disk: Path, writer: str, state: str
) -> None:
    monkeypatch.setenv("ANYBIND_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(disk if writer == "plugin" else data)
    if writer.startswith("bench-") and not (data / "results").exists():
        assert cli("bench", "run", "suite.toml", "--limit", "6", "-o", "results").code == 0
    arguments = [word.replace("DISK", str(disk)) for word in WRITERS[writer].split()]
    output = next((Path(word) for word in arguments if word.startswith(str(disk))), disk / "out")
    if output.suffix not in ("", ".lance") and writer != "index":
        output.write_bytes(b"old")
    before = {path: path.read_bytes() for path in disk.rglob("*")}
    if state == "full":
        fill_disk(disk)
        error = run(cli, writer, arguments)
        (disk / "ballast").unlink()
    else:
        with make_read_only(disk):
            error = run(cli, writer, arguments)
    assert output.name in error
    assert {
        path: path.read_bytes() for path in disk.rglob("*") if path.is_file() and output not in path.parents
    } == before
    assert not list(disk.rglob(".anybind-*"))


@pytest.mark.parametrize("line", REPLACING)
def test_an_output_does_not_replace_an_input(
    cli: Command, monkeypatch: pytest.MonkeyPatch, data: Path, line: str
) -> None:
    monkeypatch.chdir(data)
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    assert "cannot write" in cli(*line.split()).error()
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before
