"""The gate: what a checkpoint must gain and what it must not harm, declared before the run.

    gate: {baseline: base_model, gain: {holdout/domain: {bits_per_byte: improves}},
           harm: {holdout/general: {bits_per_byte: {max_increase: 3%}}, mmlu_law: {acc: {max_decrease: 2pp}}}}

A guard against harm is a test of non-inferiority, not "p > 0.05": it holds when harm beyond the margin is refuted, fails
when harm beyond the margin is shown, and is INCONCLUSIVE otherwise. A relative margin on bits per byte is tested as
candidate − (1 + m) · baseline, so the error of the baseline counts too. Guards are one family: their p-values are adjusted
by Holm's method before they are read. All gains must be shown, so they need no adjustment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pydantic import field_validator, model_validator

from corpus.config import Margin, MarginValue, Section, Share, identity
from evals.comparison import Axis, Verdict, pair
from evals.metric import TASK_METRICS, Metric, estimate, find_metric
from evals.scorecard import Scorecard, check_comparable, check_target
from evals.statistics import CONFIDENCE, Estimate, holm
from evals.task import TaskConfig


class Harm(Section):
    """One guard. Exactly one of the two, with its unit: `3%` of the baseline's value, or `2pp` for shares."""

    max_increase: MarginValue | None = identity(
        None,
        absent_means=None,
        description="for metrics where less is better: `3%` of the baseline, or `2pp` of a share",
    )
    max_decrease: MarginValue | None = identity(
        None, absent_means=None, description="for metrics where more is better"
    )

    @model_validator(mode="after")
    def _one(self) -> Harm:
        if (self.max_increase is None) == (self.max_decrease is None):
            raise ValueError("give exactly one of max_increase and max_decrease")
        if self.margin.value <= 0:
            raise ValueError(f"a margin of {self.margin} can never be shown to hold; give more than 0")
        return self

    @property
    def margin(self) -> Margin:
        margin = self.max_increase or self.max_decrease
        assert isinstance(margin, Margin)
        return margin

    def __str__(self) -> str:
        return f"{'max_increase' if self.max_increase is not None else 'max_decrease'} {self.margin}"


