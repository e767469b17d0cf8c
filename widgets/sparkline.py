"""A line of numbers as one line of text, for places where a chart would be too much."""

from collections.abc import Sequence

_STEPS = "▁▂▃▄▅▆▇█"


def spark(values: Sequence[float], width: int) -> str:
    """The last values as bars, one cell each, scaled from 0 to their greatest; never longer than `width`.

    Values that are not finite are left out; an empty or all-zero series gives the lowest bar.
    """
    shown = [value for value in values if value == value and abs(value) != float("inf")][-width:]
    top = max(shown, default=0.0)
    if top <= 0:
        return _STEPS[0] * len(shown)
    # Clamped before dividing: a large negative value over a tiny greatest one would overflow.
    return "".join(_STEPS[int(max(value, 0.0) / top * 7.999)] for value in shown)


def bar(share: float, width: int) -> str:
    """A share between 0 and 1 as a bar of `width` cells, in steps of an eighth of a cell."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    whole, rest = divmod(eighths, 8)
    part = " ▏▎▍▌▋▊▉"[rest] if rest else ""
    return ("█" * whole + part).ljust(width)[:width]
