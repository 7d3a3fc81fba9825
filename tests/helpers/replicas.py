"""Replicas: small synthetic copies of published datasets, in their folders and file formats.

folder = replicas.make_replica("n-mnist", tmp_path)
"""

from __future__ import annotations

import importlib.resources
import json
import struct
import wave
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import PIL.Image
import scipy.io

import anybind
from anybind_events.stream import EventStream

FRAMES = 48
"""Frames of a video: three windows of sixteen."""
ABNORMAL = (17, 40)
"""First and last abnormal frame of an abnormal video, counted from 1."""
NYU_SCENES = {"bathroom": "bathroom", "bedroom": "bedroom", "bookstore": "bookstore", "classroom": "classroom"}
NYU_SCENES |= {"dining_room": "dining room", "home_office": "home office", "kitchen": "kitchen"}
NYU_SCENES |= {"living_room": "living room", "office": "office"}
SUN_SCENES = ("bathroom", "bedroom", "classroom", "computer_room", "conference_room", "corridor", "dining_area")
SUN_SCENES += ("dining_room", "discussion_area", "furniture_store", "home_office", "kitchen", "lab", "lecture_theatre")
SUN_SCENES += ("library", "living_room", "office", "rest_space", "study_space")
SUN_PLACES = {
    "kv1": "NYUdata/NYU{:04d}",
    "kv2": "kinect2data/{:06d}_2014-05-26_14-23-37_260595134347_rgbf000103-resize",
    "realsense": "lg/2014_10_21-{:08d}",
    "xtion": "sun3ddata/brown_bm_1/brown_bm_1/{:07d}-000001000000",
}
ESC_50 = ("dog", "rooster", "pig", "cow", "frog", "cat", "hen", "insects", "sheep", "crow", "rain", "sea_waves")
ESC_50 += ("crackling_fire", "crickets", "chirping_birds", "water_drops", "wind", "pouring_water", "toilet_flush")
ESC_50 += ("thunderstorm", "crying_baby", "sneezing", "clapping", "breathing", "coughing", "footsteps", "laughing")
ESC_50 += ("brushing_teeth", "snoring", "drinking_sipping", "door_wood_knock", "mouse_click", "keyboard_typing")
ESC_50 += ("door_wood_creaks", "can_opening", "washing_machine", "vacuum_cleaner", "clock_alarm", "clock_tick")
ESC_50 += ("glass_breaking", "helicopter", "chainsaw", "siren", "car_horn", "engine", "train", "church_bells")
ESC_50 += ("airplane", "fireworks", "hand_saw")
OF_ESC_10 = ("dog", "rooster", "rain", "sea_waves", "crackling_fire", "crying_baby", "sneezing", "clock_tick")
OF_ESC_10 += ("helicopter", "chainsaw")


