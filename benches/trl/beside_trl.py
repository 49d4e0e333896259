#!/usr/bin/env python3
"""Trains with TRL's GRPOTrainer from the completions of a `grpo` stage, and compares the curves of both.

    r1flow export base.model MODEL                   # the policy that the stage started from
    r1flow export STAGE.rollouts RUN/rollouts        # the stage needs a large `keep-groups`
    r1flow export STAGE.model RUN/model              # the policy after the last step
    r1flow show STAGE --json > RUN/curve.json
    python beside_trl.py MODEL RUN [OPTIONS]

Nothing of TRL is replaced but two things: a `rollout_func`, TRL's own hook, returns the recorded completions in place
of sampling, and minibatches of a rollout are not shuffled. Rewards are the recorded ones; advantages, old and reference
log-probs, loss, gradient, clipping and AdamW are TRL's and transformers'. The model is in float32.
Needs trl 1.16, torch and transformers; a minute on a CPU.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

os.environ.update(CI="1", HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="", TRL_EXPERIMENTAL_SILENCE="1")

import torch
import transformers
import trl
import trl.trainer.grpo_trainer as trl_grpo
from datasets import Dataset
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model", type=Path)
parser.add_argument("run", type=Path)
parser.add_argument("--group-size", type=int, default=8)
parser.add_argument("--prompts-per-step", type=int, default=4)
parser.add_argument("--updates-per-rollout", type=int, default=1)
parser.add_argument("--max-tokens", type=int, default=40)
parser.add_argument("--lr", type=float, default=3e-4)
parser.add_argument("--kl", type=float, default=0.0)
parser.add_argument("--clip", type=float, default=0.2)
parser.add_argument("--weight-decay", type=float, default=0.0)
parser.add_argument("--betas", type=float, nargs=2, default=[0.9, 0.999])
parser.add_argument("--entropy-coef", type=float, default=0.0, help="`entropy-bonus`")
parser.add_argument("--loss-type", default="grpo",
                    help="of `aggregate`: grpo `sequence`, bnpo `token`, dr_grpo `constant`")
parser.add_argument("--bias-correction-kl", action="store_true", help="TRL's default KL term; r1flow has none such")
parser.add_argument("--skip-equal-groups", action="store_true",
                    help="as r1flow: a group of equal rewards is not learnt, nor its KL; a step of such groups is none")
parser.add_argument("--learn-pad", action="store_true",
                    help="transformers gives a pad token no gradient as an input; r1flow does, where one was sampled")
parser.add_argument("--scale", default="group", help="`scale`")
args = parser.parse_args()

torch.set_num_threads(1)
rows = [json.loads(line) for line in open(args.run / "rollouts" / "samples.jsonl")]
curve = [point["metrics"] for point in json.load(open(args.run / "curve.json"))["curve"]]
size = args.prompts_per_step * args.group_size
assert len(rows) == size * len(curve), "rollouts are missing: raise `keep-groups`"

# Not AutoTokenizer: transformers 5 makes a Qwen2Tokenizer of it, which drops spaces and line breaks of this vocabulary.
tokenizer = PreTrainedTokenizerFast.from_pretrained(args.model)


def prompt_ids(row):
    """A prompt is one user turn in the model's chat template."""
    turn = [{"role": "user", "content": row["prompt"]}]
    text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def completion_ids(row):
    """A completion that was not cut off ends with the end token, which its text lacks."""
    ids = tokenizer(row["completion"], add_special_tokens=False)["input_ids"]
    ids += [tokenizer.eos_token_id] if row["finished"] else []
    assert len(ids) == row["tokens"], f"the text has other tokens than were sampled: {row}"
    return ids


class Trainer(GRPOTrainer):
    """TRL's trainer. What is added reads numbers, or is for --skip-equal-groups."""

    first_logps = None

    def _generate_and_score_completions(self, inputs):
        batch = super()._generate_and_score_completions(inputs)
        if args.skip_equal_groups:
            # Not by TRL's advantages: in float32, those of a group of equal rewards like 0.2 are 1e-4, not 0.
            recorded = torch.tensor([row["advantage"] for row in rows[cursor - len(inputs) : cursor]])
            groups = recorded.view(-1, args.group_size).abs().amax(1) > 0
            batch["completion_mask"] = batch["completion_mask"] * groups.repeat_interleave(args.group_size).unsqueeze(1)
        return batch

    def _get_per_token_logps_and_entropies(self, *given, **named):
        found = super()._get_per_token_logps_and_entropies(*given, **named)
        self.logps = found[0].detach()  # the last call of a step is that of the loss
        return found

    def _compute_loss(self, model, inputs):
        loss = super()._compute_loss(model, inputs)
        mask = inputs["completion_mask"]
        self.logps = self.logps * mask
        # Two curves mean something else in r1flow. `entropy` is the mean of -log p of the sampled tokens. A token is
        # clipped if its ratio is beyond a bound, also where the advantage's sign makes the clip idle.
        ratio = (self.logps - inputs.get("old_per_token_logps", self.logps) * mask).exp()
        measured, tokens = self._metrics["train"], mask.sum().clamp(min=1)
        measured["our_entropy"].append((-self.logps.sum() / tokens).item())
        measured["our_clip"].append((((ratio - 1).abs() > args.clip) * mask).sum().item() / tokens.item())
        if self.first_logps is None:
            self.first_logps = self.logps.double().sum(1)
        return loss


