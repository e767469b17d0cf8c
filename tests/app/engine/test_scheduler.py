"""The scheduler against a cache of plain lists: what it feeds, where, in which order, and that nothing is lost."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.pace import STEP_SECONDS, Pace
from app.engine.scheduler import Clear, Copy, Scheduler, Sequence, Step, common_length


class FakeModel:
    """A cache that holds tokens instead of keys and values, and refuses whatever llama.cpp would refuse."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.slots: dict[int, list[int]] = {}
        self.cells: dict[int, list[int]] = {}
        self.fed = 0
        self.steps: list[Step] = []
        self.answers: dict[str, list[int]] = {}

    def cells_in_use(self) -> int:
        """A fed token takes a cell of its own; a copy shares the cells of what it copies."""
        return len({cell for cells in self.cells.values() for cell in cells})

    def run(self, step: Step) -> None:
        self.steps.append(step)
        for action in step.actions:
            if isinstance(action, Clear):
                self.slots.clear()
                self.cells.clear()
            elif isinstance(action, Copy):
                assert not self.slots.get(action.target)
                assert len(self.slots[action.source]) >= action.length
                self.slots[action.target] = self.slots[action.source][: action.length]
                self.cells[action.target] = self.cells[action.source][: action.length]
            else:
                self.slots.pop(action.slot, None)
                self.cells.pop(action.slot, None)
        assert sum(len(chunk.tokens) for chunk in step.chunks) <= self.scheduler.batch
        for chunk, sequence in zip(step.chunks, step.sequences, strict=True):
            held = self.slots.setdefault(chunk.slot, [])
            assert len(held) == chunk.start, "positions have no gaps"
            held.extend(chunk.tokens)
            self.cells.setdefault(chunk.slot, []).extend(range(self.fed, self.fed + len(chunk.tokens)))
            self.fed += len(chunk.tokens)
            assert held == sequence.tokens[: len(held)], "the cache holds this sequence and nobody else's"
            assert chunk.wants_logits == (len(held) == len(sequence.tokens))
        assert self.cells_in_use() <= self.scheduler.cells

    def finish_all(self, limit: int = 3000, seconds: float = 0.03) -> list[str]:
        """Run until nothing is left; every sequence generates `room` tokens. The order in which they ended."""
        ended: list[str] = []
        for _ in range(limit):
            step = self.scheduler.next_step()
            if step is None:
                assert not self.scheduler.waiting()
                assert not self.scheduler.live
                return ended
            self.run(step)
            self.scheduler.advance(step, seconds)
            ended += self.sample(step)
        raise AssertionError("the scheduler never came to an end")

    def sample(self, step: Step) -> list[str]:
        ended = []
        for chunk, sequence in zip(step.chunks, step.sequences, strict=True):
            if not chunk.wants_logits:
                continue
            answer = self.answers.setdefault(sequence.key, [])
            answer.append(len(sequence.tokens))
            if len(answer) >= sequence.room:
                self.scheduler.finish(sequence, keep=sequence.interactive)
                ended.append(sequence.key)
            else:
                sequence.tokens.append(-len(sequence.tokens) - 1000 * hash(sequence.key) % 7919)
        return ended


def scheduler(
    *, slots: int = 4, cells: int = 4096, batch: int = 64, share: bool = True, prefixes: int = 4
) -> Scheduler:
    return Scheduler(slots=slots, extra=2, prefixes=prefixes, cells=cells, batch=batch, share=share)


def sequence(
    key: str, prompt: list[int], *, room: int = 4, interactive: bool = False, hint: int = 0
) -> Sequence:
    return Sequence(key, list(prompt), interactive, room, hint)


PREFIXES = [[100 * version + at for at in range(60)] for version in (1, 2, 3)]


def grid(cases: int, *, hint: bool, versions: int = 3) -> list[Sequence]:
    return [
        sequence(
            f"{version}:{case}", PREFIXES[version] + [9000 + case, 9100 + case, 9200], hint=60 if hint else 0
        )
        for case in range(cases)
        for version in range(versions)
    ]


def test_a_prefix_is_computed_once_for_all_cases_with_and_without_a_hint() -> None:
    for hint in (True, False):
        for group in (grid(12, hint=hint), sorted(grid(12, hint=hint), key=lambda item: item.key)):
            plan = scheduler()
            model = FakeModel(plan)
            for item in group:
                plan.add(item)
            model.finish_all()
            own, answers = 36 * 3, 36 * 3
            assert model.fed <= 3 * 60 + own + answers + 8, f"hint={hint}"


def test_a_prefix_stays_for_cases_that_arrive_later() -> None:
    plan = scheduler()
    model = FakeModel(plan)
    for item in grid(2, hint=True, versions=1):
        plan.add(item)
    model.finish_all()
    before = model.fed
    late = sequence("late", PREFIXES[0] + [7, 8, 9], hint=60)
    plan.add(late)
    model.finish_all()
    assert late.cached == 60
    assert model.fed - before == 3 + late.room - 1


def test_an_interactive_request_overtakes_everything_that_waits_and_shares_its_first_step_with_no_bulk() -> (
    None
):
    plan = scheduler()
    model = FakeModel(plan)
    for item in grid(30, hint=True):
        plan.add(item)
    for _ in range(5):
        step = plan.next_step()
        assert step is not None
        model.run(step)
        plan.advance(step, 0.03)
        model.sample(step)
    person = sequence("person", list(range(50)), interactive=True, room=3)
    plan.add(person)
    step = plan.next_step()
    assert step is not None
    assert step.sequences == (person,)
    assert step.chunks[0].wants_logits, "its whole prompt is in the very next step"
    model.run(step)
    plan.advance(step, 0.03)
    model.sample(step)
    ended = model.finish_all()
    assert ended[0] == "person" or "person" in ended[:8]
    assert len(model.answers) == 91


