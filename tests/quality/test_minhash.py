from __future__ import annotations

import pickle

import datasketch
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quality.minhash
from corpus.schema import OPERATORS
from quality.minhash import SEED, MinHash, signatures
from quality.shingles import shingle_hashes
from tests.quality.text_rows import batch_of

TEXTS = st.one_of(
    st.text(st.sampled_from("ab ΣİΔहिन्दी\u0301é,."), max_size=60),
    st.lists(
        st.sampled_from(
            ["to", "be", "or", "not", "that", "is", "the", "question", "ΟΔΟΣ", "İSTANBUL", "में", "हिन्दी"]
        ),
        max_size=120,
    ).map(" ".join),
)


def of_datasketch(text: str | None, operator: MinHash) -> list[int]:
    """datasketch's signature, one update per distinct 32-bit shingle hash."""
    _, hashes = shingle_hashes(pa.array([text], pa.large_string()), operator.ngram)
    reference = datasketch.MinHash(
        operator.num_perm, seed=SEED, scheme="affine32", hashfunc=lambda value: value
    )
    for value in (hashes >> np.uint64(32)).tolist():
        reference.update(value)
    return reference.hashvalues.tolist()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.none(), TEXTS), max_size=4),
    st.sampled_from([(128, 5), (128, 1), (7, 2), (256, 3)]),
)
def test_signatures_equal_datasketch_to_the_bit(texts: list[str | None], settings_: tuple[int, int]) -> None:
    operator = MinHash(*settings_)
    rows = operator(batch_of(texts)).column("signature").to_pylist()
    assert rows == [of_datasketch(text, operator) for text in texts]


@pytest.mark.parametrize("num_words", [0, 1, 4, 5, 46, 51, 52, 53, 4099, 4100, 4101, 8300])
def test_signatures_equal_datasketch_at_every_length_the_kernel_tells_apart(num_words: int) -> None:
    text = " ".join(f"w{i * 7919 % 5003}" for i in range(num_words))
    assert MinHash()(batch_of([text])).column("signature")[0].as_py() == of_datasketch(text, MinHash())


def test_result_has_the_schema_and_keeps_rows_and_order() -> None:
    given_ = batch_of(["a b c d e f", "", None, "one"])
    result = MinHash()(given_)
    assert result.schema == OPERATORS["minhash"]
    assert result.column("doc_id").equals(given_.column("doc_id"))
    assert result.column("num_shingles").to_pylist() == [2, 0, 0, 1]
    assert {len(row) for row in result.column("signature").to_pylist()} == {128}
    assert MinHash()(given_.slice(0, 0)).schema == OPERATORS["minhash"]


def test_slices_of_a_batch_and_of_its_text_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" ".join(f"w{i * j % 17}" for i in range(j * 3)) for j in range(40)]
    whole = MinHash()(batch_of(texts))
    pieces = [MinHash()(batch_of(texts).slice(start, 7)) for start in range(0, 40, 7)]
    assert pa.Table.from_batches(pieces).combine_chunks().to_batches()[0].equals(whole)
    monkeypatch.setattr(quality.minhash, "_SLICE_BYTES", 50)
    assert MinHash()(batch_of(texts)).equals(whole)


def test_agreement_of_signatures_estimates_jaccard_within_its_error() -> None:
    words = [f"w{i}" for i in range(1000)]
    texts = [" ".join(words[start : start + 600]) for start in range(0, 400, 40)]
    starts, hashes = shingle_hashes(pa.array(texts, pa.large_string()), 5)
    signed = signatures(starts, hashes)
    for other in range(len(texts)):
        exact = (596 - 40 * other) / (596 + 40 * other)
        assert abs(float(np.mean(signed[0] == signed[other])) - exact) <= 4 * np.sqrt(
            exact * (1 - exact) / 128
        )


def test_identity_names_what_decides_the_output() -> None:
    identities = [MinHash(), MinHash(num_perm=64), MinHash(ngram=4)]
    assert len({str(operator.identity()) for operator in identities}) == 3
    assert "words" in MinHash().identity()["shingles"]
    assert pickle.loads(pickle.dumps(MinHash())) == MinHash()


GOLDEN = [2102767091, 321745101, 469111751, 347993715]


def test_golden_signature_of_version_1() -> None:
    signature = (
        MinHash(num_perm=4)(batch_of(["The quick brown fox jumps over the lazy dog"]))
        .column("signature")[0]
        .as_py()
    )
    assert MinHash.version == 1
    assert signature == GOLDEN, "signatures changed: raise MinHash.version"