def make_replica(name: str, folder: Path, *, classes: int = 2, per_class: int = 2, seed: int = 0) -> Path:
    """Write a replica of a published dataset, by its registered name, and return its folder.

    `n-imagenet-authors` is N-ImageNet with the classes of its subset `authors`.

    `classes` and `per_class` are minimum numbers in each split. A dataset that requires all of its classes, such as
    N-Caltech101, has all of them, the others with as few recordings as possible. The files are deterministic. The
    content of samples depends on their class, so that heads can be fitted.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (_n_imagenet_authors if name == "n-imagenet-authors" else MAKERS[name])(
        folder, np.random.default_rng(seed), classes, per_class
    )
    return folder


def _n_mnist(root: Path, random: np.random.Generator, classes: int, per_class: int) -> None:
    for part in ("Train", "Test"):
        for digit in range(10):
            for number in range(per_class if digit < classes else 1):
                _save_stream(root / part / str(digit) / f"{number:05d}.bin", make_recording(random, digit, (34, 34)))


def _n_caltech101(root: Path, random: np.random.Generator, classes: int, per_class: int) -> None:
    for kind, label in enumerate(import_lists("n_caltech101")["names"]):
        for number in range(max(3, per_class if kind < classes else 3)):  # of three, one is held out
            path = root / "Caltech101" / label / f"image_{number + 1:04d}.bin"
            _save_stream(path, make_recording(random, kind, (240, 180)))


def _n_cars(root: Path, random: np.random.Generator, classes: int, per_class: int) -> None:
    for part in ("n-cars_train", "n-cars_test"):
        for kind, label in enumerate(("background", "cars")):
            for number in range(per_class):
                _save_stream(root / part / label / f"obj_{number:06d}_td.dat", make_recording(random, kind, (120, 100)))


def _n_imagenet(
    root: Path,
    random: np.random.Generator,
    classes: int,
    per_class: int,
    only: str = "names",
    lists: str = "n_imagenet",
) -> None:
    for part in ("extracted_train", "extracted_val"):
        for kind, label in enumerate(sorted(import_lists(lists)[only])):
            for number in range(per_class if kind < classes else 1):
                stem = f"{label}_{number}" if part == "extracted_train" else f"ILSVRC2012_val_{kind:05d}{number:03d}"
                path = root / part / label / f"{stem}.npz"
                path.parent.mkdir(parents=True, exist_ok=True)
                stream = make_recording(random, kind, (640, 480), count=100)
                table = np.empty(len(stream), [("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("p", "?")])
                for column in "xytp":
                    table[column] = getattr(stream, column)
                np.savez_compressed(path, event_data=table)


def _n_imagenet_mini(root: Path, random: np.random.Generator, classes: int, per_class: int) -> None:
    _n_imagenet(root, random, classes, per_class, "mini")


def _n_imagenet_authors(root: Path, random: np.random.Generator, classes: int, per_class: int) -> None:
    _n_imagenet(root, random, classes, per_class, lists="n_imagenet_authors")


def _dvs128_gesture(root: Path, random: np.random.Generator, classes: int, per_class: int) -> None:
    home = root / "DvsGesture"
    home.mkdir(exist_ok=True)
    for name, first in (("trials_to_train.txt", 1), ("trials_to_test.txt", 24)):
        listed = [f"user{first + number:02d}_fluorescent" for number in range(per_class)]
        (home / name).write_text("".join(f"{each}.aedat\n" for each in listed))
        for each in listed:
            starts = [1_000_000 * (kind + 1) for kind in range(classes)]
            streams = [make_recording(random, kind, (128, 128), start=start) for kind, start in enumerate(starts)]
            (home / f"{each}.aedat").write_bytes(_encode_aedat3(streams))
            rows = [f"{kind + 1},{start},{start + 500_000}\n" for kind, start in enumerate(starts)]
            (home / f"{each}_labels.csv").write_text("class,startTime_usec,endTime_usec\n" + "".join(rows))


def _ucf_crime(root: Path, random: np.random.Generator, classes: int, per_class: int) -> None:
    annotated, learned = [], []
    kinds = ("Abuse", "Arrest", "Arson", "Assault", "Burglary", "Explosion", "Fighting", "RoadAccidents", "Robbery")
    kinds += ("Shooting", "Shoplifting", "Stealing", "Vandalism")
    for kind in kinds[:classes]:
        for number in range(2 * per_class):
            name = f"{kind}{number + 1:03d}_x264.mp4"
            save_video(root / "Videos" / kind / name, make_street_video(random, ABNORMAL))
            if number < per_class:
                learned.append(f"{kind}/{name}")
            else:
                annotated.append(f"{name}  {kind}  {ABNORMAL[0]}  {ABNORMAL[1]}  -1  -1  ")
    for number in range(2 * per_class):
        name = (
            f"Normal_Videos{number + 1:03d}_x264.mp4" if number < per_class else f"Normal_Videos_{number:03d}_x264.mp4"
        )
        place = "Training_Normal_Videos_Anomaly" if number < per_class else "Testing_Normal_Videos_Anomaly"
        save_video(root / "Videos" / place / name, make_street_video(random))
        if number < per_class:
            learned.append(f"{place}/{name}")
        else:
            annotated.append(f"{name}  Normal  -1  -1  -1  -1  ")
    (root / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt").write_text("\n".join(annotated) + "\n")
    (root / "Anomaly_Detection_splits").mkdir(exist_ok=True)
    (root / "Anomaly_Detection_splits" / "Anomaly_Train.txt").write_text("\n".join(learned) + "\n")


def _ucf_crime_dvs(root: Path, random: np.random.Generator, classes: int, per_class: int) -> None:
    numbers = [0, 7, 1, 2, 3, 4, 5, 6, *range(8, 14)]
    names = ("Abuse", "Arrest", "Arson", "Assault", "Burglary", "Explosion", "Fighting", "Normal_Videos_")
    names += ("RoadAccidents", "Robbery", "Shooting", "Shoplifting", "Stealing", "Vandalism")
    lines = []
    for number in numbers[:classes]:
        for copy in range(2 * per_class):
            name, split = f"{names[number]}{copy + 1:03d}_x264", "train" if copy < per_class else "test"
            path = root / split / str(number) / f"{name}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            abnormal = None if number == 7 else ABNORMAL
            stream = make_recorded_street(random, abnormal)
            np.savez(path, t=stream.t, x=stream.x, y=stream.y, p=stream.p.astype(int))
            if split == "test":
                first, last = abnormal or (-1, -1)
                lines.append(f"{name}.mp4  {'Normal' if number == 7 else names[number]}  {first}  {last}  -1  -1  ")
    (root / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt").write_text("\n".join(lines) + "\n")


def _msad(root: Path, random: np.random.Generator, classes: int, per_class: int) -> None:
    rows, tested = ["name,scenario,total frames,starting frame of anomaly,ending frame of anomaly"], []
    kinds = ("Assault", "Explosion", "Fighting", "Fire", "Object_falling", "People_falling", "Robbery", "Shooting")
    kinds += ("Traffic_accident", "Vandalism", "Water_incident")
    for kind in kinds[:classes]:
        for number in range(1, 2 * per_class + 1):
            name = f"{kind}_{number}"
            folder = root / "MSAD_blur" / "MSAD_anomaly_blur" / kind
            save_video(folder / f"{name}.mp4", make_street_video(random, ABNORMAL))
            rows.append(f"{name},shop,{FRAMES},{ABNORMAL[0]},{ABNORMAL[1]}")
            tested += [name] if number % 2 == 0 else []
    for number in range(1, per_class + 1):
        for split in ("training", "testing"):
            name = f"MSAD_normal_testing_{number}" if split == "testing" else f"shop_{number}"
            save_video(root / "MSAD_blur" / f"MSAD_normal_{split}_blur" / f"{name}.mp4", make_street_video(random))
            tested += [name] if split == "testing" else []
    (root / "anomaly_annotation.csv").write_text("\n".join(rows) + "\n")
    lines = [f"/features/i3d/{name}_i3d.npy" for name in tested]
    (root / "MSAD_I3D_WS_Test.list").write_text("\n".join(lines) + "\n")


def _ewad(root: Path, random: np.random.Generator, classes: int, per_class: int) -> None:
    labels = {}
    for split in ("train", "test"):
        for number in range(classes * per_class):
            name, abnormal = f"{split}_{number:02d}", ABNORMAL if split == "test" or number % 2 else None
            stream = make_recorded_street(random, abnormal)
            path = root / split / f"{name}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, t=stream.t, x=stream.x, y=stream.y, p=stream.p, size=np.array([64, 48]))
            labels[name] = {"split": split, "anomalous": [list(abnormal)] if abnormal else [], "fps": 30}
    (root / "labels.json").write_text(json.dumps(labels))


def _xd_violence(root: Path, random: np.random.Generator, classes: int, per_class: int) -> None:
    lines = []
    for kind, code in enumerate(("B1", "B2", "B4", "B5", "B6", "G")[:classes]):
        for number in range(per_class):
            name = f"v=made{kind}{number}__#1_label_{code}-0-0"
            save_video(root / "videos" / f"{name}.mp4", make_street_video(random, ABNORMAL))
            lines.append(f"{name} {ABNORMAL[0]} {ABNORMAL[1]}")
            save_video(
                root / "1-1004" / f"Learn.{kind}__#{number}_label_{code}-0-0.mp4", make_street_video(random, ABNORMAL)
            )
    for number in range(per_class):
        save_video(root / "videos" / f"v=calm{number}__#1_label_A.mp4", make_street_video(random))
        save_video(root / "1-1004" / f"Calm.{number}__#1_label_A.mp4", make_street_video(random))
    (root / "annotations.txt").write_text("\n".join(lines) + "\n")


def _shanghai_tech(root: Path, random: np.random.Generator, classes: int, per_class: int) -> None:
    masks = root / "testing" / "test_frame_mask"
    masks.mkdir(parents=True)
    for scene in range(classes):
        for number in range(per_class):
            name = f"{scene + 1:02d}_{number + 14:04d}"
            save_frames(root / "testing" / "frames" / name, make_street_video(random, ABNORMAL), "{:03d}.jpg", first=0)
            np.save(masks / f"{name}.npy", _make_frame_labels())
            save_video(
                root / "training" / "videos" / f"{scene + 1:02d}_{number + 1:03d}.avi", make_street_video(random)
            )


def _ucsd_ped(root: Path, random: np.random.Generator, classes: int, per_class: int) -> None:
    lines = ["TestVideoFile = {};"]
    for number in range(1, classes * per_class + 1):
        save_frames(
            root / "Test" / f"Test{number:03d}", make_street_video(random, ABNORMAL), "{:03d}.tif", first=1, gray=True
        )
        save_frames(root / "Train" / f"Train{number:03d}", make_street_video(random), "{:03d}.tif", first=1, gray=True)
        lines.append(f"TestVideoFile{{end+1}}.gt_frame = [{ABNORMAL[0]}:{ABNORMAL[1]}];")
    (root / "Test" / "UCSDped2.m").write_text("\n".join(lines) + "\n")


def _avenue(root: Path, random: np.random.Generator, classes: int, per_class: int) -> None:
    labels = root / "ground_truth_demo" / "testing_label_mask"
    labels.mkdir(parents=True)
    for number in range(1, classes * per_class + 1):
        save_video(root / "testing_videos" / f"{number:02d}.avi", make_street_video(random, ABNORMAL))
        save_video(root / "training_videos" / f"{number:02d}.avi", make_street_video(random))
        cells = np.empty((1, FRAMES), object)
        for place, mark in enumerate(_make_frame_labels()):
            cells[0, place] = np.full((4, 6), mark, np.uint8)
        _save_mat(labels / f"{number}_label.mat", {"volLabel": cells})


def _esc_50(root: Path, random: np.random.Generator, classes: int, per_class: int) -> None:
    (root / "meta").mkdir()
    (root / "audio").mkdir()
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for target, label in enumerate(ESC_50[:classes]):
        for number in range(per_class):
            fold, clip = number % 5 + 1, 100_000 + 100 * target + number
            name = f"{fold}-{clip}-A-{target}.wav"
            rows.append(f"{name},{fold},{target},{label},{label in OF_ESC_10},{clip},A")
            _save_sound(root / "audio" / name, random, 200.0 * (target + 1))
    (root / "meta" / "esc50.csv").write_text("\n".join(rows) + "\n")


def _dense(root: Path, random: np.random.Generator, classes: int, per_class: int) -> None:
    for name in ("train/train_sequence_00_town01", "valid/valid_sequence_00_town06", "test/test_sequence_00_town10"):
        home = root / name
        for place in ("rgb/frames", "depth/data", "events/data", "events/voxels"):
            (home / place).mkdir(parents=True)
        stamps, bounds = [], []
        for number in range(classes * per_class):
            start = 33_000_000 * number
            scene = number % 5
            stream = make_recording(random, scene, (346, 260), start=start // 1000)
            table = np.stack([stream.t * 1000, stream.x, stream.y, stream.p], axis=1).astype(np.int64)
            np.save(home / "events/data" / f"events_{number:010d}.npy", table)
            np.save(home / "events/voxels" / f"event_tensor_{number:010d}.npy", np.zeros((5, 4, 6), np.float32))
            metres = make_depth_map(random, scene, (52, 40), farthest=80.0)
            metres[0, :] = 1000.0  # the sky
            np.save(home / "depth/data" / f"depth_{number:010d}.npy", metres)
            make_image(random, scene, (52, 40)).save(home / "rgb/frames" / f"frame_{number:010d}.png")
            stamps.append(f"{number} {start / 1e9}")
            bounds.append(f"{number} {table[0, 0] / 1e9} {table[-1, 0] / 1e9}")
        for place in ("rgb/frames", "depth/data", "events/data", "events/voxels"):
            (home / place / "timestamps.txt").write_text("\n".join(stamps) + "\n")
        for place in ("events/data", "events/voxels"):
            (home / place / "boundary_timestamps.txt").write_text("\n".join(bounds) + "\n")


def _nyu_d(root: Path, random: np.random.Generator, classes: int, per_class: int) -> None:
    types = [scene for scene in [*list(NYU_SCENES)[:classes], "cafe"] for _ in range(2 * per_class)]
    width, height, count = 64, 48, len(types)
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        images = file.create_dataset("images", (count, 3, width, height), "u1", chunks=(1, 3, width, height))
        maps = file.create_dataset("depths", (count, width, height), "f4", chunks=(1, width, height))
        for number, scene in enumerate(types):
            kind = list(dict.fromkeys(types)).index(scene)
            images[number] = np.asarray(make_image(random, kind, (width, height))).transpose(2, 1, 0)
            maps[number] = make_depth_map(random, kind, (width, height), farthest=9.0).T
        for name, texts in (("sceneTypes", types), ("scenes", [f"{each}_0001" for each in types])):
            cells = file.create_dataset(name, (1, count), h5py.ref_dtype)
            for number, text in enumerate(texts):
                content = file.create_dataset(f"#refs#/{name}{number}", data=np.array([[ord(c)] for c in text], "u2"))
                cells[0, number] = content.ref
    with (root / "nyu_depth_v2_labeled.mat").open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + bytes([0, 2]) + b"IM")
    numbers = np.arange(1, count + 1, dtype=np.uint16)[:, None]
    _save_mat(root / "splits.mat", {"trainNdxs": numbers[::2], "testNdxs": numbers[1::2]})


def _sun_d(root: Path, random: np.random.Generator, classes: int, per_class: int) -> None:
    published = "/n/fs/sun3d/data/SUNRGBD/"
    parts: dict[str, list[str]] = {"alltrain": [], "alltest": []}
    number = 0
    for places in parts.values():
        for kind, scene in enumerate([*SUN_SCENES[:classes], "idk"]):  # a scene that is none of the 19
            for _ in range(per_class):
                sensor = list(SUN_PLACES)[number % 4]
                place = f"{sensor}/{SUN_PLACES[sensor].format(number)}"
                _save_scene(root / "SUNRGBD" / place, random, kind, scene, number)
                places.append(published + place)
                number += 1
    home = root / "SUNRGBDtoolbox" / "traintestSUNRGBD"
    home.mkdir(parents=True)
    cells = {part: np.array([places], object) for part, places in parts.items()}
    _save_mat(home / "allsplit.mat", cells)


def _save_scene(home: Path, random: np.random.Generator, kind: int, scene: str, number: int) -> None:
    for name in ("depth", "depth_bfx", "image"):
        (home / name).mkdir(parents=True)
    millimetres = (1000 * make_depth_map(random, kind, (64, 48), farthest=7.0)).astype(np.uint16)
    turned = (millimetres << 3) | (millimetres >> 13)
    for name in ("depth", "depth_bfx"):
        PIL.Image.fromarray(turned).save(home / name / f"{number:07d}.png")
    make_image(random, kind, (64, 48)).save(home / "image" / f"{number:07d}.jpg")
    (home / "scene.txt").write_text(scene)
    (home / "intrinsics.txt").write_text("529.5 0 365 \n0 529.5 265 \n0 0 1 \n")


def _llvip(root: Path, random: np.random.Generator, classes: int, per_class: int) -> None:
    home = root / "LLVIP"
    (home / "Annotations").mkdir(parents=True)
    for part, first in (("train", 10001), ("test", 190001)):
        for kind in ("infrared", "visible"):
            (home / kind / part).mkdir(parents=True)
        for number in range(first, first + classes * per_class):
            warm = np.asarray(make_image(random, 0, (80, 64)).convert("L")) // 3
            left, top = int(random.integers(2, 60)), int(random.integers(2, 36))
            warm[top : top + 24, left : left + 10] = 240
            PIL.Image.fromarray(warm).convert("RGB").save(home / "infrared" / part / f"{number:06d}.jpg")
            make_image(random, 1, (80, 64)).save(home / "visible" / part / f"{number:06d}.jpg")
            box = f"<xmin>{left}</xmin><ymin>{top}</ymin><xmax>{left + 10}</xmax><ymax>{top + 24}</ymax>"
            person = f"<object><name>person</name><bndbox>{box}</bndbox></object>"
            size = "<size><width>80</width><height>64</height><depth>3</depth></size>"
            text = f"<annotation><filename>{number:06d}.jpg</filename>{size}{person}</annotation>"
            (home / "Annotations" / f"{number:06d}.xml").write_text(text)


def import_lists(module: str) -> Any:
    """Load the lists of class names beside a dataset's module."""
    return json.loads(importlib.resources.files("anybind_datasets").joinpath(f"{module}.json").read_text())


