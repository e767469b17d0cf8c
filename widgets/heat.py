"""Token probabilities as heat: how sure the model was of each token it wrote."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from widgets.text import safe_text
from widgets.units import percent


@dataclass(frozen=True, slots=True)
class Token:
    """One written token, its natural-log probability, and the strongest alternatives with theirs."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()

    @property
    def probability(self) -> float:
        return math.exp(min(0.0, self.logprob))


# Below these the shade gets stronger; the last two are underlined too, so heat is not told by colour alone.
SHADES = ((0.9, ""), (0.7, "on $warning 15%"), (0.4, "on $warning 35%"), (0.15, "underline on $error 35%"))
COLDEST = "bold underline on $error 60%"

LEGEND = "shaded: less than 90 % sure · underlined: less than 40 % sure"


def shade(probability: float) -> str:
    """The style for a token of that probability; empty for a sure one."""
    for least, style in SHADES:
        if probability >= least:
            return style
    return COLDEST


def heat_text(tokens: Sequence[Token]) -> Content:
    """The answer, each token shaded by how unsure it was."""
    return Content.assemble(*((safe_text(token.text), shade(token.probability)) for token in tokens))


def unsure(tokens: Sequence[Token], count: int = 5) -> list[str]:
    """The least sure tokens as lines: `63 % "billing" · else "delivery" 21 %, "returns" 9 %`."""
    lines = []
    for token in sorted(tokens, key=lambda token: token.logprob)[:count]:
        if token.probability >= SHADES[0][0]:
            break
        line = f"{percent(token.probability)} {quoted(token.text)}"
        others = [(text, math.exp(min(0.0, p))) for text, p in token.top if text != token.text][:3]
        if others:
            line += " · else " + ", ".join(f"{quoted(text)} {percent(p)}" for text, p in others)
        lines.append(line)
    return lines


def quoted(text: str) -> str:
    """One token in quotes, white space and controls made visible."""
    return f"“{safe_text(text, newlines=False)}”"
