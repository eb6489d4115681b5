from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_run import LENGTH, toy_held_out

from corpus.config import Margin
from corpus.errors import ConfigError
from trainer.model import load_model
from trainer.monitor import HeldOutMonitor

GROUPS = {"a": "domain", "b": "general", "gone": "general"}
A, B = ("held_out_loss", "a"), ("held_out_loss", "b")
GENERAL = ("held_out_group_loss", "general")


def build(limits: dict[str, Margin] | None = None, **held_out: list[np.ndarray]) -> HeldOutMonitor:
    return HeldOutMonitor(held_out or toy_held_out(), GROUPS, limits or {}, LENGTH, 0)


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Any:
    return load_model(model_folder)


def test_loss_is_the_mean_over_all_held_out_tokens(model: Any):
    ids = np.arange(1, 41)
    found = build(a=[ids]).measure(model)
    stream = torch.tensor([[0, *ids.tolist()]])
    with torch.no_grad():
        logits = model.eval()(stream[:, :-1], use_cache=False).logits
    expected = torch.nn.functional.cross_entropy(logits[0], stream[0, 1:])
    assert found[A] == pytest.approx(float(expected), abs=1e-5)


def test_a_group_is_weighted_by_tokens(model: Any):
    monitor = HeldOutMonitor(toy_held_out(), {"a": "all", "b": "all"}, {}, LENGTH, 0)
    found = monitor.measure(model)
    assert found["held_out_group_loss", "all"] == pytest.approx((160 * found[A] + 40 * found[B]) / 200)


def test_measuring_leaves_the_model_and_the_random_state_alone(model: Any):
    model.train()
    state = torch.random.get_rng_state()
    first = build().measure(model)
    assert model.training
    assert torch.equal(state, torch.random.get_rng_state())
    assert build().measure(model) == first, "without dropout, and the same each time"


def test_a_tolerance_is_relative_to_the_reference():
    monitor = build({"general": Margin(3, "%")})
    reference = {A: 2.0, B: 2.0, GENERAL: 2.0}
    assert monitor.crossed(reference, {A: 9.0, B: 9.0, GENERAL: 2.0599}) == []
    (found,) = monitor.crossed(reference, {A: 1.0, B: 1.0, GENERAL: 2.0601})
    assert (found.name, found.value, round(found.threshold, 6)) == ("general", 2.0601, 2.06)
    assert "rose by 3.0" in found.message
    assert len(monitor.crossed(reference, {GENERAL: float("nan")})) == 1


def test_a_source_can_have_a_tolerance_of_its_own():
    monitor = build({"a": Margin(1, "%")})
    assert [found.name for found in monitor.crossed({A: 1.0, GENERAL: 1.0}, {A: 1.02, GENERAL: 5.0})] == ["a"]


def test_a_tolerance_for_what_has_no_held_out_text_is_refused():
    with pytest.raises(ConfigError, match=r"'generl' has no held-out text. Did you mean 'general'\?"):
        build({"generl": Margin(3, "%")})


def test_a_source_without_tokens_has_no_loss(model: Any):
    found = build(a=[np.arange(1, 9)], b=[]).measure(model)
    assert A in found
    assert B not in found
    assert GENERAL not in found
