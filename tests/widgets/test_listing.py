"""What the list promises: the cursor keeps its row, columns give way, hostile cells are shown and not
obeyed."""

from typing import Any

from textual.app import App, ComposeResult

from widgets.listing import Column, Listing, Row


class ListApp(App[None]):
    """A list and what it told."""

    def __init__(self, *columns: Column) -> None:
        super().__init__()
        self.columns = columns or (Column("name"), Column("size", 8, right=True, keep=5))
        self.told: list[tuple[str, object]] = []

    def compose(self) -> ComposeResult:
        yield Listing(self.columns)

    def on_mount(self) -> None:
        self.query_one(Listing).focus()

    def on_listing_moved(self, event: Listing.Moved) -> None:
        self.told.append((type(event).__name__, event.key))

    def on_listing_opened(self, event: Listing.Opened) -> None:
        self.told.append(("Opened", event.key))

    def on_listing_more_wanted(self, event: Listing.MoreWanted) -> None:
        self.told.append(("MoreWanted", None))

    @property
    def listing(self) -> Listing:
        return self.query_one(Listing)

    def line(self, y: int) -> str:
        return self.listing.render_line(y).text


def rows(*names: str) -> list[Row]:
    return [Row(name, (name, "1.2 KiB")) for name in names]


async def test_the_cursor_stays_on_its_row_when_rows_come_before_it() -> None:
    app = ListApp()
    async with app.run_test(size=(60, 10)) as pilot:
        app.listing.show(rows("b", "c"))
        await pilot.press("j")
        assert app.listing.key == "c"
        app.listing.show(rows("a", "b", "c", "d"))
        assert app.listing.key == "c"
        app.listing.show(rows("a"))
        assert app.listing.key == "a"
        app.listing.show([])
        assert app.listing.key is None


async def test_keys_move_and_enter_opens() -> None:
    app = ListApp()
    async with app.run_test(size=(60, 8)) as pilot:
        app.listing.show(rows(*"abcdefghijklmnop"))
        await pilot.press("G")
        assert app.listing.key == "p"
        assert any("p" in app.line(y) for y in range(1, 8))
        await pilot.press("g", "down", "k", "pagedown", "enter")
        assert app.told[-1] == ("Opened", app.listing.key)
        assert app.listing.key not in ("a", "p")


async def test_more_is_asked_for_once_near_the_end() -> None:
    app = ListApp()
    async with app.run_test(size=(60, 8)) as pilot:
        app.listing.show(rows(*(f"r{n}" for n in range(50))), more=True)
        await pilot.press("G", "k", "j")
        assert [what for what, _ in app.told].count("MoreWanted") == 1
        app.listing.extend(rows("r50"), more=False)
        await pilot.press("G")
        assert app.listing.key == "r50"


async def test_columns_give_way_when_it_is_narrow_and_numbers_stand_right() -> None:
    app = ListApp(Column("name", 0), Column("size", 8, right=True, keep=5), Column("note", 12, keep=2))
    async with app.run_test(size=(60, 8)) as pilot:
        app.listing.show([Row(1, ("日本語モデル", "1.2 KiB", "a note"))])
        assert app.line(1).endswith("a note      ") or "a note" in app.line(1)
        assert " 1.2 KiB" in app.line(1)
        await pilot.resize_terminal(32, 8)
        await pilot.pause()
        assert "a note" not in app.line(1)
        assert "1.2 KiB" in app.line(1)
        await pilot.resize_terminal(14, 8)
        await pilot.pause()
        assert "1.2 KiB" not in app.line(1)
        assert "日本" in app.line(1)


async def test_hostile_cells_are_text() -> None:
    app = ListApp()
    async with app.run_test(size=(60, 8), notifications=True, tooltips=True):
        app.listing.show([Row(1, ("[/b]\x1b]0;P\x07\u202e[@click=app.quit]x[/]\nnext", "1 B"))])
        text = app.line(1)
        assert "[/b]␛]0;P␇⟨U+202E⟩[@click=app.quit]x[/]↵next" in text
        assert "\x1b" not in text


async def test_a_tiny_terminal_is_survived() -> None:
    app = ListApp()
    async with app.run_test(size=(3, 2)) as pilot:
        app.listing.show(rows("abc", "def"))
        await pilot.press("j", "k", "G", "enter")
        sizes: list[Any] = [(1, 1), (200, 50), (2, 9)]
        for width, height in sizes:
            await pilot.resize_terminal(width, height)
        await pilot.press("j")
