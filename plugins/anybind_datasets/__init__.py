"""Bundled plugin: published datasets, your own folders and tables of files, and datasets that need no data."""

from __future__ import annotations

from anybind.plugin import DatasetSpec, ReaderSpec, Registrar, hookimpl

anybind_contract = 1

# name, summary, target in this package, main modality, extra. SciPy, which reads MATLAB's files, comes with
# scikit-learn and so with the extra `train`.
DATASETS = (
    ("folder", "one folder a class, named by it", "folder:FolderDataset", "", ""),
    ("files", "the files of one folder, their classes in their names or none", "files:FilesDataset", "", ""),
    ("manifest", "a table of files that belong together: one line a thing, one column a modality",
     "manifest:ManifestDataset", "", ""),
    ("paired-by-class", "two data sets whose classes mean the same, side by side",
     "paired_by_class:PairedByClass", "", ""),
    ("labelled-films", "your own films, and labels.json that says what is abnormal",
     "videos:LabelledFilms", "video", ""),
    ("n-caltech101", "N-Caltech101: 101 classes, recordings of .bin", "class_folders:NCaltech101", "event", "events"),
    ("n-mnist", "N-MNIST: handwritten digits, recordings of .bin", "class_folders:NMnist", "event", "events"),
    ("n-imagenet", "N-ImageNet: 1000 classes, .npz", "class_folders:NImageNet", "event", "events"),
    ("n-imagenet-mini", "N-ImageNet mini: 100 classes, .npz", "class_folders:NImageNetMini", "event", "events"),
    ("n-cars", "N-CARS: cars and background, .dat", "class_folders:NCars", "event", "events"),
    ("dense", "DENSE: simulated drives, events with depth maps and pictures", "dense:Dense", "event", "events"),
    ("dvs128-gesture", "DVS128 Gesture: 11 gestures, .aedat", "dvs128_gesture:Dvs128Gesture", "event", "events"),
    ("esc-50", "ESC-50, or ESC-10 in its earlier layout: environmental sounds in five folds", "esc:Esc50", "", ""),
    ("llvip", "LLVIP: people and backgrounds, or pairs, in infrared and visible light", "llvip:Llvip", "", ""),
    ("nyu-d", "NYU Depth v2: depth maps and pictures of ten kinds of scene", "nyu_d:NyuDepth", "", "train"),
    ("sun-d", "SUN RGB-D: depth maps and pictures of 19 kinds of scene", "sun_d:SunRgbd", "", "train"),
    ("spoken-digits", "MNIST's test digits and the Free Spoken Digit Dataset", "spoken_digits:SpokenDigits", "", ""),
    ("tuxpaint-triplets", "pictures, names and sounds of Tux Paint's stamps", "manifest:TuxpaintTriplets", "", ""),
    ("ucf-crime", "UCF-Crime: surveillance, 13 kinds of what is abnormal", "videos:UcfCrime", "video", ""),
    ("xd-violence", "XD-Violence: films with six kinds of violence", "videos:XdViolence", "video", ""),
    ("shanghai-tech", "ShanghaiTech Campus: 13 places, frame masks", "videos:ShanghaiTech", "video", ""),
    ("ucsd-ped", "UCSD Ped1 or Ped2: walkways, folders of frames", "videos:UcsdPed", "video", ""),
    ("avenue", "CUHK Avenue: one walkway", "videos:Avenue", "video", "train"),
    ("digits-8x8", "scikit-learn's 1,797 handwritten digits; no data needed", "packaged:Digits8x8", "", "train"),
    ("skimage-pictures", "scikit-image's pictures, in words; no data needed", "packaged:SkimagePictures", "", "mini"),
    ("stereo-tiles", "parts of a picture and their depth maps; no data needed", "packaged:StereoTiles", "", "mini"),
    ("made-films", "people walk, one runs: films made on the spot", "synthetic_videos:MadeFilms", "video", "events"),
)  # fmt: skip


@hookimpl
def register(registry: Registrar) -> None:
    """Add the datasets, and readers of NYU Depth v2's file."""
    for name, summary, target, modality, extra in DATASETS:
        target = f"anybind_datasets.{target}"
        registry.add(DatasetSpec(name=name, summary=summary, target=target, modality=modality, extra=extra))
    for kind, modality in (("Depth", "depth"), ("Picture", "image")):
        registry.add(
            ReaderSpec(
                name=f"nyu-{kind.lower()}-mat",
                summary=f"one of NYU Depth v2's labelled {kind.lower()}s in MATLAB's file, by its index",
                target=f"anybind_datasets.nyu_mat:Nyu{kind}Reader",
                modality=modality,
                suffixes=(".mat",),
                extra="events",
            )
        )