def make_recording(
    random: np.random.Generator, kind: int, size: tuple[int, int], count: int = 300, start: int = 0
) -> EventStream:
    """Make events of half a second around a bar, whose position and angle depend on the kind."""
    along, across = random.uniform(-0.4, 0.4, count), random.normal(0, 0.03, count)
    lean = kind * 2.39996  # the golden angle: consecutive kinds differ most
    x = (0.5 + along * np.cos(lean) - across * np.sin(lean)) * size[0]
    y = (0.5 + along * np.sin(lean) + across * np.cos(lean)) * size[1]
    x, y = (np.clip(each, 0, most - 1).astype(np.uint16) for each, most in zip((x, y), size, strict=True))
    t = start + np.sort(random.integers(0, 499_000, count))
    return EventStream(x, y, t, random.random(count) < 0.5, *size)


def make_image(random: np.random.Generator, kind: int, size: tuple[int, int]) -> PIL.Image.Image:
    """Make a noisy image with stripes, whose colour and direction depend on the kind."""
    rows, columns = np.mgrid[: size[1], : size[0]]
    waves = np.sin((columns * np.cos(kind) + rows * np.sin(kind)) / 3)[..., None]
    colour = np.array([np.cos(kind), np.cos(kind + 2), np.cos(kind + 4)]) * 50
    pixels = 128 + colour + 40 * waves + random.normal(0, 8, (size[1], size[0], 3))
    return PIL.Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def make_depth_map(random: np.random.Generator, kind: int, size: tuple[int, int], farthest: float) -> np.ndarray:
    """Make a depth map in metres, float32 (height, width): a slope, whose direction depends on the kind."""
    rows, columns = np.mgrid[: size[1], : size[0]]
    slope = np.cos(kind) * columns / size[0] + np.sin(kind) * rows / size[1]
    shares = (slope - slope.min()) / np.ptp(slope)
    return (0.5 + (farthest - 0.6) * shares + random.uniform(0, 0.1, shares.shape)).astype(np.float32)


