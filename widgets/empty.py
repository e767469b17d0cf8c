"""What an empty pane says: never nothing, always the next key."""

from textual.content import Content
from textual.widgets import Static

from widgets.sentence import keyed


class EmptyState(Static):
    """An invitation in the middle of an empty pane: a title and sentences with keys in backticks."""

    DEFAULT_CSS = """
    EmptyState { width: 1fr; height: 1fr; content-align: center middle; text-align: center; padding: 1 2; }
    """

    def __init__(self, title: str, *sentences: str, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, markup=False)
        self.say(title, *sentences)

    def say(self, title: str, *sentences: str) -> None:
        """Show another invitation. The text is ours, never data."""
        lines = [
            Content.styled(title, "bold"),
            *(keyed(sentence, "$foreground-muted") for sentence in sentences),
        ]
        self.update(Content("\n").join(lines))
