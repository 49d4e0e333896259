#!/usr/bin/env python3
"""Writes trl.json: TRL's GRPO and RLOO objectives on given numbers, which `tests.rs` compares with ours.

    python against_trl.py trl.json        (needs the packages trl and torch; a minute on a CPU)

Every number under "trl" comes from TRL's own methods. The script makes a trainer without its `__init__` (no model, no
tokenizer, no data), sets the attributes that the methods read as `__init__` sets them, and replaces two methods:
`_generate` returns given completions, `_get_per_token_logps_and_entropies` returns given tensors. Then it calls TRL's
`_generate_and_score_completions` (rewards in; advantages, masks, ratios and counts out), TRL's `_compute_loss`, and
autograd. All is float64. Rewards and entropies are multiples of 1/64, since TRL puts those through float32.
"""

import copy
import json
import math
import os
import random
import sys
from collections import defaultdict, deque
from types import SimpleNamespace

os.environ.update(CI="1", HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")

import accelerate
import torch
import transformers
import trl
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

PAD, EOS = 0, 1
LENGTHS = [7, 1, 4, 3, 6, 5]  # tokens of each completion; rows 0-2 are one group, rows 3-5 the other
REWARDS = [[0.0, 0.5, 1.0, 2.0, 0.0, 0.25]]  # one list a reward function; row 1 gets the advantage 0

# What every case shares. A case's "settings" add to these or replace them.
COMMON = {
    "num_generations": 3,
    "max_completion_length": 8,
    "per_device_train_batch_size": 6,
    "gradient_accumulation_steps": 1,
}
# The settings that bear on the objective. Their values in "defaults" are TRL's, with COMMON over them.
KEYS = {
    "grpo": """loss_type importance_sampling_level epsilon epsilon_high delta beta use_bias_correction_kl
        num_iterations steps_per_generation gradient_accumulation_steps num_generations max_completion_length
        scale_rewards mask_truncated_completions entropy_coef""".split(),
    "rloo": "epsilon epsilon_high beta num_iterations num_generations max_completion_length".split(),
}


def make_batch(drift):
    """Seeded log-probs and entropies, one list a row. `drift` is the spread of log(policy / old)."""
    rng = random.Random(7)
    rows = {k: [] for k in ("per_token_logps", "old_per_token_logps", "ref_per_token_logps",
                            "sampling_per_token_logps", "entropies")}
    for length in LENGTHS:
        old = [round(-rng.uniform(0.05, 4.0), 4) for _ in range(length)]
        noise = [[rng.gauss(0.0, 1.0) for _ in range(length)] for _ in range(3)]
        shift = lambda base, z, scale: [round(min(b + scale * e, -0.001), 4) for b, e in zip(base, z)]
        policy = shift(old, noise[0], drift)
        rows["old_per_token_logps"].append(old)
        rows["per_token_logps"].append(policy)
        rows["ref_per_token_logps"].append(shift(policy, noise[1], 0.4))
        rows["sampling_per_token_logps"].append(shift(old, noise[2], 0.25))
        rows["entropies"].append([rng.randint(1, 192) / 64 for _ in range(length)])
    return rows


# "far": token ratios well inside and outside the clip range. "near": sequence ratios (sums of logs) are.
BATCHES = {"far": make_batch(0.6), "near": make_batch(0.08)}


def padded(rows):
    width = max(LENGTHS)
    return torch.tensor([row + [0.0] * (width - len(row)) for row in rows])


class Script:
    """The methods that replace the model's. They go in front of TRL's trainer."""

    def _get_per_token_logps_and_entropies(self, model, *args, **kwargs):
        if model is self.ref_model:
            return self.given["ref_per_token_logps"], None, None
        if torch.is_grad_enabled():  # only _compute_loss asks with gradients
            return self.given["per_token_logps"], self.given["entropies"], None
        return self.given["old_per_token_logps"], None, None


class GRPO(Script, GRPOTrainer):
    def _generate(self, prompts):
        sampling = self.rows["sampling_per_token_logps"] if self.use_vllm else None
        return ([[5]] * len(prompts), self.completions, self.tool_mask, ["text"] * len(prompts), sampling, {}, None, [])


class RLOO(Script, RLOOTrainer):
    def _generate(self, prompts):
        return [[5]] * len(prompts), self.completions, ["text"] * len(prompts)


def make_trainer(kind, settings, rows, rewards, truncated, tool_mask):
    config, cls = (GRPOConfig, GRPO) if kind == "grpo" else (RLOOConfig, RLOO)
    args = config(output_dir="/tmp/trl-objectives", use_cpu=True, report_to="none", **{**COMMON, **settings})
    t = cls.__new__(cls)
    t.args = args
    for key, value in vars(args).items():  # __init__ copies most under the same name
        if not hasattr(cls, key):
            setattr(t, key, value)
    t.epsilon_low = args.epsilon
    t.epsilon_high = args.epsilon_high if args.epsilon_high is not None else args.epsilon
    t.num_generations_eval = args.num_generations
    t.pad_to_multiple_of = None
    t.accelerator = accelerate.Accelerator(cpu=True)
    t.state = SimpleNamespace(global_step=0)
    t.model = torch.nn.Module()  # in training mode
    t.model.is_gradient_checkpointing = False
    t.ref_model = object()
    t._tokenizer = SimpleNamespace(pad_token_id=PAD)
    t.eos_token_ids = [EOS]
    t._is_vlm = t.aux_loss_enabled = t.log_multimodal = False
    t.tools = t.environments = t.environment_factories = None
    t.current_gradient_accumulation_steps = args.gradient_accumulation_steps
    t.reward_funcs = [lambda values=values, **_: values for values in rewards]
    t.reward_func_names = [f"reward{i}" for i in range(len(rewards))]
    t.reward_processing_classes = [None] * len(rewards)
    t.reward_weights = torch.tensor(args.reward_weights or [1.0] * len(rewards))
    t._metrics = {"train": defaultdict(list)}
    t._logs = {"prompt": deque(), "completion": deque(), "advantages": deque(), "rewards": defaultdict(deque)}
    t._pending_extra_logs, t._pending_metrics = defaultdict(list), defaultdict(list)
    if kind == "grpo":
        t._entropy_bonus_enabled = args.entropy_coef != 0.0 or args.use_adaptive_entropy
        t._last_world_entropy, t._entropy_window_stats = float("inf"), None
    # The script's own attributes.
    t.rows, t.tool_mask = rows, tool_mask
    t.completions = [[6] * (n - 1) + [6 if i in truncated else EOS] for i, n in enumerate(LENGTHS)]
    t.given = {key: padded(value) for key, value in rows.items() if key != "sampling_per_token_logps"}
    t.given["per_token_logps"].requires_grad_()
    t.given["entropies"].requires_grad_()
    return t


def number(x):
    """A float with 12 digits, or null for what JSON lacks."""
    x = float(x.detach() if torch.is_tensor(x) else x)
    return float(f"{x:.12g}") if math.isfinite(x) else None


def ragged(tensor):
    """A (6, T) tensor as rows of the completions' lengths; a (6, 1) tensor as rows of one."""
    return [[number(x) for x in row[: 1 if tensor.shape[1] == 1 else n]] for row, n in zip(tensor, LENGTHS)]


def run(name, kind, settings, batch="far", rewards=REWARDS, truncated=(), tool_mask=None, missing=(), num_items=None,
        state=None, loss=True):
    """One case. `num_items` stands for a num_items_in_batch counted over a generation batch larger than this one.
    `missing` lists (row, token) pairs that the sampler gave no log-prob for."""
    rows = copy.deepcopy(BATCHES[batch])
    for i, j in missing:
        rows["sampling_per_token_logps"][i][j] = None
    t = make_trainer(kind, settings, rows, rewards, truncated, tool_mask)
    if state:  # what the adaptive entropy control had at the end of the step before
        t.entropy_coef, t._last_world_entropy = state["entropy_coef"], state["last_world_entropy"]
    inputs = t._generate_and_score_completions([{"prompt": "p"} for _ in LENGTHS])
    if num_items is not None:
        inputs["num_items_in_batch"] = torch.tensor(num_items)

    case = {"name": name, "trainer": kind, "how": "called", "settings": settings}
    case["inputs"] = given = {"rewards": rewards, "completion_lengths": LENGTHS}
    if truncated:
        given["truncated_rows"] = list(truncated)
    if tool_mask:
        given["tool_mask"] = tool_mask
    if state:
        given["entropy_state"] = state
    case["trl"] = out = {"advantages": [number(x) for x in inputs["advantages"]]}
    # RLOO needs the old log-probs for its rewards even in a case without a loss.
    if loss or kind == "rloo":
        given["per_token_logps"] = rows["per_token_logps"]
        old = "old_per_token_logps" in inputs or kind == "rloo"
        given["old_per_token_logps"] = rows["old_per_token_logps"] if old else None
        given["ref_per_token_logps"] = rows["ref_per_token_logps"] if t.beta != 0.0 else None
        if "sampling_per_token_logps" in inputs:
            given["sampling_per_token_logps"] = rows["sampling_per_token_logps"]
    if loss:
        mask = inputs["completion_mask"]
        if "tool_mask" in inputs:
            mask = mask * inputs["tool_mask"]
        out["mask"] = [[int(x) for x in row[:n]] for row, n in zip(mask, LENGTHS)]
        if kind == "grpo":
            out["num_items_in_batch"] = int(inputs["num_items_in_batch"])
        else:
            out["old_logps"] = [number(x) for x in inputs["old_logps"]]
        if "importance_sampling_ratio" in inputs:
            out["importance_sampling_ratio"] = ragged(inputs["importance_sampling_ratio"])
        t._metrics["train"].clear()
        value = t._compute_loss(t.model, inputs)
        uses_entropy = kind == "grpo" and (t._entropy_bonus_enabled or t.top_entropy_quantile < 1.0)
        if uses_entropy:
            given["entropies"] = rows["entropies"]
        policy, entropies = t.given["per_token_logps"], t.given["entropies"]
        grad, grad_entropy = torch.autograd.grad(value, [policy, entropies], allow_unused=True)
        assert value.dtype == grad.dtype == torch.float64
        for row, n in zip(grad, LENGTHS):
            assert not row[n:].any()  # padding has no gradient
        out["loss"] = number(value)
        out["grad_per_token_logps"] = ragged(grad)
        if uses_entropy and grad_entropy is not None:
            out["grad_entropies"] = ragged(grad_entropy)
        if state:
            out["entropy_state"] = {"entropy_coef": number(t.entropy_coef),
                                    "last_world_entropy": number(t._last_world_entropy)}
        # TRL logs these; a few go through float32, so hold them to 1e-6 only.
        out["metrics"] = {k: number(v[-1]) for k, v in t._metrics["train"].items() if uses_entropy or k != "entropy"}
    return case


OFF = {"num_iterations": 2}  # makes TRL keep old_per_token_logps; without it the old policy is the policy, detached
SEQ = {"importance_sampling_level": "sequence"}
TWO = [[0.0, 0.5, 1.0, 2.0, 0.0, 0.25], [8.0, -4.0, 0.0, 0.0, 0.0, 0.0]]  # two reward functions
NONE = [[0.0, None, 1.0, 2.0, 0.0, 0.25], [0.5, None, None, 0.5, 0.0, 0.0]]  # None: the function did not apply
LONE = [[1.0, None, None, 2.0, 0.0, 0.25]]  # a group with one reward
FLAT = [[1.0, 1.0, 1.0, 2.0, 0.0, 0.25]]  # a group whose rewards are equal


def grpo_cases():
    plain = {"use_bias_correction_kl": False}  # the paper's k3, without a ratio before it
    for kind in ("grpo", "dr_grpo", "dapo", "cispo"):
        extra = {"epsilon_high": 2.0} if kind == "cispo" else {}
        yield f"{kind}_on_policy", {"loss_type": kind, **extra}, {}
        yield f"{kind}_off_policy", {"loss_type": kind, **OFF, **extra}, {}
        yield f"{kind}_kl", {"loss_type": kind, **OFF, **extra, **plain, "beta": 0.1}, {}
        yield f"{kind}_sequence", {"loss_type": kind, **OFF, **SEQ, **extra}, {}
    truncated = {"mask_truncated_completions": True, **plain, "beta": 0.1}
    yield "dapo_truncated", {"loss_type": "dapo", **OFF, **truncated}, {"truncated": (2, 4)}
    g = {"loss_type": "grpo", **OFF}
    yield "grpo_sequence_near", {**g, **SEQ, "epsilon": 0.03, "epsilon_high": 0.04}, {"batch": "near"}
    yield "grpo_sequence_kl", {**g, **SEQ, **plain, "beta": 0.1}, {}
    yield "grpo_epsilon_high", {**g, "epsilon": 0.1, "epsilon_high": 0.4}, {}
    yield "grpo_delta", {**g, "delta": 1.5}, {}
    yield "grpo_delta_low", {**g, "delta": 1.1}, {}  # below 1 + epsilon
    yield "grpo_sequence_delta", {**g, **SEQ, "epsilon": 0.02, "delta": 1.05}, {}
    yield "grpo_on_policy_kl", {"loss_type": "grpo", **plain, "beta": 0.1}, {}
    yield "entropy_coef", {**g, "entropy_coef": 0.01}, {}
    only = {"loss": False}
    for scale in ("group", "batch", "none"):
        yield f"advantages_{scale}", {"scale_rewards": scale}, only
        yield f"advantages_{scale}_flat", {"scale_rewards": scale}, {**only, "rewards": FLAT}


def rloo_cases():
    yield "rloo", {"beta": 0.0}, {"batch": "near"}
    yield "rloo_kl", {"beta": 0.1}, {"batch": "near"}
    yield "rloo_flat", {"beta": 0.0}, {"batch": "near", "rewards": FLAT}


def main():
    cases = [run(name, "grpo", settings, **kwargs) for name, settings, kwargs in grpo_cases()]
    cases += [run(name, "rloo", settings, **kwargs) for name, settings, kwargs in rloo_cases()]
    assert len({c["name"] for c in cases}) == len(cases)
    defaults = {}
    for kind, config in (("grpo", GRPOConfig), ("rloo", RLOOConfig)):
        args = config(output_dir="/tmp/trl-objectives", use_cpu=True, report_to="none", **COMMON)
        defaults[kind] = {key: getattr(args, key) for key in KEYS[kind]}
    head = {
        "trl": trl.__version__, "torch": torch.__version__, "transformers": transformers.__version__,
        "dtype": "float64",
        "about": "TRL's own advantages, loss and gradient. A matrix is ragged: one list a completion, no padding. "
                 "'how' is 'called' where TRL's methods computed all under 'trl', which holds for every case. "
                 "old_per_token_logps null: on-policy, the old log-probs are per_token_logps, detached. "
                 "importance_sampling_ratio has one number a token, or one a row for the sequence modes. "
                 "A null reward: the function did not apply. A null sampling log-prob: the sampler gave none. "
                 "Metrics and nothing else may have lost digits to float32. GRPO's loss has been divided by "
                 "gradient_accumulation_steps, RLOO's has not: there transformers' Trainer divides it afterwards.",
        "defaults": defaults,
    }
    with open(sys.argv[1], "w") as f:  # one line a part, so that a diff can be read
        dump = lambda x: json.dumps(x, allow_nan=False)
        f.write("{\n" + "".join(f"{dump(k)}: {dump(v)},\n" for k, v in head.items()) + '"cases": [\n')
        f.write(",\n".join(
            "{" + ",\n ".join(f"{dump(k)}: {dump(v)}" for k, v in case.items()) + "}" for case in cases))
        f.write("\n]\n}\n")
    print(f"{len(cases)} cases, trl {trl.__version__}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
