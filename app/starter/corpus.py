"""The training stream: examples drawn from the families, tokenised and packed into rows of one length."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.starter.curriculum import COPYING_FIRST, Phase, phase_of
from app.starter.families import FAMILIES, Family, Item, Plan
from app.starter.prompting import Message, draw_layout, lay_out
from app.starter.wordings import Words
from app.starter.world import World

if TYPE_CHECKING:
    from app.starter.tokenizer import StarterTokenizer

SHOT_SHARE = 0.2
LONG_EVERY = 8  # one batch in eight holds rows twice as long, so that few-shot prompts stay in reach
PROMPT_WEIGHT = 0.15
POOL = 48


@dataclass(frozen=True)
class Example:
    """One prompt with its computed answer."""

    family: str
    messages: list[Message]
    answer: str
    tier: str
    tags: tuple[str, ...]


def draw_plan_and_shots(
    family: Family, world: World, words: Words, shot_share: float
) -> tuple[Plan, list[tuple[Item, str]]]:
    """A prompt and, with probability ``shot_share``, one to four examples of it with their answers."""
    rng = world.rng
    plan = family.plan(world, words)
    if rng.random() >= shot_share:
        return plan, []
    count = rng.choice([1, 2, 2, 3, 3, 4])
    items = [family.item(world, plan) for _ in range(count)]
    return plan, [(item, family.answer(plan, item, True)) for item in items]


def draw_example(rng: random.Random, phase: Phase) -> Example:
    """One training example: seen wordings and seen slot values only."""
    family = FAMILIES[rng.choices(list(phase.mix), list(phase.mix.values()))[0]]
    world, words = World(rng), Words(rng, dropped_words=phase.dropped_words)
    plan, shots = draw_plan_and_shots(family, world, words, SHOT_SHARE)
    item = family.item(world, plan)
    messages = lay_out(plan, item, shots, draw_layout(rng, words))
    return Example(family.name, messages, family.answer(plan, item, bool(shots)), plan.tier, item.tags)


def stream_examples(seed: int, phase: Phase = COPYING_FIRST) -> Iterator[Example]:
    """Examples of one phase without end; the same seed gives the same stream."""
    rng = random.Random(seed)
    while True:
        yield draw_example(rng, phase)


@dataclass(frozen=True)
class Batch:
    """Packed rows. ``weights``: each id's share in the loss, 1 in answers, less in prompts, 0 in padding."""

    ids: list[list[int]]
    weights: list[list[float]]
    real_tokens: int


Piece = tuple[list[int], list[float]]


class PackedCorpus:
    """Batches of packed rows, addressed by number so that a killed run continues with the next one.

    Every block of ``BLOCK`` batches has its own seed derived from ``seed``: seeking costs at most one block.
    """

    BLOCK = 64

    def __init__(self, tokenizer: StarterTokenizer, seed: int, rows: int, length: int) -> None:
        self.tokenizer = tokenizer
        self.seed = seed
        self.rows = rows
        self.length = length

    def encode(self, example: Example, phase: Phase = COPYING_FIRST) -> Piece:
        """Ids and loss weights of one example."""
        prompt, answer = self.tokenizer.encode_example(example.messages, example.answer)
        separator = [self.tokenizer.end_of_text]
        weights = [PROMPT_WEIGHT] * len(prompt) + [phase.answer_weight(len(answer))] * len(answer)
        return prompt + answer + separator, [*weights, PROMPT_WEIGHT]

    def batches(self, start: int) -> Iterator[tuple[int, Batch]]:
        """``(number, batch)`` from batch ``start`` on, without end."""
        block = start // self.BLOCK
        while True:
            for offset, batch in enumerate(self._block(block)):
                number = block * self.BLOCK + offset
                if number >= start:
                    yield number, batch
            block += 1

    def _block(self, block: int) -> Iterator[Batch]:
        phase = phase_of(block)
        examples = stream_examples(random.Random(f"{self.seed}/{block}").getrandbits(60), phase)
        source = (self.encode(example, phase) for example in examples)
        short: list[Piece] = []
        long: list[Piece] = []
        for offset in range(self.BLOCK):
            is_long = offset % LONG_EVERY == LONG_EVERY - 1
            length = self.length * 2 if is_long else self.length
            rows = [
                self._row(source, short, long, length)
                for _ in range(self.rows // 2 if is_long else self.rows)
            ]
            yield Batch(
                [ids for ids, _ in rows], [w for _, w in rows], sum(n > 0 for _, w in rows for n in w)
            )

    def _row(self, source: Iterator[Piece], short: list[Piece], long: list[Piece], length: int) -> Piece:
        ids: list[int] = []
        weights: list[float] = []
        if length > self.length and long:
            piece = long.pop()
            ids, weights = list(piece[0]), list(piece[1])
        while True:
            while len(short) < POOL:
                piece = next(source)
                if len(piece[0]) <= self.length:
                    short.append(piece)
                elif len(piece[0]) <= 2 * self.length:
                    long.append(piece)
            room = length - len(ids)
            fits = [n for n, piece in enumerate(short) if len(piece[0]) <= room]
            if not fits:
                break
            # the oldest piece first while there is much room, then the one that fills the row best
            chosen = fits[0] if room > self.length // 2 else max(fits, key=lambda n: len(short[n][0]))
            piece = short.pop(chosen)
            ids += piece[0]
            weights += piece[1]
        padding = length - len(ids)
        return ids + [self.tokenizer.end_of_text] * padding, weights + [0.0] * padding
