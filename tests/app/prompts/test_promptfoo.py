"""Ten promptfoo configurations of other people's habits, and ten that are broken: mapped, named, or a
sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.jobs.runner import Result
from app.prompts.promptfoo import PromptfooImport, read_promptfoo
from store import datasets, prompts
from store.errors import BadInput
from store.workspace import Store

Read = Callable[..., PromptfooImport]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write a configuration and the files around it, and read it."""

    def do(text: str, name: str = "promptfooconfig.yaml", **files: str) -> PromptfooImport:
        for file_name, content in files.items():
            path = tmp_path / file_name.replace("__", ".").replace("--", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        (tmp_path / name).write_text(text, encoding="utf-8")
        return read_promptfoo(tmp_path / name)

    return do


def kinds(found: PromptfooImport, case: int = 0) -> list[str]:
    return [check.label for check in found.cases[case].checks]


def test_1_the_getting_started_example(read: Read) -> None:
    found = read(
        """
        # yaml-language-server: $schema=https://promptfoo.dev/config-schema.json
        description: My eval
        prompts:
          - "Write a tweet about {{topic}}"
          - "Write a concise, funny tweet about {{topic}}"
        providers:
          - openai:gpt-4o-mini
        tests:
          - vars: {topic: bananas}
          - vars: {topic: avocado toast}
            assert:
              - type: icontains
                value: avocado
              - type: javascript
                value: 1 / (output.length + 1)
          - vars: {topic: new york city}
            assert:
              - type: llm-rubric
                value: ensure that the output is funny
        """
    )
    assert [content.messages[0].content for _, content in found.prompts] == [
        "Write a tweet about {{topic}}",
        "Write a concise, funny tweet about {{topic}}",
    ]
    assert [case.variables["topic"] for case in found.cases] == ["bananas", "avocado toast", "new york city"]
    assert kinds(found, 1) == ['contains "avocado"']
    assert found.cases[1].checks[0].fold_case
    assert set(found.not_imported) == {"providers", "tests[1].assert[1]", "tests[2].assert[0]"}
    assert found.description == "My eval"


def test_2_chat_json_and_files(read: Read) -> None:
    found = read(
        """
        prompts:
          - file://chat.json
          - texts/*.txt
          - id: file://labelled.txt
            label: with label
            config: {temperature: 1}
        tests:
          - vars: {q: hi}
        """,
        chat__json=json.dumps(
            [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "{{q}}"}]
        ),
        **{"texts--a__txt": "one {{q}}\n---\ntwo {{q}}\n", "labelled__txt": "three {{q}}"},
    )
    assert [len(content.messages) for _, content in found.prompts] == [2, 1, 1, 1]
    assert [label for label, _ in found.prompts] == ["chat", "a", "a", "with label"]
    assert found.prompts[1][1].messages[0].content == "one {{q}}"
    assert list(found.not_imported) == ["prompts[2].config"]


def test_3_default_test_and_weights(read: Read) -> None:
    found = read(
        """
        prompts: ["{{greeting}} {{name}}"]
        defaultTest:
          vars: {greeting: Hello}
          options: {provider: openai:gpt-4}
          assert:
            - type: not-contains
              value: "As an AI"
              weight: 2
        tests:
          - vars: {name: Bo}
            assert:
              - {type: equals, value: "Hello {{name}}"}
              - {type: latency, threshold: 500}
              - {type: contains, value: "{{nobody}}"}
        """
    )
    (case,) = found.cases
    assert case.variables == {"greeting": "Hello", "name": "Bo"}
    assert kinds(found) == ['not contains "As an AI"', 'equals "Hello Bo"']
    assert case.checks[0].weight == 2
    assert set(found.not_imported) == {"defaultTest.options", "tests[0].assert[1]", "tests[0].assert[2]"}
    assert "'nobody'" in found.not_imported["tests[0].assert[2]"]


def test_4_tests_from_csv_and_yaml(read: Read) -> None:
    found = read(
        """
        prompts: "Translate to French: {{text}}"
        tests:
          - file://cases.csv
          - more.yaml
          - https://docs.google.com/spreadsheets/d/x
          - file://generate.py
        """,
        cases__csv='text,__expected\nhello,"icontains: bonjour"\nbye,similar(0.9): au revoir\n',
        more__yaml="- vars: {text: cat}\n  assert:\n    - {type: equals, value: chat}\n",
        generate__py="raise SystemExit",
    )
    assert [case.variables["text"] for case in found.cases] == ["hello", "bye", "cat"]
    assert kinds(found, 2) == ['equals "chat"']
    reasons = " ".join(f"{key} {why}" for key, why in found.not_imported.items())
    assert "nothing is fetched" in reasons
    assert "code is never run" in reasons
    assert "similar" in reasons


