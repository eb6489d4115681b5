"""The command line. Every verb is a few lines over `app.flow`, `app.queries` and `app.render`.

Heavy imports wait inside the verbs: `tilth --help` answers at once. Results go to stdout, progress to stderr; exit codes
are those of `corpus.errors`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corpus.errors import ConfigError, Stopped, TilthError

if TYPE_CHECKING:
    from app.flow import Work
    from corpus.lake import Lake

cli = typer.Typer(
    name="tilth", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Curate a corpus, mix it, train on it, and say with error bars which data made the model better.",
)  # fmt: skip

RecipeArgument = Annotated[
    Path, typer.Argument(help="a recipe, for instance recipes/demo.yaml", show_default=False)
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="a key of the recipe (or catalog.…), as a.b=value; repeatable"),
]
LakeOption = Annotated[
    str | None, typer.Option("--lake", help="folder of the lake (default: the profile's, else ./lake)")
]
ProfileOption = Annotated[str | None, typer.Option("--profile", help="a profile of profiles.yaml")]
JsonOption = Annotated[bool, typer.Option("--json", help="one JSON document on stdout instead of text")]
SampleOption = Annotated[
    str | None,
    typer.Option(
        "--sample",
        help="a share of the documents, by content: 1%. It is another version of the recipe's name",
    ),
]
RunsOption = Annotated[str | None, typer.Option("--runs", help="only these runs of the recipe: A,B")]


def main() -> None:
    """Entry point: errors become one message and an exit code; Ctrl-C and SIGTERM leave nothing half-written."""
    # Threads that spin while they wait halve training whenever anything else runs on the machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    signal.signal(signal.SIGTERM, _terminate)
    try:
        cli(standalone_mode=True)
    except TilthError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("stopped; the same command resumes", 130)
    except BrokenPipeError:  # `tilth sql … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        _fail(f"{error}. What was finished is kept; the same command resumes.", 1)


def _terminate(number: int, frame: Any) -> None:
    raise Stopped("stopped by a signal; the same command resumes", number)


def _fail(message: str, code: int) -> None:
    print(f"tilth: {message}", file=sys.stderr)
    sys.exit(code)


# ── the flow ────────────────────────────────────────────────────────────────────────────────────────────────────────


@cli.command()
def run(
    recipe: RecipeArgument, until: Annotated[str, typer.Option(help="stop after this stage")] = "select", runs: RunsOption = None, sample: SampleOption = None, set_: SetOption = None,
    lake: LakeOption = None, profile: ProfileOption = None, json_: JsonOption = False,
) -> None:  # fmt: skip
    """Build everything that is missing: a line per stage, then the gate."""
    work = _walk(recipe, until, runs, sample, set_, lake, profile, json_)
    _show(work, json_, _run_json, _run_text)


@cli.command()
def ingest(
    recipe: RecipeArgument,
    sample: SampleOption = None,
    set_: SetOption = None,
    lake: LakeOption = None,
    profile: ProfileOption = None,
    json_: JsonOption = False,
) -> None:
    """Read the sources: documents and rejects by source."""
    from app.render import render_documents

    work = _walk(recipe, "ingest", None, sample, set_, lake, profile, json_)
    _show(
        work,
        json_,
        lambda w: {name: m.to_json() for name, m in w.documents.items()},
        lambda w: render_documents(w.documents),
    )


@cli.command()
def curate(
    recipe: RecipeArgument,
    sample: SampleOption = None,
    set_: SetOption = None,
    lake: LakeOption = None,
    profile: ProfileOption = None,
    json_: JsonOption = False,
) -> None:
    """Measure and decide: the funnel by source and rule, in documents and tokens."""
    from app.render import render_funnel, render_s_curve

    def text(work: Work) -> str:
        assert work.curated is not None
        return f"{render_funnel(work.curated.snapshot)}\n\n{render_s_curve(work.recipe.curation.near_duplicates)}"

    work = _walk(recipe, "curate", None, sample, set_, lake, profile, json_)
    _show(work, json_, lambda w: w.curated and w.curated.snapshot.to_json(), text)


@cli.command()
def tokenize(
    recipe: RecipeArgument,
    sample: SampleOption = None,
    set_: SetOption = None,
    lake: LakeOption = None,
    profile: ProfileOption = None,
    json_: JsonOption = False,
) -> None:
    """Token shards of the kept text: tokens by source."""
    from app.render import render_table

    def rows(work: Work) -> list[dict[str, Any]]:
        tallies = work.shards.summary["sources"] if work.shards else {}
        return [
            {"source": name, "documents": t["documents"], "tokens": t["tokens"], "shards": len(t["shards"])}
            for name, t in tallies.items()
        ]

    _show(
        _walk(recipe, "tokenize", None, sample, set_, lake, profile, json_),
        json_,
        rows,
        lambda w: render_table(rows(w)),
    )


@cli.command()
def mix(
    recipe: RecipeArgument,
    runs: RunsOption = None,
    sample: SampleOption = None,
    set_: SetOption = None,
    lake: LakeOption = None,
    profile: ProfileOption = None,
    json_: JsonOption = False,
) -> None:
    """Weights, tokens and epochs by source, beside natural, uniform and UniMax."""
    from app.render import render_mixture

    def rows(work: Work) -> dict[str, list[dict[str, Any]]]:
        return {
            name: work.lake.read_part(m.parts("mixtures")[0]).to_pylist() for name, m in work.mixtures.items()
        }

    _show(
        _walk(recipe, "mix", runs, sample, set_, lake, profile, json_),
        json_,
        rows,
        lambda w: "\n\n".join(render_mixture(name, found) for name, found in rows(w).items()),
    )


@cli.command()
def train(
    recipe: RecipeArgument,
    runs: RunsOption = None,
    sample: SampleOption = None,
    set_: SetOption = None,
    lake: LakeOption = None,
    profile: ProfileOption = None,
    json_: JsonOption = False,
) -> None:
    """Train the recipe's runs: loss per source, first and last."""
    from app.render import render_losses

    work = _walk(recipe, "train", runs, sample, set_, lake, profile, json_)
    _show(work, json_, _loss_rows, lambda w: render_losses(_loss_rows(w)))