def make_street_video(random: np.random.Generator, abnormal: Sequence[int] | None = None) -> list[np.ndarray]:
    """Make frames of 64x48 with a slow small bar and, in the abnormal frames, a fast large one."""
    wall = random.integers(90, 140, (6, 8, 3)).repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)
    start, top = random.uniform(0, 64), int(random.integers(4, 30))
    frames = []
    for number in range(FRAMES):
        frame = wall.copy()
        frame[top : top + 12, _find_columns(start + number, 4)] = 30
        if abnormal and abnormal[0] <= number + 1 <= abnormal[1]:
            frame[8:40, _find_columns(7 * number, 14)] = 230
        frames.append(frame)
    return frames


def _find_columns(first: float, count: int) -> np.ndarray:
    return (int(first) + np.arange(count)) % 64


def make_recorded_street(random: np.random.Generator, abnormal: Sequence[int] | None = None) -> EventStream:
    """Make events of 64x48 during 48 frames at 30 Hz: 10 a frame, and 60 in abnormal frames."""
    counts = [60 if abnormal and abnormal[0] <= number + 1 <= abnormal[1] else 10 for number in range(FRAMES)]
    t = np.concatenate([np.sort(random.integers(0, 33_333, count)) + 33_333 * k for k, count in enumerate(counts)])
    t[0], t[-1] = 0, 33_333 * FRAMES - 1
    x, y = random.integers(0, 64, len(t)), random.integers(0, 48, len(t))
    return EventStream(x.astype(np.uint16), y.astype(np.uint16), t, random.random(len(t)) < 0.5, 64, 48)


