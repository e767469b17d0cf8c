"""A comparison from `r` to its last cell, through the real operation, worker, engine and a tiny model."""

from store import evaluations, jobs
from store.workspace import Store
from tests.app.prompts.tab.conftest import Open
from tests.prompts_workspace import (
    better_every_version,
    fill,
    make_cases,
    make_comparison,
    make_model,
    make_prompt,
)


async def test_three_keys_from_a_fresh_workspace_to_a_finished_comparison(
    desk: Store, open_desk: Open
) -> None:
    async with open_desk(desk) as bench:
        assert "Ready: 3 columns over tickets@1" in bench.text() and "parcel 0 is late" in bench.text()
        await bench.press("r")
        await bench.until(lambda: "enter starts" in bench.text(), "what the run will take")
        assert "36 · none is there yet" in bench.text() and "to read" in bench.text()
        await bench.press("enter")
        await bench.until(lambda: bench.tab.live, "the live view", seconds=120)
        await bench.until(lambda: not bench.tab.live, "the end", seconds=240)
        comparison = bench.tab.comparison
        assert comparison is not None and comparison.done == 36
        await bench.until(lambda: "over @1" in bench.text() and "36 cells" in bench.text(), "the verdict")
        assert "…" not in comparison.cell(0, 0).text

        await bench.press("r")
        await bench.until(lambda: "all are there already" in bench.text(), "that everything is reused")
        await bench.press("enter")
        await bench.until(lambda: bench.tab.comparison is not comparison, "the second comparison", seconds=60)
        await bench.until(lambda: not bench.tab.live, "its end", seconds=60)
        await bench.until(lambda: "36 reused" in bench.text(), "the title")
        await bench.until(lambda: "↺" in bench.text(), "the marks of reuse")


async def test_cells_land_in_place_and_nothing_moves_under_the_cursor(
    workspace: Store, made_up_jobs: None, open_desk: Open
) -> None:
    make_prompt(workspace)
    cases = make_cases(workspace)
    job = jobs.enqueue(
        workspace, "prompt.compare", "prompts", "worker", {}, "a comparison that runs elsewhere"
    )
    jobs.claim(workspace, job.id, "nonce")
    running = make_comparison(
        workspace, cases=cases, model=make_model(workspace), finished=False, positions=range(4), job_id=job.id
    )
    async with open_desk(workspace) as desk:
        assert desk.tab.live and "12 of 240 cells" in desk.text()
        await desk.press("j", "j", "j", "j", "j", "right")
        before = (desk.tab.matrix.cursor_row, desk.tab.matrix.scroll_offset)
        assert "queued" in desk.text()
        await desk.until(lambda: "looking early is not a verdict" in desk.text(), "the warning")
        fill(workspace, running, better_every_version, range(4, 40))
        await desk.until(lambda: "120 of 240 cells" in desk.text(), "the new cells")
        assert (desk.tab.matrix.cursor_row, desk.tab.matrix.scroll_offset) == before
        comparison = desk.tab.comparison
        assert comparison is not None
        assert comparison.cell(5, 1).text == better_every_version(1, 5, 0)[0]
        fill(workspace, running, better_every_version, range(40, 80))
        evaluations.finish_evaluation(workspace, running.id, "done", {})
        jobs.finish(workspace, job.id, "done", "done", summary={}, outputs=[])
        await desk.until(lambda: not desk.tab.live and "240 cells" in desk.text(), "the end")
        await desk.until(lambda: "not a verdict" not in desk.text(), "a real verdict")


async def test_streamed_text_is_shown_in_its_cell_until_the_cell_lands(
    workspace: Store, made_up_jobs: None, open_desk: Open
) -> None:
    make_prompt(workspace)
    cases = make_cases(workspace)
    job = jobs.enqueue(
        workspace, "prompt.compare", "prompts", "worker", {}, "a comparison that runs elsewhere"
    )
    jobs.claim(workspace, job.id, "nonce")
    running = make_comparison(
        workspace, cases=cases, model=make_model(workspace), finished=False, positions=(), job_id=job.id
    )
    async with open_desk(workspace) as desk:
        comparison = desk.tab.comparison
        assert comparison is not None
        desk.tab._hear(comparison, {"id": "1:2:0", "event": "started"})
        desk.tab._hear(comparison, {"id": "1:2:0", "event": "delta", "text": "deli", "offset": 0})
        desk.tab._hear(comparison, {"id": "1:2:0", "event": "delta", "text": "very", "offset": 4})
        desk.tab._hear(comparison, {"id": "1:2:0", "event": "delta", "text": "deliver", "offset": 0})
        await desk.until(lambda: "deliver▌" in desk.text(), "the streamed text")
        fill(workspace, running, better_every_version, [2])
        await desk.until(lambda: "▌" not in desk.text(), "the landed cell")


async def test_x_stops_a_run_and_r_goes_on_where_it_stopped(desk: Store, open_desk: Open) -> None:
    from app.prompts.tab import reads
    from app.prompts.tab.selection import Selection

    reads.remember(desk, Selection("route", (1, 2, 3), models=("tiny",), cases="tickets@1", repeats=20))
    async with open_desk(desk) as bench:
        await bench.press("r")
        await bench.until(lambda: "enter starts" in bench.text())
        await bench.press("enter")
        await bench.until(lambda: bench.tab.live, "the live view", seconds=120)
        await bench.until(
            lambda: bench.tab.comparison and bench.tab.comparison.done > 0, "some cells", seconds=120
        )
        await bench.press("x")
        await bench.until(lambda: not bench.tab.live, "the stop", seconds=90)
        kept = bench.tab.comparison
        assert kept is not None
        (job,) = jobs.list_jobs(desk, limit=5)
        assert job.state in ("stopped", "done")
        await bench.press("r")
        await bench.until(lambda: "are there already" in bench.text(), "what is reused")


async def test_a_draft_runs_as_a_column_and_token_heat_is_asked_for_and_kept(
    desk: Store, open_desk: Open
) -> None:
    async with open_desk(desk) as bench:
        await bench.press("e")
        await bench.until(lambda: "draft from" in bench.text(), "the editor")
        await bench.type("Hello ")
        await bench.press("escape")
        await bench.until(lambda: bench.tab.selection.draft, "the draft column")
        await bench.press("r")
        await bench.until(lambda: "enter starts" in bench.text())
        assert "48 · none" in bench.text() and "draft" in bench.text()
        await bench.press("enter")
        await bench.until(lambda: bench.tab.live, "the live view", seconds=120)
        await bench.until(lambda: not bench.tab.live, "the end", seconds=240)
        await bench.press("right", "enter")
        await bench.until(lambda: "case 1 of 12" in bench.text(), "side by side")
        await bench.press("h")
        await bench.until(lambda: "90 % sure" in bench.text(), "the heat", seconds=180)
        cells = evaluations.cells(desk, 1, [0])
        generation = next(cell.generation_id for cell in cells if cell.subject == 1)
        assert generation is not None
        await bench.until(
            lambda: evaluations.generation_detail(desk, generation).logprobs, "kept in the store"
        )
