"""Example files of RGB-D and infrared datasets for the conformance checks: a few small synthetic images."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import PIL.Image
import scipy.io

from anybind_datasets import nyu_d, sun_d

SCENES = ("kitchen", "bedroom", "cafe")
WIDTH, HEIGHT = 32, 24


def write_llvip(folder: Path) -> None:
    """Write two image pairs of the split `test`, with one person each."""
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
    box = "<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>8</xmax><ymax>15</ymax></bndbox>"
    (folder / "Annotations").mkdir()
    for stem in ("190001", "190002"):
        text = f"<annotation>{size}<object><name>person</name>{box}</object></annotation>"
        (folder / "Annotations" / f"{stem}.xml").write_text(text)
        for name in ("infrared", "visible"):
            path = folder / name / "test" / f"{stem}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            _make_image(int(stem)).save(path)


def write_nyu(folder: Path) -> None:
    """Write the labelled set with three scenes, all of the split `test`."""
    path = folder / nyu_d.LABELLED
    with h5py.File(path, "w", userblock_size=512) as file:
        file["images"] = np.stack([np.asarray(_make_image(number)).transpose(2, 1, 0) for number in range(len(SCENES))])
        file["depths"] = np.random.default_rng(0).uniform(0.5, 9, (len(SCENES), WIDTH, HEIGHT)).astype(np.float32)
        cells = file.create_dataset("sceneTypes", (1, len(SCENES)), h5py.ref_dtype)
        for number, scene in enumerate(SCENES):
            cells[0, number] = file.create_dataset(f"of/{number}", data=np.array([[ord(c)] for c in scene], "u2")).ref
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
    numbers = np.arange(1, len(SCENES) + 1)[:, None]
    scipy.io.savemat(folder / nyu_d.SPLITS, {"testNdxs": numbers, "trainNdxs": numbers})


def write_sun(folder: Path) -> None:
    """Write one scene per camera, of the split `test`."""
    places = [f"{camera}/{number}" for number, camera in enumerate(("kv1", "kv2", "realsense", "xtion"))]
    for number, place in enumerate(places):
        scene_folder = folder / sun_d.ROOT_FOLDER / place
        for name in ("depth_bfx", "image"):
            (scene_folder / name).mkdir(parents=True)
        PIL.Image.fromarray(np.full((HEIGHT, WIDTH), 8 * 1500, np.uint16)).save(scene_folder / "depth_bfx" / "a.png")
        _make_image(number).save(scene_folder / "image" / "a.jpg")
        (scene_folder / "scene.txt").write_text("kitchen" if number % 2 else "bedroom")
        (scene_folder / "intrinsics.txt").write_text("520.5 0 16 0 520.5 12 0 0 1")
    path = folder / sun_d.SPLITS
    path.parent.mkdir(parents=True)
    scipy.io.savemat(path, {"alltest": np.array([[f"/n/fs/sun3d/data/SUNRGBD/{place}" for place in places]], object)})


def _make_image(seed: int) -> PIL.Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return PIL.Image.fromarray(coarse).resize((WIDTH, HEIGHT), PIL.Image.Resampling.BICUBIC)