def test_5_json_assertions(read: Read) -> None:
    found = read(
        """
        prompts: ["Give JSON for {{x}}"]
        tests:
          - vars: {x: 1}
            assert:
              - type: is-json
              - type: is-json
                value: {type: object, required: [color]}
              - type: is-json
                value: "required: [color]\\ntype: object\\n"
              - type: contains-json
              - type: is-json
                value: file://schema.json
        """
    )
    assert [check.kind for check in found.cases[0].checks] == ["valid_json", "json_schema", "json_schema"]
    assert set(found.not_imported) == {"tests[0].assert[3]", "tests[0].assert[4]"}


def test_6_list_variables_multiply(read: Read) -> None:
    found = read(
        """
        prompts: ["{{lang}} {{text}}"]
        tests:
          - vars: {lang: [French, German], text: [a, b, c]}
          - vars: {history: [{role: user, content: hi}], lang: x, text: y}
        """
    )
    assert len(found.cases) == 7
    assert {(case.variables["lang"], case.variables["text"]) for case in found.cases[:6]} == {
        (lang, text) for lang in ("French", "German") for text in "abc"
    }


def test_7_any_all_and_regex(read: Read) -> None:
    found = read(
        """
        prompts: [p]
        tests:
          - vars: {a: 1}
            assert:
              - {type: contains-any, value: [a.c, d]}
              - {type: icontains-all, value: [x, y]}
              - {type: not-contains-all, value: [x, y]}
              - {type: not-regex, value: "^sorry"}
              - {type: starts-with, value: Dear}
              - {type: assert-set, assert: [{type: equals, value: x}], threshold: 0.5}
              - {type: regex, value: "("}
              - {type: equals, value: x, transform: output.trim()}
        """
    )
    assert [check.kind for check in found.cases[0].checks] == [
        "regex",
        "contains",
        "contains",
        "regex",
        "regex",
        "starts_with",
    ]
    assert len([key for key in found.not_imported if "assert" in key]) == 3


def test_8_nunjucks_and_metadata(read: Read) -> None:
    found = read(
        """
        prompts:
          - |
            {% if premium %}VIP{% endif %} {{ order | dump }} {% for i in items %}{{ i }}{% endfor %}
          - "{{ broken "
        tests:
          - description: a premium customer
            vars: {premium: true, order: {id: 1}, items: [{a: 1}]}
            metadata: {area: billing, nested: {x: 1}}
            threshold: 0.5
        """
    )
    assert "tojson" in found.prompts[0][1].messages[0].content
    assert "prompts[1]" in found.not_imported
    assert found.cases[0].name == "a premium customer"
    assert found.cases[0].tags == ("area=billing",)
    assert "tests[0].threshold" in found.not_imported


def test_9_scenarios_red_team_and_code_are_named(read: Read) -> None:
    found = read(
        """
        prompts: [file://prompt.py, "plain {{x}}"]
        providers: [{id: exec:python x.py}]
        scenarios: [{config: [], tests: []}]
        redteam: {purpose: x}
        evaluateOptions: {maxConcurrency: 1}
        extensions: [file://hook.js:afterAll]
        nunjucksFilters: {f: ./f.js}
        outputPath: out.html
        sharing: true
        env: {OPENAI_API_KEY: sk-secret}
        somethingNew: 1
        tests: [{vars: {x: 1}, provider: p, options: {transform: t}}]
        """,
        prompt__py="print(1)",
    )
    assert {"prompts[0]", "providers", "scenarios", "redteam", "extensions", "env", "somethingNew"} <= set(
        found.not_imported
    )
    assert "code" in found.not_imported["prompts[0]"]
    assert "sk-secret" not in str(found.not_imported)
    assert len(found.prompts) == 1


def test_10_old_forms_anchors_and_json(read: Read) -> None:
    found = read(
        """
        x-base: &base
          - {type: contains, value: "1"}
        prompts: {prompts.txt: my label}
        tests:
          - vars: {q: 1}
            assert: *base
          - vars: {q: 2}
            assert: *base
        """,
        prompts__txt="Q: {{q}}",
    )
    assert found.prompts[0][0] == "my label"
    assert kinds(found, 1) == ['contains "1"']
    again = read(json.dumps({"prompts": ["{{q}}"], "tests": [{"vars": {"q": "x"}}]}), name="config.json")
    assert len(again.cases) == 1


