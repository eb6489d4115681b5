"""The verbs that ask: they read finished artifacts, and write nothing but an export."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from app.options import (
    JsonOption,
    LakeOption,
    ProfileOption,
    RecipeArgument,
    SetOption,
    cli,
    lake_path,
    open_folder,
    open_lake,
    print_result,
)
from corpus.errors import ConfigError, did_you_mean


@cli.command()
def why(
    document: Annotated[str, typer.Argument(help="doc_id, the start of one, or the source's own id")],
    snapshot: Annotated[str | None, typer.Option(help="a recipe name, NAME@N or snapshot id (default: the newest of each name)")] = None,
    raw: Annotated[bool, typer.Option(help="show the text unmasked")] = False, lake: LakeOption = None, profile: ProfileOption = None, json_: JsonOption = False,
) -> None:  # fmt: skip
    """Why each recipe kept or dropped a document: values, thresholds, partner."""
    from app.lineage import snapshots_with
    from app.queries import owners_of
    from app.render import render_why
    from corpus import names
    from corpus.errors import UnknownName
    from quality.explain import why as explain

    opened = open_lake(lake, profile)
    ids = (
        [names.resolve(opened, snapshot, "snapshot").id]
        if snapshot
        else [fact["id"] for fact in names.current(opened, "snapshot")]
    )
    if not ids:
        raise UnknownName(f"the lake {opened.root} has no snapshot yet. Make one with `tilth curate RECIPE`.")
    found, missing = [], None
    for id in dict.fromkeys(ids):
        try:
            asked = opened.get("snapshot", id)
            found.append((owners_of(opened, asked), explain(opened, asked, document, raw)))
        except UnknownName as error:
            missing = error
    if not found and missing:
        elsewhere = snapshots_with(opened, document)
        if not elsewhere or elsewhere.keys() & set(ids):
            raise missing
        owners = [owner for versions in elsewhere.values() for owner in versions]
        raise UnknownName(
            f"no document {document!r} in {f'the snapshot of {snapshot}' if snapshot else 'the newest snapshot of any name'}, but in that of {', '.join(owners)}: `tilth why {document} --snapshot {owners[-1]}`"
        )
    rows = [{"recipes": owners, **asdict(one)} for owners, one in found]
    print_result(json_, rows, lambda: "\n\n".join(render_why(owners, one) for owners, one in found))


@cli.command(name="what-if")
def what_if(
    recipe: RecipeArgument,
    set_: SetOption = None,
    lake: LakeOption = None,
    profile: ProfileOption = None,
    json_: JsonOption = False,
) -> None:
    """What other thresholds would change, from stored signals: --set curation.rules.short_line_ratio.max=0.5"""
    from app.questions import what_if as ask
    from app.render import render_flips

    flips = ask(recipe, set_ or [], open_lake(lake, profile, recipe))
    print_result(json_, [asdict(one) for one in flips], lambda: render_flips(flips))


@cli.command()
def compare(
    first: Annotated[str, typer.Argument(help="the baseline")], second: Annotated[str, typer.Argument(help="what is compared with it")], lake: LakeOption = None,
    profile: ProfileOption = None, json_: JsonOption = False,
) -> None:  # fmt: skip
    """Differences of two things of one kind: checkpoints (by scorecard), snapshots, or what two artifacts were made with. Exit 3: regressed, 4: inconclusive."""
    from app.questions import compare as ask

    text, rows, code = ask(open_lake(lake, profile), first, second)
    print_result(json_, rows, lambda: text)
    raise typer.Exit(code)


@cli.command()
def lineage(
    reference: Annotated[str, typer.Argument(help="NAME/RUN/STEP for the documents of a step, or a document for the steps that saw it")], lake: LakeOption = None,
    profile: ProfileOption = None, json_: JsonOption = False,
) -> None:  # fmt: skip
    """The documents of a training step, or a document's decisions, runs, steps and epochs."""
    from app.lineage import lineage_of_document, lineage_of_step
    from app.queries import find_step
    from app.render import render_document, render_step

    opened = open_lake(lake, profile)
    if place := find_step(opened, reference):
        step = lineage_of_step(opened, *place)
        print_result(json_, asdict(step), lambda: render_step(step))
    else:
        document = lineage_of_document(opened, reference)
        print_result(json_, asdict(document), lambda: render_document(document))