def save_video(path: Path, frames: Sequence[np.ndarray]) -> None:
    """Write a video of RGB frames at 25 Hz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 1_000_000
        stream.codec_context.time_base = Fraction(1, 25)
        stream.codec_context.flags |= 1 << 23  # bit-exact, so that the files are deterministic
        for number, frame in enumerate(frames):
            video_frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            video_frame.pts, video_frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(video_frame))
        container.mux(stream.encode())


def save_frames(folder: Path, frames: Sequence[np.ndarray], name: str, *, first: int, gray: bool = False) -> None:
    """Write a video as a folder of images."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=first):
        image = PIL.Image.fromarray(frame)
        (image.convert("L") if gray else image).save(folder / name.format(number))


def _make_frame_labels() -> np.ndarray:
    return np.array([ABNORMAL[0] <= number <= ABNORMAL[1] for number in range(1, FRAMES + 1)], np.int64)


def _save_stream(path: Path, stream: EventStream) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    anybind.write(stream, path)


def _save_sound(path: Path, random: np.random.Generator, pitch: float) -> None:
    """Write a second of a tone with noise, 16 bits, 44,100 Hz."""
    times = np.arange(44_100) / 44_100
    samples = 0.3 * np.sin(2 * np.pi * pitch * times) + random.normal(0, 0.02, len(times))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes((samples * 32767).clip(-32768, 32767).astype("<i2").tobytes())


