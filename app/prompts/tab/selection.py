"""What the user has chosen to compare: versions, models, cases, and how. Plain data, kept between starts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

SPLITS = ("all", "tune", "held_out")
MOST_COLUMNS = 6
"""Columns that are chosen by default and marked without a question; the comparison itself takes more."""

SETTING = "prompts.selection"
"""Key of the workspace setting that remembers the selection."""


@dataclass(frozen=True)
class Selection:
    """The next comparison. `versions` are numbers of one prompt, oldest first; `cases` names one version."""

    prompt: str = ""
    versions: tuple[int, ...] = ()
    draft: bool = False
    models: tuple[str, ...] = ()
    cases: str = ""
    split: str = "all"
    repeats: int = 1
    baseline: str = ""
    """The prompt reference (`route@2`) that others are compared with; empty means the first column."""
    sampling: Mapping[str, Any] = field(default_factory=dict)

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompt references of the columns of one model."""
        refs = tuple(f"{self.prompt}@{number}" for number in self.versions)
        return (*refs, f"{self.prompt}@draft") if self.draft else refs

    @property
    def subjects(self) -> tuple[str, ...]:
        """Every column as `model/prompt@version`; without a model the workspace's only one is meant."""
        return tuple(
            f"{model}/{prompt}" if model else prompt
            for model in self.models or ("",)
            for prompt in self.prompts
        )

    @property
    def missing(self) -> str:
        """The sentence that says what has to be chosen before anything can run; empty when nothing has."""
        if not self.prompt:
            return "There is no prompt yet: n writes one, i imports them."
        if not self.prompts:
            return f"No version of {self.prompt} is marked: space marks one in the list at the left."
        if not self.cases:
            return "There are no cases yet: i imports a file, c types one."
        return ""

    def values(self) -> dict[str, Any]:
        """The values of `prompt.compare` for this selection."""
        values: dict[str, Any] = {
            "prompt": self.prompt,
            "versions": [*map(str, self.versions), *(["draft"] if self.draft else [])],
            "model": list(self.models),
            "cases": self.cases,
            "split": self.split,
            "repeats": self.repeats,
        }
        if self.baseline:
            values["baseline"] = self.baseline
        if self.sampling:
            values["sampling"] = dict(self.sampling)
        return values

    def toggled(self, prompt: str, number: int | None) -> "Selection":
        """With a version (or the draft, None) taken in or out; another prompt starts a selection of its own."""
        if prompt != self.prompt:
            return replace(
                self,
                prompt=prompt,
                versions=() if number is None else (number,),
                draft=number is None,
                baseline="",
            )
        if number is None:
            return replace(self, draft=not self.draft)
        left = tuple(one for one in self.versions if one != number)
        if left != self.versions:
            return replace(self, versions=left, baseline=self._kept_baseline(number))
        return replace(self, versions=tuple(sorted((*self.versions, number))))

    def _kept_baseline(self, gone: int) -> str:
        return "" if self.baseline == f"{self.prompt}@{gone}" else self.baseline


def as_data(selection: Selection) -> dict[str, Any]:
    """The selection as JSON, for the workspace's settings."""
    return asdict(selection)


def from_data(data: object) -> Selection:
    """A selection from what `as_data` made; anything unreadable is the empty one."""
    if not isinstance(data, Mapping):
        return Selection()
    fields = {name: data[name] for name in Selection.__dataclass_fields__ if name in data}
    for name in ("versions", "models"):
        if isinstance(fields.get(name), Sequence) and not isinstance(fields[name], str):
            fields[name] = tuple(fields[name])
        else:
            fields.pop(name, None)
    try:
        return Selection(**fields)
    except TypeError:
        return Selection()
