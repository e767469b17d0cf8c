"""The last line of the workbench: the keys that work here and now."""

from collections.abc import Iterable

from rich.cells import cell_len
from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget

from widgets.sentence import KEY_STYLE


def shown_bindings(screen: Screen[object]) -> list[tuple[Binding, str]]:
    """Live bindings meant to be seen, each action once, what has the focus first, with the key as it is
    shown."""
    seen: set[tuple[str, str]] = set()
    found: list[tuple[Binding, str]] = []
    for active in screen.active_bindings.values():
        binding = active.binding
        what = (binding.action, binding.description)
        if binding.show and active.enabled and what not in seen:
            seen.add(what)
            found.append((binding, screen.app.get_key_display(binding)))
    return found


class HintBar(Widget):
    """The live keys as one line of text. Keys of the application itself stand at the right and give way
    last."""

    DEFAULT_CSS = """
    HintBar { dock: bottom; height: 1; width: 1fr; background: $background; color: $text-muted; }
    """

    def __init__(self, always: Iterable[str] = (), *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._always = tuple(always)
        """Binding ids that stand at the right."""

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._show_changed_keys)

    def _show_changed_keys(self, _screen: Screen[object]) -> None:
        if self.app.screen is self.screen:  # not while a window stands over it: its keys are not ours
            self.refresh()

    def render(self) -> Content:
        bindings = shown_bindings(self.screen)
        right = [pair for name in self._always for pair in bindings if pair[0].id == name]
        left = [pair for pair in bindings if pair not in right]
        room = self.size.width - 1

        def cells(pair: tuple[Binding, str]) -> int:
            return cell_len(pair[1]) + 1 + cell_len(pair[0].description) + 2

        while right and sum(map(cells, right)) > room * 0.6:
            right.pop(0)
        room -= sum(map(cells, right))
        pieces: list[tuple[str, str]] = [(" ", "")]
        for pair in left:
            if cells(pair) > room:
                break
            room -= cells(pair)
            pieces += [(pair[1], KEY_STYLE), (f" {pair[0].description}  ", "")]
        pieces.append((" " * max(0, room), ""))
        for index, pair in enumerate(right):
            end = "" if index == len(right) - 1 else "  "
            pieces += [(pair[1], KEY_STYLE), (f" {pair[0].description}{end}", "")]
        return Content.assemble(*pieces)