def test_bulk_prompts_are_fed_in_pieces_that_keep_a_step_short() -> None:
    plan = scheduler(batch=512)
    model = FakeModel(plan)
    plan.add(sequence("long", list(range(2000)), room=1))
    seconds_per_token = 0.001
    longest = 0.0
    while (step := plan.next_step()) is not None:
        model.run(step)
        seconds = seconds_per_token * sum(len(chunk.tokens) for chunk in step.chunks)
        longest = max(longest, seconds)
        plan.advance(step, seconds)
        model.sample(step)
    assert longest <= STEP_SECONDS * 1.1
    assert len(model.steps) < 60


def test_the_pace_counts_what_generating_takes_anyway() -> None:
    pace = Pace()
    for _ in range(50):
        pace.record(10, 0, 0.04)
        pace.record(10, 20, 0.06)
    assert 35 <= pace.prefill_tokens(10) <= 45


def test_a_finished_sequence_frees_its_slot_in_the_very_next_step() -> None:
    plan = scheduler(slots=2, share=False)
    model = FakeModel(plan)
    for item in [sequence("a", [1, 2], room=1), sequence("b", [3, 4], room=9), sequence("c", [5, 6], room=1)]:
        plan.add(item)
    step = plan.next_step()
    assert step is not None
    model.run(step)
    plan.advance(step, 0.01)
    assert model.sample(step) == ["a"]
    following = plan.next_step()
    assert following is not None
    assert [item.key for item in following.sequences] == ["b", "c"]


def test_when_cells_run_out_the_newest_starts_again_and_nobody_is_cut_off() -> None:
    plan = scheduler(slots=4, cells=256, share=False)
    model = FakeModel(plan)
    for name in "abcd":
        plan.add(sequence(name, list(range(30)), room=100))
    model.finish_all()
    assert {name: len(answer) for name, answer in model.answers.items()} == dict.fromkeys("abcd", 100)


def test_the_single_slot_mode_cuts_a_sequence_the_same_way_whatever_happened_before() -> None:
    def chunks_of(key: str, before: list[Sequence]) -> list[tuple[int, int]]:
        plan = scheduler(slots=1, batch=32)
        model = FakeModel(plan)
        for item in [*before, sequence(key, PREFIXES[0] + [1, 2, 3], hint=60)]:
            plan.add(item)
        model.finish_all()
        assert all(len(step.sequences) <= 1 for step in model.steps)
        cut = [
            (chunk.start, len(chunk.tokens))
            for step in model.steps
            for chunk, item in zip(step.chunks, step.sequences, strict=True)
            if item.key == key
        ]
        return [part for part in cut if part[0] >= 60]

    alone = chunks_of("x", [])
    person = sequence("person", list(range(40)), interactive=True)
    assert alone == chunks_of("x", grid(2, hint=True)) == chunks_of("x", [person, *grid(1, hint=True)])


def test_a_conversation_goes_on_from_where_it_was() -> None:
    plan = scheduler()
    model = FakeModel(plan)
    first = sequence("first", list(range(50)), interactive=True, room=5)
    plan.add(first)
    model.finish_all()
    second = sequence("second", [*first.tokens, 7, 8, 9], interactive=True)
    plan.add(second)
    model.finish_all()
    assert second.cached >= 50


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_arrives_and_leaves_everything_ends_and_the_cache_stays_right(data: st.DataObject) -> None:
    slots = data.draw(st.sampled_from([1, 2, 5]))
    plan = scheduler(slots=slots, cells=data.draw(st.sampled_from([400, 1200])), batch=32)
    model = FakeModel(plan)
    alive: dict[str, Sequence] = {}
    for number in range(data.draw(st.integers(1, 25))):
        match data.draw(st.sampled_from(["add", "add", "person", "cancel", "step", "lost"])):
            case "add":
                base = data.draw(st.sampled_from([*PREFIXES, [5] * 40, []]))
                tail = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=20))
                hint = data.draw(st.sampled_from([0, min(len(base), 60)]))
                item = sequence(str(number), base + tail, room=data.draw(st.integers(1, 30)), hint=hint)
                alive[item.key] = item
                plan.add(item)
            case "person":
                item = sequence(str(number), list(range(data.draw(st.integers(1, 90)))), interactive=True)
                alive[item.key] = item
                plan.add(item)
            case "cancel" if alive:
                key = data.draw(st.sampled_from(sorted(alive)))
                plan.finish(alive.pop(key))
                model.answers.pop(key, None)
            case "lost":
                plan.rebuild()
            case _:
                step = plan.next_step()
                if step is not None:
                    model.run(step)
                    plan.advance(step, 0.05)
                    for key in model.sample(step):
                        del alive[key]
    rooms = {key: item.room for key, item in alive.items()}
    model.finish_all()
    assert {key: len(model.answers[key]) for key in rooms} == rooms


def test_common_beginnings_are_counted_in_tokens() -> None:
    left = np.array([1, 2, 3], np.int32)
    assert common_length(left, np.array([1, 2, 4, 5], np.int32)) == 2
    assert common_length(left, left) == 3
    assert common_length(left, np.array([], np.int32)) == 0
