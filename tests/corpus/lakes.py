"""Small lakes for the tests of SQL: real text through the real stages, and run folders as a killed trainer leaves them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus import names
from corpus.catalog import Source
from corpus.facts import write_facts
from corpus.holdout import Holdout, freeze
from corpus.ingest import ingest, scan
from corpus.lake import Lake, Manifest, artifact_id
from corpus.schema import DATASETS
from mixer.mix import mix
from mixer.static import Mixture
from mixer.tokenize import fit_tokenizer, token_counter, tokenize
from quality.curate import curate
from quality.curation import Curation

EMAIL, PHONE = "asha.rao@example.org", "+91 98201 23456"
SECRETS = (EMAIL, "asha.rao", "98201")
_WORDS = [
    "the",
    "court",
    "of",
    "appeal",
    "held",
    "that",
    "a",
    "written",
    "agreement",
    "binds",
    "each",
    "party",
    "who",
    "signs",
    "it",
    "unless",
    "the",
    "law",
    "says",
    "otherwise",
]


def prose(number: int, sentences: int = 12) -> str:
    """English that differs from number to number."""
    words = [_WORDS[(number * 7 + i * (number % 5 + 2)) % len(_WORDS)] for i in range(sentences * 9)]
    lines = [
        " ".join(words[i : i + 9]).capitalize() + f" in case {number}-{i}." for i in range(0, len(words), 9)
    ]
    return "\n".join(lines)


def write_sources(folder: Path) -> dict[str, Source]:
    """Two sources, with personal data, an exact copy, a near one, and records that cannot be read."""
    folder.mkdir(parents=True, exist_ok=True)
    acts = [{"id": f"act-{i}", "text": prose(i), "note": "n"} for i in range(30)]
    acts[3]["text"] += f"\nWrite to {EMAIL} or call {PHONE}."
    acts[4]["text"] = acts[5]["text"]
    acts[7]["text"] = acts[8]["text"] + "\nThis line alone is new."
    acts[6] |= {"id": EMAIL, "tel": PHONE}
    lines = [json.dumps(row) for row in acts]
    (folder / "acts.jsonl").write_text("\n".join([*lines[:10], "{broken", *lines[10:]]) + "\n")
    web = [{"body": prose(100 + i), "summary": f"Nothing to hide in {i}."} for i in range(12)]
    web[2] = {
        "body": "No address stands in this text at all. " * 8,
        "summary": f"Here {EMAIL} stands in the summary. " * 4,
    }
    (folder / "web.jsonl").write_text("\n".join(json.dumps(row) for row in web) + "\n")
    return {
        "acts": Source(path="acts.jsonl", role="domain", topic="law", id_field="id"),
        "web": Source(path="web.jsonl", role="general", topic="web", text_field="body"),
    }


def read_sources(lake: Lake, sources: dict[str, Source], folder: Path) -> dict[str, Manifest]:
    files = scan(lake, sources, str(folder))
    return ingest(lake, {name: (source, files[name]) for name, source in sources.items()}, workers=1)


def attach(lake: Lake, owner: names.Claim, manifest: Manifest, key: str = "") -> None:
    names.attach(lake, owner, manifest.kind, manifest.id, key)


@dataclass(frozen=True)
class Story:
    """What was made: version 1 of `legal` is old, version 2 is shown; `other` reads the same file another way."""

    lake: Lake
    old: Manifest
    new: Manifest
    runs: dict[str, str]


def build_story(root: Path) -> Story:
    """Everything up to scorecards, of two versions of one recipe name and of another name that only ingested."""
    sources = write_sources(root / "data")
    lake = Lake.open(root / "lake")
    documents = read_sources(lake, sources, root / "data")
    tokenizer = fit_tokenizer(lake, documents, 400, 1.0)
    made = {name: (source, documents[name]) for name, source in sources.items()}
    snapshots = []
    for version, least in ((1, 3), (2, 40)):
        owner = names.claim(lake, "legal", f"{version:032x}", {"version": version})
        curation = Curation.model_validate(
            {"rules": {"num_words": {"min": least}}, "pii": {"phone": "keep"} if version == 1 else {}}
        )
        holdout = Holdout(name="held-1", documents_per_source=3, max_share=0.5)
        curated = curate(lake, made, curation, holdout, token_counter(lake, tokenizer), workers=1)
        assert curated.holdout is not None
        freeze(lake, holdout, curated.holdout)
        for name, manifest in documents.items():
            attach(lake, owner, manifest, name)
        attach(lake, owner, curated.snapshot)
        for kind, id in curated.snapshot.parents:
            if kind in ("near_duplicates", "holdout"):
                names.attach(lake, owner, kind, id)
        snapshots.append(curated.snapshot)
    shards = tokenize(lake, snapshots[1], tokenizer, workers=1)
    plan = mix(lake, shards, Mixture(), tokens=2048, global_batch_tokens=256, sequence_length=32, seed=1)
    attach(lake, owner, shards)
    attach(lake, owner, plan, "base")
    other = names.claim(lake, "other", "f" * 32, {})
    summary = sources["web"].model_copy(update={"text_field": "summary"})
    attach(lake, other, read_sources(lake, {"web": summary}, root / "data")["web"], "web")
    runs = {"kept": write_run(lake, "a" * 32, "kept"), "old": write_run(lake, "b" * 32, "old")}
    names.attach(lake, owner, "run", runs["kept"], "kept")
    attach(lake, owner, write_scorecard(lake, runs["kept"]), "kept/20")
    write_scorecard(lake, runs["old"])
    names.move_alias(lake, "legal", "champion", runs["kept"], 20, "legal/kept/20")
    write_facts(
        lake,
        "signoffs",
        [
            {
                "signoff_id": "s1",
                "recipe": "legal",
                "reference": "legal/kept/20",
                "reviewer": "jo",
                "note": "fine",
            }
        ],
    )
    write_facts(lake, "audits", [{"audit_id": "a1", "rule": "num_words", "label": "right"}])
    write_facts(lake, "erased", [{"doc_id": "d" * 32, "reason": "asked"}])
    return Story(lake, snapshots[0], snapshots[1], runs)


# ── runs and scorecards ─────────────────────────────────────────────────────────────────────────────────────────────


def write_run(lake: Lake, run_id: str, name: str) -> str:
    """A run folder after a kill at step 30 and an attempt that went on from 20; its last line is torn."""
    folder = lake.runs / run_id
    folder.mkdir(parents=True)
    (folder / "lineage.json").write_text(json.dumps({"name": name, "recipe": "legal", "max_steps": 40}))
    (folder / "status.json").write_text(json.dumps({"status": "running", "last_step": 25}))
    steps = [(1, 10), (1, 20), (1, 25), (1, 30), (2, 25)]
    metrics = [
        line(run_id, attempt, i, step, name="loss", source="acts", value=1.5 / step)
        for i, (attempt, step) in enumerate(steps)
    ]
    write_lines(folder / "metrics.jsonl", metrics, torn='{"run_id": "' + run_id[:9])
    write_lines(
        folder / "events.jsonl",
        [line(run_id, 1, 0, 0, kind="started"), line(run_id, 2, 0, 20, kind="resumed")],
    )
    rows = [
        {"checkpoint_id": f"{run_id[:8]}-{step}", "run_id": run_id, "step": step, "exists": exists}
        for step, exists in ((10, True), (20, True), (10, False))
    ]
    write_lines(folder / "checkpoints.jsonl", rows)
    return run_id


def line(run_id: str, attempt: int, sequence: int, step: int, **values: Any) -> dict[str, Any]:
    return {"run_id": run_id, "attempt": attempt, "sequence": sequence, "step": step, **values}


def write_lines(path: Path, rows: list[dict[str, Any]], torn: str = "") -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + torn)


def write_scorecard(lake: Lake, run_id: str) -> Manifest:
    checkpoint = f"{run_id[:8]}-20"
    id = artifact_id("scorecard", "evaluate", 1, {}, [("checkpoint", checkpoint)])
    items = [
        {
            "scorecard_id": id,
            "task": "holdout/acts",
            "item": f"i{i}",
            "metric": "bits_per_byte",
            "value": i / 4,
        }
        for i in range(3)
    ]
    part = lake.write_part("scores", id, pa.Table.from_pylist(items, schema=DATASETS["scores"]))
    rows = [
        {
            "scorecard_id": id,
            "checkpoint_id": checkpoint,
            "run_id": run_id,
            "step": 20,
            "task": "holdout/acts",
            "metric": "bits_per_byte",
            "value": 0.25,
            "num_items": 3,
        }
    ]
    parents = (("checkpoint", checkpoint),)
    return lake.commit(
        Manifest("scorecard", id, "evaluate", 1, {}, parents, {"scores": (part,)}, summary={"rows": rows})
    )
