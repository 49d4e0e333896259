"""The Python side of the bench `grpo`: TRL's GRPOTrainer, sdpa, fused AdamW, one process.

    python grpo.py DIR DTYPE THREADS ROWS

DIR has `model` and `prompts.jsonl`. DTYPE is float32, bfloat16 (weights, moments and all) or autocast (bfloat16 matmuls
over float32 weights, TRL's `bf16`). ROWS completions are one pass. Reads a number of steps from each line of standard
input, takes them, and prints their cost as one line of JSON. Needs trl 1.16.
"""

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

os.environ.update(CI="1", HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="", TRL_EXPERIMENTAL_SILENCE="1")
answers, sys.stdout = sys.stdout, sys.stderr  # the trainer prints what it logs

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

folder, dtype, threads, rows = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:5])
PROMPTS, GROUP, TOKENS = 8, 8, 64
torch.set_num_threads(threads)


class Turns(TrainerCallback):
    """Stops the clock after each turn, until there is another."""

    def begin(self):
        line = sys.stdin.readline()
        if not line:
            os._exit(0)
        self.left, self.sampling = int(line), 0.0
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def on_step_end(self, _args, _state, _control, **_):
        self.left -= 1
        if self.left > 0:
            return
        cost = {
            "wall": time.perf_counter() - self.wall,
            "cpu": time.process_time() - self.cpu,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "sampling": self.sampling,
        }
        print(json.dumps(cost), file=answers, flush=True)
        self.begin()


class Trainer(GRPOTrainer):
    def _generate(self, *given, **named):
        begin = time.perf_counter()
        found = super()._generate(*given, **named)
        turns.sampling += time.perf_counter() - begin
        return found


def language(completions, completion_ids, **_):
    """The share of words in English, as the reward `language`."""
    assert all(len(ids) == TOKENS for ids in completion_ids)
    return [sum(word.isascii() for word in text.split()) / TOKENS for text in completions]


turns = Turns()
turns.begin()
size = PROMPTS * GROUP
config = GRPOConfig(
    output_dir=tempfile.mkdtemp(), use_cpu=True, bf16=dtype == "autocast", report_to="none", disable_tqdm=True,
    save_strategy="no", gradient_checkpointing=False, max_steps=1_000_000, shuffle_dataset=False,
    per_device_train_batch_size=rows, gradient_accumulation_steps=size // rows, num_generations=GROUP,
    max_completion_length=TOKENS, temperature=1.0, loss_type="grpo", beta=0.0, optim="adamw_torch_fused",
    learning_rate=1e-5, lr_scheduler_type="constant", adam_beta2=0.95, weight_decay=0.0, max_grad_norm=1.0,
)
weights = torch.bfloat16 if dtype == "bfloat16" else torch.float32
trainer = Trainer(
    model=AutoModelForCausalLM.from_pretrained(folder / "model", dtype=weights, attn_implementation="sdpa"),
    args=config, reward_funcs=language, processing_class=PreTrainedTokenizerFast.from_pretrained(folder / "model"),
    train_dataset=Dataset.from_list([json.loads(line) for line in open(folder / "prompts.jsonl")]), callbacks=[turns],
)
trainer.train()
