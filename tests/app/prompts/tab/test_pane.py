"""The Prompts tab under the keyboard, on a real store."""

import pytest
from textual.screen import Screen

from store import datasets, drafts, evaluations, prompts, settings
from store.workspace import Store
from tests.app.prompts.tab.conftest import Open
from tests.prompts_workspace import make_cases, make_comparison, make_model, make_prompt

HOSTILE = "x[/]y [red]z[/blue] \x1b]52;c;aGk=\x07\x1b[2J \u202eevil"


async def test_an_empty_workspace_names_the_next_key(workspace: Store, open_desk: Open) -> None:
    async with open_desk(workspace) as desk:
        text = desk.text()
        assert "No prompts yet" in text and "n writes one" in text and "i imports" in text


async def test_the_last_comparison_is_shown_at_once_with_its_verdict(
    compared: Store, open_desk: Open
) -> None:
    async with open_desk(compared) as desk:
        await desk.until(lambda: "over @1" in desk.text(), "the verdict")
        text = desk.text()
        assert "route-ticket × tickets@1" in text and "240 cells" in text
        assert "46 %  36–57" in text and "@3" in text and "production ●" in text
        assert "ticket 0" in text and "held out" in text
        assert desk.tab.matrix.has_focus


async def test_only_differing_and_back_keep_the_case_under_the_cursor(
    compared: Store, open_desk: Open
) -> None:
    async with open_desk(compared) as desk:
        await desk.press("]", "]", "]")
        comparison = desk.tab.comparison
        assert comparison is not None
        position = comparison.rows[desk.tab.matrix.cursor_row]
        assert comparison.differs(position)
        await desk.press("d")
        assert len(comparison.rows) < 80 and comparison.rows[desk.tab.matrix.cursor_row] == position
        assert "only differing" in desk.text()
        await desk.press("d")
        assert len(comparison.rows) == 80 and comparison.rows[desk.tab.matrix.cursor_row] == position


async def test_words_and_tags_filter_the_rows_and_escape_shows_all(compared: Store, open_desk: Open) -> None:
    async with open_desk(compared) as desk:
        await desk.press("slash")
        await desk.until(lambda: len(desk.app.screen_stack) == 2)
        await desk.type("tag:angry")
        await desk.press("enter")
        comparison = desk.tab.comparison
        assert comparison is not None
        await desk.until(lambda: len(comparison.rows) == 16, "the filter")
        await desk.press("escape")
        assert len(comparison.rows) == 80


async def test_side_by_side_shows_full_answers_checks_and_walks_the_cases(
    compared: Store, open_desk: Open
) -> None:
    async with open_desk(compared) as desk:
        await desk.press("enter")
        await desk.until(lambda: "case 1 of 80" in desk.text(), "side by side")
        text = desk.text()
        assert "expected: billing" in text and "equals expected" in text and "tok/s" in text
        assert "@2 label list" in text
        await desk.press("j")
        await desk.until(lambda: "case 2 of 80" in desk.text())
        await desk.press("]")
        await desk.until(lambda: "case 2 of 80" not in desk.text())
        await desk.press("p")
        await desk.until(lambda: "<|assistant|>" in desk.text(), "the rendered prompt")
        await desk.press("escape", "escape")
        await desk.until(lambda: len(desk.app.screen_stack) == 1)
        assert desk.tab.matrix.cursor_row > 0


async def test_side_by_side_can_keep_only_regressions(compared: Store, open_desk: Open) -> None:
    async with open_desk(compared) as desk:
        await desk.press("enter")
        await desk.until(lambda: "case 1 of 80" in desk.text())
        await desk.press("D")
        await desk.until(lambda: "of 80" not in desk.text() and "case 1 of" in desk.text(), "fewer cases")
        await desk.press("escape")
        await desk.until(lambda: "only regressions" in desk.text(), "the matrix follows")


async def test_a_rating_from_side_by_side_is_in_the_store_and_undo_takes_it_back(
    compared: Store, open_desk: Open
) -> None:
    async with open_desk(compared) as desk:
        await desk.press("enter")
        await desk.until(lambda: "case 1 of 80" in desk.text())
        await desk.press("3")
        await desk.until(lambda: len(evaluations.ratings(compared, 1)) == 1, "the rating")
        kept = evaluations.ratings(compared, 1)[0]
        assert (kept.left_subject, kept.right_subject, kept.choice) == (0, 2, "right")
        await desk.press("u")
        await desk.until(lambda: not evaluations.ratings(compared, 1), "the undo")


