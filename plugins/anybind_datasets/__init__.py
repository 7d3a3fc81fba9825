"""Bundled plugin: published datasets, folders and manifests of own files, and generated datasets."""

from __future__ import annotations

from anybind.plugin import DatasetSpec, ReaderSpec, Registrar, hookimpl

anybind_contract = 1

# Name, summary, target in this package, main modality, extra. SciPy, which reads MATLAB files, is installed with
# scikit-learn by the extra `train`.
DATASETS = (
    ("folder", "one folder per class", "folder:FolderDataset", "", ""),
    ("files", "files of one folder, unlabelled or with class names in file names", "files:FilesDataset", "", ""),
    ("manifest", "CSV table of paired files: one row a sample, one column a modality",
     "manifest:ManifestDataset", "", ""),
    ("paired-by-class", "samples of two datasets paired by matching classes", "paired_by_class:PairedByClass", "", ""),
    ("labelled-videos", "own videos with abnormal frames annotated in labels.json",
     "videos:LabelledVideos", "video", ""),
    ("n-caltech101", "N-Caltech101: 101 classes, recordings of .bin", "class_folders:NCaltech101", "event", "events"),
    ("n-mnist", "N-MNIST: handwritten digits, recordings of .bin", "class_folders:NMnist", "event", "events"),
    ("n-imagenet", "N-ImageNet: 1000 classes, .npz", "class_folders:NImageNet", "event", "events"),
    ("n-imagenet-mini", "N-ImageNet mini: 100 classes, .npz", "class_folders:NImageNetMini", "event", "events"),
    ("n-cars", "N-CARS: cars and background, .dat", "class_folders:NCars", "event", "events"),
    ("dense", "DENSE: simulated drives, events with depth maps and images", "dense:Dense", "event", "events"),
    ("dvs128-gesture", "DVS128 Gesture: 11 gestures, .aedat", "dvs128_gesture:Dvs128Gesture", "event", "events"),
    ("esc-50", "ESC-50, or ESC-10 in its earlier layout: environmental sounds in five folds", "esc:Esc50", "", ""),
    ("llvip", "LLVIP: person crops or image pairs, infrared and visible light", "llvip:Llvip", "", ""),
    ("nyu-d", "NYU Depth v2: depth maps and images of ten scene classes", "nyu_d:NyuDepth", "", "train"),
    ("sun-d", "SUN RGB-D: depth maps and images of 19 scene classes", "sun_d:SunRgbd", "", "train"),
    ("spoken-digits", "MNIST's test digits and the Free Spoken Digit Dataset", "spoken_digits:SpokenDigits", "", ""),
    ("tuxpaint-triplets", "images, captions and audio of Tux Paint's stamps", "manifest:TuxpaintTriplets", "", ""),
    ("ucf-crime", "UCF-Crime: surveillance videos, 13 anomaly classes", "ucf_crime:UcfCrime", "video", ""),
    ("ucf-crime-dvs", "UCF-Crime-DVS: UCF-Crime filmed from a monitor by an event camera, .npz",
     "ucf_crime:UcfCrimeDvs", "event", "events"),
    ("msad", "MSAD: surveillance videos of 14 scenarios", "surveillance:Msad", "video", ""),
    ("ewad", "EWAD's event recordings, annotated in labels.json", "surveillance:Ewad", "event", "events"),
    ("xd-violence", "XD-Violence: videos with six classes of violence", "videos:XdViolence", "video", ""),
    ("shanghai-tech", "ShanghaiTech Campus: 13 scenes, frame masks", "videos:ShanghaiTech", "video", ""),
    ("ucsd-ped", "UCSD Ped1 or Ped2: walkways, folders of frames", "videos:UcsdPed", "video", ""),
    ("avenue", "CUHK Avenue: one walkway", "videos:Avenue", "video", "train"),
    ("digits-8x8", "scikit-learn's 1,797 handwritten digits; no data needed", "packaged:Digits8x8", "", "train"),
    ("skimage-images", "scikit-image's images with captions; no data needed", "packaged:SkimageImages", "", "datasets"),
    ("stereo-tiles", "image tiles with depth maps; no data needed", "packaged:StereoTiles", "", "datasets"),
    ("synthetic-videos", "rendered videos of walking people and a runner; no data needed",
     "synthetic_videos:SyntheticVideos", "video", "events"),
)  # fmt: skip


@hookimpl
def register(registry: Registrar) -> None:
    """Add the datasets and the readers of NYU Depth v2's file."""
    for name, summary, target, modality, extra in DATASETS:
        target = f"anybind_datasets.{target}"
        registry.add(DatasetSpec(name=name, summary=summary, target=target, modality=modality, extra=extra))
    for modality, content in (("depth", "depth map"), ("image", "image")):
        registry.add(
            ReaderSpec(
                name=f"nyu-{modality}-mat",
                summary=f"{content} by index from NYU Depth v2's labelled MATLAB file",
                target=f"anybind_datasets.nyu_mat:Nyu{modality.title()}Reader",
                modality=modality,
                suffixes=(".mat",),
                signatures=(b"MATLAB 7.3 MAT-file",),
                extra="events",
            )
        )
