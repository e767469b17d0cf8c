"""A text area for text that may come from anywhere: what it holds is kept to the letter, what it shows
is safe."""

from rich.text import Text
from textual.widgets import TextArea

from widgets.text import safe_text


def one_for_one(line: str) -> str:
    """The line with every character that could drive a terminal replaced by one visible sign.

    Unlike `safe_text` the length stays, because the cursor of an editor counts characters.
    """
    if safe_text(line) == line:
        return line
    return "".join(shown if len(shown := safe_text(char)) == 1 else "�" for char in line)


class SafeTextArea(TextArea):
    """A plain text area whose lines pass the border before they are drawn."""

    def get_line(self, line_index: int) -> Text:
        return Text(one_for_one(self.document.get_line(line_index)), end="", no_wrap=True)