BILLION_LAUGHS = "\n".join(
    ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    + [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    + ["prompts: *a8"]
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prompts: [a\n  b: {", "line 2"),
        ("- just\n- a list", "top level"),
        ("providers: [x]", "neither"),
        ("!!python/object/apply:os.system ['true']", "line 1"),
        ("prompts: !!python/name:os.system", "line 1"),
        ("a: &a [x,x]\nb: &b [*a,*a]\nprompts: " + "[" + "*b," * 1100 + "*b]", "aliases"),
        (BILLION_LAUGHS, "unfolds"),
        ("prompts: &p [*p]", "unfolds"),
        ("prompts: []\ntests: []", "Nothing"),
        ("prompts: [{}]\ntests: [1, [2]]", "Nothing"),
        ("prompts: ['file:///etc/passwd', '../../secret.txt']", "outside"),
        ("prompts: 5\ntests: 7", "Nothing"),
        ("\x00", "special characters"),
        ("[" * 5000, "nested too deeply"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_broken_configuration_is_a_sentence(read: Read, text: str, words: str) -> None:
    with pytest.raises(BadInput) as problem:
        read(text)
    assert words in str(problem.value)


def test_a_link_out_of_the_folder_is_not_read(read: Read, tmp_path: Path) -> None:
    outside = tmp_path.parent / "secret.txt"
    outside.write_text("secret {{x}}", encoding="utf-8")
    (tmp_path / "inside.txt").symlink_to(outside)
    found = read("prompts: ['file://inside.txt', 'ok {{x}}']")
    assert len(found.prompts) == 1
    assert "outside" in found.not_imported["prompts[0]"]


def test_the_operation_makes_versions_of_one_prompt_and_a_case_set(
    workspace: Store, run: Callable[..., Result], tmp_path: Path
) -> None:
    folder = tmp_path / "my project"
    folder.mkdir()
    config = folder / "promptfooconfig.yaml"
    config.write_text(
        "prompts: ['a {{x}}', 'b {{x}}']\nproviders: [p]\ntests: [{vars: {x: 1}, assert: [{type: equals, "
        "value: 1}]}]",
        encoding="utf-8",
    )
    summary = run("prompt.import", path=str(config)).summary
    assert summary["prompts"] == ["my project@1", "my project@2"]
    assert summary["cases"] == "my project@1"
    assert summary["not_imported"] == [
        {"path": "providers", "why": "the model is chosen when the comparison is started"}
    ]
    assert prompts.prompt_version(workspace, "my project@2").content["messages"][0]["content"] == "b {{x}}"
    row = datasets.row(workspace, datasets.dataset_version(workspace, "my project").id, 0)
    assert row.content["checks"] == [{"kind": "equals", "value": 1}]


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "prompts",
                    "tests",
                    "defaultTest",
                    "vars",
                    "assert",
                    "type",
                    "value",
                    "raw",
                    "id",
                    "role",
                    "content",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@given(prompts_=trees, tests=trees, default=trees)
@settings(max_examples=60, deadline=None)
def test_no_shape_of_configuration_is_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, prompts_: Any, tests: Any, default: Any
) -> None:
    import yaml

    path = tmp_path_factory.mktemp("fuzz") / "promptfooconfig.yaml"
    config = {"prompts": prompts_, "tests": tests, "defaultTest": default}
    path.write_text(yaml.safe_dump(config), encoding="utf-8", errors="replace")
    try:
        read_promptfoo(path)
    except BadInput as problem:
        assert str(problem)


def test_yaml_reads_as_promptfoo_reads_it_so_a_label_no_is_text_and_a_date_is_what_was_written(
    read: Read,
) -> None:
    found = read(
        """
        prompts: ["{{q}} {{when}} {{at}}"]
        tests:
          - vars: {q: yes, when: 2024-01-31, at: 12:30:45, n: 0o17, big: 1e3, t: true}
            assert: [{type: equals, value: no}]
        """
    )
    (case,) = found.cases
    assert case.variables == {
        "q": "yes",
        "when": "2024-01-31",
        "at": "12:30:45",
        "n": 15,
        "big": 1000.0,
        "t": True,
    }
    assert case.checks[0].value == "no"
    assert json.dumps(case.variables)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prompts: [a]\nprompts: [b]\n", "line 2, column 1: the key 'prompts' is given twice"),
        ("prompts: [a]\ntests: [{vars: {x: !!binary aGk=}}]\n", "line 2"),
        ("prompts: [a]\ntests: [{vars: {x: .nan}}]\n", "no number"),
        (f"prompts: [a]\ntests: [{{vars: {{x: {'9' * 5000}}}}}]\n", "line 2"),
    ],
)
def test_yaml_that_would_lose_a_value_is_refused_with_its_line(read: Read, text: str, words: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(text)
    assert words in str(refused.value)


def test_an_id_beside_a_raw_prompt_and_a_default_description_are_named(read: Read) -> None:
    found = read(
        """
        prompts: [{id: one, raw: "Say {{x}}"}]
        defaultTest: {description: d, vars: {x: 1}}
        tests: [{vars: {x: 2}}]
        """
    )
    assert set(found.not_imported) == {"prompts[0].id", "defaultTest.description"}


def test_brackets_without_end_are_refused_before_they_take_time(read: Read) -> None:
    with pytest.raises(BadInput) as refused:
        read("prompts:\n  " + "[" * 50_000)
    assert "nested too deeply (line 2" in str(refused.value)
