"""What comes out of a loaded model: equal to llama.cpp's own loop, batched or not, and told exactly."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path
from typing import Any

import pytest

from app.engine.client import EngineClient
from store.errors import BadInput, LatheError
from store.workspace import open_store
from tests.app.engine.conftest import ONE_THREAD, ask, done, register
from tests.tiny_models import CHATML, tiny_gguf

SYSTEM = {
    "role": "system",
    "content": "Route this ticket to one of: billing, shipping, returns, technical. Answer with one word. "
    * 2,
}


def grid(count: int, model: str = "tiny") -> list[dict[str, Any]]:
    return [
        {
            **ask(f"r{number}", f"Where is my order {number * 7919}?" + " please" * (number % 5), model),
            "sampling": {"max_tokens": 6 + number % 20},
            "shared_prefix": [SYSTEM],
            "messages": [
                SYSTEM,
                {"role": "user", "content": f"Where is my order {number * 7919}?" + " x" * (number % 5)},
            ],
        }
        for number in range(count)
    ]


def test_a_batched_run_gives_what_one_at_a_time_gives(engine: EngineClient) -> None:
    batched = done(engine.generate(grid(40)))
    engine.load("tiny", {**ONE_THREAD, "slots": 1})
    single = done(engine.generate(grid(40)))
    again = done(engine.generate(reversed(grid(40))))
    engine.load("tiny", ONE_THREAD)
    assert {key: event["text"] for key, event in single.items()} == {
        key: event["text"] for key, event in again.items()
    }
    # Batching changes the last bits of a sum, and random weights are full of near ties: not all need to be equal.
    assert sum(single[key]["text"] == batched[key]["text"] for key in single) >= 37
    assert sum(event["cached_tokens"] for event in batched.values()) > 30 * 39


def test_single_slot_output_equals_create_completion(engine: EngineClient, tmp_path: Path) -> None:
    import llama_cpp

    prompts = [f"Where is my order {number * 31}? I paid on Monday" for number in range(12)]
    engine.load("tiny", {**ONE_THREAD, "slots": 1})
    requests = [
        {"id": str(at), "model": "tiny", "prompt": prompt, "sampling": {"max_tokens": 30}}
        for at, prompt in enumerate(prompts)
    ]
    ours = done(engine.generate(requests))
    engine.load("tiny", ONE_THREAD)
    plain = llama_cpp.Llama(str(tiny_gguf(tmp_path)), n_ctx=512, flash_attn=True, n_threads=1, verbose=False)
    compared = 0
    try:
        for at, prompt in enumerate(prompts):
            plain.reset()
            answer = plain.create_completion(prompt, max_tokens=30, temperature=0, repeat_penalty=1.0)
            choice = answer["choices"][0]
            # It drops bytes that are no characters (here each is a visible replacement character), and goes on past
            # max_tokens while a character is unfinished.
            clean = ours[str(at)]["text"].replace("\ufffd", "")
            assert choice["text"].startswith(clean)
            compared += len(clean)
            assert ours[str(at)]["prompt_tokens"] == answer["usage"]["prompt_tokens"]
            assert ours[str(at)]["finish_reason"] == choice["finish_reason"]
    finally:
        plain.close()
    assert compared > 200


def test_streamed_pieces_add_up_to_the_whole_answer(engine: EngineClient) -> None:
    request = ask("s", "The parcel arrived late", sampling={"max_tokens": 200})
    events = list(engine.generate([request], stream=True))
    text = ""
    for event in events:
        if event["event"] == "delta":
            assert event["offset"] == len(text)
            text += event["text"]
    assert events[0]["event"] == "started"
    assert text
    assert events[-1]["text"].startswith(text)
    assert events[-1]["finish_reason"] in ("length", "stop")


def test_the_same_seed_gives_the_same_answer_and_an_unset_one_is_reported(engine: EngineClient) -> None:
    warm = {"temperature": 1.0, "max_tokens": 20}
    requests = [
        ask(name, "Where is it?", sampling={**warm, "seed": seed})
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    events = done(engine.generate(requests))
    assert events["a"]["text"] == events["b"]["text"] != events["c"]["text"]
    free = done(engine.generate([ask("d", "Where is it?", sampling=warm)]))["d"]
    again = done(engine.generate([ask("e", "Where is it?", sampling={**warm, "seed": free["seed"]})]))["e"]
    assert free["text"] == again["text"]


def test_a_stop_string_across_tokens_ends_the_answer_before_it(engine: EngineClient) -> None:
    whole = done(engine.generate([ask("w", "Where is it?", sampling={"max_tokens": 40})]))["w"]["text"]
    stop = whole[8:13]
    cut = done(engine.generate([ask("c", "Where is it?", sampling={"max_tokens": 40, "stop": [stop]})]))["c"]
    assert cut["text"] == whole[: whole.index(stop)]
    assert cut["finish_reason"] == "stop"


def test_log_probabilities_belong_to_the_tokens_that_were_chosen(engine: EngineClient) -> None:
    event = done(engine.generate([ask("l", "Where is it?", logprobs=3)]))["l"]
    assert len(event["logprobs"]) == event["completion_tokens"]
    for item in event["logprobs"]:
        assert item["logprob"] == item["top"][0][1] <= 0
        assert len(item["top"]) == 3
        assert sum(math.exp(value) for _, value in item["top"]) <= 1.0001


def test_a_schema_binds_the_answer(engine: EngineClient) -> None:
    schema = {
        "type": "object",
        "properties": {"team": {"enum": ["billing", "shipping"]}, "sure": {"type": "boolean"}},
        "required": ["team", "sure"],
    }
    requests = [
        ask(
            str(seed),
            "Where is it?",
            json_schema=schema,
            sampling={"max_tokens": 120, "temperature": heat, "seed": seed},
        )
        for seed, heat in enumerate((0, 0.7, 1.5, 1.5))
    ]
    for event in done(engine.generate(requests)).values():
        value = json.loads(event["text"])
        assert value["team"] in ("billing", "shipping")
        assert isinstance(value["sure"], bool)
        assert event["finish_reason"] == "stop"


def test_a_schema_that_makes_no_sense_is_an_error_of_that_request_alone(engine: EngineClient) -> None:
    events = done(engine.generate([ask("bad", "x", json_schema={"type": "nonsense"}), ask("good", "x")]))
    assert events["bad"]["event"] == "error"
    assert "schema" in events["bad"]["error"]
    assert events["good"]["event"] == "done"


def test_a_prompt_longer_than_the_context_is_a_state_of_its_own_and_never_cut(engine: EngineClient) -> None:
    events = done(engine.generate([ask("long", "parcel " * 600), ask("short", "parcel")]))
    assert events["long"]["finish_reason"] == "context_overflow"
    assert events["long"]["completion_tokens"] == 0
    assert events["long"]["prompt_tokens"] > 512
    assert events["short"]["finish_reason"] == "length"


def test_an_answer_that_runs_into_the_end_of_the_context_says_so(engine: EngineClient) -> None:
    event = done(engine.generate([ask("x", "late " * 220, sampling={"max_tokens": 400})]))["x"]
    assert event["finish_reason"] in ("context_overflow", "stop")
    if event["finish_reason"] == "context_overflow":
        assert event["prompt_tokens"] + event["completion_tokens"] == 512


def test_timings_and_counts_are_exact(engine: EngineClient) -> None:
    event = done(engine.generate([ask("t", "Where is it?")]))["t"]
    timings = event["timings"]
    assert event["completion_tokens"] == 12
    assert 0 <= timings["queue_ms"] <= timings["first_token_ms"] <= timings["total_ms"]
    assert timings["queue_ms"] + timings["prefill_ms"] == pytest.approx(timings["first_token_ms"], abs=0.01)
    assert timings["tokens_per_second"] > 0


def test_a_conversation_goes_on_without_reading_its_beginning_again(engine: EngineClient) -> None:
    first = ask(
        "one", "The parcel arrived late and the box was open. I would like a refund.", priority="interactive"
    )
    answer = done(engine.generate([first]))["one"]
    turns = [
        *first["messages"],
        {"role": "assistant", "content": answer["text"]},
        {"role": "user", "content": "And?"},
    ]
    second = done(engine.generate([{**first, "id": "two", "messages": turns}]))["two"]
    assert second["cached_tokens"] >= answer["prompt_tokens"]


def test_the_rendered_prompt_can_be_looked_at(engine: EngineClient) -> None:
    found = engine.inspect("tiny", messages=[{"role": "user", "content": "Hi"}], thinking=False)
    assert found["rendered"].endswith("assistant\n<think>\n\n</think>\n\n")
    assert found["tokens"] == len(engine.tokenize("tiny", found["rendered"])["tokens"])
    event = done(engine.generate([ask("r", "Hi", want_rendered=True)]))["r"]
    assert event["rendered"] == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


def test_a_model_without_a_template_says_so_and_takes_a_chosen_one(engine: EngineClient) -> None:
    event = done(engine.generate([ask("a", "Hi", "bare")]))["a"]
    assert event["event"] == "error"
    assert "chatml, plain" in event["error"]
    assert done(engine.generate([ask("b", "Hi", "bare", template="chatml")]))["b"]["event"] == "done"
    engine.load("bare", {**ONE_THREAD, "template": "plain"})
    assert done(engine.generate([ask("c", "Hi", "bare", want_rendered=True)]))["c"]["rendered"] == "Hi\n"
    engine.unload("bare")


def test_a_template_that_opens_the_thinking_keeps_it_apart_from_the_answer(
    engine: EngineClient, tiny_root: Path
) -> None:
    store = open_store(tiny_root)
    opening = CHATML.replace("assistant\\n' }}", "assistant\\n<think>\\n' }}")
    register(store, "thinker", tiny_gguf(tiny_root / "models", name="thinker", template=opening))
    store.close()
    engine.load("thinker", ONE_THREAD)
    requests = [ask("on", "Hi", "thinker"), ask("off", "Hi", "thinker", thinking=False)]
    events = done(engine.generate([{**request, "want_rendered": True} for request in requests]))
    engine.unload("thinker")
    assert events["on"]["rendered"].endswith("<think>\n")
    assert events["on"]["thinking"]
    assert not events["on"]["text"]
    assert events["off"]["rendered"].endswith("</think>\n\n")
    assert events["off"]["text"]
    assert not events["off"]["thinking"]


def test_unknown_models_and_bad_requests_are_sentences(engine: EngineClient) -> None:
    assert "tiny" in done(engine.generate([ask("a", "Hi", "nope")]))["a"]["error"]
    with pytest.raises(BadInput, match="top_p"):
        list(engine.generate([ask("a", "Hi", sampling={"top_p": 7})]))
    with pytest.raises(BadInput, match="same id"):
        list(engine.generate([ask("a", "Hi"), ask("a", "Ho")]))
    with pytest.raises(LatheError):
        engine.load("tiny", {"threads": -1})


def test_cancelling_ends_the_wanted_ones_and_leaves_the_others(engine: EngineClient) -> None:
    requests = [
        ask(f"{tag}{at}", f"{at}?", tag=tag, sampling={"max_tokens": 400}) for tag in "ab" for at in range(10)
    ]
    finished = {}
    for event in engine.generate(requests):
        if event["event"] == "started" and event["id"] == "a0":
            assert engine_of(engine).cancel(tag="a") == 10
        if event["event"] == "done":
            finished[event["id"]] = event
    reasons = {tag: {finished[f"{tag}{at}"]["finish_reason"] for at in range(10)} for tag in "ab"}
    assert reasons["a"] == {"cancelled"}
    assert "cancelled" not in reasons["b"]


def test_leaving_the_iterator_cancels_what_still_runs(engine: EngineClient, wait_until: Any) -> None:
    events = engine.generate([ask(f"q{at}", f"{at}", sampling={"max_tokens": 450}) for at in range(60)])
    next(events)
    events.close()
    other = engine_of(engine)
    wait_until(lambda: other.status()["in_flight"] == 0, what="the abandoned requests to end")
    assert other.status()["models"][0]["in_flight"] == 0


def test_a_person_is_answered_while_two_hundred_cells_are_in_flight(engine: EngineClient) -> None:
    cells = [
        ask(f"c{at}", f"{at} Where is my parcel?", tag="bulk", sampling={"max_tokens": 60})
        for at in range(200)
    ]
    ended: list[str] = []
    started = threading.Event()

    def run() -> None:
        for event in engine_of(engine).generate(cells):
            started.set()
            if event["event"] == "done":
                ended.append(event["id"])

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    answer = done(engine.generate([ask("person", "Hello?", priority="interactive")]))["person"]
    ahead = len(ended)
    thread.join(60)
    assert answer["finish_reason"] in ("length", "stop")
    assert ahead < 100
    assert len(ended) == 200


def test_who_watches_a_tag_sees_answers_grow_from_their_beginning(engine: EngineClient) -> None:
    other = engine_of(engine)
    seen: list[dict[str, Any]] = []
    watched = other.watch("evaluation-7")
    requests = [
        ask(f"w{at}", f"{at} parcel", tag="evaluation-7", sampling={"max_tokens": 150}) for at in range(6)
    ]

    def follow() -> None:
        for event in watched:
            seen.append(event)
            if sum(item["event"] == "done" for item in seen) == 6:
                return

    thread = threading.Thread(target=follow)
    thread.start()
    finished = done(engine.generate(requests))
    thread.join(10)
    assert not thread.is_alive()
    for name, event in finished.items():
        text = ""
        for item in seen:
            if item["event"] == "delta" and item["id"] == name:
                text = text[: item["offset"]] + item["text"]
        assert event["text"].startswith(text)
    assert any(item["event"] == "delta" for item in seen)


def engine_of(client: EngineClient) -> EngineClient:
    """Another connection to the same engine: one client streams from one thread at a time."""
    return EngineClient(client.socket)
