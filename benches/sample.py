"""The Python side of the bench `sample`: transformers' `generate`, one process.

    python sample.py MODEL_DIR DTYPE THREADS BATCH PROMPT TOKENS

Reads a number from each line of standard input, samples a batch that many times (each row TOKENS tokens after a prompt
of PROMPT), and prints the cost as one line of JSON.
"""

import json
import resource
import sys
import time

import torch
from transformers import AutoModelForCausalLM

folder, dtype, threads, batch, prompt, tokens = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:7])
torch.set_num_threads(threads)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), attn_implementation="sdpa").eval()
model.generation_config.eos_token_id = None
vocabulary = model.config.vocab_size
ids = torch.tensor([[(i * 31 + t * t * 7 + 3) % vocabulary for t in range(prompt)] for i in range(batch)])
choice = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}

for line in sys.stdin:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(int(line)):
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, **choice)
        assert out.shape == (batch, prompt + tokens)
    cost = {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(cost), flush=True)