def _save_mat(path: Path, content: dict[str, Any]) -> None:
    """Write a MATLAB file whose header does not say when it was made."""
    scipy.io.savemat(path, content)
    with path.open("r+b") as file:
        file.write(b"MATLAB 5.0 MAT-file Platform: posix, made for a test".ljust(116))


def _encode_aedat3(streams: Sequence[EventStream]) -> bytes:
    """AEDAT 3.1 as cAER writes it: a packet of polarity events a stream."""
    parts = [b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#Start-Time: 2016-07-06\r\n#!END-HEADER\r\n"]
    for stream in streams:
        pixels = stream.x.astype(np.uint32) << 17 | stream.y.astype(np.uint32) << 2 | stream.p.astype(np.uint32) << 1
        body = np.stack([pixels | 1, stream.t.astype(np.uint32)], axis=1).astype("<u4")
        count = len(stream)
        parts += [struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, count, count, count), body.tobytes()]
    return b"".join(parts)


MAKERS: dict[str, Callable[[Path, np.random.Generator, int, int], None]] = {
    "n-imagenet": _n_imagenet,
    "n-imagenet-mini": _n_imagenet_mini,
    "n-caltech101": _n_caltech101,
    "n-mnist": _n_mnist,
    "n-cars": _n_cars,
    "dvs128-gesture": _dvs128_gesture,
    "ucf-crime": _ucf_crime,
    "ucf-crime-dvs": _ucf_crime_dvs,
    "msad": _msad,
    "ewad": _ewad,
    "xd-violence": _xd_violence,
    "shanghai-tech": _shanghai_tech,
    "ucsd-ped": _ucsd_ped,
    "avenue": _avenue,
    "esc-50": _esc_50,
    "dense": _dense,
    "nyu-d": _nyu_d,
    "sun-d": _sun_d,
    "llvip": _llvip,
}
"""By the names that the datasets are registered under."""
