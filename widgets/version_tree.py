"""A quiet list of sections whose items may form a tree: prompt versions, case sets, past comparisons.

One widget draws all sections line by line, so a long list costs what its visible lines cost.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import var
from textual.scroll_view import ScrollView
from textual.strip import Strip

from widgets.cells import clip, pad
from widgets.paints import Paints

_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class OutlineItem:
    """One line. Without a key it is a heading or an empty line and the cursor passes over it."""

    key: Hashable | None
    text: str
    guides: str = ""
    """Lines that join it to its parent, such as `│ └ `."""
    note: str = ""
    """Shown quietly at the right edge."""
    marked: bool = False
    strong: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a tree as `tree_guides` takes it."""

    key: Hashable
    parent: Hashable | None


def tree_guides(nodes: Sequence[Node]) -> list[tuple[Hashable, str]]:
    """Depth-first order of `nodes` with the guides to draw before each.

    A history without branches, and one that is deep already, stays at one depth: it must not run out of the
    pane. A parent that is not among the nodes counts as none; nodes of a cycle are listed at the top level.
    """
    known = {node.key for node in nodes}
    children: dict[Hashable | None, list[Hashable]] = {}
    for node in nodes:
        children.setdefault(node.parent if node.parent in known else None, []).append(node.key)
    lines: list[tuple[Hashable, str]] = []
    seen: set[Hashable] = set()
    # An explicit stack: a history of thousands of versions must not meet the recursion limit.
    stack: list[tuple[Hashable, str, str]] = [(key, "", "") for key in reversed(children.get(None, []))]
    pending = [node.key for node in nodes]
    while stack or pending:
        if not stack:
            key = pending.pop(0)
            if key in seen:
                continue
            stack.append((key, "", ""))
        key, own, below = stack.pop()
        if key in seen:
            continue
        seen.add(key)
        lines.append((key, own))
        kids = [kid for kid in children.get(key, []) if kid not in seen]
        if len(kids) == 1 and (not below or len(below) > _DEEPEST):
            stack.append((kids[0], below, below))
            continue
        for index, kid in reversed(list(enumerate(kids))):
            last = index == len(kids) - 1
            stack.append((kid, below + ("└ " if last else "├ "), below + ("  " if last else "│ ")))
    return lines