@cli.command(name="eval")
def evaluate(
    recipe: RecipeArgument,
    runs: RunsOption = None,
    sample: SampleOption = None,
    set_: SetOption = None,
    lake: LakeOption = None,
    profile: ProfileOption = None,
    json_: JsonOption = False,
) -> None:
    """Score the checkpoints: bits per byte on the held-out set and the recipe's tasks."""
    from app.render import render_scores

    def rows(work: Work) -> list[dict[str, Any]]:
        return [
            {"scorecard": key, **row} for key, card in work.scorecards.items() for row in card.summary["rows"]
        ]

    _show(
        _walk(recipe, "eval", runs, sample, set_, lake, profile, json_),
        json_,
        rows,
        lambda w: render_scores(rows(w)),
    )


@cli.command()
def select(
    recipe: RecipeArgument, approve: Annotated[str | None, typer.Option(help="sign off this checkpoint (RUN/STEP or NAME/RUN/STEP) and make it the champion")] = None,
    note: Annotated[str, typer.Option(help="what the sign-off says")] = "", reviewer: Annotated[str | None, typer.Option(help="who signs (default: the login name)")] = None,
    sample: SampleOption = None, set_: SetOption = None, lake: LakeOption = None, profile: ProfileOption = None, json_: JsonOption = False,
) -> None:  # fmt: skip
    """Gate against the base and the champion, Pareto set, P(best). Exit 3: negative, 4: inconclusive."""
    from app.render import render_selection

    work = _walk(recipe, "select", None, sample, set_, lake, profile, json_)
    if work.selection is None:
        raise ConfigError("the recipe has no gate, so nothing can be selected. Add gate: {gain: …, harm: …}.")
    _show(
        work,
        json_,
        lambda w: _plain(w.selection),
        lambda w: render_selection(w.selection) if w.selection else "",
    )
    if approve:
        import getpass

        from app.evaluation import approve as sign_off
        from corpus.sql_catalog import write_catalog

        signed = sign_off(work.lake, work.recipe.name, approve, reviewer or getpass.getuser(), note)
        write_catalog(work.lake)
        print(
            f"approved: {signed.recipe}/champion is now {signed.reference} (checkpoint {signed.checkpoint_id[:12]})",
            file=sys.stderr,
        )
        return
    raise typer.Exit({"PASSED": 0, "FAILED": 3}.get(work.selection.verdict, 4))


# ── questions ───────────────────────────────────────────────────────────────────────────────────────────────────────


@cli.command()
def why(
    document: Annotated[str, typer.Argument(help="doc_id, the start of one, or the source's own id")],
    snapshot: Annotated[str | None, typer.Option(help="a recipe name, NAME@N or snapshot id (default: the newest of each name)")] = None,
    raw: Annotated[bool, typer.Option(help="show the text unmasked")] = False, lake: LakeOption = None, profile: ProfileOption = None, json_: JsonOption = False,
) -> None:  # fmt: skip
    """Why a document was kept or dropped: values, thresholds, partner."""
    from app.render import render_why
    from corpus import names
    from corpus.errors import UnknownName
    from quality.explain import why as explain

    opened = _open_lake(lake, profile)
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
            found.append(explain(opened, opened.get("snapshot", id), document, raw))
        except UnknownName as error:
            missing = error
    if not found and missing:
        raise missing
    _print(json_, [asdict(one) for one in found], lambda: "\n\n".join(render_why(one) for one in found))


