"""`lathe run` and `lathe jobs`: start, watch, stop and resume; the object on stdout, the story on stderr."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from types import FrameType

from app.cli import DONE, FAILED, STOPPED, USAGE, complain, say
from app.cli_narration import Narration, as_json
from app.cli_open import opened, root_of
from app.cli_operations import described
from app.cli_workspace import Parser, with_workspace
from app.jobs import registry, runner
from app.jobs.operation import Operation
from app.jobs.reasons import BAD_INPUT
from app.jobs.values import SpecError, assignments, merged, read_recipe, to_toml, validated
from store import jobs as job_store
from store.errors import BadInput
from store.workspace import Store
from widgets.text import safe_text


def run(arguments: list[str]) -> int:
    """`lathe run OPERATION key=value …`"""
    parser = Parser("run", "Run an operation. Nested keys go by dots, lists by commas, @path reads a file.")
    parser.add_argument("operation", help="`lathe operations` lists them")
    parser.add_argument(
        "values", nargs="*", metavar="key=value", help="`lathe operations NAME` lists the keys"
    )
    parser.add_argument("--spec", metavar="FILE.toml", help="a recipe; key=value wins over what it says")
    parser.add_argument(
        "--print-spec", action="store_true", help="write the recipe of this run and run nothing"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--detach", action="store_true", help="do not wait: the job goes on by itself")
    with_workspace(parser)
    if {"-h", "--help"} & set(arguments) and not arguments[0].startswith("-"):
        sys.stdout.write(described(registry.operation(arguments[0])))
        return DONE
    given = parser.parse_intermixed_args(arguments)
    operation = registry.operation(given.operation)
    recipe = read_recipe(Path(given.spec)) if given.spec else {}
    try:
        spec = validated(operation.spec, merged(recipe, assignments(operation.spec, given.values)))
    except SpecError as error:
        raise BadInput(f"{operation.name} cannot run like this.\n{_indented(error)}") from None
    if given.print_spec:
        sys.stdout.write(f"# lathe run {operation.name} --spec THIS.toml\n{to_toml(spec)}")
        return DONE
    create = given.workspace is not None
    with opened(root_of(given.workspace, create=create), create=create) as store:
        if operation.estimate is not None:
            say(operation.estimate(spec, store))
        with Narration() as narration:
            outcome = runner.start(store, operation.name, spec, on_event=narration.tell)
            if isinstance(outcome, runner.Result):
                result = outcome
            elif given.detach:
                return _detached(outcome, given.json)
            else:
                result = _watch(store, outcome.id, narration)
    return _report(operation, result, given.json)


def jobs(arguments: list[str]) -> int:
    """`lathe jobs [list|stop|resume|attach JOB]`"""
    parser = Parser("jobs", "The queue: what runs, what waits, and what became of the rest.")
    parser.add_argument("action", nargs="?", default="list", choices=("list", "stop", "resume", "attach"))
    parser.add_argument("job", nargs="?", type=int, help="the job's number")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--limit", type=int, default=20, help="how many to list (default 20)")
    parser.add_argument("--detach", action="store_true", help="with resume: do not wait for the end")
    with_workspace(parser)
    given = parser.parse_intermixed_args(arguments)
    if given.action == "list":
        from app.cli_show import show_jobs

        with opened(root_of(given.workspace)) as store:
            show_jobs(store, given.limit, given.json)
        return DONE
    if given.job is None:
        raise BadInput(
            f"Which job? `lathe jobs {given.action} JOB` takes its number; `lathe jobs` lists them."
        )
    with opened(root_of(given.workspace)) as store:
        if given.action == "stop":
            runner.stop(store, given.job)
            result = runner.wait(store, given.job)
            say(f"Job {given.job} has ended: {result.job.reason}.")
            if given.json:
                sys.stdout.write(as_json(result.as_json()))
            return DONE
        job = runner.resume(store, given.job) if given.action == "resume" else job_store.job(store, given.job)
        if given.detach:
            return _detached(job, given.json)
        with Narration() as narration:
            result = _watch(store, job.id, narration)
        return _report(registry.operation(job.operation, job.stage), result, given.json)


def _watch(store: Store, job_id: int, narration: Narration) -> runner.Result:
    """Wait for the job; ctrl-c asks it to stop, a second one leaves it to the supervisor and goes."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    passed_on = False

    def look() -> None:
        nonlocal passed_on
        if asked and not passed_on:
            passed_on = True
            say(f"Stopping job {job_id} … (ctrl-c again leaves at once; the job ends within 5 s either way)")
            job_store.request_stop(store, job_id)

    before = signal.signal(signal.SIGINT, ask)
    try:
        return runner.wait(store, job_id, narration.tell, each_look=look)
    finally:
        signal.signal(signal.SIGINT, before)


def _detached(job: job_store.Job, json_wanted: bool) -> int:
    if json_wanted:
        sys.stdout.write(as_json(runner.Result(job).as_json()))
    else:
        sys.stdout.write(f"{job.id}\n")
    say(f"Job {job.id} is {job.state}. `lathe jobs attach {job.id}` watches it, `… stop {job.id}` ends it.")
    return DONE


def _report(operation: Operation, result: runner.Result, json_wanted: bool) -> int:
    """Print what came out and answer the exit status."""
    job = result.job
    if json_wanted:
        sys.stdout.write(as_json(result.as_json()))
    else:
        for output in result.outputs:
            sys.stdout.write(safe_text(f"{output['noun']} {output['ref']}", newlines=False) + "\n")
        if result.summary:
            sys.stdout.write(safe_text(json.dumps(result.summary, indent=2, ensure_ascii=False)) + "\n")
    if job.state == "done":
        return operation.exit_code(result.summary) if operation.exit_code is not None else DONE
    again = f" `lathe jobs resume {job.id}` carries on." if operation.resumable else ""
    if job.state == "stopped":
        say(f"Job {job.id} was stopped.{again}")
        return STOPPED
    if job.reason == BAD_INPUT:
        return complain(job.error, USAGE)
    return complain(f"Job {job.id} failed: {job.error or job.reason}{again}", FAILED)


def _indented(error: SpecError) -> str:
    return "\n".join(f"  {line}" for line in str(error).splitlines())