async def test_blind_choice_hides_the_names_until_the_end(compared: Store, open_desk: Open) -> None:
    async with open_desk(compared) as desk:
        await desk.press("right", "right", "b")
        await desk.until(lambda: "blind choice · 1 of" in desk.text(), "the first case")
        assert "@1" not in desk.text() and "@3" not in desk.text()
        for key in ("1", "2", "0"):
            before = len(evaluations.ratings(compared, 1))
            await desk.press(key)
            await desk.until(
                lambda before=before: len(evaluations.ratings(compared, 1)) == before + 1, "kept"
            )
            await desk.until(lambda n=before: f"{n + 2} of" in desk.text(), "the next case")
        await desk.press("u")
        await desk.until(lambda: len(evaluations.ratings(compared, 1)) == 2)
        await desk.press("s")
        await desk.until(lambda: "@3 was better in" in desk.text() and "@1 in" in desk.text(), "the names")


async def test_every_pair_can_be_paged_and_the_rule_has_a_page(compared: Store, open_desk: Open) -> None:
    async with open_desk(compared) as desk:
        await desk.until(lambda: "pair 1 of 3" in desk.text(), "the verdict")
        await desk.press("full_stop")
        assert "pair 2 of 3" in desk.text() and "@3 over @1" in desk.text()
        await desk.press("comma", "comma")
        assert "@3 over @2" in desk.text()
        await desk.press("w")
        await desk.until(lambda: "McNemar" in desk.text())
        await desk.press("escape", "T")
        await desk.until(lambda: "angry" in desk.text() and "calm" in desk.text(), "tags")


async def test_a_baseline_leaves_only_its_pairs(compared: Store, open_desk: Open) -> None:
    async with open_desk(compared) as desk:
        await desk.press("right", "equals_sign")
        await desk.until(lambda: "of 2" in desk.text() and "baseline" in desk.text(), "two pairs")
        assert settings.get(compared, "prompts.selection")["baseline"] == "route-ticket@2"


async def test_marks_in_the_list_choose_the_columns_of_the_next_run(compared: Store, open_desk: Open) -> None:
    async with open_desk(compared) as desk:
        await desk.press("left", "down", "space")
        assert desk.tab.outline.has_focus
        await desk.until(lambda: desk.tab.selection.versions == (2, 3), "unmarked")
        await desk.until(
            lambda: settings.get(compared, "prompts.selection")["versions"] == [2, 3], "remembered"
        )


async def test_at_80_columns_the_list_folds_away_and_a_key_brings_it(
    compared: Store, open_desk: Open
) -> None:
    async with open_desk(compared, size=(80, 24)) as desk:
        assert not desk.tab.query_one("#shelf").display
        assert "@3" in desk.text() and "82 %" in desk.text()
        await desk.press("o")
        assert desk.tab.query_one("#shelf").display and "label list" in desk.text()
        await desk.press("o")
        assert desk.tab.matrix.has_focus


@pytest.mark.parametrize("size", [(20, 5), (40, 10), (200, 60)])
async def test_no_size_breaks_it(compared: Store, open_desk: Open, size: tuple[int, int]) -> None:
    async with open_desk(compared, size=size) as desk:
        await desk.press("j", "right", "enter", "escape", "d", "o", "o")


async def test_hostile_names_cases_and_answers_are_text_in_every_view(
    workspace: Store, open_desk: Open
) -> None:
    make_prompt(workspace)
    prompts.save_version(
        workspace, "route-ticket", prompts.prompt_versions(workspace, "route-ticket")[0].content, note=HOSTILE
    )
    cases = make_cases(workspace, count=12, tags=[HOSTILE], expected=HOSTILE)
    make_comparison(
        workspace, cases=cases, model=make_model(workspace), answer=lambda s, p, r: (f"{HOSTILE} {s}", s == 1)
    )
    async with open_desk(workspace) as desk:

        async def safe(*keys: str) -> None:
            await desk.press(*keys)
            await desk.pilot.pause(0.1)
            text = desk.text()
            assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text

        await safe("j")
        await safe("enter")
        assert "[red]z" in desk.text()
        await safe("p")
        await safe("escape")
        await safe("escape")
        await safe("T")
        await safe("escape")
        await safe("b")
        await safe("escape")
        await safe("c")
        await safe("enter")
        await safe("escape")
        await safe("escape")
        await safe("v")


async def test_a_draft_is_in_the_store_within_a_second_and_becomes_a_version(
    compared: Store, open_desk: Open
) -> None:
    async with open_desk(compared) as desk:
        await desk.press("e")
        await desk.until(lambda: "draft from" in desk.text(), "the editor")
        await desk.type("Be brief. ")
        await desk.until(
            lambda: "Be brief." in str(drafts.draft(compared, "prompt:route-ticket")), "the draft", seconds=3
        )
        await desk.press("ctrl+s")
        await desk.until(lambda: "Note for the new version" in desk.text())
        await desk.type("briefer")
        await desk.press("enter")
        await desk.until(lambda: len(prompts.prompt_versions(compared, "route-ticket")) == 4, "the version")
        made = prompts.prompt_versions(compared, "route-ticket")[-1]
        assert made.note == "briefer" and "Be brief." in str(made.content["messages"])
        assert made.content["sampling"]["max_tokens"] == 32
        await desk.until(lambda: drafts.draft(compared, "prompt:route-ticket") is None, "the draft is gone")
        await desk.until(lambda: 4 in desk.tab.selection.versions, "it is a column")


