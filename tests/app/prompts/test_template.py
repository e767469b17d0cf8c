"""Templates: what they fill in, what they say when they cannot, and that no template hangs or eats the
machine."""

from __future__ import annotations

import time
from typing import Any

import pytest

from app.prompts.template import TemplateProblem, render, render_all, variables


def test_a_variable_is_filled_in_and_nothing_is_escaped() -> None:
    assert render("Hi {{ name }}!\n", {"name": "<Ann & Bo>"}) == "Hi <Ann & Bo>!\n"


def test_a_missing_variable_is_named_with_those_that_exist() -> None:
    with pytest.raises(TemplateProblem) as problem:
        render("{{ ticket }}", {"text": "x", "lang": "en"})
    assert "'ticket'" in str(problem.value)
    assert "It has: lang, text" in str(problem.value)


def test_a_missing_field_is_told_from_a_missing_variable() -> None:
    with pytest.raises(TemplateProblem, match="the field 'city'"):
        render("{{ order.city }}", {"order": {"name": "x"}})


def test_the_message_with_the_problem_is_named() -> None:
    with pytest.raises(TemplateProblem, match=r"Message 2 \(user\)"):
        render_all([("system", "ok"), ("user", "{{ gone }}")], {})


def test_conditions_loops_and_defaults_work() -> None:
    source = "{% for x in items %}{{ loop.index }}/{{ loop.length }} {{ x }}{{ ', ' if not loop.last }}"
    source += "{% endfor %}"
    assert render(source, {"items": ["a", "b"]}) == "1/2 a, 2/2 b"
    assert render("{{ gone | default('none') }}{% if other is defined %}!{% endif %}", {}) == "none"
    assert render("{{ order | tojson }}", {"order": {"a": "<é>"}}) == '{"a": "<é>"}'


def test_variables_come_in_the_order_of_their_first_appearance() -> None:
    assert variables(["{{ b }} {{ a }} {% for x in items %}{{ x }}{% endfor %}", "{{ c }}{{ a }}"]) == (
        "b",
        "a",
        "items",
        "c",
    )


def test_a_syntax_error_says_the_line() -> None:
    with pytest.raises(TemplateProblem, match=r"line 2"):
        render("one\n{% for %}", {})


BOMBS = [
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}{{ i }}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
    "{{ 'A' * 200000000 }}",
    "{{ [1] * 1000000000 }}",
    "{{ range(10**9) }}",
    "{% set x = 'aaaaaaaaaa' %}" + "{% set x = x ~ x %}" * 40,
    "{% set x = 'aaaaaaaaaa' %}" + "{% set x = x + x %}" * 40,
    "{% set x = 'aaaaaaaaaa' %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 40,
    "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(3) }}",
    "{% for x in [1, 2, 3] recursive %}{{ loop([1, 2, 3]) }}{% endfor %}",
    "{{ 'a'.ljust(10**9) }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ 'a' | center(10**9) }}",
    "{{ big | replace('a', 'b' * 100000) }}",
    "{{ big.replace('a', 'b' * 100000) }}",
    "{{ ('b' * 1000000).join(big) }}",
    "{{ big | join('b' * 1000000) }}",
    "{{ big | indent(100000) }}",
    "{{ [1] | batch(10**9, 'x') | list }}",
    "{{ 9**9**9**9 }}",
    "{{" + "(" * 5000 + "1" + ")" * 5000 + "}}",
]


@pytest.mark.parametrize("source", BOMBS, ids=lambda source: source[:40])
def test_a_bomb_ends_in_a_sentence_at_once(source: str) -> None:
    started = time.process_time()
    with pytest.raises(TemplateProblem) as problem:
        render(source, {"big": "a" * 100_000})
    assert time.process_time() - started < 5
    assert str(problem.value).endswith(".")


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ items.append(1) }}",
        "{{ self.__init__ }}",
        "{% include '/etc/passwd' %}",
        "{% import 'x' as y %}",
        "{{ x | attr('__class__') }}",
    ],
)
def test_the_sandbox_holds_and_says_so(source: str) -> None:
    values: dict[str, Any] = {"items": [1], "x": "text"}
    with pytest.raises(TemplateProblem):
        render(source, values)
    assert values == {"items": [1], "x": "text"}
