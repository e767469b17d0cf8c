from __future__ import annotations

import resource
import time

import pytest

from app.engine.chat_template import BUILT_IN, TemplateProblem, choose_template, render
from app.engine.request import Message
from store.errors import BadInput
from tests.tiny_models import CHATML

TURN = (Message("system", "Be brief."), Message("user", "Hi"))
ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ messages.__class__.__base__.__subclasses__() }}",
    "{{ raise_exception.__globals__ }}",
    "{{ ('%s' | attr('format')).__self__.__class__ }}",
    "{% set x = messages.append(1) %}{{ messages|length }}",
    "{{ ''['format_map']({}) }}{{ ''.format.__globals__ }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}{{ os }}",
]
BOMBS = [
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}xxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}",
    "{{ 'A' * 200000000 }}",
    "{{ ('A' * 999999) * 999999 }}",
    "{{ range(1000000000)|list }}",
    "{{ 9 ** 999999999 }}",
    "{{ '%999999999d' % 1 }}",
    "{{ '{:>2000000000}'.format('x') }}",
    "{{ 'x'|center(2000000000) }}",
    "{{ messages|tojson(indent=2000000000) }}",
    "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
]


@pytest.mark.parametrize("source", ESCAPES)
def test_a_template_cannot_reach_out_of_the_sandbox(source: str) -> None:
    try:
        text = render(source, TURN)
    except TemplateProblem:
        return
    assert "class" not in text
    assert "root:" not in text
    assert "uid=" not in text


@pytest.mark.parametrize("source", BOMBS)
def test_a_template_cannot_eat_time_or_memory(source: str) -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    began = time.monotonic()
    with pytest.raises(TemplateProblem):
        render(source, TURN)
    assert time.monotonic() - began < 6
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 * 1024 * 1024


def test_chatml_renders_as_expected_and_thinking_can_be_switched_off() -> None:
    plain = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert render(CHATML, TURN) == plain
    assert render(BUILT_IN["chatml"], TURN) == plain
    assert render(CHATML, TURN, thinking=False) == plain + "<think>\n\n</think>\n\n"
    assert render(CHATML, TURN, generation_prompt=False) == plain.removesuffix("<|im_start|>assistant\n")


def test_templates_of_the_hub_find_what_they_need() -> None:
    source = (
        "{{ bos_token }}{% for message in messages %}{% if loop.first %}{% continue %}{% endif %}"
        "{% generation %}{{ message['content'] | trim }}{% endgeneration %}{{ {'a': 'ü<'} | tojson }}{% endfor %}"
        "{{ strftime_now('%Y') }}{{ eos_token }}"
    )
    assert render(source, TURN, bos="<s>", eos="</s>") == '<s>Hi{"a": "ü<"}2024</s>'


def test_what_a_template_refuses_is_told_in_its_own_words() -> None:
    with pytest.raises(TemplateProblem, match="System role not supported"):
        render("{{ raise_exception('System role not supported') }}", TURN)


def test_a_broken_template_is_a_sentence() -> None:
    with pytest.raises(TemplateProblem):
        render("{% for %}", TURN)
    with pytest.raises(TemplateProblem):
        render("{{ messages[0].content.nope() }}", TURN)


def test_a_model_without_a_template_says_so_and_names_the_choices() -> None:
    with pytest.raises(TemplateProblem, match="chatml, plain"):
        choose_template(None, None, "bare")
    assert choose_template(None, "plain", "bare") == BUILT_IN["plain"]
    with pytest.raises(BadInput):
        choose_template(None, "nope", "bare")
