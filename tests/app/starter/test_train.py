"""Training: it learns, its rate follows the plan, and a killed run continues as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import torch

from app.starter.checkpoint import load_state
from app.starter.train import Progress, Recipe, Run, rate_share
from tests.app.starter.conftest import TINY_RECIPE, TINY_SHAPE


def make_run(folder: Path, tokenizer_file: Path) -> Run:
    folder.mkdir(exist_ok=True)
    shutil.copy(tokenizer_file, folder / "tokenizer.json")
    return Run(folder, TINY_RECIPE, TINY_SHAPE)


def states_equal(one: Path, two: Path) -> bool:
    left, right = load_state(one / "state.safetensors")[0], load_state(two / "state.safetensors")[0]
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_the_loss_falls(tmp_path: Path, tokenizer_file: Path) -> None:
    reports: list[Progress] = []
    make_run(tmp_path / "run", tokenizer_file).train(reports.append, report_every=10, max_steps=30)
    assert reports[-1].answer_loss < reports[0].answer_loss - 0.5
    assert reports[-1].step == 30


def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(tmp_path: Path, tokenizer_file: Path) -> None:
    make_run(tmp_path / "whole", tokenizer_file).train(lambda p: None, max_steps=9)
    make_run(tmp_path / "parts", tokenizer_file).train(lambda p: None, max_steps=5)
    resumed = make_run(tmp_path / "parts", tokenizer_file)
    assert resumed.step == 5
    resumed.train(lambda p: None, max_steps=9)
    assert states_equal(tmp_path / "whole", tmp_path / "parts")


SCRIPT = """
import sys
from pathlib import Path
from app.starter.train import Run
from tests.app.starter.conftest import TINY_RECIPE, TINY_SHAPE
run = Run(Path(sys.argv[1]), TINY_RECIPE, TINY_SHAPE)
run.train(lambda p: print(p.step, flush=True), report_every=1, save_seconds=0.0, max_steps=1000)
"""


def test_a_run_killed_while_it_saves_continues_exactly(tmp_path: Path, tokenizer_file: Path) -> None:
    folder = tmp_path / "killed"
    make_run(folder, tokenizer_file)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 4:
                process.send_signal(signal.SIGKILL)
                break
    resumed = make_run(folder, tokenizer_file)
    done = resumed.step
    assert done >= 3
    resumed.train(lambda p: None, max_steps=done + 3)
    make_run(tmp_path / "whole", tokenizer_file).train(lambda p: None, max_steps=done + 3)
    assert states_equal(folder, tmp_path / "whole")


def test_a_stopped_run_saves_on_its_way_out(tmp_path: Path, tokenizer_file: Path) -> None:
    seen: list[int] = []
    run = make_run(tmp_path / "run", tokenizer_file)
    complete = run.train(lambda p: seen.append(p.step), lambda: len(seen) >= 2, report_every=1)
    assert not complete
    assert load_state(tmp_path / "run" / "state.safetensors")[1]["step"] == 2


def test_the_rate_warms_up_and_follows_the_schedule_stretched_to_the_length_of_the_run() -> None:
    schedule = ((500, 1.0), (750, 0.5), (1000, 0.0))
    recipe = Recipe(tokens=1000, warmup_steps=10, schedule=schedule)
    assert rate_share(0, 0, recipe) == 0.1
    assert [rate_share(tokens, 50, recipe) for tokens in (400, 500, 625, 750, 875, 1000, 1200)] == [
        1.0,
        1.0,
        0.75,
        0.5,
        0.25,
        0.0,
        0.0,
    ]
    assert rate_share(1250, 50, Recipe(tokens=2000, warmup_steps=10, schedule=schedule)) == 0.75
