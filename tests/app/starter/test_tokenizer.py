"""The tokenizer round-trips any text, and its quick chat rendering is what the template renders."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.starter.tokenizer import CHAT_TEMPLATE, StarterTokenizer, chat_text

MESSAGES = [
    {"role": "system", "content": " Be brief. \n"},
    {"role": "user", "content": "Ticket: where is my lamp?"},
    {"role": "assistant", "content": "delivery"},
    {"role": "user", "content": "\n\nTicket: {{ not a template }} "},
]


def test_any_text_survives_a_round_trip(tokenizer: StarterTokenizer) -> None:
    @given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
    @settings(max_examples=150, deadline=None)
    def check(text: str) -> None:
        ids = tokenizer.tokenizer.encode(text, add_special_tokens=False).ids
        assert tokenizer.tokenizer.decode(ids, skip_special_tokens=False) == text

    check()


def test_every_digit_is_a_token_of_its_own(tokenizer: StarterTokenizer) -> None:
    tokens = tokenizer.tokenizer.encode("order 48210 of 2026", add_special_tokens=False).tokens
    assert [token for token in tokens if any(c.isdigit() for c in token)] == list("482102026")


def test_the_quick_rendering_equals_the_template() -> None:
    template = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(CHAT_TEMPLATE)
    assert template.render(messages=MESSAGES, add_generation_prompt=True) == chat_text(MESSAGES)


def test_an_answer_ends_with_the_end_of_the_turn(tokenizer: StarterTokenizer) -> None:
    prompt, answer = tokenizer.encode_example(MESSAGES, "delivery")
    assert answer[-1] == tokenizer.turn_end
    assert tokenizer.decode(answer) == "delivery"
    assert tokenizer.turn_end in prompt
