"""A tokenizer that is taken over from a folder: what makes it one, and nothing of the model beside it."""

from __future__ import annotations

from pathlib import Path

from corpus.lake import Lake
from mixer.tokenize import import_tokenizer, tokenizer_folder


def test_only_what_makes_the_tokenizer_is_taken_over(tmp_path: Path, own_folder: Path) -> None:
    for name in ("config.json", "generation_config.json", "model.safetensors", "notes.txt"):
        (own_folder / name).write_text("{}")
    (own_folder / "chat_template.jinja").write_text("{{ messages }}")
    lake = Lake.open(tmp_path / "lake")
    made = import_tokenizer(lake, own_folder)
    taken = sorted(path.name for path in tokenizer_folder(lake, made).iterdir())
    assert taken == ["chat_template.jinja", "tokenizer.json", "tokenizer_config.json"]
    (own_folder / "notes.txt").write_text("other")
    assert import_tokenizer(lake, own_folder) == made
    (own_folder / "chat_template.jinja").write_text("{{ other }}")
    assert import_tokenizer(lake, own_folder) != made, "what is taken over is identity"
