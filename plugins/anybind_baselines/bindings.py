"""The bindings `eventclip:BASE` and `eventbind:BASE`: the methods on the encoders of another binding."""

from __future__ import annotations

from dataclasses import replace

from anybind import Binding, find_binding
from anybind.plugin import BadOption, errors

DEFAULT_BASE = "clip-vit-b-32"


def make_eventclip(argument: str) -> Binding:
    """Make EventCLIP's binding: texts and events in the space of several views, with no trained weights.

    Args:
        argument: `BASE`, a binding with text and image encoders, or `BASE,count=EVENTS,views=VIEWS`;
            `size=PIXELS` resizes the frames. [default: clip-vit-b-32, 2 views of 20,000 events, as for N-Caltech101;
            N-ImageNet: count=70000]

    Raises:
        BadOption: an unknown option, or a base without text or images.
        UnknownName: no such base.
    """
    base, options = _parse_argument(argument, {"views": 2, "count": 20_000, "size": 0})
    size = options.pop("size")
    text, image = base.encoders["text"], base.encoders["image"]
    adapters = [{"use": adapter.name, **adapter.options} for adapter in base.adapters]
    return Binding(
        name=f"eventclip:{argument or DEFAULT_BASE}",
        summary=f"EventCLIP on the encoders of {base.name}",
        encoders={
            "text": Binding.configure(
                "eventclip-text", text_encoder={"use": text.name, **text.options}, views=options["views"]
            ),
            "event": Binding.configure(
                "eventclip-views",
                image_encoder={"use": image.name, **image.options},
                options={"representation": "gray-frame", **options},
                adapters=adapters,
                size=size,
            ),
        },
    )


def make_eventbind(argument: str) -> Binding:
    """Make EventBind's binding: the base's encoders, with EventBind's event encoder in place of its own.

    Args:
        argument: `BASE` or `BASE,count=EVENTS,views=VIEWS,prompts=PROMPTS`; `size=PIXELS` resizes the frames.
            [default: clip-vit-b-32, 5 slices of 15,000 events, 16 event prompts]

    Raises:
        BadOption: an unknown option, or a base without text or images.
        UnknownName: no such base.
    """
    base, options = _parse_argument(argument, {"views": 5, "count": 15_000, "prompts": 16, "size": 0})
    prompts, size = options.pop("prompts"), options.pop("size")
    event = Binding.configure("eventbind", image_encoder="@image", prompts=prompts, size=size, options=options)
    return replace(
        base,
        name=f"eventbind:{argument or DEFAULT_BASE}",
        summary=f"EventBind on the encoders of {base.name}",
        encoders={"text": base.encoders["text"], "image": base.encoders["image"], "event": event},
    )


def _parse_argument(argument: str, defaults: dict[str, int]) -> tuple[Binding, dict[str, int]]:
    name, *settings = argument.split(",")
    options = dict(defaults)
    for setting in settings:
        key, _, value = setting.partition("=")
        if key not in defaults:
            near = errors.suggest_names(key, defaults)
            raise BadOption(f"{argument}: expected the options {', '.join(defaults)}, got {setting!r}{near}")
        if not value.isdecimal():
            raise BadOption(f"{argument}: {key}: expected a whole number, got {value!r}")
        options[key] = int(value)
    base = find_binding(name or DEFAULT_BASE)
    for modality in ("text", "image"):
        if modality not in base.encoders:
            raise BadOption(f"{argument}: the binding {base.name!r} has no {modality} encoder")
    return base, options
