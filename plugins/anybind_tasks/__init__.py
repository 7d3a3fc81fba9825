"""Bundled plugin: the questions - zero-shot classification - and the commands that ask them."""

from __future__ import annotations

from anybind import Register, Spec, hookimpl

FILM_DATASETS = (
    ("ucf-crime", "UCF-Crime: surveillance, 13 kinds of what is abnormal", "ucf_crime:UcfCrime"),
    ("xd-violence", "XD-Violence: films with six kinds of violence", "xd_violence:XdViolence"),
    ("shanghai-tech", "ShanghaiTech Campus: 13 places, frame masks", "shanghai_tech:ShanghaiTech"),
    ("ucsd-ped", "UCSD Ped1 or Ped2: walkways, folders of frames", "ucsd_ped:UcsdPed"),
    ("avenue", "CUHK Avenue: one walkway", "avenue:Avenue"),
    ("labelled-films", "your own films, and labels.json that says what is abnormal", "labelled_films:LabelledFilms"),
)
HEADS = (
    ("zero-shot", "words for what is normal and what is not", "zero_shot:ZeroShotHead"),
    ("one-class", "distance to windows of normal film", "one_class:OneClassHead"),
    ("mil", "learned from labels of whole films", "mil:MilHead"),
    ("event-rate", "how much moves: the baseline that looks at nothing else", "event_rate:EventRateHead"),
    ("image", "another head, asked of each window's middle frame: the paper's CLIP row", "image:image_head"),
)


@hookimpl
def register_datasets(register: Register) -> None:
    """Data sets that are not bound to one modality."""
    register(
        Spec(
            name="folder",
            summary="one folder a class, named by it",
            target="anybind_tasks.folder_dataset:FolderDataset",
        )
    )
    register(
        Spec(
            name="files",
            summary="the files of one folder, their classes in their names or none",
            target="anybind_tasks.files_dataset:FilesDataset",
        )
    )
    for name, summary, target in FILM_DATASETS:
        target = f"anybind_tasks.vad.datasets.{target}"
        # Avenue's masks are MATLAB's, which SciPy reads; it comes with scikit-learn.
        register(
            Spec(name=name, summary=summary, target=target, gives="video", extra="train" if name == "avenue" else "")
        )


@hookimpl
def register_heads(register: Register) -> None:
    """Windows of films to how abnormal they are."""
    for name, summary, target in HEADS:
        register(Spec(name=name, summary=summary, target=f"anybind_tasks.vad.heads.{target}"))


@hookimpl
def register_tasks(register: Register) -> None:
    """Tasks for `anybind evaluate`."""
    register(
        Spec(
            name="zero-shot",
            summary="classification by words alone: top-1, top-5, per class, confusion",
            target="anybind_tasks.zero_shot:ZeroShot",
        )
    )
    register(
        Spec(
            name="retrieval",
            summary="one modality asks for another: R@k, mAP@k, MRR, median rank, both ways",
            target="anybind_tasks.retrieval.task:Retrieval",
            extra="search",
        )
    )
    register(
        Spec(
            name="vad",
            summary="which frames of films are abnormal: ROC AUC and average precision",
            target="anybind_tasks.vad.task:VideoAnomaly",
            consumes=("event",),
            extra="events",
        )
    )


@hookimpl
def register_commands(register: Register) -> None:
    """What a user types."""
    for name, summary in (
        ("classify", "Say which of some labels fits each recording or picture best."),
        ("evaluate", "Ask a task of a binding on a folder of data, and print the metrics."),
        ("demo", "Recognise event recordings of real pictures by words, and write a page that shows it."),
    ):
        register(Spec(name=name, summary=summary, target=f"anybind_tasks.{name}_command:{name}"))
    for name, summary in (
        ("index", "Embed files once and keep the vectors for `anybind search`."),
        ("search", "Rank files by how near they are to a text or to another file."),
    ):
        register(Spec(name=name, summary=summary, target=f"anybind_tasks.search.{name}_command:{name}"))
    register(
        Spec(
            name="vad",
            summary="Score how abnormal each moment of a film is, and name the abnormal segments.",
            target="anybind_tasks.vad.command:vad",
            extra="events",
        )
    )
    register(
        Spec(
            name="explain",
            summary="Show where in a recording or picture, and in which words, their likeness lies.",
            target="anybind_tasks.explain.command:explain",
            extra="explain",
        )
    )
