"""Styles of a widget's parts, blended once: drawing one screen of lines asks for thousands of them."""

from rich.style import Style
from textual.widget import Widget


class Paints:
    """The looks of component classes `prefix--name`, each alone or on the background of another one.

    The owner calls `clear` when its styles change.
    """

    def __init__(self, widget: Widget, prefix: str) -> None:
        self._widget = widget
        self._prefix = prefix
        self._known: dict[tuple[str, str], Style] = {}

    def clear(self) -> None:
        """Forget everything: the theme, the focus or the style sheet changed."""
        self._known.clear()

    def __call__(self, name: str = "", ground: str = "") -> Style:
        """The widget's own style with the foreground of the part `name`, on the background of `ground`."""
        key = (name, ground)
        found = self._known.get(key)
        if found is None:
            found = self._widget.rich_style
            if ground:
                found += Style(bgcolor=self._part(ground).bgcolor)
            if name:
                # Colours with alpha come out blended with the background only in the full style.
                full = self._part(name)
                found += Style(color=full.color, bold=full.bold, italic=full.italic, underline=full.underline)
            self._known[key] = found
        return found

    def _part(self, name: str) -> Style:
        return self._widget.get_component_rich_style(f"{self._prefix}--{name}")
