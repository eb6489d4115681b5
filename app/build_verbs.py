"""The verbs that build: each walks the flow up to its stage and prints what that stage made."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.options import (
    JsonOption,
    LakeOption,
    ProfileOption,
    RecipeArgument,
    RunsOption,
    SampleOption,
    SetOption,
    check_finished,
    cli,
    open_lake,
    print_result,
    print_work,
    show_work,
    walk,
)
from corpus.errors import ConfigError

if TYPE_CHECKING:
    from app.flow import Work
    from corpus.lake import Lake
    from corpus.names import Claim
    from evals.select import Selection


@cli.command()
def run(
    recipe: RecipeArgument, until: Annotated[str | None, typer.Option(help="stop after this stage (default: as far as the recipe goes)")] = None, runs: RunsOption = None, sample: SampleOption = None, set_: SetOption = None,
    lake: LakeOption = None, profile: ProfileOption = None, json_: JsonOption = False,
) -> None:  # fmt: skip
    """Build everything that is missing: a line per stage, then the gate."""
    work = walk(recipe, until, runs, sample, set_, lake, profile, json_)
    show_work(work, json_, _run_json, _run_text)


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

    work = walk(recipe, "ingest", None, sample, set_, lake, profile, json_)
    show_work(
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

    work = walk(recipe, "curate", None, sample, set_, lake, profile, json_)
    show_work(work, json_, lambda w: w.curated and w.curated.snapshot.to_json(), text)


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

    show_work(
        walk(recipe, "tokenize", None, sample, set_, lake, profile, json_),
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

    show_work(
        walk(recipe, "mix", runs, sample, set_, lake, profile, json_),
        json_,
        rows,
        lambda w: "\n\n".join(render_mixture(name, found) for name, found in rows(w).items()),
    )


@cli.command()
def train(
    recipe: RecipeArgument,
    runs: RunsOption = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(help="go on with the last run of that name under another value of this key; repeatable"),
    ] = None,
    sample: SampleOption = None,
    set_: SetOption = None,
    lake: LakeOption = None,
    profile: ProfileOption = None,
    json_: JsonOption = False,
) -> None:
    """Train the recipe's runs: loss per source, first and last."""
    from app.render import render_losses

    work = walk(recipe, "train", runs, sample, set_, lake, profile, json_, accept or ())
    show_work(work, json_, _loss_rows, lambda w: render_losses(_loss_rows(w)))


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

    show_work(
        walk(recipe, "eval", runs, sample, set_, lake, profile, json_),
        json_,
        rows,
        lambda w: render_scores(rows(w)),
    )


@cli.command()
def select(
    recipe: RecipeArgument, approve: Annotated[str | None, typer.Option(help="sign off this checkpoint of those the gate is printed for (RUN/STEP) and make it the champion")] = None,
    note: Annotated[str, typer.Option(help="what the sign-off says; needed where the verdict is not PASSED")] = "", override: Annotated[bool, typer.Option("--override", help="approve what FAILED, with a --note")] = False, reviewer: Annotated[str | None, typer.Option(help="who signs (default: the login name)")] = None,
    sample: SampleOption = None, set_: SetOption = None, lake: LakeOption = None, profile: ProfileOption = None, json_: JsonOption = False,
) -> None:  # fmt: skip
    """Gate against the base and the champion, Pareto set, P(best). Exit 3: negative, 4: inconclusive."""
    from app.reach import check_approved
    from app.recipe import load_recipe
    from app.render import render_selection

    signing = None
    if approve:
        loaded = load_recipe(recipe, set_ or [])
        signing = _Signing(approve, reviewer or _login_name(), note, override)
        if approve.partition("/")[0].partition("@")[:2] == (loaded.recipe.name, "@"):
            return _approve_of_version(open_lake(lake, profile, recipe), signing, json_)
        check_approved(loaded, approve)
    work = walk(recipe, "select", None, sample, set_, lake, profile, json_, approving=approve or "")
    assert work.selection is not None
    selection = work.selection
    print_work(work, json_, lambda w: selection.to_json(), lambda w: render_selection(selection))
    if signing:
        return signing.sign(work.lake, work.claim, selection)
    check_finished(work)
    raise typer.Exit({"PASSED": 0, "FAILED": 3}.get(selection.verdict, 4))


@dataclass(frozen=True)
class _Signing:
    """What a reviewer approves, and what he says of it."""

    reference: str
    reviewer: str
    note: str
    override: bool

    def sign(self, lake: Lake, owner: Claim, selection: Selection) -> None:
        """Sign off one of the rows that were shown, and say where the champion is now."""
        from app.evaluation import approve, stored_scorecards
        from corpus import names
        from corpus.sql_catalog import write_catalog

        before, cards = names.alias(lake, owner.name, names.CHAMPION), stored_scorecards(lake, owner)
        signed = approve(
            lake, owner, selection.rows, cards, self.reference, self.reviewer, self.note, self.override
        )
        write_catalog(lake)
        again = before is not None and (before["id"], before["step"]) == (signed.run_id, signed.step)
        print(
            f"approved{' again, it was the champion already' if again else ''}: {signed.recipe}/champion is now {signed.reference} (checkpoint {signed.checkpoint_id[:12]})",
            file=sys.stderr,
        )


def _approve_of_version(lake: Lake, signing: _Signing, json_: bool) -> None:
    """Sign off a checkpoint of a version as it was scored and by the gate it had, whatever the recipe and its files are now."""
    from app.evaluation import open_cards
    from app.render import render_selection
    from app.verdicts import select_stored
    from corpus import names

    owner = names.claim_of(lake, signing.reference)
    selection = select_stored(lake, owner, open_cards(lake, owner))
    if selection is None:
        raise ConfigError(f"{owner} has no gate, or nothing of it was scored, so nothing can be approved")
    print_result(json_, {"name": str(owner), "result": selection.to_json()}, lambda: render_selection(selection))  # fmt: skip
    signing.sign(lake, owner, selection)


def _login_name() -> str:
    """Who is logged in; ConfigError where the system does not know."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # no passwd entry, as in some containers
        raise ConfigError("who signs is not known: this login has no name. Give --reviewer NAME.") from error


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
        "scorecards": {key: m.id for key, m in work.scorecards.items()}, "selection": work.selection.to_json() if work.selection else None,
    }  # fmt: skip


def _run_text(work: Work) -> str:
    from app.closing import closing_text

    return closing_text(work)
