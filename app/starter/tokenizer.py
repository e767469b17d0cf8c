"""The starter's byte-level BPE tokenizer and its chat template.

Digits stand alone and the rest is split as GPT-2 does: llama.cpp knows this pair as ``smollm``, so the same
tokenizer works in a GGUF without a new pre-tokenizer.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.starter.corpus import stream_examples
from app.starter.prompting import Message

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VOCABULARY = 2048
TRAINING_EXAMPLES = 25_000
END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + (message['content'] | trim) + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def chat_text(messages: Sequence[Message]) -> str:
    """The messages as CHAT_TEMPLATE renders them with a generation prompt, without the cost of Jinja."""
    turns = [f"{TURN_START}{m['role']}\n{m['content'].strip()}{TURN_END}\n" for m in messages]
    return "".join(turns) + f"{TURN_START}assistant\n"


def train_tokenizer(seed: int, examples: int = TRAINING_EXAMPLES) -> Tokenizer:
    """A tokenizer of VOCABULARY entries trained on the first ``examples`` of the corpus of ``seed``."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT, TURN_START, TURN_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (
        "\n".join([*(f"{m['role']}\n{m['content']}" for m in example.messages), "assistant", example.answer])
        for example in itertools.islice(stream_examples(seed), examples)
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


class StarterTokenizer:
    """The tokenizer with the ids that training needs."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.end_of_text = self._id(END_OF_TEXT)
        self.turn_end = self._id(TURN_END)

    def _id(self, token: str) -> int:
        found = self.tokenizer.token_to_id(token)
        if found is None:
            raise ValueError(f"The tokenizer has no {token}: it is not the starter's.")
        return int(found)

    @classmethod
    def load(cls, path: Path) -> StarterTokenizer:
        from tokenizers import Tokenizer

        return cls(Tokenizer.from_file(str(path)))

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        return list(self.tokenizer.encode(chat_text(messages), add_special_tokens=False).ids)

    def encode_example(self, messages: Sequence[Message], answer: str) -> tuple[list[int], list[int]]:
        """Prompt ids up to the assistant's turn, and answer ids with the end of the turn."""
        answer_ids = self.tokenizer.encode(answer, add_special_tokens=False).ids
        return self.encode_prompt(messages), [*answer_ids, self.turn_end]

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))