@cli.command(name="what-if")
def what_if(
    recipe: RecipeArgument,
    sample: SampleOption = None,
    set_: SetOption = None,
    lake: LakeOption = None,
    profile: ProfileOption = None,
    json_: JsonOption = False,
) -> None:
    """What other thresholds would change, from stored signals: --set curation.rules.short_line_ratio.max=0.5"""
    from app.questions import what_if as ask
    from app.render import render_flips

    flips = ask(recipe, set_ or [], _sample(sample), _open_lake(lake, profile, recipe))
    _print(json_, [asdict(one) for one in flips], lambda: render_flips(flips))


@cli.command()
def compare(
    first: Annotated[str, typer.Argument(help="the baseline")], second: Annotated[str, typer.Argument(help="what is compared with it")], lake: LakeOption = None,
    profile: ProfileOption = None, json_: JsonOption = False,
) -> None:  # fmt: skip
    """Differences of two things of one kind: checkpoints (by scorecard), snapshots or recipes. Exit 3: regressed, 4: inconclusive."""
    from app.questions import compare as ask

    text, rows, code = ask(_open_lake(lake, profile), first, second)
    _print(json_, rows, lambda: text)
    raise typer.Exit(code)


@cli.command()
def lineage(
    reference: Annotated[str, typer.Argument(help="NAME/RUN/STEP for the documents of a step, or a document for the steps that saw it")], lake: LakeOption = None,
    profile: ProfileOption = None, json_: JsonOption = False,
) -> None:  # fmt: skip
    """The documents of a training step, or a document's decisions, runs, steps and epochs."""
    from app.queries import lineage_of_document, lineage_of_step, resolve_step
    from app.render import render_document, render_step
    from corpus.errors import UnknownName

    opened = _open_lake(lake, profile)
    try:
        place = resolve_step(opened, reference)
    except UnknownName:
        if "/" in reference or "@" in reference:
            raise
        place = None
    if place:
        step = lineage_of_step(opened, *place)
        _print(json_, asdict(step), lambda: render_step(step))
    else:
        document = lineage_of_document(opened, reference)
        _print(json_, asdict(document), lambda: render_document(document))


@cli.command()
def sql(
    query: Annotated[str, typer.Argument(help="one SELECT, DESCRIBE, SUMMARIZE or SHOW over the lake's datasets")],
    format_: Annotated[str, typer.Option("--format", help="table, csv or json (one object a line)")] = "table",
    raw: Annotated[bool, typer.Option(help="adds raw_documents: text with personal data unmasked")] = False,
    seconds: Annotated[float, typer.Option(help="stop the query after this long")] = 300.0, lake: LakeOption = None, profile: ProfileOption = None, json_: JsonOption = False,
) -> None:  # fmt: skip
    """Query the lake with DuckDB: documents, signals, decisions, runs, scores and the rest."""
    from app.questions import write_rows
    from corpus.answer import CONSOLE, EVERYTHING
    from corpus.console import Console
    from corpus.sql_catalog import is_catalog_moved, write_catalog

    format_ = "json" if json_ else format_
    if format_ not in ("table", "csv", "json"):
        raise ConfigError(f"there is no format {format_!r}. There are table, csv and json.")
    opened = _open_lake(lake, profile)
    if is_catalog_moved(opened):
        write_catalog(opened)
    limits = CONSOLE if format_ == "table" else EVERYTHING
    with (
        Console(spare=0) as console,
        closing(console.stream(opened.root, query, limits=limits, seconds=seconds, raw=raw)) as answer,
    ):
        write_rows(answer, format_, sys.stdout)
    if answer.cut:
        print(f"cut at {limits.rows:,} rows; --format csv or json gives all", file=sys.stderr)


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

    rows = list_things(_open_lake(lake, profile), kind)
    _print(json_, rows, lambda: render_table(rows, ["kind", "id", "names", "bytes"], limit=100))


@cli.command()
def export(
    reference: Annotated[str, typer.Argument(help="a snapshot (NAME, NAME@N/snapshot) or a checkpoint (NAME/RUN/STEP)")],
    to: Annotated[str, typer.Option(help="jsonl or parquet for a snapshot, hf for a checkpoint")],
    out: Annotated[Path, typer.Option(help="a folder that does not exist yet")], lake: LakeOption = None, profile: ProfileOption = None, json_: JsonOption = False,
) -> None:  # fmt: skip
    """Write a snapshot's kept, edited text, or a checkpoint as a plain Hugging Face folder; prints files and licences."""
    from app.export import export as write_export
    from app.render import render_table

    rows = write_export(_open_lake(lake, profile), reference, to, out)
    _print(json_, rows, lambda: render_table(rows))


