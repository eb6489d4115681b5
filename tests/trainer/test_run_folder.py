"""A run folder's files: what is written is read again as it was."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.config import read_yaml
from corpus.errors import ConfigError, LakeError
from trainer.run_folder import check_config, write_config

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.from_regex(
    r"[-+.~0-9eE_:xonNyYtrufals]{1,8}", fullmatch=True
)
trees = st.recursive(
    # what is not finite has no fingerprint, so it is in no identity
    words | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(words, trees, max_size=4))
@example({"groups": {"0089": "1e5"}, "plan": "123e12", "no": "null", "held_out": {"a": "1" * 40 + "e7"}})
@settings(max_examples=60, deadline=None)
def test_a_configuration_is_read_again_as_it_was_written(identity: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_config(Path(folder), "0012", identity, {})
        assert check_config(Path(folder), "0012", identity) == []
        assert read_yaml(Path(folder) / "run.yaml") == {
            "run_id": "0012",
            "identity": identity,
            "circumstance": {},
        }


@pytest.mark.parametrize("content", ["", "run_id: x\n", "[1]\n", "a: [\n"])
def test_a_damaged_configuration_names_its_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.yaml").write_text(content)
    with pytest.raises(LakeError, match=r"run\.yaml is damaged"):
        check_config(tmp_path, "x", {})


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    write_config(tmp_path, "r", {"groups": {"0089": "general"}}, {})
    with pytest.raises(ConfigError, match=r"groups\.0089 = general, now it is domain"):
        check_config(tmp_path, "r", {"groups": {"0089": "domain"}})