class Gate(Section):
    """Targets are TASK, TASK/ROLE or TASK/SOURCE; metrics are those of `evals.metric`."""

    baseline: str = identity("base_model", description="base_model, a run, or RUN/STEP")
    gain: dict[str, dict[str, Literal["improves"]]] = identity(
        {}, description="TARGET: {METRIC: improves}; TARGET is TASK, TASK/ROLE or TASK/SOURCE"
    )
    harm: dict[str, dict[str, Harm]] = identity(
        {}, description="TARGET: {METRIC: {max_increase: 3%}}: guards against harm"
    )
    confidence: Share = identity(CONFIDENCE, absent_means=CONFIDENCE, description="of intervals and verdicts")

    @field_validator("baseline")
    @classmethod
    def _baseline(cls, value: str) -> str:
        run, step = parse_baseline(value)
        return run if step is None else f"{run}/{step}"

    @field_validator("gain", "harm")
    @classmethod
    def _metrics(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for target, rules in value.items():
            for name, rule in rules.items():
                _check_rule(target, find_metric(name), rule)
        return value

    @model_validator(mode="after")
    def _something(self) -> Gate:
        if not self.rules():
            raise ValueError("a gate without a rule decides nothing; name a gain or a harm")
        if not 0.5 < self.confidence < 1:
            raise ValueError(
                f"a confidence of {self.confidence} is not usable; give more than 50% and less than 100%"
            )
        return self

    def rules(self) -> list[tuple[str, str, str, Harm | None]]:
        """(kind, target, metric, guard) of every rule, gains first, in the recipe's order."""
        gains: list[tuple[str, str, str, Harm | None]] = [
            ("gain", t, m, None) for t, named in self.gain.items() for m in named
        ]
        return gains + [
            ("harm", target, m, guard) for target, named in self.harm.items() for m, guard in named.items()
        ]

    def margins(self) -> dict[Axis, Margin]:
        """The margin of every guard, by target and metric."""
        return {(target, metric): guard.margin for _, target, metric, guard in self.rules() if guard}

    def check_targets(self, targets: Mapping[str, tuple[str, ...]], open_tasks: Collection[str] = ()) -> None:
        """UnknownName for a target or metric that evaluation will not give; for use before any work.

        `targets` as `expected_targets` or a scorecard gives them. The parts of `open_tasks` are not known yet (a
        multiple-choice task learns its sources from its files), so only their metrics are checked.
        """
        for _, target, metric, _ in self.rules():
            task = target.partition("/")[0]
            check_target(targets, task if task in open_tasks else target, metric)


def expected_targets(
    tasks: Mapping[str, TaskConfig],
    source_roles: Mapping[str, str],
    task_sources: Mapping[str, Iterable[str]],
) -> dict[str, tuple[str, ...]]:
    """The targets that evaluating these tasks will give, with their metrics.

    The held-out set's parts are the recipe's sources; those of another task are in its items, once they were read.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name, task in tasks.items():
        own = {task.role, *task_sources.get(name, ())}
        parts = {*source_roles, *source_roles.values()} if task.type == "holdout" else own
        found |= dict.fromkeys([name, *(f"{name}/{part}" for part in sorted(parts))], TASK_METRICS[task.type])
    return found


def parse_baseline(name: str) -> tuple[str, int | None]:
    """(run, step) of `base_model`, RUN or RUN/STEP, which is what scorecards are called too; ValueError where STEP is no number.

    >>> parse_baseline("replay-30/037"), parse_baseline("base_model")
    (('replay-30', 37), ('base_model', None))
    """
    run, behind, step = name.partition("/")
    if not behind:
        return run, None
    if not (step.isascii() and step.isdecimal() and len(step) < 19):  # `isdigit` alone takes '²' too
        raise ValueError(f"{name!r}: {step!r} is not a step number; write RUN or RUN/STEP")
    return run, int(step)


def _check_rule(target: str, metric: Metric, rule: Any) -> None:
    if not isinstance(rule, Harm):
        return
    wrong = rule.max_decrease if metric.lower_is_better else rule.max_increase
    if wrong is not None:
        word, other = ("lower", "max_increase") if metric.lower_is_better else ("higher", "max_decrease")
        raise ValueError(f"{target}: {metric.name} is better when {word}, so harm is {other}, not {rule}")
    if rule.margin.unit == "pp" and not metric.share:
        raise ValueError(
            f"{target}: {metric.name} is not a share, so {rule.margin} means nothing; write a relative margin such as 3%"
        )


@dataclass(frozen=True)
class RuleResult:
    """One rule of a gate: paired difference, two-sided interval, and what follows.

    `p_value` is two-sided against zero for a gain; for a guard it is one-sided against harm of at least the margin, and
    `p_adjusted` is Holm's over the `family` guards. `margin` is in the metric's unit. `passed` None: cannot tell.
    """

    kind: str
    target: str
    metric: str
    criterion: str
    baseline: float
    candidate: float
    delta: float
    low: float
    high: float
    margin: float | None
    p_value: float
    p_adjusted: float
    family: int
    num_items: int
    num_clusters: int
    minimum_detectable: float
    num_needed: int | None
    verdict: Verdict
    passed: bool | None
    reason: str


@dataclass(frozen=True)
class GateResult:
    """PASSED: every rule holds. FAILED: at least one surely does not. INCONCLUSIVE: neither."""

    candidate: str
    baseline: str
    rules: tuple[RuleResult, ...]
    confidence: float = CONFIDENCE  # of intervals and verdicts

    @property
    def passed(self) -> bool | None:
        if any(rule.passed is False for rule in self.rules):
            return False
        return None if any(rule.passed is None for rule in self.rules) else True

    @property
    def verdict(self) -> str:
        return {True: "PASSED", False: "FAILED", None: "INCONCLUSIVE"}[self.passed]

    def to_json(self) -> dict[str, Any]:
        return {"verdict": self.verdict, "passed": self.passed, **asdict(self)}


def evaluate_gate(gate: Gate, baseline: Scorecard, candidate: Scorecard) -> GateResult:
    """Every rule against the baseline. Raises ConfigError when the two scorecards cannot be compared."""
    check_comparable(baseline, candidate)
    measured = [_measure(baseline, candidate, *rule) for rule in gate.rules()]
    guards = [one for one in measured if one.guard is not None]
    holds = holm([one.p_holds for one in guards])
    breaks = holm([one.p_breaks for one in guards])
    adjusted = {id(one): both for one, both in zip(guards, zip(holds, breaks, strict=True), strict=True)}
    results = [
        _judge_gain(one, gate.confidence)
        if one.guard is None
        else _judge_guard(one, *adjusted[id(one)], len(guards), gate.confidence)
        for one in measured
    ]
    return GateResult(candidate.name, baseline.name, tuple(results), gate.confidence)


@dataclass(frozen=True)
class _Measured:
    """A rule with its numbers; of a guard also `limit`, where `tested` is harm of exactly the margin."""

    target: str
    metric: Metric
    guard: Harm | None
    baseline: float
    candidate: float
    difference: Estimate
    margin: float | None = None
    limit: float = 0.0
    tested: Estimate | None = None
    p_holds: float = 1.0
    p_breaks: float = 1.0


def _measure(
    baseline: Scorecard, candidate: Scorecard, kind: str, target: str, name: str, guard: Harm | None
) -> _Measured:
    metric = check_target(candidate.targets, target, name)
    before = estimate(metric, baseline.slice(target, name)).value
    after = estimate(metric, candidate.slice(target, name)).value
    difference = pair(baseline, candidate, target, name)
    found = _Measured(target, metric, guard, before, after, difference)
    if guard is None:
        return found
    margin = guard.margin.absolute(before)
    # A share keeps the treatment of paired 0/1 items, which only a plain difference has.
    relative = guard.margin.unit == "%" and not metric.share and difference.spread != 0
    tested = pair(baseline, candidate, target, name, 1 + guard.margin.value / 100) if relative else difference
    limit = 0.0 if relative else margin if metric.lower_is_better else -margin
    holds, breaks = tested.p_above(limit), tested.p_below(limit)
    if not metric.lower_is_better:
        holds, breaks = breaks, holds
    if difference.spread == 0 and difference.value == 0:  # no harm, however small the margin
        holds, breaks = 0.0, 1.0
    return _Measured(target, metric, guard, before, after, difference, margin, limit, tested, holds, breaks)


def _judge_gain(one: _Measured, confidence: float) -> RuleResult:
    found = one.difference
    result = _result(one, confidence)
    if found.decidable and found.significant(confidence):
        better = (found.value < 0) == one.metric.lower_is_better
        return replace(result, passed=better, verdict=Verdict.IMPROVED if better else Verdict.REGRESSED)
    needed = found.items_needed(found.value, confidence)
    return replace(result, num_needed=needed, reason=_cannot_tell(found, needed))


def _judge_guard(one: _Measured, holds: float, breaks: float, family: int, confidence: float) -> RuleResult:
    level, result = 1 - confidence, replace(_result(one, confidence), p_adjusted=holds, family=family)
    assert one.tested is not None
    if holds < level:
        better = (one.difference.value < 0) == one.metric.lower_is_better and one.difference.significant(
            confidence
        )
        return replace(result, passed=True, verdict=Verdict.IMPROVED if better else Verdict.NO_CHANGE)
    if breaks < level:
        return replace(
            result, passed=False, verdict=Verdict.REGRESSED, reason=f"harm beyond {one.guard} is shown"
        )
    beyond = one.tested.value - one.limit
    needed = one.tested.items_needed(beyond, 1 - level / family, sided=1, threshold=one.limit)
    shared = f" (Holm over {family} guards)" if family > 1 else ""
    return replace(result, num_needed=needed, reason=_cannot_tell(one.tested, needed) + shared)


def _cannot_tell(found: Estimate, needed: int | None) -> str:
    if not found.decidable:
        return f"no error bar from {found.num_items} item(s) in {found.num_clusters} cluster(s): at least two independent ones are needed"
    if needed is None:
        return "no number of items like these would decide"
    return f"about {needed:,} items would decide; there are {found.num_items:,}"


def _result(one: _Measured, confidence: float) -> RuleResult:
    """A rule's numbers, INCONCLUSIVE until judged."""
    low, high = one.difference.interval(confidence)
    p_value = one.difference.p_value if one.guard is None else one.p_holds
    return RuleResult(
        kind="gain" if one.guard is None else "harm",
        target=one.target,
        metric=one.metric.name,
        criterion="improves" if one.guard is None else str(one.guard),
        baseline=one.baseline,
        candidate=one.candidate,
        delta=one.difference.value,
        low=low,
        high=high,
        margin=one.margin,
        p_value=p_value,
        p_adjusted=p_value,
        family=1,
        num_items=one.difference.num_items,
        num_clusters=one.difference.num_clusters,
        minimum_detectable=one.difference.minimum_detectable(confidence),
        num_needed=None,
        verdict=Verdict.INCONCLUSIVE,
        passed=None,
        reason="",
    )
