"""From a plan to arrays and back to documents, on shards written from text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mixer.loader import documents_of_step, read_sequences
from mixer.packing import IGNORED
from mixer.plan import MixPlan, make_plan, plan_source
from mixer.token_shards import TokenStream, open_shard, write_shard
from mixer.tokenizer import Tokenizer

L = 16


@pytest.fixture(scope="module")
def streams(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, TokenStream]:
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    made = {}
    for source, parts in {"law": 3, "web": 1}.items():
        shards = []
        for part in range(parts):
            texts = [("dog " * int(n)).strip() for n in rng.integers(1, 40, 30)]
            documents = [(f"{source}/{part}/{n}", text) for n, text in enumerate(texts)]
            shards.append(write_shard(folder / f"{source}{part}", documents, tokenizer))
        made[source] = TokenStream(shards)
    return made


@pytest.fixture(scope="module")
def plan(streams: dict[str, TokenStream]) -> MixPlan:
    sources = [plan_source(name, len(stream), L, 9.0) for name, stream in streams.items()]
    weights = {"law": 0.75, "web": 0.25}
    return make_plan(
        sources, [(0, weights)], seed=3, sequence_length=L, global_batch_sequences=8, num_steps=40
    )


def test_arrays_are_the_tokens_of_the_plan(plan: MixPlan, streams: dict[str, TokenStream]) -> None:
    asked = np.array([0, 5, 319, 5])
    batch = read_sequences(plan, streams, asked)
    assert batch["sequence"].tolist() == asked.tolist()
    for row, sequence in enumerate(asked.tolist()):
        where = plan.locate(sequence)
        tokens = streams[where.source].read(where.token_start, where.token_stop)
        assert (plan.sources[batch["source"][row]].name, batch["epoch"][row]) == (where.source, where.epoch)
        assert batch["input_ids"][row].tolist() == tokens[:-1].tolist()
        kept = batch["shift_labels"][row] != IGNORED
        assert batch["shift_labels"][row][kept].tolist() == tokens[1:][kept].tolist()


def test_documents_begin_where_the_index_says_not_where_an_eos_stands(
    plan: MixPlan, streams: dict[str, TokenStream]
) -> None:
    for sequence in range(0, 320, 7):
        where = plan.locate(sequence)
        batch = read_sequences(plan, streams, np.array([sequence]))
        spans = streams[where.source].documents(where.token_start, where.token_stop)
        begins = {start - where.token_start for _, start, _ in spans[1:]}
        begins |= (
            {0}
            if streams[where.source].document_starts(where.token_start, where.token_start + 1).size
            else set()
        )
        assert {t + 1 for t in np.flatnonzero(batch["shift_labels"][0] == IGNORED)} == begins - {0}
        assert set(np.flatnonzero(batch["position_ids"][0] == 0)) == (begins - {L}) | {0}


def test_a_step_is_the_same_arrays_however_it_is_divided(
    plan: MixPlan, streams: dict[str, TokenStream]
) -> None:
    whole = read_sequences(plan, streams, plan.sequences_of_step(6))
    for world, micro in ((2, 2), (4, 1), (8, 1)):
        parts = [
            read_sequences(plan, streams, batch) for share in plan.divide(6, world, micro) for batch in share
        ]
        for name in ("input_ids", "position_ids", "shift_labels"):
            together = np.concatenate([part[name] for part in parts])
            assert sorted(together.tolist()) == sorted(whole[name].tolist())


def test_documents_of_a_step_and_steps_of_a_document_are_inverse(
    plan: MixPlan, streams: dict[str, TokenStream]
) -> None:
    forward = {
        (seen.source, seen.doc_id, step, seen.epoch)
        for step in range(plan.num_steps)
        for seen in documents_of_step(plan, streams, step)
    }
    backward = set()
    for source, stream in streams.items():
        for doc_id, start, stop in stream.documents(0, len(stream)):
            backward |= {(source, doc_id, step, epoch) for step, epoch in plan.steps_of(source, start, stop)}
    assert forward == backward


def test_a_document_seen_in_a_step_is_where_it_says(plan: MixPlan, streams: dict[str, TokenStream]) -> None:
    for seen in documents_of_step(plan, streams, 3):
        where = plan.locate(seen.sequence)
        assert where.source == seen.source
        assert where.token_start <= seen.token_start < seen.token_stop <= where.token_start + L
        assert seen.doc_id.startswith(seen.source)


def test_shards_opened_again_give_the_same_arrays(plan: MixPlan, streams: dict[str, TokenStream]) -> None:
    opened = {
        name: TokenStream([open_shard(shard.prefix) for shard in stream.shards])
        for name, stream in streams.items()
    }
    first, second = (read_sequences(plan, source, plan.sequences_of_step(0)) for source in (streams, opened))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_no_sequences_are_empty_arrays(plan: MixPlan, streams: dict[str, TokenStream]) -> None:
    assert read_sequences(plan, streams, np.empty(0, np.int64))["input_ids"].shape == (0, L)


def test_shards_live_where_they_were_written(streams: dict[str, TokenStream]) -> None:
    assert all(
        Path(f"{shard.prefix}.idx").is_file() for stream in streams.values() for shard in stream.shards
    )
