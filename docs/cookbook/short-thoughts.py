"""A reward: 1 for a right answer without a step too many, less for each character of the thought beyond ten a number."""

import json
import sys

for line in sys.stdin:
    row = json.loads(line)
    if row["correct"] is None:
        print("null")  # Nothing to be right about: the reward does not apply.
        continue
    numbers = sum(part.isdigit() for part in row["prompt"].replace("=?", "").replace("-", "+").split("+"))
    spare = max(0, len(row["thought"] or "") - 10 * numbers)
    print(float(row["correct"]) - 0.01 * spare)
