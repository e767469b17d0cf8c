"""What can be done with prompts, versions, case sets and past comparisons in the list at the left."""

import asyncio
from collections.abc import Hashable
from dataclasses import replace
from typing import Any, ClassVar

from textual import work
from textual.binding import Binding, BindingType

from app.keys import binding
from app.prompts.tab import reads
from app.prompts.tab.choices import BUILDERS, EXPORTS, IMPORTS, LABELS, Choice
from app.prompts.tab.drafts import EMPTY, PromptDraft, read_draft, write_draft
from app.prompts.tab.running import Running
from store import prompts
from store.errors import LatheError
from widgets.version_tree import Outline


class Shelving(Running):
    """Choosing, marking, labelling, editing, importing, exporting."""

    BINDINGS: ClassVar[list[BindingType]] = [
        binding("edit", "edit", "edit draft", room="prompts"),
        binding("label", "label", "label", room="prompts"),
        binding("new", "new", "new", show=False, room="prompts"),
        Binding("c", "cases", "cases", id="prompts.cases", tooltip="Look at the cases, type and edit them"),
        Binding("i", "import", "import", show=False, id="prompts.import", tooltip="Import cases or prompts"),
        Binding("v", "versions", "changes", show=False, id="prompts.diff",
                tooltip="What changed between two versions"),
        Binding("B", "build", "build", show=False, id="prompts.build",
                tooltip="A new draft: few-shot, reasoning first, JSON, system message"),
        Binding("H", "history", "past comparisons", show=False, id="prompts.history",
                tooltip="Look at a past comparison, or set one beside this one"),
        binding("export", "export", show=False, room="prompts"),
        binding("undo", "undo", "undo", show=False, room="prompts"),
        Binding("o", "fold", "list", show=False, id="prompts.fold", tooltip="Show or fold the list at the left"),
    ]  # fmt: skip

    _trashed: tuple[str, int, str] | None = None

    # The list

    async def on_outline_chosen(self, message: Outline.Chosen) -> None:
        """Enter or a click: unfold a prompt, show a comparison, take a case set, edit a draft."""
        match message.key:
            case ("prompt", str(name)):
                await self._choose_prompt(name)
            case ("version", str(name), int(number)):
                self._mark(name, number)
            case ("draft", str()):
                self.action_edit()
            case ("cases", str(ref)):
                self.change(cases=ref)
                self.tell(f"The next run asks {ref}.", timeout=2)
            case ("past", int(evaluation_id)):
                await self.open(evaluation_id)
            case ("new", "prompt"):
                self.action_new()
            case ("new", "cases"):
                self.action_import()

    def on_outline_marked(self, message: Outline.Marked) -> None:
        """Space: a version, a draft or a case set into the comparison, or out of it."""
        match message.key:
            case ("version", str(name), int(number)):
                self._mark(name, number)
            case ("draft", str(name)):
                self._mark(name, None)
            case ("cases", str(ref)):
                self.change(cases=ref)
            case ("prompt", str(name)):
                self._take_prompt(name)

    async def _choose_prompt(self, name: str) -> None:
        if name in self._unfolded and name == self.selection.prompt:
            self._unfolded.discard(name)
        else:
            self._unfolded.add(name)
            if name != self.selection.prompt:
                self._take_prompt(name)
        self.read_shelf(at_once=True)

    @work(exclusive=True, group="take")
    async def _take_prompt(self, name: str) -> None:
        self._unfolded.add(name)
        self.selection = await self.read(reads.select_prompt, self._store, self.selection, name)
        self.change()
        self.read_shelf(at_once=True)

    def _mark(self, name: str, number: int | None) -> None:
        self.selection = self.selection.toggled(name, number)
        self.change()

    def action_fold(self) -> None:
        """The list at the left: away on a wide screen, to the front on a narrow one."""
        narrow = self.has_class("-slim")
        self.toggle_class("-listing" if narrow else "-folded")
        shown = self.has_class("-listing") if narrow else not self.has_class("-folded")
        self.call_after_refresh((self.outline if shown else self.matrix).focus)

    def on_matrix_left_edge(self) -> None:
        """Left of the first column is the list."""
        if self.query_one("#shelf").display:
            self.outline.focus()

    # Which version an action speaks of

    def _spoken_of(self) -> tuple[str, int | None]:
        """Prompt and version under the cursor of whatever has the focus; the newest when it is a prompt's line."""
        key: Hashable | None = self.outline.key if self.outline.has_focus else None
        match key:
            case ("version", str(name), int(number)):
                return name, number
            case ("draft", str(name)) | ("prompt", str(name)):
                return name, None
        comparison = self.comparison
        if comparison is not None and self.matrix.has_focus and comparison.head.subjects:
            column = min(self.matrix.cursor_column, len(comparison.head.subjects) - 1)
            subject = comparison.head.subjects[column]
            return subject.prompt, subject.version
        return self.selection.prompt, self.selection.versions[-1] if self.selection.versions else None

    # Editing

    @work(group="edit", exclusive=True)
    async def action_edit(self) -> None:
        """Open the draft of the prompt; without one, a draft of the version that is spoken of."""
        name, number = self._spoken_of()
        if not name:
            self.action_new()
            return
        draft = await self.read(self._draft_of, name, number)
        await self._edit(draft)

    def _draft_of(self, name: str, number: int | None) -> PromptDraft:
        kept = read_draft(self._store, name)
        if kept is not None:
            return kept
        version = prompts.prompt_version(self._store, f"{name}@{number}" if number else name)
        return PromptDraft(name, version.content, version.number)

    async def _edit(self, draft: PromptDraft) -> None:
        from app.prompts.tab.editor import EditorScreen

        made = await self.app.push_screen_wait(
            EditorScreen(self._store, draft.name, draft.content, draft.parent)
        )
        self._unfolded.add(draft.name)
        if made is not None:
            version = await self.read(prompts.prompt_version, self._store, made)
            self.selection = replace(self.selection, prompt=made, draft=False)
            if version.number not in self.selection.versions:
                self.selection = self.selection.toggled(made, version.number)
            self.change()
            self.tell(f"Saved as {version.ref}. r compares it.")
        elif await self.read(read_draft, self._store, draft.name) is not None:
            if draft.name == self.selection.prompt:
                self.change(draft=True)
                self.tell("The draft is kept and is a column of the next run. r runs it.", timeout=4)
        elif draft.name == self.selection.prompt:
            self.change(draft=False)
        self.read_shelf(at_once=True)

    @work(group="edit", exclusive=True)
    async def action_new(self) -> None:
        """A new prompt: its name, then its text."""
        name = await self.ask("Name of the new prompt", placeholder="route-ticket")
        if not name:
            return
        draft = await self.read(read_draft, self._store, name)
        if draft is None:
            draft = PromptDraft(name, EMPTY, None)
            await asyncio.to_thread(write_draft, self._store, name, EMPTY, None)
        await self._edit(draft)

    # Labels

    @work(group="ask", exclusive=True)
    async def action_label(self) -> None:
        """Put a label on the version that is spoken of; moving it back is the rollback."""
        name, number = self._spoken_of()
        if not name or number is None:
            self.tell("Put the cursor on a version, then t labels it.")
            return
        there = await self.read(prompts.labels, self._store, name)
        choices = [
            Choice(("set", label), label, f"now on @{there[label]}" if label in there else "")
            for label in dict.fromkeys([*LABELS, *there])
        ]
        choices.append(Choice(("own", ""), "another …", "a label of your own"))
        choices += [
            Choice(("remove", label), f"take {label} off", f"from @{at}")
            for label, at in there.items()
            if at == number
        ]
        picked = await self.pick_one(f"Label for {name}@{number}", choices)
        match picked:
            case ("remove", str(label)):
                await self.shell.run_operation("prompt.unlabel", {"prompt": name, "label": label})
            case ("set" | "own", str(label)):
                if not label:
                    label = await self.ask("The label") or ""
                if label:
                    await self.shell.run_operation(
                        "prompt.label", {"prompt": f"{name}@{number}", "label": label}
                    )
        self.read_shelf(at_once=True)

    # Versions against each other

    @work(group="page", exclusive=True)
    async def action_versions(self) -> None:
        """What changed from the parent (or the version before) to the version that is spoken of."""
        from app.prompts.tab.pages import PageScreen, diff_lines
        from app.prompts.version_diff import diff_versions

        name, number = self._spoken_of()
        if not name:
            return
        versions = await self.read(prompts.prompt_versions, self._store, name)
        by_id = {version.id: version for version in versions}
        after = next((version for version in versions if version.number == number), versions[-1])
        draft = None if number is not None else await self.read(read_draft, self._store, name)
        first = by_id.get(after.parent_id or -1) if draft is None else after
        choices = [
            Choice(version.number, f"@{version.number} {version.note}", "parent" if version is first else "")
            for version in sorted(versions, key=lambda version: version is not first)
            if draft is not None or version is not after
        ]
        if not choices:
            self.tell(f"{name} has only one version, so there is nothing to compare it with.")
            return
        target = f"{name} draft" if draft is not None else after.ref
        picked = await self.pick_one(f"What changed up to {target}, from …", choices)
        if picked is None:
            return
        before = next(version for version in versions if version.number == picked)
        content, note = (draft.content, "draft") if draft is not None else (after.content, after.note)
        diff = await asyncio.to_thread(diff_versions, before.content, content)
        page = diff_lines(before.ref, target, diff, (before.note, note))
        self.app.push_screen(PageScreen("What changed", page))

    # Cases, import, export, builders

    @work(group="cases", exclusive=True)
    async def action_cases(self) -> None:
        """The case editor on the chosen set, or on a new one."""
        from app.prompts.tab.cases import CasesScreen

        key = self.outline.key if self.outline.has_focus else None
        ref = key[1] if isinstance(key, tuple) and key[0] == "cases" else self.selection.cases
        if not ref:
            ref = await self.ask("Name of the new case set", placeholder="tickets")
        if not ref:
            return
        made = await self.app.push_screen_wait(CasesScreen(self._store, str(ref)))
        if made:
            self.change(cases=made)
        self.read_shelf(at_once=True)

    @work(group="ask", exclusive=True)
    async def action_import(self) -> None:
        picked = await self.pick_one("Import", IMPORTS)
        if picked is not None:
            self.shell.open_form(str(picked), {}, self._imported)

    def _imported(self, _: Any) -> None:
        self.read_shelf()

    @work(group="ask", exclusive=True)
    async def action_export(self) -> None:
        comparison = self.comparison
        if comparison is None:
            self.tell("There is no comparison to export yet: r runs one.")
            return
        picked = await self.pick_one("Export this comparison", EXPORTS)
        if picked is not None:
            names = dict.fromkeys(subject.prompt for subject in comparison.head.subjects)
            path = f"{'-'.join(names)}-{comparison.head.id}.{picked}"
            self.shell.open_form("prompt.export", {"evaluation": comparison.head.id, "path": path})

    @work(group="ask", exclusive=True)
    async def action_build(self) -> None:
        """A builder makes a new draft from the version that is spoken of."""
        name, number = self._spoken_of()
        if not name:
            self.tell("There is no prompt to build on yet: n writes one.")
            return
        picked = await self.pick_one(f"New draft of {name} with …", BUILDERS)
        if picked is None:
            return
        values: dict[str, Any] = {"prompt": f"{name}@{number}" if number else name, "builder": picked}
        if picked in ("few_shot", "nearest", "json"):
            values["cases"] = self.selection.cases
        self.shell.open_form("prompt.build", values, self._built)

    def _built(self, outcome: Any) -> None:
        if outcome is not None:
            self.action_edit()

    # Past comparisons

    @work(group="ask", exclusive=True)
    async def action_history(self) -> None:
        """A past comparison: on the desk instead of this one, or its figures beside this one's."""
        from app.prompts.tab.beside import beside_lines
        from app.prompts.tab.pages import PageScreen

        past = [
            one for one in self.shelf.past if self.comparison is None or one.id != self.comparison.head.id
        ]
        choices = [Choice(one.id, one.title, one.note) for one in past]
        picked = await self.pick_one("Past comparisons", choices, empty="No other comparison yet.")
        if picked is None:
            return
        if self.comparison is None:
            await self.open(int(picked))
            return
        how = await self.pick_one(
            "How",
            [
                Choice("beside", "Beside this one", "figures and cases that changed"),
                Choice("open", "Instead of this one", "on the desk"),
            ],
        )
        if how == "open":
            await self.open(int(picked))
        elif how == "beside":
            lines = await asyncio.to_thread(beside_lines, self._store, int(picked), self.comparison.head.id)
            self.app.push_screen(PageScreen("Side by side with a past comparison", lines))

    # Trash

    @work(group="trash", exclusive=True)
    async def remove_spoken_of(self) -> None:
        """Move what the cursor stands on in the list to the trash; `u` brings it back."""
        from store import trash

        key = self.outline.key
        match key:
            case ("prompt", str(name)):
                known = await self.read(prompts.list_prompts, self._store, limit=reads.MOST_PROMPTS)
                found = next((one for one in known if one.name == name), None)
                noun, noun_id, what = "prompt", found.id if found else None, name
            case ("cases", str(ref)):
                from store import datasets

                version = await self.read(datasets.dataset_version, self._store, ref)
                noun, noun_id, what = "dataset", version.dataset_id, version.name
            case ("past", int(evaluation_id)):
                noun, noun_id, what = "evaluation", evaluation_id, f"comparison {evaluation_id}"
            case _:
                self.tell(
                    "Versions stay: they are what comparisons stand on. Prompts, case sets and comparisons go."
                )
                return
        if noun_id is None:
            return
        try:
            await asyncio.to_thread(trash.trash, self._store, noun, noun_id)
        except LatheError as error:
            self.tell(str(error), severity="error")
            return
        self._trashed = (noun, noun_id, what)
        if noun == "prompt" and what == self.selection.prompt:
            self.selection = await self.read(reads.suggested, self._store)
            self._remember()
        if noun == "evaluation" and self.comparison is not None and self.comparison.head.id == noun_id:
            self.put_on_desk(None)
        self.tell(f"{what} is in the trash. u brings it back.", timeout=6)
        self.read_shelf(at_once=True)

    @work(group="trash", exclusive=True)
    async def action_undo(self) -> None:
        from store import trash

        if self._trashed is None:
            self.tell("There is nothing to undo here.", timeout=2)
            return
        noun, noun_id, what = self._trashed
        await asyncio.to_thread(trash.restore, self._store, noun, noun_id)
        self._trashed = None
        self.tell(f"{what} is back.", timeout=3)
        self.read_shelf(at_once=True)