class Outline(ScrollView, can_focus=True):
    """Sections of items; arrows or `j` `k` move, enter chooses, space marks."""

    DEFAULT_CSS = """
    Outline {
        height: 1fr;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        & > .outline--heading { color: $text-muted; text-style: bold; }
        & > .outline--quiet { color: $text-muted; }
        & > .outline--line { color: $foreground 30%; }
        & > .outline--mark { color: $accent; text-style: bold; }
        & > .outline--strong { text-style: bold; }
        & > .outline--cursor { background: $foreground 10%; }
    }
    Outline:focus > .outline--cursor { background: $accent 45%; }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"outline--{name}" for name in ("heading", "quiet", "line", "mark", "strong", "cursor")
    }

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="outline-up", tooltip="Line above"),
        Binding("down,j", "move(1)", "Down", show=False, id="outline-down", tooltip="Line below"),
        Binding("pageup", "move(-10)", "Page up", show=False, id="outline-page-up", tooltip="Page up"),
        Binding("pagedown", "move(10)", "Page down", show=False, id="outline-page-down", tooltip="Page down"),
        Binding("home,g", "edge(-1)", "First", show=False, id="outline-first", tooltip="First line"),
        Binding("end,G", "edge(1)", "Last", show=False, id="outline-last", tooltip="Last line"),
        Binding("enter", "choose", "choose", id="outline-choose", tooltip="Show this one"),
        Binding("space", "mark", "mark", id="outline-mark", tooltip="Take it into the comparison, or out"),
    ]

    cursor: var[int] = var(0, init=False)

    class Chosen(Message):
        """Enter or a click on an item."""

        def __init__(self, key: Hashable) -> None:
            super().__init__()
            self.key = key

    class Marked(Message):
        """Space on an item."""

        def __init__(self, key: Hashable) -> None:
            super().__init__()
            self.key = key

    class Highlighted(Message):
        """The cursor stands on another item."""

        def __init__(self, key: Hashable) -> None:
            super().__init__()
            self.key = key

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, Outline.Highlighted)

    def __init__(self, items: Iterable[OutlineItem] = (), *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._items = list(items)
        self._paint = Paints(self, "outline")

    def notify_style_update(self) -> None:
        self._paint.clear()
        super().notify_style_update()

    @property
    def key(self) -> Hashable | None:
        """Key of the item under the cursor; None when there is no item."""
        return self._items[self.cursor].key if self.cursor < len(self._items) else None

    def show(self, items: Iterable[OutlineItem], *, key: Hashable | None = None) -> None:
        """Show other items; the cursor stays on its item, or goes to `key`."""
        wanted = self.key if key is None else key
        self._items = list(items)
        self.virtual_size = Size(self.size.width, len(self._items))
        places = [index for index, item in enumerate(self._items) if item.key is not None]
        at = next((i for i in places if self._items[i].key == wanted), None)
        if at is None:
            at = next((i for i in places if i >= self.cursor), places[-1] if places else 0)
        self.set_reactive(Outline.cursor, at)
        self._reveal()
        self.refresh()

    def select(self, key: Hashable) -> None:
        """Put the cursor on the item with `key`, if it is there."""
        for index, item in enumerate(self._items):
            if item.key == key:
                self.cursor = index

    def action_move(self, step: int) -> None:
        at = self.cursor
        target = max(0, min(len(self._items) - 1, at + step))
        direction = 1 if step > 0 else -1
        for start, way in ((target, direction), (target, -direction)):
            index = start
            while 0 <= index < len(self._items):
                if self._items[index].key is not None:
                    if (index - at) * direction > 0:
                        self.cursor = index
                    return
                index += way

    def action_edge(self, direction: int) -> None:
        places = [index for index, item in enumerate(self._items) if item.key is not None]
        if places:
            self.cursor = places[0] if direction < 0 else places[-1]

    def action_choose(self) -> None:
        if self.key is not None:
            self.post_message(self.Chosen(self.key))

    def action_mark(self) -> None:
        if self.key is not None:
            self.post_message(self.Marked(self.key))

    def watch_cursor(self, old: int, new: int) -> None:
        top = self.scroll_offset.y
        self._reveal()
        if top == self.scroll_offset.y:
            for index in (old, new):
                self.refresh(Region(0, index - top, self.size.width, 1))
        else:
            self.refresh()
        if self.key is not None:
            self.post_message(self.Highlighted(self.key))

    def _reveal(self) -> None:
        top, page = self.scroll_offset.y, self.size.height
        if self.cursor < top:
            # The heading above an item comes into view with it.
            self.scroll_to(y=max(0, self.cursor - 1), animate=False)
        elif page and self.cursor >= top + page:
            self.scroll_to(y=self.cursor - page + 1, animate=False)

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._items))
        self._reveal()

    def on_click(self, event: events.Click) -> None:
        index = event.y + self.scroll_offset.y
        if index < len(self._items) and self._items[index].key is not None:
            self.cursor = index
            self.action_choose()

    def render_line(self, y: int) -> Strip:
        index = y + self.scroll_offset.y
        plain = self._paint()
        if index >= len(self._items):
            return Strip.blank(self.size.width, plain)
        item = self._items[index]
        width = self.scrollable_content_region.width or self.size.width
        if item.key is None:
            segments = [Segment("  " + pad(item.text, width - 2), self._paint("heading"))]
            return Strip(segments).adjust_cell_length(self.size.width, plain)
        ground = "cursor" if index == self.cursor else ""
        look = "quiet" if item.quiet else "strong" if item.strong else ""
        mark = "▪ " if item.marked else "  "
        guides = clip(item.guides, width // 2)
        # The text goes first: a note that would cut it short is shown by its last word.
        note, left = item.note, width - 5 - cell_len(guides) - min(cell_len(item.text), width // 2)
        note = clip(note if cell_len(note) <= left else note.split()[-1], max(0, width // 2))
        room = max(1, width - 2 - cell_len(guides) - (cell_len(note) + 2 if note else 1))
        segments = [
            Segment(mark, self._paint("mark", ground)),
            Segment(guides, self._paint("line", ground)),
            Segment(pad(item.text, room), self._paint(look, ground)),
            Segment((f" {note} " if note else " "), self._paint("quiet", ground)),
        ]
        return Strip(segments).adjust_cell_length(self.size.width, self._paint("", ground))
