"""Fuzz every reader with damaged files: data or one error of one line, in bounded memory and time.

    PYTHONPATH=tests python -m helpers.fuzz_readers                        (make fuzz; INPUTS=100000 FAMILIES=image,sound)
    PYTHONPATH=tests python -m helpers.fuzz_readers FILE... --inputs 5000  (the files are mutated instead)
    PYTHONPATH=tests python -m helpers.fuzz_readers --replay FILE          (the files are read as they are)

The inputs of a family are mutated seeds: small valid files of every format and variant, made on the spot. Mutations
know the structure of a format: lengths, counts, records, text, compressed parts and checksums. Inputs that break a rule
are saved, with the line that replays them; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from anybind.commandline import parse_options
from helpers.fuzzing.execution import execute
from helpers.fuzzing.mutation import mutate_bytes
from helpers.fuzzing.seeds import FAMILIES, make_seeds
from helpers.fuzzing.supervisor import FamilyResult, clear_findings, fuzz_family

QUICK_INPUTS = 300
COLUMNS = "inputs", "past_header", "accepted", "refused", "faults", "seconds", "worst_mib", "worst_seconds"


def damage_content(content: bytes, seed: int) -> bytes:
    """Damage a content of any structure, the same for the same seed."""
    return mutate_bytes(content, Random(seed))


def find_broken_rule(
    content: bytes, suffix: str, folder: Path, *, chunks: bool = False, reader: str | None = None, **options: Any
) -> str | None:
    """Return the rule that reading a content breaks; None if it is read, or raises an error of one line.

    Args:
        content: content of the file.
        suffix: suffix of its name.
        folder: folder to write it into.
        chunks: whether to read it in chunks.
        reader: name of the reader. [default: by content and name]
        options: options of the reader.
    """
    path = folder / f"damaged{suffix}"
    path.write_bytes(content)
    return execute(path, chunks, {**({"reader": reader} if reader else {}), **options}).fault


def run(arguments: argparse.Namespace) -> list[FamilyResult]:
    """Fuzz the families of the arguments, or the files, and print a line for each."""
    options = {**({"reader": arguments.reader} if arguments.reader else {}), **parse_options(arguments.option)}
    clear_findings(arguments.findings)
    print("family".ljust(14), *(name.rjust(12) for name in COLUMNS), flush=True)
    results = []
    for family in ["files"] if arguments.files else arguments.families:
        if not arguments.files and not make_seeds(family):
            print(family.ljust(14), "no reader", flush=True)
            continue
        result = fuzz_family(
            family,
            arguments.inputs,
            seed=arguments.seed,
            processes=arguments.processes,
            findings=arguments.findings,
            files=arguments.files,
            options=options,
        )
        results.append(result)
        print(family.ljust(14), *(str(getattr(result, name)).rjust(12) for name in COLUMNS), flush=True)
        for kind, replay in result.kinds.items():
            print(f"  {kind}\n    {replay}", flush=True)
    return results


def replay(arguments: argparse.Namespace) -> int:
    """Read files as they are, whole and in chunks; print the rules that this breaks."""
    options = {**({"reader": arguments.reader} if arguments.reader else {}), **parse_options(arguments.option)}
    outcomes = [(path, chunks, execute(path, chunks, options)) for path in arguments.files for chunks in (False, True)]
    for path, chunks, outcome in outcomes:
        print(f"{path} {'in chunks' if chunks else 'whole'}: {outcome}")
    return 1 if any(outcome.fault for *_, outcome in outcomes) else 0


def main(given: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, prog="fuzz_readers", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="*", help="Files to mutate instead of the seeds made on the spot.")
    parser.add_argument("--inputs", type=int, default=100_000, help="Inputs per family. [default: 100000]")
    parser.add_argument("--families", default=",".join(FAMILIES), help=f"Of {', '.join(FAMILIES)}. [default: all]")
    parser.add_argument("--seed", type=int, default=0, help="Seed of all inputs. [default: 0]")
    parser.add_argument("--processes", type=int, default=2, help="Worker processes. [default: 2]")
    parser.add_argument("--quick", action="store_true", help=f"Read {QUICK_INPUTS} inputs per family.")
    parser.add_argument("--output", type=Path, help="JSON file for the results.")
    parser.add_argument("--findings", type=Path, default=Path("runs/fuzz"), help="Folder for inputs that break a rule.")
    parser.add_argument("--reader", help="Reader of the given files. [default: by content and name]")
    parser.add_argument("--option", action="append", help="NAME=VALUE for the reader of the given files.")
    parser.add_argument("--replay", action="store_true", help="Read the given files as they are.")
    arguments = parser.parse_args(given)
    if arguments.replay:
        return replay(arguments)
    arguments.families = arguments.families.split(",")
    if unknown := set(arguments.families) - set(FAMILIES):
        parser.error(f"--families: expected {', '.join(FAMILIES)}, got {', '.join(sorted(unknown))}")
    arguments.inputs = QUICK_INPUTS if arguments.quick else arguments.inputs
    results = run(arguments)
    if arguments.output:
        content = {"seed": arguments.seed, "families": [dataclasses.asdict(each) for each in results]}
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(content, indent=1) + "\n")
    return 1 if any(each.faults for each in results) else 0


if __name__ == "__main__":
    sys.exit(main())
