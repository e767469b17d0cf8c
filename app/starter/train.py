"""Trains the starter model from scratch on the generated corpus, on one core, resumable at any moment.

fp32 weights with bf16 autocast; Muon on the matrices and AdamW on the embedding and the norms; a warm-up, one
long stable phase and a linear decay at the end. The learning rate is a function of the tokens seen and the
total alone, and every batch of its number alone, so a resumed run equals an unbroken one, and the total may
still be changed before the decay begins. There is no dropout, hence no random state to keep.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.starter.checkpoint import load_state, pack_optimizer, save_state, unpack_optimizer
from app.starter.corpus import Batch, PackedCorpus
from app.starter.tokenizer import VOCABULARY, StarterTokenizer, train_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM

SCHEDULE = ((14_950_000, 1.0), (21_125_598, 0.24818806956521738), (24_200_000, 0.25), (26_500_000, 0.02))
"""The share of the full rate at so many tokens: down, level while the hardest is learned, down again."""
CHECKPOINT, TOKENIZER = "state.safetensors", "tokenizer.json"


@dataclass(frozen=True)
class Shape:
    """The architecture; every row size is a multiple of 256, so that K-quants never fall back."""

    layers: int = 6
    hidden: int = 256
    ffn: int = 512
    heads: int = 4
    kv_heads: int = 2
    positions: int = 2048


@dataclass(frozen=True)
class Recipe:
    """What a run is made of. ``tokens`` counts real (not padding) tokens; rates are per optimizer step."""

    tokens: int = 26_500_000
    seed: int = 1
    rows: int = 12
    length: int = 320
    rate: float = 2e-3
    weight_decay: float = 0.05
    warmup_steps: int = 100
    schedule: tuple[tuple[int, float], ...] = SCHEDULE
    compiled: bool = True


@dataclass(frozen=True)
class Progress:
    """One report of a run. ``answer_loss`` and ``prompt_loss`` are means since the last report, in nats."""

    step: int
    tokens: int
    answer_loss: float
    prompt_loss: float
    rate: float
    tokens_per_second: float
    seconds: float


def rate_share(tokens: int, step: int, recipe: Recipe) -> float:
    """The share of the full learning rate: warm-up by steps, then straight lines through the schedule by tokens.

    A run of another length follows the same schedule, stretched.
    """
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    stretch = recipe.tokens / recipe.schedule[-1][0]
    (begin, before), *rest = [(at * stretch, share) for at, share in recipe.schedule]
    for at, share in rest:
        if tokens <= begin:
            break
        if tokens < at:
            return before + (share - before) * (tokens - begin) / (at - begin)
        begin, before = at, share
    return before


def build_model(shape: Shape, tokenizer: StarterTokenizer, seed: int) -> LlamaForCausalLM:
    """A fresh model with tied embeddings, fp32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=shape.hidden,
        intermediate_size=shape.ffn,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.hidden // shape.heads,
        max_position_embeddings=shape.positions,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.end_of_text,
        eos_token_id=tokenizer.turn_end,
        pad_token_id=tokenizer.end_of_text,
    )
    return LlamaForCausalLM(config)