# ── the app and the machine ─────────────────────────────────────────────────────────────────────────────────────────


@cli.command(name="app")
def app_(
    port: Annotated[int, typer.Option(help="0: a free one")] = 8501,
    lake: LakeOption = None,
    profile: ProfileOption = None,
) -> None:
    """Open the review app on 127.0.0.1."""
    from app.server import serve

    opened = _open_lake(lake, profile, create=True)
    raise typer.Exit(serve(opened.root, port))


@cli.command()
def doctor(lake: LakeOption = None, profile: ProfileOption = None, json_: JsonOption = False) -> None:
    """What this machine can do: cores, memory, disk, libraries, accelerator, browser."""
    from app.doctor import examine
    from app.render import render_table

    rows = examine(_lake_path(lake, profile, None))
    _print(json_, rows, lambda: render_table(rows, ["what", "found", "means"], limit=120))
    raise typer.Exit(1 if any(row["ok"] is False for row in rows) else 0)


# ── shared by the verbs ─────────────────────────────────────────────────────────────────────────────────────────────


def _walk(
    recipe: Path,
    until: str,
    runs: str | None,
    sample: str | None,
    sets: list[str] | None,
    lake: str | None,
    profile: str | None,
    json_: bool,
) -> Work:
    from app.flow import Work, check_until, run_recipe
    from app.profile import load_profile
    from app.recipe import load_recipe
    from app.report import Report
    from corpus.lake import Lake

    check_until(until)
    loaded = load_recipe(recipe, sets or [])
    chosen = load_profile(recipe.parent, profile, lake)
    only = [name for name in (runs or "").split(",") if name]
    loaded.runs(only)
    return run_recipe(
        Work(Lake.open(chosen.lake), loaded, chosen, Report(quiet=json_), _sample(sample)), until, only
    )


def _sample(text: str | None) -> float:
    from corpus.config import parse_share

    try:
        share = 1.0 if text is None else parse_share(text)
    except ValueError as error:
        raise ConfigError(f"--sample: {error}") from error
    if share == 0:
        raise ConfigError("--sample 0% leaves no documents; give more than 0")
    return share


def _lake_path(lake: str | None, profile: str | None, recipe: Path | None) -> str:
    from app.profile import load_profile

    return load_profile(recipe.parent if recipe else None, profile, lake).lake


def _open_lake(
    lake: str | None, profile: str | None, recipe: Path | None = None, create: bool = False
) -> Lake:
    from corpus.lake import Lake

    return Lake.open(_lake_path(lake, profile, recipe), create=create)


def _show(work: Work, json_: bool, as_json: Callable[[Work], Any], as_text: Callable[[Work], str]) -> None:
    _print(
        json_,
        None
        if not json_
        else {"name": str(work.claim), "stages": work.report.to_json(), "result": as_json(work)},
        lambda: "\n" + as_text(work),
    )


def _print(json_: bool, tree: Any, text: Callable[[], str]) -> None:
    print(json.dumps(_plain(tree), indent=1, ensure_ascii=False, default=str) if json_ else text())


def _plain(value: Any) -> Any:
    """JSON has no NaN or infinity: they become null."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return (
        None
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf")))
        else value
    )


def _loss_rows(work: Work) -> list[dict[str, Any]]:
    from app.queries import run_metrics

    rows: list[dict[str, Any]] = []
    for run, run_id in work.runs.items():
        curves: dict[tuple[str, str], list[tuple[int, float]]] = {}
        for metric in run_metrics(work.lake, run_id):
            if "loss" in metric["name"]:
                curves.setdefault((metric["name"], metric.get("source") or ""), []).append(
                    (metric["step"], metric["value"])
                )
        rows += [
            {
                "run": run,
                "source": source,
                "metric": name,
                "first": points[0][1],
                "last": points[-1][1],
                "step": points[-1][0],
            }
            for (name, source), points in sorted(curves.items())
        ]
    return rows


def _run_json(work: Work) -> Any:
    return {
        "snapshot": work.curated.snapshot.id if work.curated else None, "mixtures": {name: m.id for name, m in work.mixtures.items()}, "runs": work.runs,
        "scorecards": {key: m.id for key, m in work.scorecards.items()}, "selection": work.selection,
    }  # fmt: skip


def _run_text(work: Work) -> str:
    from app.closing import closing_text

    return closing_text(work)


if __name__ == "__main__":
    main()