async def test_leaving_the_editor_keeps_the_draft_as_a_column(compared: Store, open_desk: Open) -> None:
    async with open_desk(compared) as desk:
        await desk.press("e")
        await desk.until(lambda: "draft from" in desk.text())
        await desk.type("Hm. ")
        await desk.press("escape")
        await desk.until(lambda: desk.tab.selection.draft, "the draft column")
        assert "route-ticket@draft" in desk.tab.selection.subjects[-1]
        await desk.until(lambda: "draft •" in desk.text(), "the draft in the list")


async def test_a_case_is_typed_in_a_form_and_makes_a_new_version_of_the_set(
    compared: Store, open_desk: Open
) -> None:
    async with open_desk(compared) as desk:
        await desk.press("c")
        await desk.until(lambda: "80 cases" in desk.text(), "the cases")
        await desk.press("n")
        await desk.until(lambda: "case new" in desk.text(), "the form")
        await desk.type("The box was empty.")
        await desk.press("tab")
        await desk.type("returns")
        await desk.press("ctrl+s")
        await desk.until(lambda: "1 new, not in a version yet" in desk.text(), "the edit")
        assert "box was empty" in str(drafts.draft(compared, "cases:tickets"))
        await desk.press("ctrl+s")
        await desk.until(lambda: "Note for the new version" in desk.text())
        await desk.press("enter")
        await desk.until(lambda: len(datasets.dataset_versions(compared, "tickets")) == 2, "the version")
        made = datasets.dataset_version(compared, "tickets")
        added = datasets.row(compared, made.id, 80).content
        assert made.rows == 81 and added["variables"] == {"ticket": "The box was empty."}
        assert added["expected"] == "returns"
        await desk.until(lambda: desk.tab.selection.cases == "tickets@2", "chosen")


async def test_a_label_is_moved_from_the_keyboard(compared: Store, open_desk: Open) -> None:
    async with open_desk(compared) as desk:
        await desk.press("right", "t")
        await desk.until(lambda: "Label for route-ticket@2" in desk.text(), "the labels")
        await desk.press("enter")
        await desk.until(lambda: prompts.labels(compared, "route-ticket") == {"production": 2}, "rolled back")


async def test_what_changed_between_versions_is_a_page(compared: Store, open_desk: Open) -> None:
    async with open_desk(compared) as desk:
        await desk.press("right", "v")
        await desk.until(lambda: "What changed up to" in desk.text())
        await desk.press("enter")
        await desk.until(lambda: "route-ticket@1 → route-ticket@2" in desk.text(), "the page")
        assert "Wording 12" in desk.text()


async def test_another_comparison_stands_beside_this_one(compared: Store, open_desk: Open) -> None:
    cases = datasets.dataset_version(compared, "tickets")
    from store import models

    make_comparison(
        compared,
        cases=cases,
        model=models.model_version(compared, "starter"),
        answer=lambda s, p, r: ("x", False),
    )
    async with open_desk(compared) as desk:
        await desk.press("H")
        await desk.until(lambda: "Past comparisons" in desk.text())
        await desk.press("enter")
        await desk.until(lambda: "Beside this one" in desk.text())
        await desk.press("enter")
        await desk.until(lambda: "fare differently" in desk.text(), "the page")
        assert "points" in desk.text()


async def test_every_binding_has_an_id_and_says_what_it_does(compared: Store, open_desk: Open) -> None:
    from app.prompts.tab.blind import BlindScreen
    from app.prompts.tab.cases import CaseScreen, CasesScreen
    from app.prompts.tab.editor import EditorScreen
    from app.prompts.tab.pane import PromptsTab
    from app.prompts.tab.side_by_side import SideBySideScreen

    ids: set[str] = set()
    for owner in (PromptsTab, SideBySideScreen, BlindScreen, EditorScreen, CasesScreen, CaseScreen):
        assert getattr(owner, "HELP", "")
        for part in owner.__mro__:
            for one in part.__dict__.get("BINDINGS", ()):
                if part.__module__.startswith("app.prompts.tab"):
                    assert one.id and one.description and one.id not in ids, one
                    ids.add(one.id)
    async with open_desk(compared) as desk:
        assert isinstance(desk.app.screen, Screen)
