from __future__ import annotations

import pytest

from trainer.progress import show_progress


def test_a_log_file_gets_some_lines_on_stderr(capsys: pytest.CaptureFixture[str]):
    with show_progress("replay-30") as report:
        for step in range(1, 201):
            report(step, 200, {"loss": 2.0, "tokens_per_second": 5000.0})
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert said.out == ""
    assert len(lines) == 11
    assert lines[-1] == "replay-30: step 200 of 200  loss 2.000  5,000 tokens/s"
