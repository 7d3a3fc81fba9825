"""Bundled plugin: the questions - zero-shot classification - and the commands that ask them."""

from __future__ import annotations

from anybind import Register, Spec, hookimpl


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


@hookimpl
def register_commands(register: Register) -> None:
    """What a user types."""
    for name, summary in (
        ("classify", "Say which of some labels fits each recording or picture best."),
        ("evaluate", "Ask a task of a binding on a folder of data, and print the metrics."),
        ("demo", "Recognise event recordings of real pictures by words, and write a page that shows it."),
    ):
        register(Spec(name=name, summary=summary, target=f"anybind_tasks.{name}_command:{name}"))
