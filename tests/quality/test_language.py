"""Languages of plain sentences, the sample's bounds, and what happens where there is nothing to judge."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.language import MIN_BYTES, SAMPLE_BYTES, Language, sample
from tests.quality.text_rows import measure_texts

SENTENCES = {
    "en": "The court held that the tenant had no right to remain in the building after the lease had ended.",
    "de": "Das Gericht entschied, dass der Mieter nach dem Ende des Vertrages nicht im Haus bleiben durfte.",
    "fr": "Le tribunal a jugé que le locataire n'avait pas le droit de rester dans l'immeuble après la fin du bail.",
    "es": "El tribunal decidió que el inquilino no tenía derecho a permanecer en el edificio después del contrato.",
    "hi": "न्यायालय ने कहा कि पट्टा समाप्त होने के बाद किरायेदार को भवन में रहने का कोई अधिकार नहीं था।",
    "zh": "法院认为，租约结束以后，租户没有权利继续留在这座大楼里，必须立即搬出。",
    "ru": "Суд решил, что арендатор не имел права оставаться в здании после окончания срока договора.",
    "ar": "قررت المحكمة أن المستأجر لم يكن له الحق في البقاء في المبنى بعد انتهاء عقد الإيجار.",
}


def judged(operator: Language, *texts: str | None) -> list[tuple[str, float]]:
    return [(row["language"], row["language_score"]) for row in measure_texts(operator, *texts)]


@pytest.mark.parametrize("language", SENTENCES)
def test_sentences_are_known_with_confidence(language: str) -> None:
    ((found, score),) = judged(Language(), SENTENCES[language])
    assert (found, score > 0.65) == (language, True)
    assert score == round(score, 4) <= 1.0


def test_rows_stay_in_order_and_do_not_mix() -> None:
    texts = list(SENTENCES.values())
    together = judged(Language(), *texts)
    assert together == [judged(Language(), text)[0] for text in texts]
    assert judged(Language(), *reversed(texts)) == together[::-1]


@pytest.mark.parametrize("text", [None, "", "   \n", "Too short.", "12345 67890 12345 67890 12345", "।" * 30])
def test_what_cannot_be_judged_is_undetermined(text: str | None) -> None:
    assert judged(Language(), text) == [("und", 0.0)]


def test_a_long_text_costs_no_more_than_its_sample_and_its_middle_counts() -> None:
    header = "<header>" * 90
    text = header + SENTENCES["de"] * 200
    assert judged(Language(), text)[0][0] == "de"
    same_sample = sample(text.encode(), SAMPLE_BYTES)
    assert judged(Language(), same_sample) == judged(Language(), text)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.integers(2 * MIN_BYTES, 100))
def test_samples_are_bounded_pieces_of_the_text(text: str, num_bytes: int) -> None:
    raw = text.encode()
    taken = sample(memoryview(raw), num_bytes)
    if len(raw) <= num_bytes:
        assert taken == text
        return
    middle = len(raw) // 2
    head, tail = (
        part.decode(errors="ignore")
        for part in (raw[: num_bytes // 2], raw[middle : middle + num_bytes // 2])
    )
    assert taken == f"{head}\n{tail}"
    assert text.startswith(head)
    assert tail in text
    assert len(taken.encode()) <= num_bytes + 1


def test_identity_names_what_decides_the_output_and_the_operator_travels() -> None:
    assert pickle.loads(pickle.dumps(Language())) == Language()
    assert set(Language().identity()) == {"sample_bytes", "py3langid", "unicode"}


def test_golden_scores_of_version_2() -> None:
    assert Language.version == 2
    assert dict(judged(Language(), *SENTENCES.values())) == GOLDEN


GOLDEN = {"en": 1.0, "de": 0.9967, "fr": 0.9996, "es": 0.9725, "hi": 0.9358, "zh": 0.729, "ru": 0.9715, "ar": 0.8955}  # fmt: skip
