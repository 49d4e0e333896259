"""The Python side of the bench `sft`: plain transformers, sdpa, fused AdamW, one process.

    python sft.py MODEL_DIR DTYPE THREADS ROWS LENGTH

DTYPE is float32, bfloat16 (weights, moments and all) or autocast (bfloat16 matmuls over float32 weights). Reads a
number of steps from each line of standard input, takes them, and prints their cost as one line of JSON.
"""

import json
import resource
import sys
import time

import torch
from transformers import AutoModelForCausalLM

folder, dtype, threads, num_rows, length = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
torch.set_num_threads(threads)
weights = torch.bfloat16 if dtype == "bfloat16" else torch.float32
model = AutoModelForCausalLM.from_pretrained(folder, dtype=weights, attn_implementation="sdpa").train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0, fused=True)
vocabulary = model.config.vocab_size
ids = torch.tensor([[(i * 31 + t * t * 7 + 3) % vocabulary for t in range(length)] for i in range(num_rows)])

for line in sys.stdin:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(int(line)):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "autocast"):
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
    cost = {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(cost), flush=True)
