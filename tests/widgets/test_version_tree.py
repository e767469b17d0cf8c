"""Trees of versions and the list that shows them."""

from collections.abc import Hashable

from textual.app import App, ComposeResult

from widgets.version_tree import Node, Outline, OutlineItem, tree_guides


def drawn(*nodes: tuple[int, int | None]) -> list[str]:
    return [guides + str(key) for key, guides in tree_guides([Node(key, parent) for key, parent in nodes])]


def test_a_branch_is_drawn_under_its_parent() -> None:
    assert drawn((1, None), (2, 1), (3, 2), (4, 1)) == ["1", "├ 2", "│ └ 3", "└ 4"]


def test_a_straight_history_stays_at_one_depth_however_long() -> None:
    chain = [(n, n - 1 or None) for n in range(1, 3000)]
    assert drawn(*chain) == [str(n) for n in range(1, 3000)]


def test_orphans_and_cycles_are_still_listed_once_each() -> None:
    assert drawn((5, 99), (6, 7), (7, 6)) == ["5", "6", "7"]


class Harness(App[None]):
    def __init__(self, items: list[OutlineItem]) -> None:
        super().__init__()
        self.outline = Outline(items)
        self.chosen: list[Hashable] = []
        self.marked: list[Hashable] = []

    def compose(self) -> ComposeResult:
        yield self.outline

    def on_mount(self) -> None:
        self.outline.focus()
        self.outline.show(self.outline._items)

    def on_outline_chosen(self, message: Outline.Chosen) -> None:
        self.chosen.append(message.key)

    def on_outline_marked(self, message: Outline.Marked) -> None:
        self.marked.append(message.key)


ITEMS = [
    OutlineItem(None, "Prompts"),
    OutlineItem("a", "x[/]y \x1b[2J", note="●"),
    OutlineItem(None, ""),
    OutlineItem(None, "Cases"),
    OutlineItem("b", "tickets@1", note="80"),
]


async def test_the_cursor_passes_over_headings_and_enter_and_space_tell_the_item() -> None:
    app = Harness(ITEMS)
    async with app.run_test(size=(30, 10)) as pilot:
        await pilot.press("enter", "down", "enter", "space", "down", "up", "enter")
        await pilot.pause()
        assert app.chosen == ["a", "b", "a"]
        assert app.marked == ["b"]


async def test_the_cursor_stays_on_its_item_when_lines_are_added_above() -> None:
    app = Harness(ITEMS)
    async with app.run_test(size=(30, 10)) as pilot:
        await pilot.press("down")
        app.outline.show([OutlineItem("new", "new"), *ITEMS])
        assert app.outline.key == "b"


async def test_hostile_names_are_shown_as_text() -> None:
    app = Harness(ITEMS)
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        text = "".join(app.outline.render_line(y).text for y in range(10))
        assert "x[/]y" in text and "\x1b" not in text
