"""`anybind fit-adapter`: fit what carries vectors of one space to another, from things that both can embed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from anybind import Embeddings
from anybind.commandline import (
    AsJson,
    Device,
    Seed,
    SkipBad,
    Skipped,
    StoreFlag,
    named_values,
    open_store,
    print_json,
    print_table,
)
from anybind.plugin import Adapter, AdapterSpec, BadOption, files, find_part, parts, prompts, tables
from anybind_adapters.held_out import Found, chance, retrieve
from anybind_adapters.pairs import Pairs
from anybind_adapters.sides import FILE, WORDS, Data, embed_pairs, find_sides, holds_vectors, pairs_of_files

GIVEN = ("source", "target", "groups", "seed")
"""What every fit is handed; all else that it names are its options."""


def fit_adapter(
    source: Annotated[
        str,
        typer.Option(
            "--from",
            help="BINDING (its common space), BINDING:MODALITY (the tower's own space), or a file of `anybind embed`.",
        ),
    ],
    target: Annotated[str, typer.Option("--to", help="As --from: where the adapter leads.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .safetensors file to write.")],
    data: Annotated[Path | None, typer.Option(help="Folder of what both sides embed.")] = None,
    kind: Annotated[str, typer.Option(help="linear, ridge, procrustes, mlp.")] = "ridge",
    modality: Annotated[str | None, typer.Option(help="What is embedded: image, text, ...; found by default.")] = None,
    texts: Annotated[Path | None, typer.Option(help="Words: a text a line, or JSON of texts by sample.")] = None,
    template: Annotated[str, typer.Option(help="Sentence with {} around a class name.")] = "a photo of a {}",
    dataset: Annotated[str | None, typer.Option(help="The data set's kind; folder or files by default.")] = None,
    classes: Annotated[str | None, typer.Option(help="Keep only these folders: a,b or a file of names.")] = None,
    data_option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the data set; repeatable.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the fit; repeatable.")] = None,
    held_out: Annotated[float, typer.Option(help="Share of different things that are held out.")] = 0.2,
    seed: Seed = 0,
    device: Device = "cpu",
    store: StoreFlag = True,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Fit an adapter between two spaces, say how well held-out pairs find each other, and write it."""
    files.check_output(output)
    fit_options = named_values(option)
    fit = fit_of(kind, fit_options)
    if output.suffix != FILE:
        raise BadOption(f"the adapter's file must end in {FILE}, got {output}")
    if not 0 < held_out < 1:
        raise BadOption(f"the share that is held out must lie between 0 and 1, got {held_out}")
    prompts.check_templates([template])
    skipped = Skipped()
    names = (source, target)
    if holds_vectors(source) and holds_vectors(target):
        if data or texts:
            raise BadOption("files of vectors are paired by id and nothing is embedded: leave out --data and --texts")
        pairs = pairs_of_files(names, modality)
    else:
        sides = find_sides(names, modality, device, open_store(store))
        options = named_values(data_option) | ({} if classes is None else {"classes": tables.read_names(classes)})
        by_class = classes is not None or (texts is None and WORDS in {side.modality for side in sides})
        about = Data(data, dataset or ("folder" if by_class else "files"), options, texts, template, seed)
        pairs = embed_pairs(sides, about, skipped.note if skip_bad else None)
    skipped.report()
    fit_on, asked = pairs.split(held_out, seed)
    adapter = fit(fit_on.source, fit_on.target, groups=fit_on.groups, seed=seed, **fit_options)
    card = {"data": describe(names, pairs, fit_on, seed), "held_out": report(adapter, asked)}
    adapter.save(output, card)
    if as_json:
        spaces = {"source": asdict(adapter.source), "target": asdict(adapter.target)}
        settings = dict(adapter.settings)
        print_json({"output": str(output), "kind": kind, **spaces, **card, "settings": settings, "skipped": skipped})
    else:
        print_report(card["held_out"])
        typer.echo(f"{output}: {kind} from {adapter.source} to {adapter.target}, fitted on {len(fit_on)} pairs")


def fit_of(kind: str, options: Mapping[str, Any]) -> Callable[..., Any]:
    """The way of fitting of a registered adapter that has one (see `FittedAdapter.fit`).

    Raises:
        UnknownName: there is no such adapter.
        BadOption: it cannot be fitted from pairs, or does not take an option.
    """
    made: Any = find_part(AdapterSpec, kind).load()
    fit = getattr(made, "fit", None)
    if fit is None:
        able = [part.name for part in parts(AdapterSpec) if hasattr(part.load(), "fit")]
        raise BadOption(f"the adapter {kind!r} cannot be fitted from pairs; there are: {', '.join(able)}")
    taken = [name for name in inspect.signature(fit).parameters if name not in GIVEN]
    for name in options:
        if name not in taken:
            raise BadOption(f"fitting {kind!r} takes no option {name!r} (options: {', '.join(taken) or 'none'})")
    return fit


def describe(names: tuple[str, str], pairs: Pairs, fit_on: Pairs, seed: int) -> dict[str, Any]:
    """What an adapter was fitted on, for its card."""
    sides = zip(("from", "to"), names, (pairs.source, pairs.target), strict=True)
    return {
        "hash": pairs.hash,
        "n": len(pairs),
        "n_fit": len(fit_on),
        "seed": seed,
        **{way: {"name": name, "modality": side.modality, "encoder": side.encoder} for way, name, side in sides},
    }


def report(adapter: Adapter, asked: Pairs) -> dict[str, Any]:
    """Retrieval on held-out pairs, both ways: by chance, by the raw vectors where dimensions agree, and adapted."""
    figures: dict[str, Any] = {"chance": _both_ways(chance, asked.source, asked), "before": None}
    if adapter.source.dim == adapter.target.dim:
        figures["before"] = _both_ways(retrieve, replace(asked.source, space=adapter.target), asked)
    return {**figures, "after": _both_ways(retrieve, adapter(asked.source), asked)}


def _both_ways(measure: Callable[..., Found], given: Embeddings, asked: Pairs) -> dict[str, Any]:
    ways = {"forward": (given, asked.target), "back": (asked.target, given)}
    return {way: asdict(measure(*sides, asked.groups, asked.groups)) for way, sides in ways.items()}


def print_report(figures: Mapping[str, Any]) -> None:
    """The figures as a table."""
    rows = []
    for way in ("forward", "back"):
        for what in ("chance", "before", "after"):
            if figures[what] is not None:
                found = Found(**figures[what][way])
                shares = (f"{share:.3f}" for share in (found.r1, found.r5))
                rows.append((way, what, str(found.n), str(found.gallery), *shares, f"{found.median_rank:.1f}"))
    print_table(("held out", "by", "n", "among", "R@1", "R@5", "median rank"), rows)
