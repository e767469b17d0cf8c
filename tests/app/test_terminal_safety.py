"""In a real terminal: nothing that was not typed in our code arrives as a control sequence, at any size."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from store import drafts, jobs, models, prompts, settings
from store.workspace import Store
from tests.app.terminal import Terminal, workbench

PAYLOADS = {
    "clipboard": "\x1b]52;c;aGk=\x1b\\",
    "title": "\x1b]0;PWNED\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\L\x1b]8;;\x1b\\",
    "clear": "\x1b[2J\x1b[H",
    "c1": "\x9b31m\x9d0;PWNED\x9c",
    "device": "\x90q\x9c",
    "bidi": "\u202etxt.exe\u2066",
    "markup": "[/b][@click=app.quit]x[/][red]",
    "tag": "\U000e0041",
    "bell": "\x07\x08",
}
EVIL = "evil " + "".join(PAYLOADS.values())
FORBIDDEN = [
    b"\x1b]52",
    b"\x1b]0;PWNED",
    b"\x9d0;PWNED",
    b"\x1b]8;;http://evil",
    b"\xc2\x9b",
    b"\xc2\x90",
    b"\xc2\x9d",
    "\u202e".encode(),
    "\u2066".encode(),
    "\U000e0041".encode(),
]


@pytest.fixture
def hostile(workspace: Store, made_up_jobs: None) -> Store:
    """A workspace whose every text is an attack."""
    for number in range(3):
        job = jobs.enqueue(
            workspace, f"test.evil{number}", "starter", "worker", {"note": EVIL}, f"{number} {EVIL}"
        )
        jobs.claim(workspace, job.id, nonce="n")
        events = [
            {"kind": "log", "level": "info", "text": f"log {EVIL}"},
            {"kind": "metric", "name": f"loss {EVIL}", "value": 1.5, "step": 1},
            {"kind": "metric", "name": f"loss {EVIL}", "value": 0.5, "step": 2},
        ]
        jobs.append_events(workspace, job.id, events, offset=1)
        jobs.add_lineage(workspace, job.id, "out", "prompt", 1, f"ref {EVIL}", "")
        jobs.finish(
            workspace, job.id, "failed", f"reason {EVIL}", error=f"error {EVIL}", summary=None, outputs=[]
        )
    content = {"messages": [{"role": "user", "content": EVIL}], "sampling": {}}
    prompts.save_version(workspace, "plain", content, note=EVIL)
    models.register_version(
        workspace,
        "model [red]",
        tag="q8_0",
        format="gguf",
        path=f"/nowhere/{EVIL}".replace("\x00", ""),
        quick_hash="q",
        size_bytes=10,
        facts={"architecture": EVIL, "chat_template": EVIL},
    )
    settings.set(workspace, "model_folders", [f"/nowhere/{EVIL}"])
    drafts.save_draft(workspace, "form:workspace.backup", {"file": EVIL})
    return workspace


def assert_nothing_arrived(terminal: Terminal) -> None:
    """No payload is in the bytes, and the title is nobody's."""
    output = bytes(terminal.output)
    for payload in FORBIDDEN:
        assert payload not in output, f"{payload!r} reached the terminal"
    for match in re.finditer(rb"\x1b\]([^\x07\x1b]*)", output):
        assert b"PWNED" not in match.group(1) and b"evil" not in match.group(1)
    assert "PWNED" not in terminal.title


def go_home(terminal: Terminal) -> None:
    """Leave whatever stands over the tabs. A busy machine may have read an escape and the key after it as one."""
    for _ in range(6):
        try:
            terminal.wait_for("network off", timeout=5)
        except AssertionError:
            terminal.press("escape")
        else:
            return
    terminal.wait_for("network off")


def test_hostile_text_is_visible_text_in_every_view_of_the_shell(hostile: Store) -> None:
    with workbench(hostile.root, size=(140, 40)) as terminal:
        terminal.wait_for("Prompts")
        terminal.wait_for("network off")
        terminal.press("f2")
        text = terminal.wait_for(lambda text: "log evil" in text and "error evil" in text)
        assert "␛]52;c;aGk=" in text
        assert "[/b][@click=app.quit]x" in text
        assert "loss" in text
        terminal.press("escape")
        go_home(terminal)
        terminal.press("f9")
        terminal.wait_for("/nowhere/evil")
        terminal.press("escape")
        go_home(terminal)
        terminal.press("ctrl+p")
        terminal.wait_for("type to filter")
        terminal.press("back up")
        terminal.wait_for("Back up the workspace")
        terminal.press("enter")
        terminal.wait_for(lambda text: "File*" in text and ("␛]52;c" in text or "[@click=" in text))
        terminal.press("escape")
        go_home(terminal)
        terminal.press("3")
        terminal.wait_for("Models")
        terminal.press("4", "ctrl+q")
        assert terminal.wait_for_exit() == 0
        assert_nothing_arrived(terminal)


def test_the_terminal_is_given_back_as_it_was(workspace: Store) -> None:
    with workbench(workspace.root) as terminal:
        terminal.wait_for("network off")
        terminal.press("ctrl+q")
        assert terminal.wait_for_exit() == 0
        output = bytes(terminal.output)
        for on, off in (
            (b"?1049h", b"?1049l"),
            (b"?25l", b"?25h"),
            (b"?2004h", b"?2004l"),
            (b"?1000h", b"?1000l"),
        ):
            assert output.rfind(off) > output.rfind(on), f"{on!r} was not taken back"


@pytest.mark.parametrize("size", [(20, 5), (1, 1), (300, 100)])
def test_no_size_of_terminal_brings_it_down(hostile: Store, size: tuple[int, int]) -> None:
    with workbench(hostile.root, size=size) as terminal:
        terminal.wait_for(lambda _: b"?1049h" in terminal.output and len(terminal.output) > 200)
        for key in (
            "f2",
            "j",
            "escape",
            "f9",
            "j",
            "escape",
            "f1",
            "escape",
            "ctrl+p",
            "escape",
            "f3",
            "escape",
        ):
            terminal.press(key)
            terminal.pump(0.1)
        terminal.resize(100, 30)
        go_home(terminal)
        terminal.press("ctrl+q")
        assert terminal.wait_for_exit() == 0


def test_a_storm_of_resizes_is_survived(hostile: Store) -> None:
    with workbench(hostile.root) as terminal:
        terminal.wait_for("network off")
        terminal.press("f2")
        for width, height in itertools.product((20, 61, 100, 200), (5, 24, 60)):
            terminal.resize(width, height)
            terminal.press("j")
        terminal.resize(120, 36)
        terminal.wait_for("log evil")
        terminal.press("ctrl+q")
        assert terminal.wait_for_exit() == 0
        assert_nothing_arrived(terminal)


def test_a_locale_without_utf8_still_starts(workspace: Store, tmp_path: Path) -> None:
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONWARNDEFAULTENCODING": "1"}
    with workbench(workspace.root, env=env) as terminal:
        terminal.wait_for("network off")
        terminal.press("ctrl+q")
        assert terminal.wait_for_exit() == 0
        assert b"EncodingWarning" not in terminal.output
