"""The command line as other programs see it: data on stdout, story on stderr, and exit statuses that mean things.

Everything runs in a house that has one more stage than this one (`tests/app/jobs/echo_stage.py`): what appears here
for it appears for any stage that declares a spec and a function.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli import main
from store import jobs
from store.workspace import Store, open_store
from tests.app.jobs.house import answer, build, environment, lathe, processes

Wait = Callable[..., None]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("house"))


def test_without_a_terminal_the_workbench_says_what_to_use_instead(house: Path, tmp_path: Path) -> None:
    done = lathe(house, str(tmp_path / "W"))
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "lathe run" in done.stderr and "\x1b" not in done.stderr
    assert not (tmp_path / "W").exists()


def test_help_and_version_are_data_and_come_at_once(house: Path) -> None:
    for argument in ("--help", "--version"):
        done = lathe(house, argument)
        assert done.returncode == 0 and "lathe" in done.stdout and done.stderr == ""
    script = "import sys; from app.cli import main; main(['--help']); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=environment(house),
    ).stdout.split()
    assert not {"pydantic", "rich", "textual", "sqlite3"} & set(loaded)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["rnu", "x"], "Did you mean `lathe run`?"),
        (["--colour"], "There is no option --colour."),
        (["run"], "`lathe run --help`"),
        (["run", "workspace.bakcup", "file=x"], "Did you mean workspace.backup"),
        (["run", "workspace.backup", "file"], "is not of the form key=value"),
        (["run", "workspace.backup"], "file: is needed: the file to write."),
        (["run", "workspace.backup", "file=a", "file=b"], "file: is given twice."),
        (["run", "workspace.backup", "fiel=a"], "Did you mean file?"),
        (["run", "trash.put", "noun=house", "name=x"], "noun: must be 'prompt', 'dataset',"),
        (["run", "workspace.clean", "--spec", "none.toml"], "none.toml cannot be read"),
        (["show", "nothing"], "There is nothing called nothing to show."),
        (["show", "jobs", "--workspace", "/nowhere/at/all"], "There is no workspace at /nowhere/at/all."),
        (["jobs", "stop"], "Which job?"),
    ],
)
def test_bad_input_is_a_sentence_and_exit_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    status = main(arguments)
    captured = capsys.readouterr()
    assert status == 2 and captured.out == ""
    assert sentence in captured.err and "Traceback" not in captured.err


def test_an_operation_of_any_stage_is_listed_described_and_has_a_schema(house: Path) -> None:
    assert "echo.say" in lathe(house, "operations").stdout
    described = lathe(house, "operations", "echo.count").stdout
    assert "to  (integer, 1…100000, default 5)" in described and "The last number." in described
    schema = answer(lathe(house, "operations", "echo.count", "--json"))
    assert schema["properties"]["to"]["maximum"] == 100_000 and schema["operation"]["kind"] == "worker"
    names = {operation["name"]: operation for operation in answer(lathe(house, "operations", "--json"))}
    assert names["echo.haul"]["stage"] == "echo" and names["echo.haul"]["kind"] == "heavy"
    assert lathe(house, "run", "echo.count", "--help").stdout == described


def test_an_inline_operation_runs_here_and_leaves_its_job_and_lineage(
    house: Path, workspace_root: Path
) -> None:
    W = str(workspace_root)
    done = lathe(
        house, "run", "echo.say", "--workspace", W, "text=hi", "loud=yes", "prompt=reply@2", "--json"
    )
    assert done.returncode == 0, done.stderr
    result = answer(done)
    assert {"job", "operation", "state", "reason", "seconds", "outputs", "summary"} <= set(result)
    assert result["summary"] == {"said": "HI"} and result["state"] == result["reason"] == "done"
    assert result["outputs"] == [{"noun": "echo", "id": 1, "ref": "echo@1"}]
    assert "A new workspace at" in done.stderr and "saying HI" in done.stderr
    job = answer(lathe(house, "show", "jobs", str(result["job"]), "-w", W, "--json"))
    assert job["command"] == "lathe run echo.say text=hi loud=yes prompt=reply@2"
    assert job["name"] == "Say something: reply@2" and job["state"] == "done"
    edges = answer(lathe(house, "show", "lineage", "-w", W, "--json"))
    assert {(edge["direction"], edge["noun"], edge["ref"]) for edge in edges} == {
        ("out", "echo", "echo@1"),
        ("in", "prompt_version", "reply@2"),
    }


def test_a_gate_that_is_not_met_is_exit_status_100(house: Path, workspace: Store) -> None:
    W = str(workspace.root)
    assert lathe(house, "run", "echo.gate", "text=no", "-w", W).returncode == 100
    assert lathe(house, "run", "echo.gate", "text=yes", "-w", W).returncode == 0


def test_a_worker_runs_to_its_end_and_its_object_is_all_there_is_on_stdout(
    house: Path, workspace: Store
) -> None:
    begun = time.monotonic()
    done = lathe(house, "run", "echo.count", "to=3", "--workspace", str(workspace.root), "--json")
    took = time.monotonic() - begun
    result = answer(done)
    assert (
        done.returncode == 0 and result["summary"]["reached"] == 3 and result["outputs"][0]["ref"] == "echo@3"
    )
    assert took < 10  # far above the aim of 1.5 s: the machine of a test may be busy


def test_a_failed_job_is_exit_status_1_with_its_sentence_and_no_traceback(
    house: Path, workspace: Store
) -> None:
    done = lathe(house, "run", "echo.crash", "how=error", "-w", str(workspace.root), "--json")
    assert done.returncode == 1 and answer(done)["state"] == "failed"
    assert "ZeroDivisionError: a fault." in done.stderr and "Traceback" not in done.stderr


def test_bad_input_that_only_the_worker_can_see_is_exit_status_2(house: Path, workspace: Store) -> None:
    done = lathe(house, "run", "echo.crash", "how=foreseen", "-w", str(workspace.root), "--json")
    assert done.returncode == 2 and answer(done)["reason"] == "bad input"
    assert done.stderr == "lathe: The echo has no walls. Build some.\n"


def test_ctrl_c_stops_an_attached_job_and_exits_130(
    house: Path, workspace: Store, tmp_path: Path, wait_until: Wait
) -> None:
    W, hold = str(workspace.root), tmp_path / "never"
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "app", "run", "echo.count", f"hold={hold}", "--json", "-w", W],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(house),
    ) as process:
        wait_until(lambda: jobs.list_jobs(workspace, states=("running",)), what="a running job")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert json.loads(out)["state"] == "stopped" and "Stopping job" in err and "Traceback" not in err


def test_a_detached_job_is_listed_stopped_resumed_and_attached(
    house: Path, workspace: Store, tmp_path: Path, wait_until: Wait
) -> None:
    W, hold = str(workspace.root), tmp_path / "go"
    done = lathe(house, "run", "echo.count", "to=4", f"hold={hold}", "hold_from=3", "--detach", "-w", W)
    job = done.stdout.strip()
    assert done.returncode == 0 and job.isdecimal()
    wait_until(lambda: len(jobs.metrics(workspace, int(job))) == 2, what="the first numbers")
    assert job in lathe(house, "jobs", "-w", W).stdout
    stopped = lathe(house, "jobs", "stop", job, "-w", W, "--json")
    assert stopped.returncode == 0 and answer(stopped)["state"] == "stopped"
    assert lathe(house, "jobs", "stop", job, "-w", W).returncode == 2
    hold.touch()
    resumed = answer(lathe(house, "jobs", "resume", job, "-w", W, "--json"))
    assert resumed["summary"] == {"reached": 4, "began_at": 3, "attempt": 2}
    attached = lathe(house, "jobs", "attach", job, "-w", W, "--json")
    assert attached.returncode == 0 and answer(attached)["summary"] == resumed["summary"]


def test_after_a_kill_of_everything_the_next_command_carries_the_queue_on(
    house: Path, workspace: Store, tmp_path: Path, wait_until: Wait
) -> None:
    W = str(workspace.root)
    running = lathe(
        house, "run", "echo.haul", f"hold={tmp_path / 'never'}", "--detach", "-w", W
    ).stdout.strip()
    queued = lathe(house, "run", "echo.haul", "to=1", "--detach", "-w", W).stdout.strip()
    wait_until(lambda: jobs.job(workspace, int(running)).pid is not None)
    for module in ("app.jobs.supervisor", "app.jobs.worker"):
        for pid in processes(workspace.root, module):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not processes(workspace.root, "app.jobs.worker"))
    lathe(house, "jobs", "-w", W)
    wait_until(lambda: jobs.job(workspace, int(queued)).state == "done", what="the queued job's end")
    assert jobs.job(workspace, int(running)).reason == "crashed"


def test_a_recipe_is_written_by_one_run_and_read_by_another(
    house: Path, workspace: Store, tmp_path: Path
) -> None:
    W, recipe = str(workspace.root), tmp_path / "say.toml"
    printed = lathe(house, "run", "echo.say", "text=hi there", "loud=on", "--print-spec")
    recipe.write_text(printed.stdout, encoding="utf-8")
    assert 'text = "hi there"' in printed.stdout and printed.returncode == 0
    done = lathe(house, "run", "echo.say", "--spec", str(recipe), "loud=no", "-w", W, "--json")
    assert answer(done)["summary"] == {"said": "hi there"}


def test_a_file_is_found_from_where_the_person_is(house: Path, workspace: Store, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("from a file", encoding="utf-8")
    (tmp_path / "go").touch()
    W = str(workspace.root)
    said = lathe(house, "run", "echo.say", "text=@words.txt", "-w", W, "--json", cwd=tmp_path)
    assert answer(said)["summary"] == {"said": "from a file"}
    counted = lathe(house, "run", "echo.count", "hold=go", "-w", W, "--json", cwd=tmp_path)
    assert counted.returncode == 0 and answer(counted)["state"] == "done"


def test_a_hostile_folder_is_never_imported(house: Path, workspace: Store, tmp_path: Path) -> None:
    trap = "import pathlib; pathlib.Path(__file__).with_name('caught').touch(); raise SystemExit(66)\n"
    (tmp_path / "app").mkdir()
    for name in ("app/__init__.py", "app/__main__.py", "store.py", "torch.py", "json.py", "pydantic.py"):
        (tmp_path / name).write_text(trap, encoding="utf-8")
    W = str(workspace.root)
    for arguments in (["run", "echo.count", "-w", W, "--json"], ["operations"], ["jobs", "-w", W]):
        done = lathe(house, *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("caught"))


def test_text_from_elsewhere_cannot_drive_the_terminal(house: Path, workspace: Store) -> None:
    W, payload = str(workspace.root), "\x1b]52;c;aGk=\x1b\\\x9b31m\u202etxt"
    plain = lathe(house, "run", "echo.say", f"text={payload}", "-w", W)
    as_json = lathe(house, "run", "echo.say", f"text={payload}", "-w", W, "--json")
    for text in (plain.stdout, plain.stderr, as_json.stdout, lathe(house, "jobs", "-w", W).stdout):
        assert not {"\x1b", "\x9b", "\u202e"} & set(text)
    assert answer(as_json)["summary"]["said"] == payload
    wrong = lathe(house, "run", "echo.say", "text=a", f"{payload}=b", "-w", W)
    assert "\x1b" not in wrong.stderr and wrong.returncode == 2


def test_in_another_alphabet_json_is_still_json_and_text_is_still_text(house: Path, workspace: Store) -> None:
    W, poor = str(workspace.root), {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    said = lathe(house, "run", "echo.say", "text=Grüße 日本", "-w", W, "--json", **poor)
    assert said.returncode == 0 and answer(said)["summary"]["said"] == "Grüße 日本"
    assert lathe(house, "operations", "echo.say", **poor).returncode == 0


def test_a_reader_that_leaves_early_is_no_error(house: Path, workspace: Store) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -P -m app operations --json | head -c 1"],
        capture_output=True,
        text=True,
        env=environment(house),
        check=False,
    )
    assert done.stderr == ""


def test_settings_are_set_and_shown(house: Path, workspace: Store) -> None:
    W = str(workspace.root)
    assert lathe(house, "set", "network", "on", "-w", W).returncode == 0
    shown = answer(lathe(house, "show", "settings", "-w", W, "--json"))
    assert {"network": True}.items() <= {item["name"]: item["value"] for item in shown}.items()
    assert all({"id", "name", "ref", "created_at"} <= set(item) for item in shown)
    assert lathe(house, "set", "network", "sometimes", "-w", W).returncode == 2


def test_every_noun_is_an_array_even_when_there_is_nothing(workspace: Store) -> None:
    script = (
        "import contextlib, io, json, sys; from app.cli import main; from app.cli_show import NOUNS\n"
        "told = {}\n"
        "for noun in NOUNS:\n"
        "    for way in ('--json', '--limit=3'):\n"
        "        with contextlib.redirect_stdout(io.StringIO()) as out:\n"
        "            status = main(['show', noun, '--workspace', sys.argv[1], way])\n"
        "        told.setdefault(noun, []).append([status, out.getvalue()])\n"
        "print(json.dumps(told))\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, str(workspace.root)], capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    assert set(told) >= {"prompts", "cases", "datasets", "models", "jobs", "evaluations", "lineage", "trash"}
    for noun, ((status, text), (plain_status, _)) in told.items():
        assert status == plain_status == 0 and isinstance(json.loads(text), list), noun


def test_the_workspace_is_found_upward_when_none_is_named(house: Path, tmp_path: Path) -> None:
    open_store(tmp_path / ".lathe", create=True).close()
    inside = tmp_path / "deep" / "down"
    inside.mkdir(parents=True)
    done = lathe(house, "run", "echo.say", "text=hi", "--json", cwd=inside)
    assert done.returncode == 0
    assert len(answer(lathe(house, "show", "jobs", "--json", cwd=inside))) == 1
    elsewhere = lathe(house, "show", "jobs", cwd="/")  # type: ignore[arg-type]
    assert elsewhere.returncode == 2 and "lathe demo" in elsewhere.stderr


def test_a_refusal_before_any_job_is_json_too_when_json_was_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", "no.such", "--json"]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["reason"] == "bad input"
    assert "no.such" in json.loads(captured.out)["error"]
    assert captured.err.startswith("lathe: ")
