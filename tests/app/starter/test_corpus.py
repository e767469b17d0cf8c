"""The training stream: the same seed gives the same rows, from any batch on."""

from __future__ import annotations

import itertools

from app.starter.corpus import PROMPT_WEIGHT, PackedCorpus, stream_examples
from app.starter.curriculum import COPYING_FIRST, HARDEST_LAST, LABELS_TOO, PHASES, phase_of
from app.starter.families import FAMILIES
from app.starter.tokenizer import StarterTokenizer


def test_the_same_seed_gives_the_same_examples() -> None:
    one, two = (list(itertools.islice(stream_examples(5), 200)) for _ in range(2))
    assert one == two
    assert one != list(itertools.islice(stream_examples(6), 200))


def test_every_family_is_in_the_stream() -> None:
    assert {example.family for example in itertools.islice(stream_examples(1), 600)} == set(FAMILIES)


def test_a_resumed_stream_continues_with_the_very_next_batch(tokenizer: StarterTokenizer) -> None:
    corpus = PackedCorpus(tokenizer, 1, 2, 128)
    unbroken = list(itertools.islice(corpus.batches(0), 70))
    assert list(itertools.islice(corpus.batches(61), 9)) == unbroken[61:]


def test_rows_are_full_length_and_only_answers_weigh_one(tokenizer: StarterTokenizer) -> None:
    corpus = PackedCorpus(tokenizer, 1, 4, 320)
    real = total = 0
    for number, batch in itertools.islice(corpus.batches(0), 16):
        length = 640 if number % 8 == 7 else 320
        assert all(
            len(ids) == len(weights) == length for ids, weights in zip(batch.ids, batch.weights, strict=True)
        )
        assert {w for row in batch.weights for w in row} <= {0.0, PROMPT_WEIGHT, 1.0}
        real += batch.real_tokens
        total += sum(map(len, batch.ids))
    assert real / total > 0.93


def test_what_weighs_one_decodes_to_the_answer(tokenizer: StarterTokenizer) -> None:
    corpus = PackedCorpus(tokenizer, 1, 1, 320)
    for example in itertools.islice(stream_examples(3), 100):
        ids, weights = corpus.encode(example)
        answer = [token for token, weight in zip(ids, weights, strict=True) if weight >= 1.0]
        assert tokenizer.decode(answer) == example.answer


def test_short_answers_weigh_more_in_the_later_phases(tokenizer: StarterTokenizer) -> None:
    corpus = PackedCorpus(tokenizer, 1, 1, 320)
    for example in itertools.islice(stream_examples(4), 100):
        ids, early = corpus.encode(example)
        again, late = corpus.encode(example, LABELS_TOO)
        assert ids == again
        answer = sum(weight >= 1.0 for weight in early)
        assert max(late) == min(3.0, max(1.0, 24 / answer))


def test_a_phase_begins_with_its_block(tokenizer: StarterTokenizer) -> None:
    corpus = PackedCorpus(tokenizer, 1, 2, 128)
    first = LABELS_TOO.first_block * corpus.BLOCK
    (_, before), (_, after) = itertools.islice(corpus.batches(first - 1), 2)
    assert max(weight for row in before.weights for weight in row) == 1.0
    assert max(weight for row in after.weights for weight in row) == 3.0


def test_every_phase_mixes_all_families_and_phases_follow_each_other() -> None:
    assert [phase_of(block) for block in (0, 40, 41, 87, 88, 500)] == [
        COPYING_FIRST,
        COPYING_FIRST,
        LABELS_TOO,
        LABELS_TOO,
        HARDEST_LAST,
        HARDEST_LAST,
    ]
    assert all(set(phase.mix) == set(FAMILIES) for phase in PHASES)