@cli.command()
def sql(
    query: Annotated[str, typer.Argument(help="one SELECT, DESCRIBE, SUMMARIZE or SHOW over the lake's datasets")],
    format_: Annotated[str, typer.Option("--format", help="table, csv or json (one object a line)")] = "table",
    raw: Annotated[bool, typer.Option(help="adds raw_documents: text with personal data unmasked")] = False,
    seconds: Annotated[float, typer.Option(help="stop the query after this long; writing its rows does not count")] = 300.0, lake: LakeOption = None, profile: ProfileOption = None, json_: JsonOption = False,
) -> None:  # fmt: skip
    """Query the lake with DuckDB: documents, signals, decisions, runs, scores and the rest."""
    from app.questions import write_rows
    from corpus.answer import CONSOLE, EVERYTHING
    from corpus.console import Console

    if format_ not in ("table", "csv", "json"):
        raise ConfigError(
            f"there is no format {format_!r}.{did_you_mean(format_, ('table', 'csv', 'json'))} There are table, csv and json."
        )
    if not seconds > 0:
        raise ConfigError(f"--seconds {seconds:g} is no time to answer in. Give more than 0.")
    format_ = "array" if json_ else format_
    opened = open_lake(lake, profile)
    limits = CONSOLE if format_ == "table" else EVERYTHING
    with (
        Console(spare=0) as console,
        closing(console.stream(opened.root, query, limits=limits, seconds=seconds, raw=raw)) as answer,
    ):
        write_rows(answer, format_, sys.stdout)
    if answer.cut:
        most = f"{(limits.bytes or 0) >> 20} MB" if answer.by_bytes else f"{limits.rows:,} rows"
        print(f"cut at {most}; --format csv or json gives all", file=sys.stderr)


@cli.command(name="ls")
def list_(
    kind: Annotated[
        str | None, typer.Argument(help="documents, snapshot, mixture, run, scorecard, …")
    ] = None,
    lake: LakeOption = None,
    profile: ProfileOption = None,
    json_: JsonOption = False,
) -> None:
    """Names, ids and sizes of what the lake holds."""
    from app.queries import list_things
    from app.render import render_table

    rows = list_things(open_lake(lake, profile), kind)
    print_result(json_, rows, lambda: render_table(rows, ["kind", "id", "names", "bytes"], limit=100))


@cli.command()
def export(
    reference: Annotated[str, typer.Argument(help="a snapshot (NAME, NAME@N/snapshot) or a checkpoint (NAME/RUN/STEP)")],
    to: Annotated[str, typer.Option(help="jsonl or parquet for a snapshot, hf for a checkpoint")],
    out: Annotated[Path, typer.Option(help="a folder that does not exist yet")], lake: LakeOption = None, profile: ProfileOption = None, json_: JsonOption = False,
) -> None:  # fmt: skip
    """Write a snapshot's kept, edited text, or a checkpoint as a plain Hugging Face folder; prints files and licences."""
    from app.export import export as write_export
    from app.render import render_table

    rows = write_export(open_lake(lake, profile), reference, to, out)
    print_result(json_, rows, lambda: render_table(rows))


# ── the app and the machine ─────────────────────────────────────────────────────────────────────────────────────────


@cli.command(name="app")
def app_(
    port: Annotated[int, typer.Option(help="0: a free one")] = 8501,
    lake: LakeOption = None,
    profile: ProfileOption = None,
) -> None:
    """Open the review app on 127.0.0.1."""
    from app.server import serve

    root = Path(path := lake_path(lake, profile, None)).resolve()
    if root.exists() or "://" in path:  # where there is nothing yet, the pages say how to make a lake
        root = open_folder(path, create=False).root
    raise typer.Exit(serve(root, port))


@cli.command()
def doctor(lake: LakeOption = None, profile: ProfileOption = None, json_: JsonOption = False) -> None:
    """What this machine can do: cores, memory, disk, libraries, accelerator, browser."""
    from app.doctor import examine
    from app.render import render_table

    rows = examine(lake_path(lake, profile, None))
    print_result(json_, rows, lambda: render_table(rows, ["what", "found", "means"], limit=120))
    raise typer.Exit(1 if any(row["ok"] is False for row in rows) else 0)
