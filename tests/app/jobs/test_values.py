"""A spec from words, forms and recipes: the same values, and one sentence for each thing that is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import field_validator

from app.jobs.forms import form_fields
from app.jobs.operation import Field, Spec
from app.jobs.values import (
    SpecError,
    as_words,
    assignments,
    merged,
    read_recipe,
    to_toml,
    validated,
    with_absolute_paths,
)
from store.errors import BadInput


class Sampling(Spec):
    temperature: float = Field(0.0, description="Randomness.", ge=0, le=5)
    seed: int | None = Field(None, description="Start of the random numbers.")
    stop: list[str] = Field(default_factory=list, description="Texts that end an answer.")


class Compare(Spec):
    cases: str = Field(description="The case set to run over.", picks="cases")
    versions: list[str] = Field(
        default_factory=list, description="Versions.", picks="prompt_version", many=True
    )
    split: Literal["all", "tune", "held_out"] = Field("all", description="Which part of the cases.")
    repeats: int = Field(1, description="How often each case runs.", ge=1, le=100, unit="times")
    sampling: Sampling = Field(default_factory=Sampling, description="Sampling.", group="sampling")
    thinking: bool | None = Field(None, description="Thinking on or off.", advanced=True)
    variables: dict[str, Any] = Field(default_factory=dict, description="Any values.")
    source: str | None = Field(None, description="A file.", picks="file", depends_on="split=tune|held_out")

    @field_validator("cases")
    @classmethod
    def not_everything(cls, value: str) -> str:
        if value == "everything":
            raise ValueError("names no case set. Choose one.")
        return value


def read(*words: str, base: Path | None = None) -> Compare:
    return validated(Compare, assignments(Compare, words, base))


def test_nested_keys_go_by_dots_and_lists_by_commas() -> None:
    spec = read(
        "cases=tickets@2", "versions=1,2,production", "sampling.temperature=0.5", 'sampling.stop="a,b",c'
    )
    assert spec.versions == ["1", "2", "production"]
    assert spec.sampling.temperature == 0.5
    assert spec.sampling.stop == ["a,b", "c"]


def test_a_list_key_may_be_repeated_and_another_may_not() -> None:
    assert read("cases=t", "versions=1", "versions=2,3").versions == ["1", "2", "3"]
    with pytest.raises(SpecError, match="cases: is given twice"):
        read("cases=t", "cases=u")


def test_an_equals_sign_in_a_value_is_part_of_it() -> None:
    assert read("cases=a=b").cases == "a=b"


def test_values_come_from_files_by_at_and_a_doubled_at_is_the_sign_itself(tmp_path: Path) -> None:
    (tmp_path / "name.txt").write_text("ﬁne", encoding="utf-8")
    (tmp_path / "versions.txt").write_text("1\n\n2, with comma\n", encoding="utf-8")
    (tmp_path / "any.json").write_text('{"name": {"first": "Ada"}, "n": 2}', encoding="utf-8")
    spec = read("cases=@name.txt", "versions=@versions.txt", "variables=@any.json", base=tmp_path)
    assert (spec.cases, spec.versions) == ("ﬁne", ["1", "2, with comma"])
    assert spec.variables == {"name": {"first": "Ada"}, "n": 2}
    assert read("cases=@@name.txt").cases == "@name.txt"
    with pytest.raises(SpecError, match="does not exist"):
        read("cases=@nowhere.txt", base=tmp_path)


def test_keys_below_an_open_object_need_no_json() -> None:
    assert read("cases=t", "variables.city=Berlin", "variables.n=3").variables == {"city": "Berlin", "n": 3}


def test_none_is_a_value_only_where_the_spec_knows_it() -> None:
    assert read("cases=none").cases == "none"
    assert read("cases=t", "thinking=none", "sampling.seed=").thinking is None
    assert read("cases=t", "thinking=off").thinking is False


@pytest.mark.parametrize(
    ("words", "field", "sentence"),
    [
        ([], "cases", "is needed: the case set to run over."),
        (["cases=t", "repeats=0"], "repeats", 'must be at least 1, not "0".'),
        (["cases=t", "repeats=many"], "repeats", 'must be a whole number, not "many".'),
        (["cases=t", "sampling.temperature=9"], "sampling.temperature", 'must be at most 5, not "9".'),
        (["cases=t", "split=half"], "split", "must be 'all', 'tune' or 'held_out', not \"half\"."),
        (["cases=t", "thinking=perhaps"], "thinking", 'must be yes or no, not "perhaps".'),
        (["cases=everything"], "cases", "names no case set. Choose one."),
        (["cases=t", "version=1"], "version", "is no field here. Did you mean versions?"),
        (["cases=t", "stray"], "stray", "is not of the form key=value. Write stray=… with a value."),
        (["cases=t", "variables={1"], "variables", "is not valid JSON"),
        (["cases=t", "sampling.temperature=nan"], "sampling.temperature", "must be a finite number"),
    ],
)
def test_each_mistake_is_a_sentence_at_its_field(words: list[str], field: str, sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(*words)
    assert list(caught.value.fields) == [field]
    assert caught.value.fields[field].startswith(sentence)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        read("repeats=0", "split=half")
    assert set(caught.value.fields) == {"cases", "repeats", "split"}


def test_a_recipe_says_the_same_spec_again(tmp_path: Path) -> None:
    spec = read(
        "cases=täglich 🙂 \x7f", "versions=1,2", "sampling.stop=</s>,\\n", "variables.a.b=[1]", "thinking=on"
    )
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(to_toml(spec), encoding="utf-8")
    assert validated(Compare, read_recipe(recipe)) == spec


def test_words_win_over_the_recipe(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'cases = "a"\nversions = [1, 2]\n[sampling]\ntemperature = 1.0\nseed = 3\n', encoding="utf-8"
    )
    values = merged(read_recipe(recipe), assignments(Compare, ["sampling.seed=4"]))
    spec = validated(Compare, values)
    assert (spec.versions, spec.sampling.temperature, spec.sampling.seed) == (["1", "2"], 1.0, 4)


def test_a_broken_recipe_is_a_sentence_with_its_line(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("cases = \n", encoding="utf-8")
    with pytest.raises(Exception, match=r"not valid TOML.*line 1"):
        read_recipe(recipe)


@pytest.mark.parametrize(
    "word",
    [
        "variables=" + "[" * 100_000,
        "variables.x=" + "[" * 100_000,
        "variables=" + "9" * 5_000,
        "sampling.stop=" + "[" * 100_000,
        "sampling.stop=" + "x" * 200_000,
        "sampling.seed=" + "9" * 400,
        'variables={"a": NaN}',
        "variables.\x00=1",
        "=1",
        "sampling=1",
        "sampling.temperature.more=1",
    ],
)
def test_hostile_words_are_values_or_sentences(word: str) -> None:
    try:
        read("cases=t", word)
    except SpecError as error:
        assert all(sentence for sentence in error.fields.values())


def test_a_broken_value_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "deep.toml").write_text("a = " + "[" * 20_000, encoding="utf-8")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe{")
    for name in ("deep.toml", "bytes.json"):
        with pytest.raises(SpecError, match="names the file"):
            read("cases=t", f"variables=@{name}", base=tmp_path)
    with pytest.raises(BadInput, match="is not valid TOML"):
        read_recipe(tmp_path / "deep.toml")


def test_files_become_absolute_before_a_worker_reads_them(tmp_path: Path) -> None:
    spec = with_absolute_paths(read("cases=t", "source=data/x.csv"), tmp_path)
    assert spec.source == str(tmp_path / "data" / "x.csv")
    assert spec.cases == "t"


def test_a_form_has_every_field_flat_with_what_it_needs_to_draw_it() -> None:
    fields = {field.name: field for field in form_fields(Compare, {"repeats": 3, "sampling.seed": 7})}
    assert list(fields)[:4] == ["cases", "versions", "split", "repeats"]
    assert fields["cases"].required and fields["cases"].picks == "cases"
    assert fields["versions"].type == "list" and fields["versions"].many
    assert fields["split"].choices == ("all", "tune", "held_out")
    assert (fields["repeats"].minimum, fields["repeats"].maximum, fields["repeats"].value) == (1, 100, 3)
    assert fields["sampling.temperature"].type == "number" and fields["sampling.seed"].value == 7
    assert fields["thinking"].advanced and fields["thinking"].optional
    assert fields["source"].depends_on == ("split", ("tune", "held_out"))


def test_a_forms_text_is_read_as_the_command_lines_is() -> None:
    spec = validated(
        Compare, {"cases": "t", "repeats": "", "versions": "1, 2", "thinking": "", "sampling.seed": "4"}
    )
    assert (
        spec.repeats == 1
        and spec.versions == ["1", "2"]
        and spec.thinking is None
        and spec.sampling.seed == 4
    )
    with pytest.raises(SpecError) as caught:
        validated(Compare, {"cases": "t", "repeats": "none of it"})
    assert list(caught.value.fields) == ["repeats"]


def test_a_job_can_be_said_again_in_words() -> None:
    spec = read("cases=@@home", 'sampling.stop="a,b",c', "repeats=3", "thinking=off", "variables.n=3")
    words = as_words(Compare, spec.model_dump(mode="json"))
    assert read(*words) == spec
    assert "cases=@@home" in words and not any(word.startswith("split=") for word in words)


@settings(max_examples=150, deadline=None, database=None)
@given(
    case=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    stop=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=3),
    variables=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        st.recursive(
            st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.= \"'\\é"), inner, max_size=3)
            ),
            max_leaves=6,
        ),
        max_size=3,
    ),
)
def test_any_values_survive_a_recipe_and_the_command_line(
    case: str, stop: list[str], variables: dict[str, Any]
) -> None:
    assume(case != "everything")
    spec = Compare(cases=case, sampling=Sampling(stop=stop), variables=variables)
    assert validated(Compare, tomllib.loads(to_toml(spec))) == spec
    words = as_words(Compare, spec.model_dump(mode="json"))
    assert validated(Compare, assignments(Compare, words)) == spec
