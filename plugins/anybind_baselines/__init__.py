"""Bundled plugin: methods that the paper compares with, as runnable parts: EventCLIP, EventBind and EST.

EventCLIP is the binding `eventclip:BASE` and the head `eventclip`, EventBind the binding `eventbind:BASE`, the training
method `joint` and the loss `triple-alignment`; EST's learned kernel is the encoder `est`.

    binder = anybind.load("eventclip:clip-vit-b-32")                                  # zero-shot
    anybind_classification.fit_head(folder, head="eventclip", binding=binder, modality="event")   # few-shot
"""

from __future__ import annotations

from anybind.plugin import BindingSpec, EncoderSpec, HeadSpec, Registrar, hookimpl
from anybind_bench.suite import SuiteSpec
from anybind_train.loss import LossSpec

anybind_contract = 1

ENCODERS = (
    ("eventclip-views", "event", "views:ViewEncoder", "EventCLIP: a frozen image encoder on slices of a recording"),
    ("eventclip-text", "text", "views:RepeatedText", "EventCLIP: a text encoder in the space of several views"),
    ("eventbind", "event", "eventbind:EventBindEncoder",
     "EventBind: a copy of an image encoder on slices, with learned event prompts"),
    ("est", "event", "learned_kernel:SpikeTensorEncoder",
     "EST: a learned kernel over event times, before a copy of an image encoder"),
)  # fmt: skip
BINDINGS = (
    ("eventclip", "EventCLIP on the encoders of another binding", ("text", "event")),
    ("eventbind", "EventBind on the encoders of another binding", ("text", "image", "event")),
)
SUITES = (
    ("paper-eventclip", "EventCLIP in the rows of Tables 1 and 2 of the paper"),
    ("paper-eventbind", "EventBind in the rows of Tables 1 and 2 of the paper"),
)


@hookimpl
def register(registry: Registrar) -> None:
    """Register encoders, bindings, the head, the loss and the suites."""
    for name, modality, target, summary in ENCODERS:
        registry.add(
            EncoderSpec(
                name=name,
                summary=summary,
                target=f"anybind_baselines.{target}",
                modality=modality,
                weights_licence="as the copied encoder's",
                extra="train",
            )
        )
    for name, summary, modalities in BINDINGS:
        registry.add(
            BindingSpec(
                name=name,
                summary=summary,
                target=f"anybind_baselines.bindings:make_{name}",
                modalities=modalities,
                forms=(name, f"{name}:BASE", f"{name}:BASE,count=N"),
                extra="train",
            )
        )
    registry.add(
        HeadSpec(
            name="eventclip",
            summary="EventCLIP's adapters: class texts and a transformer over views, on frozen embeddings",
            target="anybind_baselines.eventclip_head:EventClipHead",
            predicts="classification",
            extra="train",
        )
    )
    registry.add(
        LossSpec(
            name="triple-alignment",
            summary="EventBind's alignment of events, images and texts",
            target="anybind_baselines.triple_alignment:TripleAlignmentLoss",
            extra="train",
        )
    )
    for name, summary in SUITES:
        registry.add(SuiteSpec(name=name, summary=summary, target=f"anybind_baselines:suites/{name}.toml"))
