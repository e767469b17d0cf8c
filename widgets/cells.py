"""Text measured in terminal cells: wide characters take two, combining marks none."""

from rich.cells import cell_len, set_cell_size

from widgets.text import safe_text

ELLIPSIS = "…"


def clip(text: object, width: int) -> str:
    """One safe line of at most `width` cells; what does not fit ends in `…`. Empty if `width` < 1."""
    line = safe_text(text if not isinstance(text, str) else text[: max(0, width) * 16 + 64], newlines=False)
    if width < 1:
        return ""
    if cell_len(line) <= width:
        return line
    return set_cell_size(line, width - 1).rstrip() + ELLIPSIS


def pad(text: object, width: int, *, right: bool = False) -> str:
    """One safe line of exactly `width` cells, clipped or filled with spaces; `right` aligns right."""
    line = clip(text, width)
    gap = " " * (width - cell_len(line))
    return gap + line if right else line + gap
