"""A plan as an artifact: what makes it another one, and what does not."""

from __future__ import annotations

from typing import Any

from corpus.lake import Lake, Manifest
from mixer.mix import mix, open_plan
from mixer.static import Mixture


def shards(lake: Lake) -> Manifest:
    sources = {
        name: {"role": "general", "topic": "", "tokens": 5_000, "shards": []}
        for name in ("web", "law", "code")
    }
    manifest = Manifest("token_shards", "a" * 32, "tokenize", 1, {}, (), {}, summary={"sources": sources})
    return lake.find("token_shards", manifest.id) or lake.commit(manifest)


def mixed(lake: Lake, **changes: Any) -> Manifest:
    wanted: dict[str, Any] = {"tokens": 4_096, "global_batch_tokens": 512, "sequence_length": 64, "seed": 1}
    return mix(lake, shards(lake), Mixture(), **wanted | changes)


def test_the_order_in_which_sources_are_named_changes_no_mixture(lake: Lake) -> None:
    assert mixed(lake, sources=["web", "law"]) == mixed(lake, sources=["law", "web"])
    assert mixed(lake, sources=["web", "law"]) != mixed(lake, sources=["web", "code"])


def test_another_seed_is_another_order(lake: Lake) -> None:
    first, second = (open_plan(mixed(lake, seed=seed)) for seed in (1, 2))
    assert [first.locate(n) for n in range(20)] != [second.locate(n) for n in range(20)]