class Run:
    """A training run in a folder: its tokenizer, its latest state, and the loop."""

    def __init__(self, folder: Path, recipe: Recipe, shape: Shape, threads: int = 1) -> None:
        import torch

        torch.set_num_threads(threads)
        self.folder, self.recipe, self.shape = folder, recipe, shape
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / TOKENIZER
        if not path.exists():
            train_tokenizer(recipe.seed).save(str(path))
        self.tokenizer = StarterTokenizer.load(path)
        self.model = build_model(shape, self.tokenizer, recipe.seed)
        self.parameters = dict(self.model.named_parameters())
        matrices = [p for n, p in self.parameters.items() if p.ndim == 2 and "embed" not in n]
        others = [p for n, p in self.parameters.items() if p.ndim != 2 or "embed" in n]
        self.muon = torch.optim.Muon(
            matrices, lr=recipe.rate, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw"
        )
        self.adam = torch.optim.AdamW(others, lr=recipe.rate, betas=(0.9, 0.95), weight_decay=0.0)
        self.step = self.tokens = 0
        self.seconds = 0.0
        self.answer_loss: float | None = None
        if (folder / CHECKPOINT).exists():
            self._restore()

    def _restore(self) -> None:
        import torch

        tensors, meta = load_state(self.folder / CHECKPOINT)
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[f"model/{name}"])
        unpack_optimizer(self.muon, self.parameters, "muon", tensors)
        unpack_optimizer(self.adam, self.parameters, "adam", tensors)
        self.step, self.tokens, self.seconds = meta["step"], meta["tokens"], meta["seconds"]
        self.answer_loss = meta.get("answer_loss")

    def save(self) -> None:
        """Write the state; a kill during it leaves the state before."""
        names = {id(parameter): name for name, parameter in self.parameters.items()}
        tensors: dict[str, torch.Tensor] = {f"model/{name}": p for name, p in self.parameters.items()}
        tensors |= pack_optimizer(self.muon, names, "muon") | pack_optimizer(self.adam, names, "adam")
        meta: dict[str, Any] = {
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "answer_loss": self.answer_loss,
        }
        meta |= {"recipe": asdict(self.recipe), "shape": asdict(self.shape)}
        save_state(self.folder / CHECKPOINT, tensors, meta)

    def _loss_function(self) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
        import torch
        from torch.nn import functional

        model = self.model

        def loss(ids: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model(input_ids=ids[:, :-1], use_cache=False).logits
            each = functional.cross_entropy(
                logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
            )
            flat = weights[:, 1:].flatten()
            return (each * flat).sum() / flat.sum(), each.detach()

        if not self.recipe.compiled:
            return loss
        compiled: Callable[..., tuple[torch.Tensor, torch.Tensor]] = torch.compile(loss, dynamic=False)
        return compiled

    def train(
        self,
        report: Callable[[Progress], None],
        should_stop: Callable[[], bool] = lambda: False,
        report_every: int = 50,
        save_seconds: float = 180.0,
        max_steps: int | None = None,
    ) -> bool:
        """Train until ``tokens`` are seen and save the state; returns whether the run is complete."""
        import torch

        loss_of = self._loss_function()
        corpus = PackedCorpus(self.tokenizer, self.recipe.seed, self.recipe.rows, self.recipe.length)
        totals: dict[str, float] = dict.fromkeys(["answer", "answers", "prompt", "prompts", "tokens"], 0.0)
        began = mark = saved = time.monotonic()
        spent = self.seconds
        for number, batch in corpus.batches(self.step):
            if (
                self.tokens >= self.recipe.tokens
                or should_stop()
                or (max_steps is not None and number >= max_steps)
            ):
                break
            ids, weights = torch.tensor(batch.ids), torch.tensor(batch.weights)
            share = rate_share(self.tokens, self.step, self.recipe)
            for group in [*self.muon.param_groups, *self.adam.param_groups]:
                group["lr"] = self.recipe.rate * share
            loss, each = loss_of(ids, weights)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            for optimizer in (self.muon, self.adam):
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            self.step, self.tokens = number + 1, self.tokens + batch.real_tokens
            self._count(totals, batch, each, weights)
            now = time.monotonic()
            self.seconds = spent + now - began
            if self.step % report_every == 0:
                progress = self._progress(totals, now - mark, share)
                self.answer_loss = progress.answer_loss
                report(progress)
                totals, mark = dict.fromkeys(totals, 0.0), now
            if now - saved > save_seconds:
                self.save()
                saved = time.monotonic()
        self.save()
        return self.tokens >= self.recipe.tokens

    @staticmethod
    def _count(totals: dict[str, float], batch: Batch, each: torch.Tensor, weights: torch.Tensor) -> None:
        flat = weights[:, 1:].flatten()
        answers, prompts = flat >= 1.0, (flat > 0) & (flat < 1.0)
        totals["answer"] += float(each[answers].sum())
        totals["answers"] += int(answers.sum())
        totals["prompt"] += float(each[prompts].sum())
        totals["prompts"] += int(prompts.sum())
        totals["tokens"] += batch.real_tokens

    def _progress(self, totals: dict[str, Any], seconds: float, share: float) -> Progress:
        return Progress(
            step=self.step,
            tokens=self.tokens,
            answer_loss=totals["answer"] / max(1, totals["answers"]),
            prompt_loss=totals["prompt"] / max(1, totals["prompts"]),
            rate=self.recipe.rate * share,
            tokens_per_second=totals["tokens"] / max(seconds, 1e-9),
            seconds=self.seconds,
        )
