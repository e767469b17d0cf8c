"""Gates: what a comparison must show for `lathe run` to end with 0; otherwise it ends with 100.

`pass_rate>=0.8` must hold for every subject but the one it is compared with; `@3: pass_rate>=0.8` for that
one.
`no worse than @production by 0.05` must hold for every other subject: its pass rate is at most 0.05 below.
What was
seen counts, not what is proven: the statistics stand beside it. A missing cell or a failed request never
passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from store.errors import BadInput

METRICS = (
    "pass_rate",
    "passed",
    "score",
    "cut_off",
    "latency_ms_p50",
    "tokens_per_second",
    "prompt_tokens",
    "completion_tokens",
)
EXIT_CODE = 100
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda one, other: one >= other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    "<": lambda one, other: one < other,
}
_LIMIT = re.compile(
    r"(?:(?P<who>[^:<>=]+?)\s*:\s*)?(?P<metric>[a-z_0-9]+)\s*(?P<op>>=|<=|>|<)\s*(?P<value>[-+.\deE]+%?)"
)
_NO_WORSE = re.compile(
    r"(?:(?P<who>[^:]+?)\s*:\s*)?no worse "
    r"than\s+(?P<base>\S+)(?:\s+by\s+(?P<value>[.\d]+%?))?"
)


@dataclass(frozen=True)
class Gate:
    """One parsed condition."""

    text: str
    metric: str
    op: str
    value: float
    who: str | None = None
    base: str | None = None
    """The subject that others must not be worse than; None for a plain limit."""


@dataclass(frozen=True)
class GateResult:
    """Whether a condition was met, and why, as a sentence."""

    gate: str
    met: bool
    why: str

    def as_data(self) -> dict[str, object]:
        """The result as JSON-like data."""
        return {"gate": self.gate, "met": self.met, "why": self.why}


def parse_gate(text: str) -> Gate:
    """Read one condition. Raises BadInput with the forms that exist."""
    stripped = " ".join(text.split())
    match = _NO_WORSE.fullmatch(stripped)
    if match:
        return Gate(stripped, "pass_rate", ">=", -_number(match["value"] or "0"), match["who"], match["base"])
    match = _LIMIT.fullmatch(stripped)
    if match and match["metric"] in METRICS:
        return Gate(stripped, match["metric"], match["op"], _number(match["value"]), match["who"])
    raise BadInput(
        f"{text!r} is not a gate. Write METRIC>=VALUE (metrics: {', '.join(METRICS)}), @3: METRIC>=VALUE for "
        f"one "
        "subject, or: no worse than @production by 0.05."
    )


def check_gates(
    gates: Sequence[str], summary: Mapping[str, Any], find: Callable[[str], str]
) -> list[GateResult]:
    """Check conditions against a comparison's summary; `find` turns a name in a condition into a subject's
    ref."""
    parsed = [parse_gate(text) for text in gates]
    bases = {find(gate.base) for gate in parsed if gate.base}
    return [_check(gate, summary, find, bases) for gate in parsed]


def gate_exit_code(summary: Mapping[str, Any]) -> int:
    """0 when every gate of a summary was met (or there is none), else 100."""
    return 0 if all(one["met"] for one in summary.get("gates") or ()) else EXIT_CODE


def _check(gate: Gate, summary: Mapping[str, Any], find: Callable[[str], str], bases: set[str]) -> GateResult:
    subjects = {one["ref"]: one for one in summary["subjects"]}
    base = subjects[find(gate.base)] if gate.base else None
    if gate.who:
        judged = [subjects[find(gate.who)]]
    else:
        judged = [one for ref, one in subjects.items() if ref not in bases] or list(subjects.values())
    if base is not None and judged == [base]:
        return GateResult(gate.text, False, f"there is nothing to compare {base['name']} with")
    for one in (*judged, base):
        problem = _incomplete(one, int(summary["cells_per_subject"])) if one is not None else ""
        if problem:
            return GateResult(gate.text, False, problem)
    reasons = []
    met = True
    for one in judged:
        value = one.get(gate.metric)
        if value is None:
            return GateResult(gate.text, False, f"{one['name']} has no {gate.metric}: nothing was scored")
        if base is None:
            holds = _COMPARE[gate.op](float(value), gate.value)
            reasons.append(f"{one['name']} has {gate.metric} {value:g}")
        else:
            # Rates are shares of whole cases: a hair of slack keeps 0.75 - 0.80 from being below -0.05.
            holds = float(value) - float(base[gate.metric]) >= gate.value - 1e-9
            reasons.append(f"{one['name']} has {value:g}, {base['name']} {base[gate.metric]:g}")
        met = met and holds
    return GateResult(gate.text, met, "; ".join(reasons))


def _incomplete(subject: Mapping[str, Any], cells: int) -> str:
    states = subject["states"]
    if states.get("error"):
        return f"{states['error']} of {subject['name']}'s cells failed, and a failed cell never passes a gate"
    missing = cells - sum(states.values())
    if missing > 0:
        return f"{missing} of {subject['name']}'s cells are missing, and a missing cell never passes a gate"
    if not subject["n"]:
        return f"no case of {subject['name']} has a check, so there is no pass rate"
    return ""


def _number(text: str) -> float:
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise BadInput(f"{text!r} is not a number. Write 0.8 or 80%.") from None
