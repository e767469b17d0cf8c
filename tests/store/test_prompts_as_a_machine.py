"""Any order of saving, labelling, trashing, reopening and failing: the store agrees with a plain dict."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from store import doctor, prompts, trash
from store.errors import BadInput, NotFound
from store.workspace import open_store

NAMES = st.sampled_from(["reply", "route", "extract"])
LABELS = st.sampled_from(["production", "staging"])
TEXTS = st.sampled_from(["a", "b", "\ud800"])


class Workspace(RuleBasedStateMachine):
    """`shelf` is what the store should hold; `bin` what lies in the trash, by id."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="lathe-machine-"))
        self.store = open_store(self.folder / "w", create=True)
        self.shelf: dict[str, tuple[list[str], dict[str, int]]] = {}
        self.bin: dict[int, tuple[str, tuple[list[str], dict[str, int]]]] = {}

    def teardown(self) -> None:
        assert doctor.check(self.store) == []
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(name=NAMES, text=TEXTS)
    def save(self, name: str, text: str) -> None:
        version = prompts.save_version(self.store, name, {"text": text})
        versions, _ = self.shelf.setdefault(name, ([], {}))
        versions.append(version.hash)
        assert version.number == len(versions)

    @rule(name=NAMES, text=TEXTS)
    def save_and_fail(self, name: str, text: str) -> None:
        try:
            with self.store.write():
                prompts.save_version(self.store, name, {"text": text})
                raise KeyError
        except KeyError:
            pass

    @rule(name=NAMES, label=LABELS, number=st.integers(1, 4))
    def move_label(self, name: str, label: str, number: int) -> None:
        versions, labels = self.shelf.get(name, ([], {}))
        if number <= len(versions):
            prompts.set_label(self.store, f"{name}@{number}", label)
            labels[label] = number
        else:
            try:
                prompts.set_label(self.store, f"{name}@{number}", label)
            except NotFound:
                return
            raise AssertionError("a version that is not there took a label")

    @precondition(lambda self: self.shelf)
    @rule(data=st.data())
    def put_in_the_trash(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.shelf)))
        prompt_id = prompts.prompt_version(self.store, name).prompt_id
        trash.trash(self.store, "prompt", prompt_id)
        self.bin[prompt_id] = (name, self.shelf.pop(name))

    @precondition(lambda self: self.bin)
    @rule(data=st.data())
    def bring_back(self, data: st.DataObject) -> None:
        prompt_id = data.draw(st.sampled_from(sorted(self.bin)))
        name, held = self.bin[prompt_id]
        try:
            trash.restore(self.store, "prompt", prompt_id)
        except BadInput:
            assert name in self.shelf
            return
        assert name not in self.shelf
        self.shelf[name] = held
        del self.bin[prompt_id]

    @rule()
    def empty_the_trash(self) -> None:
        assert trash.empty(self.store).removed == len(self.bin)
        self.bin.clear()

    @rule()
    def open_again(self) -> None:
        self.store.close()
        self.store = open_store(self.folder / "w")

    @invariant()
    def agrees(self) -> None:
        found = {prompt.name: prompt for prompt in prompts.list_prompts(self.store)}
        assert {name: prompt.labels for name, prompt in found.items()} == {
            name: labels for name, (_, labels) in self.shelf.items()
        }
        for name, (versions, labels) in self.shelf.items():
            saved = prompts.prompt_versions(self.store, name)
            assert [version.hash for version in saved] == versions
            for label, number in labels.items():
                assert prompts.prompt_version(self.store, f"{name}@{label}").number == number


Workspace.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, derandomize=True
)
TestWorkspace = Workspace.TestCase