class Recorder(TrainerCallback):
    """Keeps what TRL logs; and with --skip-equal-groups, drops the gradients where there is nothing to learn from."""

    logs = []

    def on_log(self, _args, _state, _control, logs=None, **_):
        if "loss" in logs:
            self.logs.append(dict(logs))

    def on_pre_optimizer_step(self, *_, model=None, **__):
        if args.skip_equal_groups and not any(p.grad.any() for p in model.parameters() if p.grad is not None):
            model.zero_grad(set_to_none=True)  # AdamW passes over parameters without a gradient


# The recorded completions, one after the other.
cursor = 0


def rollout_func(prompts, _trainer):
    global cursor
    batch = rows[cursor : cursor + len(prompts)]
    cursor += len(prompts)
    assert [row["prompt"] for row in batch] == prompts
    return {"prompt_ids": [prompt_ids(row) for row in batch], "completion_ids": [completion_ids(row) for row in batch],
            "logprobs": None, "recorded": [row["reward"] for row in batch]}


trl_grpo.shuffle_sequence_dict = lambda batch: batch
config = GRPOConfig(
    output_dir=tempfile.mkdtemp(), use_cpu=True, bf16=False, report_to="none", disable_tqdm=True, save_strategy="no",
    gradient_checkpointing=False, logging_steps=1, max_steps=len(curve), shuffle_dataset=False,
    per_device_train_batch_size=size, gradient_accumulation_steps=1, steps_per_generation=args.updates_per_rollout,
    num_generations=args.group_size, max_completion_length=args.max_tokens, temperature=1.0,
    loss_type=args.loss_type, beta=args.kl, use_bias_correction_kl=args.bias_correction_kl, epsilon=args.clip,
    scale_rewards=args.scale, entropy_coef=args.entropy_coef, optim="adamw_torch", max_grad_norm=1.0,
    learning_rate=args.lr, lr_scheduler_type="constant", warmup_steps=0,
    adam_beta1=args.betas[0], adam_beta2=args.betas[1], adam_epsilon=1e-8, weight_decay=args.weight_decay,
)
trainer = Trainer(
    model=AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32, attn_implementation="eager"),
    args=config, reward_funcs=lambda recorded, **_: recorded, rollout_func=rollout_func, processing_class=tokenizer,
    train_dataset=Dataset.from_list([{"prompt": row["prompt"]} for row in rows[:: args.group_size]]),
    callbacks=[Recorder()],
)
assert trainer.ref_model is None or trainer.ref_model.dtype == torch.float32
if args.learn_pad:
    trainer.model.get_input_embeddings().padding_idx = None
trainer.train()

# Our name of each curve, and TRL's.
NAMES = {"loss": "loss", "grad_norm": "grad_norm", "entropy": "entropy" if args.entropy_coef else "our_entropy",
         "kl": "kl", "reward": "reward", "clip_ratio/region_mean": "our_clip",
         "completions/mean_length": "completions/mean_length"}
theirs = Recorder.logs
assert len(theirs) == len(curve)
# With several updates a rollout, TRL logs the reward of all of it, once; r1flow that of each update.
for i in range(0, len(curve), args.updates_per_rollout):
    for name in ("reward", "completions/mean_length"):
        curve[i][name] = sum(m[name] for m in curve[i : i + args.updates_per_rollout]) / args.updates_per_rollout


def largest(ours, name, steps):
    """The largest difference of a curve over the first steps, of those that have the curve on both sides."""
    return max((abs(a[ours] - b[name]) for a, b in zip(curve[:steps], theirs) if ours in a and name in b), default=0.0)


print(f"\ntrl {trl.__version__}, torch {torch.__version__}, transformers {transformers.__version__}, {args.run.name}")
spans = range(10, len(curve) + 1, 10)
print(f"{'largest difference':26}" + "".join(f"{f'to step {s}':>13}" for s in spans) + f"{'largest value':>15}")
for ours, name in NAMES.items():
    if any(ours in a for a in curve):
        value = max(abs(a[ours]) for a in curve if ours in a)
        print(f"{ours:26}" + "".join(f"{largest(ours, name, s):13.1e}" for s in spans) + f"{value:15.3g}")
for name in ("entropy", "clip_ratio/region_mean", "reward_std"):  # of other definitions in TRL
    print(f"TRL's own {name}: differs by up to {largest(name, name, len(curve)):.2g}")
first = [abs(row["logp"] - x.item()) for row, x in zip(rows, trainer.first_logps)]
print(f"log-probs of the first {size} completions (sums): {max(first):.1e}")

after, before = (load_file(dir / "model.safetensors") for dir in (args.run / "model", args.model))
last, embedding, pad = trainer.model.state_dict(), "model.embed_tokens.weight", tokenizer.pad_token_id
others = [token for token in range(len(after[embedding])) if token != pad]
parts = {"embeddings": [(embedding, others)], "embedding of the pad token": [(embedding, [pad])],
         "the rest": [(name, slice(None)) for name in after if name != embedding]}
for part, names in parts.items():
    far = max((after[name][of] - before[name][of]).abs().max().item() for name, of in names)
    apart = max((after[name][of] - last[name][of]).abs().max().item() for name, of in names)
    print(f"weights after the last step, {part}: {apart:.1e}; training moved them by up to {far:.1e}")
