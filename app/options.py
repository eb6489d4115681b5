"""What the verbs share: their options, how a lake and a recipe are opened, how a result is printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corpus.errors import ConfigError, GuardStop, LakeError, Stopped

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


def parse_sample(text: str | None) -> float:
    from corpus.config import parse_share

    try:
        share = 1.0 if text is None else parse_share(text)
    except ValueError as error:
        raise ConfigError(f"--sample: {error}") from error
    if share == 0:
        raise ConfigError("--sample 0% leaves no documents; give more than 0")
    return share


def lake_path(lake: str | None, profile: str | None, recipe: Path | None) -> str:
    from app.profile import load_profile

    return load_profile(recipe.parent if recipe else None, profile, lake).lake


def open_lake(lake: str | None, profile: str | None, recipe: Path | None = None) -> Lake:
    """The lake a verb asks; if it was moved, the catalog for other clients is written anew."""
    from corpus.sql_catalog import follow_move

    found = open_folder(lake_path(lake, profile, recipe), create=False)
    follow_move(found)
    return found


def open_folder(path: str, create: bool) -> Lake:
    """The lake in a folder. A place that cannot be one (a URL, a folder of other things) is a mistake in the command."""
    from corpus.lake import Lake

    try:
        return Lake.open(path, create=create)
    except LakeError as error:
        if (Path(path) / "format.json").exists():  # a lake, but damaged or of another format
            raise
        raise ConfigError(str(error)) from error


def show_work(
    work: Work, json_: bool, as_json: Callable[[Work], Any], as_text: Callable[[Work], str]
) -> None:
    """What a verb that builds prints at its end; then GuardStop, if a run did not get to its own."""
    print_work(work, json_, as_json, as_text)
    check_finished(work)


def check_finished(work: Work) -> None:
    """GuardStop, naming the runs that were stopped before their end; what else there was to do is done by then."""
    if work.unfinished:
        raise GuardStop(
            f"did not finish: {', '.join(f'{run} ({reason})' for run, reason in work.unfinished.items())}. "
            "What they had committed was kept; `tilth sql 'FROM events'` tells more"
        )


def print_work(
    work: Work, json_: bool, as_json: Callable[[Work], Any], as_text: Callable[[Work], str]
) -> None:
    print_result(
        json_,
        None
        if not json_
        else {"name": str(work.claim), "stages": work.report.to_json(), "result": as_json(work)},
        lambda: "\n" + as_text(work),
    )


def print_result(json_: bool, tree: Any, text: Callable[[], str]) -> None:
    print(json.dumps(plain(tree), indent=1, ensure_ascii=False, default=str) if json_ else text())


def plain(value: Any) -> Any:
    """JSON has no NaN or infinity: they become null."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return (
        None
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf")))
        else value
    )


def _named_runs(runs: str | None) -> list[str]:
    """The runs that `--runs` names, none where it is not given; an empty name is no run."""
    return [] if runs is None else [name.strip() for name in runs.split(",")]


def walk(
    recipe: Path,
    until: str | None,
    runs: str | None,
    sample: str | None,
    sets: list[str] | None,
    lake: str | None,
    profile: str | None,
    json_: bool,
    accept: Sequence[str] = (),
    approving: str = "",
) -> Work:
    """Walk the flow up to a stage (None: as far as the recipe goes). What can be wrong is found before a lake is made."""
    from app.flow import Work, run_recipe
    from app.profile import load_profile
    from app.reach import MISSING, check_needs, check_sources, check_until, first_missing, last_stage
    from app.recipe import load_recipe
    from app.report import Report
    from trainer.accepted import check_acceptable

    check_acceptable(accept)
    if until is not None:
        check_until(until)
    share = parse_sample(sample)
    loaded = load_recipe(recipe, sets or [])
    chosen = load_profile(recipe.parent, profile, lake)
    last, only = last_stage(loaded, until), _named_runs(runs)
    notes = check_needs(loaded, loaded.runs(only), last, chosen)
    if not Path(chosen.lake).exists():
        check_sources(loaded)
    report = Report(quiet=json_)
    for note in notes:
        report.say(note)
    try:
        work = Work(
            open_folder(chosen.lake, create=True), loaded, chosen, report, share, tuple(accept), approving
        )
        run_recipe(work, last, only)
    except Stopped as stop:
        raise Stopped(f"{stop}; the same command resumes", stop.signal_number) from None
    if until is None and (missing := first_missing(loaded)):
        report.say(f"recipe {loaded.recipe.name!r} ends after {last}: {MISSING[missing[1]]}")
    return work
