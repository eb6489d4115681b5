"""MixPlan: which tokens every training sequence is, for the whole run, as a pure function.

A plan is a small value: sources, weights by phase, caps, seed. `locate` answers for any sequence without the ones
before it; `consumed` is the exact ledger; `occurrences` and `steps_of` go the other way. How weights are found is
`mixer.static`'s business, reading the tokens `mixer.loader`'s.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from corpus.errors import ConfigError, UnknownName, did_you_mean, one_of
from mixer.global_batch import check_division
from mixer.sampling import UNITS, chairman, epoch_key, permute, to_units, unpermute
from mixer.token_shards import num_sequences, unused_tokens

FORMAT = 1


@dataclass(frozen=True)
class PlanSource:
    """A source as the plan sees it; `num_tokens` counts its whole stream, `parts` names its token shards in order."""

    name: str
    num_tokens: int
    num_sequences: int
    max_epochs: float = 4.0
    parts: tuple[str, ...] = ()


def plan_source(
    name: str, num_tokens: int, sequence_length: int, max_epochs: float = 4.0, parts: Sequence[str] = ()
) -> PlanSource:
    """A `PlanSource` with the sequences that its stream of `num_tokens` holds."""
    return PlanSource(name, num_tokens, num_sequences(num_tokens, sequence_length), max_epochs, tuple(parts))


@dataclass(frozen=True)
class Segment:
    """Weights in force from a sequence on; `units` are multiples of 2^-24, one per source, that add up to 1."""

    first_sequence: int
    units: tuple[int, ...]


@dataclass(frozen=True)
class Location:
    """One sequence of a source: the tokens [token_start, token_stop) of its stream, L + 1 of them."""

    source: str
    epoch: int
    index_in_source: int
    token_start: int
    token_stop: int


@dataclass(frozen=True)
class Locations:
    """Many locations as int64 columns; `source` is a place in `plan.sources`."""

    source: np.ndarray
    epoch: np.ndarray
    index_in_source: np.ndarray
    token_start: np.ndarray


@dataclass(frozen=True)
class MixPlan:
    """The order of a training run. All answers are pure functions of the fields; `num_sequences` only bounds them."""

    sources: tuple[PlanSource, ...]
    segments: tuple[Segment, ...]
    seed: int
    sequence_length: int
    global_batch_sequences: int
    num_sequences: int

    def __post_init__(self) -> None:
        names = [source.name for source in self.sources]
        firsts = [segment.first_sequence for segment in self.segments]
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"a plan needs sources with different names, got {names}")
        if min(self.sequence_length, self.global_batch_sequences, self.num_sequences) < 1:
            raise ConfigError(
                f"a plan needs at least one token, sequence and step: {self.sequence_length}, {self.global_batch_sequences}, {self.num_sequences}"
            )
        if self.num_sequences % self.global_batch_sequences:
            raise ConfigError(
                f"{self.num_sequences} sequences are not whole steps of {self.global_batch_sequences}; round to steps first"
            )
        if (
            not firsts
            or firsts[0] != 0
            or any(b <= a for a, b in pairwise(firsts))
            or firsts[-1] >= self.num_sequences
        ):
            raise ConfigError(
                f"phases must start at sequence 0 and rise below {self.num_sequences}, got {firsts}"
            )
        for segment in self.segments:
            if len(segment.units) != len(names) or min(segment.units) < 0 or sum(segment.units) != UNITS:
                raise ConfigError(
                    f"phase at sequence {segment.first_sequence}: weights of {len(names)} sources must add up to 1"
                )
        for number in range(len(names)):
            self._check_cap(number)

    # ── sizes ──

    @property
    def num_steps(self) -> int:
        return self.num_sequences // self.global_batch_sequences

    @property
    def num_tokens(self) -> int:
        """The token budget: sequences times their length."""
        return self.num_sequences * self.sequence_length

    def weights(self, sequence: int = 0) -> dict[str, float]:
        """The weights (shares of tokens) in force at a sequence."""
        return {
            source.name: units / UNITS
            for source, units in zip(self.sources, self._segment(sequence).units, strict=True)
        }

    def unused(self) -> dict[str, int]:
        """Per source, the tail of its stream that is shorter than a sequence and never read; in tokens."""
        return {
            source.name: unused_tokens(source.num_tokens, self.sequence_length) for source in self.sources
        }

    # ── sequence → tokens ──

    def locate(self, sequence: int) -> Location:
        """Where the tokens of one sequence lie."""
        found = self.locate_many(np.array([sequence], dtype=np.int64))
        start = int(found.token_start[0])
        name = self.sources[int(found.source[0])].name
        return Location(
            name, int(found.epoch[0]), int(found.index_in_source[0]), start, start + self.sequence_length + 1
        )

    def locate_many(self, sequences: np.ndarray) -> Locations:
        """`locate` of many sequences (int64, shape (n,)), in their order."""
        asked = np.asarray(sequences, dtype=np.int64)
        if asked.size and (asked.min() < 0 or asked.max() >= self.num_sequences):
            raise ValueError(
                f"sequences {asked.min()} to {asked.max()} asked of a plan of {self.num_sequences}"
            )
        source, ordinal = np.empty_like(asked), np.empty_like(asked)
        phases = (
            np.searchsorted([segment.first_sequence for segment in self.segments], asked, side="right") - 1
        )
        for number in np.unique(phases).tolist():
            here, segment = phases == number, self.segments[number]
            chosen, before = chairman(segment.units).choose(asked[here] - segment.first_sequence)
            source[here], ordinal[here] = chosen, before + self._counts_before[number][chosen]
        sizes = np.array([max(item.num_sequences, 1) for item in self.sources], dtype=np.int64)
        epoch, within = np.divmod(ordinal, sizes[source])
        index = self._permuted(source, epoch, within)
        return Locations(source, epoch, index, index * self.sequence_length)

    def _permuted(self, source: np.ndarray, epoch: np.ndarray, within: np.ndarray) -> np.ndarray:
        index = np.empty_like(within)
        for number, turn in np.unique(np.stack([source, epoch]), axis=1).T.tolist():
            here = (source == number) & (epoch == turn)
            item = self.sources[number]
            index[here] = permute(within[here], item.num_sequences, epoch_key(self.seed, item.name, turn))
        return index

    # ── the ledger ──

    def counts(self, sequence: int) -> np.ndarray:
        """Sequences of each source among the first `sequence`; int64, shape (sources,)."""
        if not 0 <= sequence <= self.num_sequences:
            raise ValueError(f"sequence {sequence} asked of a plan of {self.num_sequences}")
        number = self._segment_number(sequence)
        segment = self.segments[number]
        return self._counts_before[number] + chairman(segment.units).counts(sequence - segment.first_sequence)

    def consumed(self, sequence: int) -> dict[str, list[int]]:
        """The ledger: tokens of each source in each of its epochs after the first `sequence` sequences, exact.

        The items of a list are the epochs 0, 1, …; a source not yet read has an empty list.
        """
        ledger = {}
        for source, count in zip(self.sources, self.counts(sequence).tolist(), strict=True):
            whole, rest = divmod(count, max(source.num_sequences, 1))
            full = [source.num_sequences * self.sequence_length] * whole
            ledger[source.name] = full + ([rest * self.sequence_length] if rest else [])
        return ledger

    @cached_property
    def _counts_before(self) -> tuple[np.ndarray, ...]:
        """Counts at the start of each segment. Inside one, debts start from zero: its prefix error is its own."""
        counts = [np.zeros(len(self.sources), dtype=np.int64)]
        for segment, following in pairwise(self.segments):
            counts.append(
                counts[-1] + chairman(segment.units).counts(following.first_sequence - segment.first_sequence)
            )
        return tuple(counts)

    def _segment_number(self, sequence: int) -> int:
        return bisect_right(self.segments, sequence, key=lambda segment: segment.first_sequence) - 1

    def _segment(self, sequence: int) -> Segment:
        return self.segments[self._segment_number(sequence)]

    # ── tokens → sequences, steps ──

    def occurrences(self, source: str, index: int) -> list[tuple[int, int]]:
        """`(sequence, epoch)` of every time that sequence `index` of a source is read, in order."""
        number = self._number(source)
        item, total = self.sources[number], int(self.counts(self.num_sequences)[number])
        if not 0 <= index < item.num_sequences:
            raise ValueError(f"sequence {index} asked of source {source!r}, which has {item.num_sequences}")
        found = []
        for epoch in range(math.ceil(total / item.num_sequences)):
            within = int(
                unpermute(np.array([index]), item.num_sequences, epoch_key(self.seed, source, epoch))[0]
            )
            if (ordinal := epoch * item.num_sequences + within) < total:
                found.append((self._sequence_of(number, ordinal), epoch))
        return found

    def _sequence_of(self, number: int, ordinal: int) -> int:
        """The sequence at which a source is chosen for the time `ordinal`."""
        phase = bisect_right(self._counts_before, ordinal, key=lambda counts: int(counts[number])) - 1
        segment = self.segments[phase]
        return segment.first_sequence + chairman(segment.units).position(
            number, ordinal - int(self._counts_before[phase][number])
        )

    def steps_of(self, source: str, token_start: int, token_stop: int) -> list[tuple[int, int]]:
        """`(step, epoch)` of every step that has tokens of [token_start, token_stop) of a source as inputs, in order.

        For a document's span these are the steps that saw it: the one token it may lend to the sequence before, as
        the token after the last input, is its first and no target.
        """
        item = self.sources[self._number(source)]
        last = min((token_stop - 1) // self.sequence_length, item.num_sequences - 1)
        sequences = (
            range(token_start // self.sequence_length, last + 1) if token_stop > token_start else range(0)
        )
        found = {
            (sequence // self.global_batch_sequences, epoch)
            for index in sequences
            for sequence, epoch in self.occurrences(source, index)
        }
        return sorted(found)

    def _number(self, source: str) -> int:
        names = [item.name for item in self.sources]
        if source not in names:
            raise UnknownName(
                f"the plan has no source {source!r}.{did_you_mean(source, names)} It has {one_of(names)}."
            )
        return names.index(source)

    # ── steps ──

    def sequences_of_step(self, step: int) -> np.ndarray:
        """The sequences of one optimizer step, whoever computes them; int64, shape (G,)."""
        if not 0 <= step < self.num_steps:
            raise ValueError(f"step {step} asked of a plan of {self.num_steps} steps")
        first = step * self.global_batch_sequences
        return np.arange(first, first + self.global_batch_sequences, dtype=np.int64)

    def divide(self, step: int, world: int, micro: int) -> np.ndarray:
        """One step for `world` processes with micro-batches of `micro`: int64, (world, micro-batches, micro)."""
        check_division(self.global_batch_sequences, world, micro)
        return self.sequences_of_step(step).reshape(-1, world, micro).transpose(1, 0, 2)

    # ── another plan ──

    def append_segment(self, at_sequence: int, weights: Mapping[str, float]) -> MixPlan:
        """The plan with other weights from `at_sequence` on; all before it, and so the ledger, stays.

        ConfigError, with the numbers, when the new weights would read a source more often than its cap.
        """
        last = self.segments[-1].first_sequence
        if not last < at_sequence < self.num_sequences:
            raise ConfigError(
                f"weights can change after sequence {last} and before {self.num_sequences}, not at {at_sequence}"
            )
        return replace(self, segments=(*self.segments, Segment(at_sequence, _units(self.sources, weights))))

    def _check_cap(self, number: int) -> None:
        """Refuse weights that would read a source beyond its cap: what earlier phases took, plus its share of the last."""
        source, last = self.sources[number], self.segments[-1]
        room = whole_sequences(source.max_epochs * source.num_sequences) - int(
            self._counts_before[-1][number]
        )
        length = self.num_sequences - last.first_sequence
        share = last.units[number] / UNITS
        # A share that meets the cap exactly is rounded to units, and each earlier phase may be a sequence ahead of its share.
        rounding = length * (1e-9 + 1 / UNITS) + len(self.segments) - 1
        if share * length > room + rounding or (share and source.num_sequences == 0):
            raise ConfigError(_over_cap(source, share, length, room, last.first_sequence))

    # ── JSON ──

    def to_json(self) -> dict[str, Any]:
        """A JSON-like tree; `MixPlan.from_json` of it is the same plan."""
        tree = {"format": FORMAT, **asdict(self)}
        tree["sources"] = [{**asdict(source), "parts": list(source.parts)} for source in self.sources]
        tree["segments"] = [
            {"first_sequence": segment.first_sequence, "units": list(segment.units)}
            for segment in self.segments
        ]
        return tree

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> MixPlan:
        if tree.get("format") != FORMAT:
            raise ConfigError(f"this plan has format {tree.get('format')!r}; readable is {FORMAT}")
        fields = {
            name: value for name, value in tree.items() if name not in ("format", "sources", "segments")
        }
        sources = tuple(
            PlanSource(**{**source, "parts": tuple(source["parts"])}) for source in tree["sources"]
        )
        segments = tuple(
            Segment(segment["first_sequence"], tuple(segment["units"])) for segment in tree["segments"]
        )
        return cls(sources=sources, segments=segments, **fields)


def whole_sequences(cap: float) -> int:
    """A cap in sequences, of which a part cannot be read; 3 × 0.1 is not quite 0.3, so the last bits are forgiven."""
    return math.floor(cap * (1 + 1e-12))


def _over_cap(source: PlanSource, share: float, length: int, room: float, first: int) -> str:
    if source.num_sequences == 0:
        return f"source {source.name!r} has a weight of {share:.4g}, but its {source.num_tokens} tokens do not fill one sequence; give it 0"
    taken = whole_sequences(source.max_epochs * source.num_sequences) - room
    return (
        f"weight {share:.4g} for source {source.name!r} over {length} sequences means {(taken + share * length) / source.num_sequences:.2f} epochs "
        f"of its {source.num_sequences} sequences; the cap is {source.max_epochs:g}. From sequence {first} on it can have at most "
        f"{max(0.0, room) / length:.4g}: lower the weight, raise max_epochs, or train on fewer tokens."
    )


def _units(sources: Sequence[PlanSource], weights: Mapping[str, float]) -> tuple[int, ...]:
    names = [source.name for source in sources]
    for name in weights:
        if name not in names:
            raise UnknownName(
                f"no source {name!r} to give a weight to.{did_you_mean(name, names)} There are {one_of(names)}."
            )
    if any(not share >= 0 for share in weights.values()) or not math.isclose(
        sum(weights.values()), 1, abs_tol=1e-6
    ):
        raise ConfigError(
            f"weights must be 0 or more and add up to 1, got {dict(weights)} (sum {sum(weights.values()):.6g})"
        )
    return to_units([float(weights.get(name, 0.0)) for name in names])


def make_plan(
    sources: Sequence[PlanSource],
    phases: Sequence[tuple[int, Mapping[str, float]]],
    *,
    seed: int,
    sequence_length: int,
    global_batch_sequences: int,
    num_steps: int,
) -> MixPlan:
    """A plan from weights by source name; `phases` are (first sequence, weights), the first one at 0."""
    segments = tuple(Segment(first, _units(sources, weights)) for first, weights in phases)
    return MixPlan(
        tuple(sources),
        segments,
        seed,
        sequence_length,
        global_batch_sequences,
        num_steps * global_batch_sequences,
    )
