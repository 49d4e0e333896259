"""Compares exported models with transformers and PEFT: `python3 scripts/check_exports.py R1FLOW LOGPROBS [NAME...]`.

For each architecture, R1FLOW trains a small model from scratch and then on chats (kinds `pretrain` and `sft`), with each of its
two tokenizers, and exports it. `AutoModelForCausalLM` must give the log-probabilities that LOGPROBS
(`examples/logprobs.rs`) prints, and its greedy `generate`, left to itself, the same tokens up to the same end. For each
form of adapters, PEFT must make of the base and the exported folder what the exported, merged model is. Prints a table; the exit
status is 1 if a row differs. Needs torch 2.11.0, transformers 5 and peft.
"""

import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import logging

ARCHITECTURES = ["qwen2", "llama", "mistral", "qwen3", "qwen3-moe", "deepseek-v3"]
TOKENIZERS = ["characters", "byte-bpe"]
ADAPTERS = {
    "all projections": "{ rank = 4 }",
    "rslora, dropout": "{ rank = 4, rslora = true, dropout = 0.1 }",
    "embed_tokens": '{ rank = 4, targets = ["embed_tokens", "q_proj"] }',
    "lm_head": '{ rank = 4, targets = ["lm_head", "up_proj"] }',
    "modules-to-save": '{ rank = 4, targets = ["v_proj"], modules-to-save = ["embed_tokens", "norm"] }',
}
MOST_TOKENS = 24
TOLERANCE = 5e-5
QUESTIONS = ["3+4=?", "9+9=?", "0+0=?", "7+5=?"]


def workflow(architecture, tokenizer, tied, lora=None):
    return f"""
name = "exports"
[inputs]
data = {{ samples = "data.jsonl" }}
[pretrain.base]
data = ["inputs.data"]
architecture = "{architecture}"
tokenizer = "{tokenizer}"
vocab-size = 300
hidden-size = 32
layers = 2
heads = 4
kv-heads = {4 if architecture == "deepseek-v3" else 2}
intermediate-size = 64
max-position-embeddings = 64
tie-embeddings = {str(tied).lower()}
steps = 150
[sft.chat]
model = "base.model"
data = ["inputs.data"]
steps = 60
batch-size = 16
lr = 3e-3
{"lora = " + lora if lora else ""}
"""


def exported(program, folder, text):
    """Runs a workflow, and returns the folders of the base and of the trained model."""
    file = folder / "exports.toml"
    file.write_text(text)
    environment = dict(os.environ, R1FLOW_STORE=str(folder / "store"))
    base, chat = folder / "base", folder / "chat"
    exports = [["export", f"{stage}.model", out, "--workflow", file] for stage, out in [("base", base), ("chat", chat)]]
    for arguments in [["apply", file], *exports]:
        done = subprocess.run([program, *map(str, arguments)], cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{arguments}: {done.stdout}{done.stderr}")
    return base, chat


def ours(program, folder, rows):
    text = "\n".join(json.dumps({"ids": row}) for row in rows)
    command = [program, str(folder), "--generate", str(MOST_TOKENS)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare(program, folder, tokenizer):
    """Returns how far the numbers of an export differ from transformers', and what else is wrong."""
    # For Qwen's models, `AutoTokenizer` has Qwen's rules whatever the file says.
    tokenizer = (AutoTokenizer if tokenizer == "byte-bpe" else PreTrainedTokenizerFast).from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prompts = [tokenizer.apply_chat_template([{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False)
               for question in QUESTIONS]
    worst, wrong, stopped = 0.0, [], 0
    for prompt, found in zip(prompts, ours(program, folder, prompts), strict=True):
        ids = torch.tensor([prompt])
        log_probs = model(ids).logits.float().log_softmax(-1)[0, :-1].gather(1, ids[0, 1:, None])[:, 0]
        worst = max(worst, (log_probs - torch.tensor(found["logprobs"])).abs().max().item())
        greedy = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=MOST_TOKENS, do_sample=False)
        greedy = greedy[0, len(prompt):].tolist()
        stopped += greedy[-1] == tokenizer.eos_token_id and len(greedy) < MOST_TOKENS
        if greedy != found["generated"]:
            wrong.append(f"tokens {greedy}, ours {found['generated']}")
    if worst > TOLERANCE:
        wrong.append("log-probabilities")
    if stopped < len(QUESTIONS):
        wrong.append(f"{stopped} of {len(QUESTIONS)} stopped")
    return worst, wrong


def compare_adapters(base, chat):
    """Returns how far PEFT's logits are from those of the merged model, and what it warns of."""
    ids = torch.tensor([list(range(5, 25))])
    merged = AutoModelForCausalLM.from_pretrained(chat, dtype=torch.float32).eval()(ids).logits
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
        before = plain(ids).logits
        adapted = PeftModel.from_pretrained(plain, chat / "adapter").eval()
    worst = (adapted(ids).logits - merged).abs().max().item()
    # `merge_and_unload` is what a user does before a conversion. PEFT 0.21 merges a tied matrix twice, and warns of it.
    is_tied_twice = plain.config.tie_word_embeddings and adapted.peft_config["default"].ensure_weight_tying
    united = worst if is_tied_twice else (adapted.merge_and_unload()(ids).logits - merged).abs().max().item()
    moved = (before - merged).abs().max().item()
    wrong = [str(warning.message).split(".")[0] for warning in told if "missing" in str(warning.message) or "unexpected" in str(warning.message)]
    if max(worst, united) > TOLERANCE:
        wrong.append(f"PEFT's logits differ, merged {united:.1e}")
    if moved < 0.05:
        wrong.append(f"the adapters change logits by {moved:.1e} only")
    return worst, wrong


@torch.no_grad()
def main(program, logprobs, *names):
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    program, logprobs = (str(Path(path).resolve()) for path in (program, logprobs))
    rows = [{"prompt": f"{a}+{b}=?", "completion": str(a + b)} for a in range(10) for b in range(10)]
    cases = [(f"{architecture}, {tokenizer}", architecture, tokenizer, tokenizer == "characters", None)
             for architecture in ARCHITECTURES for tokenizer in TOKENIZERS]
    for name, lora in ADAPTERS.items():
        ties = [False] if name == "lm_head" else [True, False]
        cases += [(f"adapters: {name}, {'tied' if tied else 'untied'}", "qwen3", "characters", tied, lora) for tied in ties]
    cases = [case for case in cases if not names or any(name in case[0] for name in names)]
    failed = 0
    for name, architecture, tokenizer, tied, lora in cases:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            (folder / "data.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
            base, chat = exported(program, folder, workflow(architecture, tokenizer, tied, lora))
            worst, wrong = compare(logprobs, chat, tokenizer)
            line = f"{name:48} log-probs {worst:.1e}"
            if lora:
                worst, more = compare_adapters(base, chat)
                line, wrong = f"{line}  PEFT {worst:.1e}", wrong + more
            failed += bool(wrong)
            print(f"{line}  {'; '.join(wrong) or 'equal'}", flush=True)
    print(f"{len(cases)} exports compared, {failed} differ")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
