"""Our own sentences with keys in them, drawn so that the keys stand out."""

from textual.content import Content

KEY_STYLE = "bold $accent"


def keyed(text: str, style: str = "") -> Content:
    """A sentence of our own, with what stands between backticks drawn as a key: "`i` imports a file"."""
    parts = text.split("`")
    return Content.assemble(
        *[(part, KEY_STYLE if index % 2 else style) for index, part in enumerate(parts) if part]
    )
