"""Numbers as people say them: `3 s left`, `2 h 10 min`, `1.2 of 23 GiB`. Used wherever a number meets a
reader."""

_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")


def duration(seconds: float) -> str:
    """A length of time in at most two units. `seconds` below zero counts as zero."""
    seconds = max(0.0, seconds)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def time_left(seconds: float) -> str:
    """How long still: whole seconds only, because an estimate with milliseconds is a lie."""
    return f"{duration(max(1, round(seconds))) if seconds >= 10 else f'{max(1, round(seconds))} s'} left"


def size(count: float) -> str:
    """Bytes with a binary unit and three significant digits."""
    value, unit = float(count), 0
    while value >= 1023.5 and unit < len(_SIZES) - 1:
        value, unit = value / 1024, unit + 1
    if unit == 0:
        return f"{value:.0f} B"
    return f"{value:.1f} {_SIZES[unit]}" if value < 99.5 else f"{value:.0f} {_SIZES[unit]}"


def size_of(used: float, total: float) -> str:
    """Two sizes in one unit: `1.2 of 23 GiB`."""
    unit = 0
    while total / 1024**unit >= 1023.5 and unit < len(_SIZES) - 1:
        unit += 1
    scale = 1024**unit
    return f"{used / scale:.1f} of {total / scale:.0f} {_SIZES[unit]}"


def count(number: float) -> str:
    """A whole number with thousands apart."""
    return f"{round(number):,}"


def quantity(number: float, singular: str, plural: str | None = None) -> str:
    """A number with its noun: `1 job`, `2 jobs`."""
    return f"{count(number)} {singular if round(number) == 1 else plural or singular + 's'}"


def rate(per_second: float, unit: str) -> str:
    """How fast: `41 cells/s`, and per minute where a second would show nothing but noughts."""
    unit = unit.removesuffix("s") + "s" if unit else "steps"
    if per_second >= 10:
        return f"{per_second:,.0f} {unit}/s"
    if per_second >= 0.1:
        return f"{per_second:.1f} {unit}/s"
    return f"{per_second * 60:.1f} {unit}/min"


def percent(share: float) -> str:
    """A share between 0 and 1 as whole percent; never 0 or 100 unless it is exactly so."""
    whole = round(share * 100)
    if whole == 0 and share > 0:
        whole = 1
    if whole == 100 and share < 1:
        whole = 99
    return f"{whole} %"


def ago(seconds: float) -> str:
    """How long since: `just now`, `4 min ago`. A clock that went backwards says `just now`."""
    if seconds < 5:
        return "just now"
    return f"{duration(round(seconds)) if seconds >= 10 else f'{round(seconds)} s'} ago"
