"""The gate: declared margins in, one word out, and nothing claimed that the items cannot show."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats

from corpus.config import build_section
from corpus.errors import ConfigError, UnknownName
from evals.comparison import Verdict
from evals.gate import Gate, RuleResult, evaluate_gate, expected_targets
from evals.scorecard import Scorecard
from tests.evals.cards import card, choice_rows, holdout_card, holdout_rows, task_config

RECIPE = {
    "baseline": "base_model",
    "gain": {"holdout/domain": {"bits_per_byte": "improves"}},
    "harm": {"holdout/general": {"bits_per_byte": {"max_increase": "3%"}}},
}


def build(**keys: Any) -> Gate:
    return build_section(Gate, keys or RECIPE, "gate")


def guard(
    margin: str,
    target: str = "holdout/general",
    metric: str = "bits_per_byte",
    limit: str = "max_increase",
    **keys: Any,
) -> Gate:
    return build(harm={target: {metric: {limit: margin}}}, **keys)


def judged(gate: Gate, baseline: Scorecard, candidate: Scorecard) -> RuleResult:
    (rule,) = evaluate_gate(gate, baseline, candidate).rules
    return rule


def answers(lost: int, gained: int, same: int) -> tuple[Scorecard, Scorecard]:
    """Baseline and candidate with this many items right → wrong, wrong → right, and right in both."""
    before = np.r_[np.ones(lost), np.zeros(gained), np.ones(same)]
    return card("base", choice_rows(before)), card(
        "new", choice_rows(np.r_[np.zeros(lost), np.ones(gained), np.ones(same)])
    )


# ── what a gate may say ─────────────────────────────────────────────────────────────────────────


def test_the_recipe_of_the_design_is_a_gate() -> None:
    gate = build()
    assert gate.baseline == "base_model"
    assert [
        (kind, target, metric, str(rule) if rule else "") for kind, target, metric, rule in gate.rules()
    ] == [
        ("gain", "holdout/domain", "bits_per_byte", ""),
        ("harm", "holdout/general", "bits_per_byte", "max_increase 3%"),
    ]
    assert gate.identity()["harm"] == {"holdout/general": {"bits_per_byte": {"max_increase": "3%"}}}
    assert str(build(harm={"mmlu_law": {"acc": {"max_decrease": "2pp"}}}).rules()[0][3]) == "max_decrease 2pp"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"harm": {"t": {"bits_per_byte": {"max_increase": 3}}}}, "no unit"),
        ({"harm": {"t": {"bits_per_byte": {"max_increase": 0.03}}}}, "no unit"),
        ({"harm": {"t": {"bits_per_byte": {"max_increase": "0%"}}}}, "more than 0"),
        ({"harm": {"t": {"bits_per_byte": {"max_increase": "2pp"}}}}, "not a share"),
        ({"harm": {"t": {"bits_per_byte": {"max_decrease": "2%"}}}}, "harm is max_increase"),
        ({"harm": {"t": {"acc": {"max_increase": "2pp"}}}}, "harm is max_decrease"),
        ({"harm": {"t": {"acc": {}}}}, "exactly one"),
        ({"harm": {"t": {"acc": {"max_decrease": "1pp", "max_increase": "1pp"}}}}, "exactly one"),
        ({"harm": {"t": {"acc": {"max_drop": "1pp"}}}}, "max_d"),
        ({"harm": {"t": {"accuracy": {"max_decrease": "1pp"}}}}, "no metric 'accuracy'"),
        ({"gain": {"t": {"bits_per_bite": "improves"}}}, "Did you mean 'bits_per_byte'"),
        ({"gain": {"t": {"acc": "more"}}}, "improves"),
        ({"gains": {}}, "Did you mean 'gain'"),
        ({"baseline": "x"}, "decides nothing"),
        ({**RECIPE, "confidence": 0.3}, "confidence"),
    ],
)
def test_a_gate_that_cannot_mean_anything_is_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        build(**keys)
    assert words in str(error.value)


def test_targets_are_checked_before_any_work_and_at_evaluation() -> None:
    one = holdout_card("w")
    gate = guard("3%", target="holdout/genral")
    for check in (lambda: gate.check_targets(one.targets), lambda: evaluate_gate(gate, one, one)):
        with pytest.raises(UnknownName, match="Did you mean 'holdout/general'"):
            check()
    build().check_targets(one.targets)


def test_where_nothing_is_scored_the_message_says_what_to_give() -> None:
    with pytest.raises(UnknownName, match=r"there is nothing to score on\. Give holdout: .*\.$") as error:
        build().check_targets({})
    assert "There are" not in str(error.value)


def test_targets_are_known_from_the_catalog_before_anything_is_scored() -> None:
    tasks = {
        "holdout": task_config({"type": "holdout"}, "holdout"),
        "law": task_config({"path": "x.csv"}, "law"),
    }
    targets = expected_targets(tasks, {"acts": "domain", "web": "general"}, {})
    scored = card("w", choice_rows(np.ones(3)), holdout_rows({}))
    assert {target for target in targets if target in scored.targets} == set(targets)
    build().check_targets(targets)
    anatomy = guard("1pp", "law/anatomy", "acc", "max_decrease")
    anatomy.check_targets(targets, open_tasks={"law"})
    for wrong in (
        anatomy,
        guard("3%", target="holdout/novels"),
        guard("1pp", "holdout", "acc", "max_decrease"),
    ):
        with pytest.raises(UnknownName):
            wrong.check_targets(targets)
    anatomy.check_targets(expected_targets(tasks, {}, {"law": ["anatomy"]}))
    with pytest.raises(UnknownName, match="Did you mean 'law/virology'"):
        guard("1pp", "law/virolgy", "acc", "max_decrease").check_targets(
            expected_targets(tasks, {}, {"law": ["anatomy", "virology"]})
        )


@pytest.mark.parametrize("written", ["main/37", "main/037"])
def test_a_step_of_the_baseline_is_a_number_however_it_is_written(written: str) -> None:
    assert build(**{**RECIPE, "baseline": written}).baseline == "main/37"


@pytest.mark.parametrize("step", ["²", "x", "", "-1", "4/5", "1e3"])
def test_what_is_no_step_is_refused(step: str) -> None:
    with pytest.raises(ConfigError, match="not a step number"):
        build(**{**RECIPE, "baseline": f"main/{step}"})


# ── guards ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("shift", "margin", "verdict", "passed"),
    [
        (0.0, "3%", Verdict.NO_CHANGE, True),
        (0.01, "3%", Verdict.NO_CHANGE, True),  # worse than before, surely, and surely within the margin
        (-0.05, "3%", Verdict.IMPROVED, True),
        (0.05, "3%", Verdict.REGRESSED, False),
        (0.0, "0.01%", Verdict.INCONCLUSIVE, None),
    ],
)
def test_a_guard_is_non_inferiority_with_its_margin(
    shift: float, margin: str, verdict: Verdict, passed: bool | None
) -> None:
    rule = judged(guard(margin), holdout_card("base"), holdout_card("new", general=shift, seed=2))
    assert (rule.verdict, rule.passed) == (verdict, passed)
    assert rule.margin == pytest.approx(rule.baseline * float(margin[:-1]) / 100)
    assert (rule.num_needed is None) == (passed is not None)


def test_no_significance_is_not_no_harm() -> None:
    """Few noisy documents: p far above 0.05, and still nothing is shown about a margin of 3%."""
    base, new = (
        holdout_card("base", per_source=3, noise=0.2),
        holdout_card("new", per_source=3, noise=0.2, seed=2),
    )
    rule = judged(guard("3%"), base, new)
    assert rule.verdict is Verdict.INCONCLUSIVE
    assert "items would decide; there are 6" in rule.reason


def test_a_relative_margin_is_tested_against_the_baselines_own_error() -> None:
    base, new = holdout_card("base"), holdout_card("new", general=0.02, seed=2)
    rule = judged(guard("3%"), base, new)
    a, b = (one.slice("holdout/general", "bits_per_byte") for one in (base, new))
    excess = b.nll - 1.03 * a.nll
    ratio = excess.sum() / a.num_bytes.sum()
    residuals = excess - ratio * a.num_bytes
    n = len(excess)
    error = math.sqrt(n / (n - 1) * (residuals**2).sum()) / a.num_bytes.sum()
    assert rule.p_value == pytest.approx(scipy.stats.t.cdf(ratio / error, n - 1), rel=1e-6)


def test_percentage_points_of_accuracy_by_hand() -> None:
    base, new = answers(lost=10, gained=0, same=990)
    rule = judged(guard("2pp", "law", "acc", "max_decrease"), base, new)
    z = (10 - 20) / math.sqrt(1000 * 0.02 * 0.98)  # none gained: the binomial test of a share of 2 %
    assert rule.p_value == pytest.approx(scipy.stats.norm.cdf(z), rel=1e-6)
    assert (rule.verdict, rule.margin, rule.delta) == (Verdict.NO_CHANGE, 0.02, pytest.approx(-0.01))
    assert judged(guard("2%", "law", "acc", "max_decrease"), base, new).margin == pytest.approx(0.02)


def test_a_thing_against_itself_harms_nothing_however_small_the_margin() -> None:
    """A relative margin on a baseline that is never right is a margin of zero."""
    base = card("base", choice_rows(np.zeros(20)))
    rule = judged(guard("3%", "law", "acc", "max_decrease"), base, base)
    assert (rule.margin, rule.passed, rule.verdict, rule.reason) == (0.0, True, Verdict.NO_CHANGE, "")


def test_a_loss_beyond_the_margin_fails() -> None:
    rule = judged(guard("2pp", "law", "acc", "max_decrease"), *answers(lost=80, gained=10, same=910))
    assert (rule.verdict, rule.passed) == (Verdict.REGRESSED, False)
    assert "max_decrease 2pp" in rule.reason


def test_no_changed_answer_among_few_items_does_not_pass() -> None:
    gate = guard("2pp", "law", "acc", "max_decrease")
    assert judged(gate, *answers(0, 0, 30)).passed is None
    assert judged(gate, *answers(0, 0, 400)).passed is True
    assert judged(guard("2%", "law", "acc", "max_decrease"), *answers(0, 0, 30)).passed is None
    base, _ = answers(0, 0, 30)
    assert judged(gate, base, base).passed is True, "the same weights cannot differ, however few the items"


@pytest.mark.parametrize("items", [1, 5])
def test_one_item_or_one_cluster_is_inconclusive(items: int) -> None:
    before, after = np.ones(items), np.zeros(items)
    one = np.zeros(items, dtype=int)
    base, new = card("base", choice_rows(before, clusters=one)), card("new", choice_rows(after, clusters=one))
    for gate in (guard("2pp", "law", "acc", "max_decrease"), build(gain={"law": {"acc": "improves"}})):
        rule = judged(gate, base, new)
        assert (rule.verdict, rule.passed, rule.num_needed) == (Verdict.INCONCLUSIVE, None, None)
        assert f"{items} item(s) in 1 cluster(s)" in rule.reason


def test_the_items_said_to_be_needed_decide_a_guard() -> None:
    shape = np.random.default_rng(5)

    def draw(n: int) -> RuleResult:
        kind = shape.choice(3, size=n, p=[0.11, 0.10, 0.79])
        base, new = choice_rows((kind != 1).astype(float)), choice_rows((kind != 0).astype(float))
        return judged(guard("4pp", "law", "acc", "max_decrease"), card("base", base), card("new", new))

    base, new = answers(lost=22, gained=20, same=158)
    rule = judged(guard("4pp", "law", "acc", "max_decrease"), base, new)
    assert rule.verdict is Verdict.INCONCLUSIVE
    assert rule.num_needed is not None
    assert rule.num_needed == pytest.approx(6.183 * 0.21 / 0.03**2, rel=0.03)
    assert np.mean([draw(rule.num_needed).passed is True for _ in range(60)]) > 0.6


def test_guards_are_one_family_and_its_size_is_shown() -> None:
    noisy = {"per_source": 8, "noise": 0.05}
    base, new = holdout_card("base", **noisy), holdout_card("new", seed=3, **noisy)
    alone = judged(guard("4%", target="holdout/web"), base, new)
    names = ("web", "acts", "code", "novels")
    family = build(harm={f"holdout/{name}": {"bits_per_byte": {"max_increase": "4%"}} for name in names})
    rules = evaluate_gate(family, base, new).rules
    assert {rule.family for rule in rules} == {4}
    assert rules[0].p_value == alone.p_value == alone.p_adjusted
    ordered = sorted(rules, key=lambda rule: rule.p_value)
    assert ordered[0].p_adjusted == pytest.approx(4 * ordered[0].p_value)
    for rule in rules:
        assert (rule.passed is True) == (rule.p_adjusted < 0.05)
        if rule.passed is None:
            assert "Holm over 4 guards" in rule.reason


def three_tasks(lost: int) -> tuple[Gate, Scorecard, Scorecard]:
    """200 items in each of three guarded tasks; the first loses this many of them, the others none."""
    right = {name: np.ones(200) for name in ("law", "art", "physics")}
    after = {**right, "law": np.r_[np.zeros(lost), np.ones(200 - lost)]}
    base, new = (
        card(name, *(choice_rows(values, task) for task, values in rows.items()))
        for name, rows in (("base", right), ("new", after))
    )
    return build(harm={name: {"acc": {"max_decrease": "2pp"}} for name in right}), base, new


def test_harm_is_shown_at_the_level_that_the_family_leaves() -> None:
    family, base, new = three_tasks(lost=8)
    alone = judged(guard("2pp", "law", "acc", "max_decrease"), base, new)
    assert alone.verdict is Verdict.REGRESSED
    rule = evaluate_gate(family, base, new).rules[0]
    assert (rule.target, rule.verdict, rule.passed) == ("law", Verdict.INCONCLUSIVE, None)
    assert evaluate_gate(family, *three_tasks(lost=12)[1:]).rules[0].verdict is Verdict.REGRESSED


def test_the_items_that_would_decide_are_counted_at_the_level_that_the_family_leaves() -> None:
    family, base, new = three_tasks(lost=2)
    alone = judged(guard("2pp", "law", "acc", "max_decrease"), base, new)
    rule = evaluate_gate(family, base, new).rules[0]
    assert rule.verdict is alone.verdict is Verdict.INCONCLUSIVE
    assert rule.num_needed is not None and alone.num_needed is not None
    up, down = 1 / 202, 3 / 202
    at_margin, seen = math.sqrt(0.02 * 0.98), math.sqrt(200 * (up + down - (up - down) ** 2) / 202)
    for found, level in (alone, 0.05), (rule, 0.05 / 3):
        reach = scipy.stats.norm.isf(level) * at_margin + scipy.stats.norm.isf(0.2) * seen
        assert found.num_needed == math.ceil((reach / 0.01) ** 2)


# ── the whole ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("domain", "general", "verdict"),
    [
        (-0.05, 0.0, "PASSED"),
        (-0.05, 0.10, "FAILED"),
        (0.05, 0.0, "FAILED"),
        (0.0, 0.0, "INCONCLUSIVE"),
        (0.0, 0.10, "FAILED"),
    ],
)
def test_a_gate_passes_when_every_rule_does_and_fails_when_one_surely_does(
    domain: float, general: float, verdict: str
) -> None:
    result = evaluate_gate(
        build(), holdout_card("base"), holdout_card("new", domain=domain, general=general, seed=2)
    )
    assert result.verdict == verdict
    assert (result.baseline, result.candidate) == ("base", "new")


def test_a_gain_is_shown_by_a_two_sided_interval() -> None:
    rule = evaluate_gate(build(), holdout_card("base"), holdout_card("new", domain=-0.05, seed=2)).rules[0]
    assert (rule.kind, rule.criterion, rule.verdict) == ("gain", "improves", Verdict.IMPROVED)
    assert rule.high < 0 < rule.minimum_detectable
    assert rule.margin is None


def test_an_inconclusive_gain_names_its_items() -> None:
    rule = evaluate_gate(build(), holdout_card("base"), holdout_card("new", domain=-0.001, seed=2)).rules[0]
    assert rule.verdict is Verdict.INCONCLUSIVE
    assert rule.num_needed is not None
    assert rule.num_needed > rule.num_items


def test_scorecards_that_cannot_be_compared_are_not_judged() -> None:
    rows = holdout_rows({})
    with pytest.raises(ConfigError, match="scorer_version"):
        evaluate_gate(build(), card("w", rows), card("v", rows, scorer_version=9))


def test_the_false_pass_rate_of_a_guard_stays_below_its_level() -> None:
    """True harm exactly at the margin: passing is the error, and happens in at most about 5% of the draws."""
    generator, passes, draws = np.random.default_rng(11), 0, 400
    gate = guard("5pp", "law", "acc", "max_decrease")
    for _ in range(draws):
        kind = generator.choice(3, size=150, p=[0.08, 0.03, 0.89])
        base, new = choice_rows((kind != 1).astype(float)), choice_rows((kind != 0).astype(float))
        passes += judged(gate, card("base", base), card("new", new)).passed is True
    assert passes / draws < 0.075
