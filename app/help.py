"""Help for what has the focus: what it is, and the keys that work there now."""

from typing import Any

from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Static

from widgets.cells import pad
from widgets.sentence import KEY_STYLE, keyed


def help_texts(screen: Screen[Any]) -> list[str]:
    """What the focused widget and everything around it say of themselves, the nearest first."""
    node: Widget | Screen[Any] = screen.focused or screen
    found: list[str] = []
    for ancestor in node.ancestors_with_self:
        text = getattr(ancestor, "HELP", None)
        if isinstance(text, str) and text.strip() and text not in found:
            found.append(text.strip())
    return found


def live_keys(screen: Screen[Any]) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Every key that works now with what it does and its name in keys.toml, the focused widget's first."""
    groups: dict[str, dict[tuple[str, str, str], list[str]]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if not active.enabled or not binding.description or binding.system:
            continue
        node = active.node
        where = "everywhere" if node is screen.app else _name(node)
        keys = groups.setdefault(where, {}).setdefault(
            (binding.action, binding.description, binding.id or ""), []
        )
        shown = screen.app.get_key_display(binding)
        if shown not in keys:
            keys.append(shown)
    return [
        (where, [(" ".join(keys), description, name) for (_, description, name), keys in actions.items()])
        for where, actions in groups.items()
    ]


def _name(node: object) -> str:
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in type(node).__name__)
    return words.strip().removesuffix(" screen")


def _lines(paragraph: str) -> list[str]:
    """The little Markdown of our help texts: list items keep their line, other lines run on, bold marks a key."""
    lines: list[str] = []
    for line in paragraph.replace("**", "`").splitlines():
        bare = line.strip().lstrip("#").strip()
        if bare.startswith("- "):
            lines.append("• " + bare[2:])
        elif lines:
            lines[-1] += " " + bare
        else:
            lines.append(bare)
    return lines


class HelpScreen(ModalScreen[None]):
    """One page: the words of the widgets, then the key table, read from the live bindings."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > VerticalScroll {
        width: 92; max-width: 96%; height: auto; max-height: 94%; padding: 1 2;
        background: $background; border: round $border; scrollbar-size-vertical: 1;
        border-title-color: $accent; border-subtitle-color: $text-muted;
    }
    HelpScreen Static { height: auto; width: 1fr; }
    """
    BINDINGS = [
        Binding("escape,question_mark,f1,q", "close", "back", priority=True, id="help.close"),
        Binding("j", "scroll(1)", "down", show=False, id="help.down"),
        Binding("k", "scroll(-1)", "up", show=False, id="help.up"),
    ]

    def __init__(self, below: Screen[Any]) -> None:
        super().__init__()
        self._texts = help_texts(below)
        self._keys = live_keys(below)

    def compose(self) -> Any:
        pieces: list[Content] = []
        for text in self._texts:
            for paragraph in text.split("\n\n"):
                pieces += [*(keyed(line) for line in _lines(paragraph)), Content("")]
        pieces += [keyed("At the right: the name a key has in keys.toml (`f9` says where)."), Content("")]
        for where, keys in self._keys:
            pieces.append(Content.styled(where, "bold $foreground-muted"))
            pieces += [
                Content.assemble(
                    (f"  {pad(key, 20)} ", KEY_STYLE),
                    pad(description, 36),
                    (f" {name}", "$foreground-disabled"),
                )
                for key, description, name in keys
            ]
            pieces.append(Content(""))
        scroll = VerticalScroll(Static(Content("\n").join(pieces[:-1])))
        scroll.border_title = Content("Help")
        scroll.border_subtitle = Content("esc back")
        yield scroll

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def action_close(self) -> None:
        self.dismiss(None)

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)
