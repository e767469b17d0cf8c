"""Choosing a file or a folder on this machine, by keyboard."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textual import on
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from widgets import units
from widgets.form_fields import LineField
from widgets.listing import Column, Listing, Row
from widgets.text import safe_text

MOST_ENTRIES = 5000


def entries(folder: Path, text: str, *, folders_only: bool) -> Sequence[tuple[Path, bool, int | None]]:
    """What stands in `folder`: path, whether it is a folder, bytes. Folders first; hidden names when
    asked for.

    Raises OSError where the folder cannot be read. At most 5,000 are looked at.
    """
    found: list[tuple[Path, bool, int | None]] = []
    with os.scandir(folder) as listing:
        for count, entry in enumerate(listing):
            if count >= MOST_ENTRIES:
                break
            if entry.name.startswith(".") and not text.startswith("."):
                continue
            if text.lower() not in entry.name.lower():
                continue
            try:
                is_folder = entry.is_dir()
                size = None if is_folder else entry.stat().st_size
            except OSError:  # a dangling link or a name that vanished while we looked
                continue
            if is_folder or not folders_only:
                found.append((Path(entry.path), is_folder, size))
    return sorted(found, key=lambda item: (not item[1], item[0].name.lower()))


class FilePicker(ModalScreen[str | None]):
    """A folder's content with a filter. Enter goes into a folder or chooses a file; `ctrl+t` chooses the
    folder.

    A path typed whole goes there. Gives an absolute path as text, or None.
    """

    DEFAULT_CSS = """
    FilePicker { align: center middle; }
    FilePicker > Vertical {
        width: 96; max-width: 96%; height: 26; max-height: 94%; padding: 0 1;
        background: $background; border: round $border;
        border-title-color: $accent; border-subtitle-color: $text-muted;
    }
    FilePicker LineField { margin-bottom: 1; }
    """
    BINDINGS = [
        Binding("escape", "cancel", "back", id="files.cancel"),
        Binding("down", "move(1)", "down", show=False, id="files.down"),
        Binding("up", "move(-1)", "up", show=False, id="files.up"),
        Binding("pagedown", "page(1)", "page down", show=False, id="files.page-down"),
        Binding("pageup", "page(-1)", "page up", show=False, id="files.page-up"),
        Binding("ctrl+t,ctrl+@", "take_folder", "this folder", show=False, id="files.take-folder"),
        Binding("alt+up,ctrl+u", "up", "folder above", show=False, priority=True, id="files.above"),
    ]

    def __init__(self, start: Path, *, folders: bool = False, title: str = "") -> None:
        super().__init__()
        self._folders = folders
        self._title = title or ("Choose a folder" if folders else "Choose a file")
        start = start.expanduser()
        while not start.is_dir() and start != start.parent:
            start = start.parent
        self._folder = start.absolute()

    def compose(self) -> Any:
        with Vertical() as frame:
            frame.border_subtitle = Content(
                "enter opens · ctrl+t takes this folder · ctrl+u goes up · esc back"
                if self._folders
                else "enter opens or chooses · ctrl+u goes up · esc back"
            )
            yield LineField("", placeholder="type to filter, or a whole path")
            yield Listing([Column("name"), Column("size", 10, right=True)])

    def on_mount(self) -> None:
        self.query_one(Listing).can_focus = False
        self._fill()

    def _fill(self) -> None:
        text = self.query_one(LineField).text.strip()
        frame, listing = self.query_one(Vertical), self.query_one(Listing)
        frame.border_title = Content(f"{self._title} · ").append(_shown(self._folder))
        rows: list[Row] = []
        if self._folder != self._folder.parent and not text:
            rows.append(Row(self._folder.parent, (Content.styled("..", "$foreground-muted"), "")))
        try:
            for path, is_folder, size in entries(
                self._folder, "" if "/" in text else text, folders_only=self._folders
            ):
                name = _shown(Path(path.name)).append("/") if is_folder else _shown(Path(path.name))
                rows.append(Row(path, (name, "" if size is None else units.size(size))))
        except OSError as error:
            rows.append(Row(None, (Content.styled(f"cannot be read: {error.strerror}", "$text-error"), "")))
        listing.show(rows)

    @on(Input.Changed)
    def _filter(self, event: Input.Changed) -> None:
        self._fill()
        self.query_one(Listing).action_jump(0)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        typed = event.value.strip()
        if "/" in typed or typed.startswith("~"):
            self._go(Path(self._folder, Path(typed).expanduser()))
        else:
            self._open()

    @on(Listing.Opened)
    def _opened(self, event: Listing.Opened) -> None:
        event.stop()
        self._open()

    def _open(self) -> None:
        key = self.query_one(Listing).key
        if isinstance(key, Path):
            self._go(key)

    def _go(self, path: Path) -> None:
        if path.is_dir():
            self._folder = path.absolute()
            field = self.query_one(LineField)
            with self.prevent(Input.Changed):
                field.fill("")
            self._fill()
            self.query_one(Listing).action_jump(0)
        elif not self._folders and path.parent.is_dir():
            self.dismiss(str(path.absolute()))  # a file that is not there yet may be one to write
        else:
            self.notify("There is no such file or folder.", severity="warning", markup=False)

    def action_take_folder(self) -> None:
        if self._folders:
            self.dismiss(str(self._folder))

    def action_up(self) -> None:
        self._go(self._folder.parent)

    def action_move(self, by: int) -> None:
        self.query_one(Listing).action_move(by)

    def action_page(self, pages: int) -> None:
        self.query_one(Listing).action_page(pages)

    def action_cancel(self) -> None:
        self.dismiss(None)


def _shown(path: Path) -> Content:
    return Content(safe_text(str(path), newlines=False))
