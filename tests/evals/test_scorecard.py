"""Scorecards: what they hold, what may be asked of them, and which two may be compared."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from corpus.errors import ConfigError, UnknownName
from corpus.schema import DATASETS
from evals.scorecard import (
    ScorecardHeader,
    TaskHeader,
    Windowing,
    build_scorecard,
    check_comparable,
    holdout_header,
)
from tests.evals.cards import card, choice_rows, header, holdout_card, holdout_rows


def test_rows_are_ordered_and_carry_the_id_whatever_order_they_came_in() -> None:
    rows = holdout_rows({})
    shuffled = rows.take(pa.array(np.random.default_rng(0).permutation(rows.num_rows)))
    one, other = (
        build_scorecard(header(), [rows]),
        build_scorecard(header(), [shuffled.slice(0, 7), shuffled.slice(7)]),
    )
    assert one.rows.equals(other.rows)
    assert one.rows.schema == DATASETS["scores"]
    assert set(one.rows.column("scorecard_id").to_pylist()) == {one.header.scorecard_id}


def test_the_header_survives_json_and_its_id_ignores_circumstance() -> None:
    one = header("w", snapshot_id="s", mixture_id="m", code_version="abc", step=7, checkpoint_id="c")
    again = ScorecardHeader.model_validate(json.loads(json.dumps(one.model_dump(mode="json"))))
    assert again == one
    assert (
        header("w", name="x", code_version="other", run_id="r", step=8).scorecard_id
        == header("w").scorecard_id
    )
    others = [
        header("v"),
        header("w", tokenizer_id="u"),
        header("w", snapshot_id="s"),
        header("w", tasks={"law": holdout_header("h")}),
    ]
    assert len({header("w").scorecard_id, *(other.scorecard_id for other in others)}) == 5


def test_slices_are_tasks_roles_and_sources() -> None:
    found = card("w", holdout_rows({}, per_source=5), choice_rows(np.ones(4)))
    assert list(found.targets) == [
        "holdout", "holdout/acts", "holdout/code", "holdout/domain", "holdout/general", "holdout/novels", "holdout/web",
        "law", "law/domain", "law/law",
    ]  # fmt: skip
    assert len(found.slice("holdout", "bits_per_byte").items) == 20
    assert len(found.slice("holdout/domain", "bits_per_byte").items) == 10
    acts = found.slice("holdout/acts", "bits_per_byte")
    assert list(acts.items) == [f"acts-{n}" for n in range(5)]
    assert acts.nll.sum() / acts.num_bytes.sum() / math.log(2) == pytest.approx(acts.values.mean(), rel=0.2)


def test_an_unknown_target_or_metric_gets_the_nearest_name() -> None:
    found = holdout_card("w")
    with pytest.raises(UnknownName, match="Did you mean 'holdout/domain'"):
        found.slice("holdout/domian", "bits_per_byte")
    with pytest.raises(UnknownName, match="It has 'bits_per_byte'"):
        found.slice("holdout", "acc")


def test_the_summary_has_the_scorecards_schema_and_an_error_per_number() -> None:
    found = card(
        "w", holdout_rows({}), choice_rows(np.arange(40) % 2), snapshot_id="s", mixture_id="m", step=3
    )
    summary = found.summary("id")
    assert summary.schema == DATASETS["scorecards"]
    rows = summary.to_pylist()
    assert [(row["task"], row["role"], row["metric"], row["num_items"]) for row in rows] == [
        ("holdout", None, "bits_per_byte", 240),
        ("holdout", "domain", "bits_per_byte", 120),
        ("holdout", "general", "bits_per_byte", 120),
        ("law", "domain", "acc", 40),
    ]
    assert rows[3]["value"] == 0.5
    assert rows[3]["standard_error"] == pytest.approx(math.sqrt(0.25 / 39))
    assert {
        (row["scorecard_id"], row["snapshot_id"], row["step"], row["weights_sha256"]) for row in rows
    } == {("id", "s", 3, "w")}
    assert rows[0]["task_hash"] == "holdout"


def test_one_item_has_a_value_and_no_error() -> None:
    (row,) = card("w", choice_rows(np.ones(1))).summary().to_pylist()
    assert (row["value"], row["standard_error"], row["num_items"]) == (1.0, None, 1)


def test_rows_that_do_not_fit_the_header_are_refused() -> None:
    with pytest.raises(ConfigError, match="law"):
        build_scorecard(header(), [choice_rows(np.ones(3))])
    with pytest.raises(ConfigError, match="two acc rows"):
        card("w", choice_rows(np.ones(3)), choice_rows(np.ones(3)))


TASK = {"task_hash": "a", "items_hash": "i", "prompt_hash": "p", "shots_hash": "s", "num_fewshot": 5}


@pytest.mark.parametrize(
    ("task", "keys", "words"),
    [
        ({"task_hash": "b", "num_fewshot": 0, "shots_hash": ""}, {}, "law was shown 5 and 0 examples"),
        ({"task_hash": "b", "shots_hash": "z"}, {}, "law was shown different examples"),
        ({"task_hash": "b", "prompt_hash": "z"}, {}, "law has different prompts"),
        ({"task_hash": "b", "items_hash": "z"}, {}, "law has different items"),
        ({"task_hash": "b"}, {}, "law has different items"),
        ({"slices_hash": "z"}, {}, "law is reported under different roles or sources"),
        (
            {},
            {"windowing": Windowing(window=128, stride=64, prefix="eos")},
            "windowing.window is 512 and 128",
        ),
        (
            {},
            {"windowing": Windowing(window=512, stride=64, prefix="bos")},
            "windowing.prefix is eos and bos",
        ),
        ({}, {"composite_version": 9}, "composite_version is 1 and 9"),
        ({}, {"scorer_version": 9}, "scorer_version is 1 and 9"),
    ],
)
def test_what_differs_is_named_and_not_compared(
    task: dict[str, Any], keys: dict[str, Any], words: str
) -> None:
    rows = choice_rows(np.ones(3))
    one = build_scorecard(header("w", {"law": TaskHeader(**TASK)}), [rows])
    other = build_scorecard(header("v", {"law": TaskHeader(**{**TASK, **task})}, **keys), [rows])
    with pytest.raises(ConfigError) as error:
        check_comparable(one, other)
    assert words in str(error.value)
    assert check_comparable(one, one) == ["law"]


def test_tasks_in_common_are_compared_and_none_is_an_error() -> None:
    law, art = choice_rows(np.ones(3)), choice_rows(np.ones(3), "art")
    assert check_comparable(card("w", law, art), card("v", art)) == ["art"]
    with pytest.raises(ConfigError, match="no task in common"):
        check_comparable(card("w", law), card("v", art))


def test_another_tokenizer_or_data_may_be_compared() -> None:
    rows = holdout_rows({})
    assert check_comparable(card("w", rows), card("v", rows, tokenizer_id="u", snapshot_id="s")) == [
        "holdout"
    ]
