"""Mix: token shards and a mixture section → a plan, as an artifact. The plan says what every sequence of a run is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from corpus.errors import ConfigError
from corpus.lake import Lake, Manifest, artifact_id
from corpus.schema import DATASETS
from mixer.plan import MixPlan
from mixer.static import Mixture, SourceTokens, build_plan, mixture_rows, notes

VERSION = 2


def mix(
    lake: Lake, shards: Manifest, mixture: Mixture, *, tokens: int, global_batch_tokens: int, sequence_length: int, seed: int, sources: Sequence[str] | None = None
) -> Manifest:  # fmt: skip
    """The plan of a run of `tokens` tokens over these shards (of `sources` only, where named).

    Raises ConfigError where the weights, caps and budget do not fit what there is.
    """
    identity = {
        "mixture": mixture.identity(), "tokens": tokens, "global_batch_tokens": global_batch_tokens, "sequence_length": sequence_length, "seed": seed,
        "sources": sorted(sources) if sources is not None else None,
    }  # fmt: skip
    parents = [("token_shards", shards.id)]
    id = artifact_id("mixture", "mix", VERSION, identity, parents)
    if found := lake.find("mixture", id):
        return found
    counted = source_tokens(shards, sources)
    if not any(source.num_tokens > sequence_length for source in counted):
        kept = ", ".join(f"{source.name} {source.num_tokens}" for source in counted)
        shorter = "Lower training.sequence_length, or look" if any(s.num_tokens for s in counted) else "Look"
        raise ConfigError(
            f"of what this run reads no source has enough kept text for one sequence of {sequence_length} tokens ({kept}). "
            f"{shorter} at the funnel: `tilth curate RECIPE`."
        )
    plan = build_plan(
        mixture,
        counted,
        tokens=tokens,
        global_batch_tokens=global_batch_tokens,
        sequence_length=sequence_length,
        seed=seed,
    )
    rows = [{"mixture_id": id, **row} for row in mixture_rows(plan, counted, mixture.max_epochs)]
    part = lake.write_part("mixtures", id, pa.Table.from_pylist(rows, schema=DATASETS["mixtures"]))
    summary: dict[str, Any] = {"plan": plan.to_json(), "notes": notes(mixture, plan, counted)}
    return lake.commit(
        Manifest(
            "mixture", id, "mix", VERSION, identity, tuple(parents), {"mixtures": (part,)}, summary=summary
        )
    )


def source_tokens(shards: Manifest, sources: Sequence[str] | None) -> list[SourceTokens]:
    """What there is to mix, by source, in name order (a recipe that lists sources in another order is the same mixture)."""
    wanted = sorted(shards.summary["sources"] if sources is None else sources)
    entries = [(name, shards.summary["sources"][name]) for name in wanted]
    return [
        SourceTokens(name, entry["role"], entry["topic"] or None, entry["tokens"], tuple(entry["shards"]))
        for name, entry in entries
    ]


def open_plan(mixture: Manifest) -> MixPlan:
    return MixPlan.from_json(mixture.summary["plan"])
