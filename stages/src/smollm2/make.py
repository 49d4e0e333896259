"""Writes `reference.json` beside this file: `python make.py FOLDER`, with torch 2.11.0 and transformers 5.

FOLDER is SmolLM2-135M-Instruct in bf16 (`make smollm2`). The numbers are those of transformers,
computed in double precision from these weights: the ids of chats by its template, the log-probabilities of their tokens, and greedy
tokens with the distance between the two likeliest logits. `weights` tells whether another folder has the same weights.
"""

import json
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

GREEDY = 48
CHATS = [
    [{"role": "user", "content": "What is 17 + 25?"}],
    [
        {"role": "system", "content": "You answer in one short sentence."},
        {"role": "user", "content": "Name the capital of France.\n\n  Then stop."},
    ],
    [
        {"role": "user", "content": "Écris 1234567.89 € — ok? 你好 🙂"},
        {"role": "assistant", "content": " 1,234,567.89 €"},
        {"role": "user", "content": "Why is the sky blue?"},
    ],
]
ANSWERS = ["17 + 25 = 42.", "Paris.", "Because air scatters short wavelengths of sunlight more than long ones."]


def log_probs(model, ids):
    logits = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return [round(logits[place, token].item(), 6) for place, token in enumerate(ids[1:])]


def greedy(model, ids):
    tokens, margins, new, cache = [], [], ids, None
    while len(tokens) < GREEDY and (not tokens or tokens[-1] != model.config.eos_token_id):
        output = model(torch.tensor([new]), past_key_values=cache, use_cache=True)
        best, cache = output.logits[0, -1].topk(2), output.past_key_values
        tokens.append(best.indices[0].item())
        new = tokens[-1:]
        margins.append(round((best.values[0] - best.values[1]).item(), 4))
    return {"tokens": tokens, "margins": margins}


@torch.no_grad()
def main(folder):
    # `AutoTokenizer` of transformers 5 splits by the rules of the class GPT2Tokenizer, whatever `tokenizer.json` says.
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, attn_implementation="eager").double().eval()
    rows = []
    for messages, answer in zip(CHATS, ANSWERS, strict=True):
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
        whole = prompt + tokenizer.encode(answer, add_special_tokens=False) + [tokenizer.eos_token_id]
        rows.append({"messages": messages, "prompt": prompt, "answer": answer, "whole": whole, "logprobs": log_probs(model, whole),
                     "greedy": greedy(model, prompt)})
    embedding = model.get_input_embeddings().weight
    weights = {"embedding_sum": embedding.sum().item(), "last_norm_sum": model.model.norm.weight.sum().item()}
    lines = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in rows)
    text = f'{{"weights": {json.dumps(weights)}, "rows": [\n  {lines}\n]}}\n'
    (pathlib.Path(__file__).parent / "reference.json").write_text(text)


main(sys.argv[1])
