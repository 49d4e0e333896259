"""The Python side of the bench `gpu`: plain transformers on a GPU, sdpa, fused AdamW, random weights.

    python gpu.py SIZE DTYPE LENGTH RECOMPUTE     a step of SFT: 16,384 tokens in rows of LENGTH
    python gpu.py SIZE sampling BATCH             `generate`: 512 tokens after a prompt of 32

SIZE is 0.5B or 1.5B; DTYPE is bfloat16 (weights, moments and all) or autocast (bfloat16 matmuls over float32 weights);
RECOMPUTE is 0 or 1. Prints the median, the lowest and the highest rate of five turns, or two of sampling, and the peak
memory.
"""

import statistics
import sys
import time

import torch
from transformers import AutoModelForCausalLM, Qwen2Config

HALF = dict(hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14)
LARGER = dict(hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12)
VOCABULARY = 151_936


def build(size, dtype):
    """Returns a model with random weights on the GPU."""
    shape = HALF if size == "0.5B" else LARGER
    config = Qwen2Config(vocab_size=VOCABULARY, num_key_value_heads=2, max_position_embeddings=32_768, **shape,
                         tie_word_embeddings=True, eos_token_id=None, bos_token_id=None)
    with torch.device("cuda"):
        return AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")


def measure(name, amount, work, turns=5):
    """Prints the rates of some turns of `work`, after a turn that warms up."""
    seconds = []
    for _ in range(1 + turns):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    rates = sorted(amount / turn for turn in seconds[1:])
    peak = torch.cuda.max_memory_allocated() / 2**30
    print(f"  {name}: {statistics.median(rates):.0f} ({rates[0]:.0f}-{rates[-1]:.0f}) tokens/s, peak {peak:.1f} GiB", flush=True)


def train(size, dtype, length, recompute):
    """Measures steps of SFT."""
    model = build(size, torch.bfloat16 if dtype == "bfloat16" else torch.float32).train()
    if recompute:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, weight_decay=0.0, fused=True)
    rows = range(16_384 // length)
    ids = torch.tensor([[(i * 31 + t * t * 7 + 3) % VOCABULARY for t in range(length)] for i in rows], device="cuda")

    def step():
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=dtype == "autocast"):
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    measure(f"transformers, SFT, {dtype}, rows of {length}{', recomputed' if recompute else ''}", 16_384, step)


def sample(size, batch):
    """Measures `generate`."""
    model = build(size, torch.bfloat16).eval()
    ids = torch.tensor([[(t * 37 + 5) % VOCABULARY for t in range(32)]] * batch, device="cuda")
    choice = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "max_new_tokens": 512}

    def turn():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), **choice)
        assert out.shape == (batch, 544)

    measure(f"transformers, sampling, batch {batch}", batch * 512, turn, turns=2)


if sys.argv[2] == "sampling":
    sample(sys.argv[1], int(sys.argv[3]))
else:
    train(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "1")
