"""Tables and figures of runs of workflows/smollm2.toml: figures.py OUT FOLDER…, a folder for each seed, by `collect`.

Writes OUT/smollm2-rl.svg (rewards while learning), OUT/smollm2-accuracy.svg (held-out accuracy of each model), and prints
Markdown: the accuracies, the paired differences with their standard errors, and what each stage took.
"""

import json
import math
import sys
from pathlib import Path

MODELS = [
    ("few-shot-scores/smol", "base, with exemplars"), ("few-shot-scores/zero", "R1-Zero, with exemplars"),
    ("scores/cold-start", "cold start"), ("scores/reasoning-rl", "reasoning RL"), ("scores/generalist", "SFT on its samples"),
    ("scores/alignment-rl", "alignment RL"), ("scores/student-base", "student, cold start"),
    ("scores/student-rl", "student by RL"), ("scores/student-distilled", "student distilled"),
]
CLAIMS = [
    ("few-shot-scores/smol", "few-shot-scores/zero", "R1-Zero − base"),
    ("scores/cold-start", "scores/reasoning-rl", "reasoning RL − cold start"),
    ("scores/reasoning-rl", "scores/generalist", "SFT on its samples − reasoning RL"),
    ("scores/generalist", "scores/alignment-rl", "alignment RL − SFT"),
    ("scores/student-rl", "scores/student-distilled", "student distilled − student by RL"),
]
CURVES = [("zero", "R1-Zero"), ("reasoning-rl", "reasoning RL"), ("student-rl", "student by RL")]
PANELS = [("rewards/accuracy/mean", "right answers"), ("entropy", "entropy, nats a token"), ("thinking/mean_tokens", "tokens of thought")]
COLOURS = ["#0072b2", "#d55e00", "#009e73"]
SUITE = "words"


def file_of(folder, stage, suffix):
    return folder / (stage.replace("/", "-") + suffix)


def answers(folder, stage):
    """The share of right answers to each prompt of the suite."""
    per_prompt = {}
    for line in file_of(folder, stage, ".answers").read_text().splitlines():
        row = json.loads(line) if line.startswith("{") else {}
        if row.get("suite") == SUITE:
            per_prompt.setdefault(row["prompt"], []).append(float(row["correct"]))
    return {prompt: sum(marks) / len(marks) for prompt, marks in per_prompt.items()}


def mean_and_error(values):
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))


def shown(values, sign=""):
    mean, error = mean_and_error(values)
    return f"{mean:{sign}.3f} ± {error:.3f}"


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def print_tables(folders):
    seeds = [f"seed {number}" for number in range(1, len(folders) + 1)]
    marks = {(folder, stage): answers(folder, stage) for folder in folders for stage, _ in MODELS}
    table(["held out", *seeds], [[name, *(shown(list(marks[folder, stage].values())) for folder in folders)] for stage, name in MODELS])

    def difference(folder, first, second):
        first, second = marks[folder, first], marks[folder, second]
        values = [second[prompt] - first[prompt] for prompt in first]
        mean, error = mean_and_error(values)
        return f"{mean:+.3f} ± {error:.3f}" + (f" ({mean / error:.1f} s.e.)" if error else "")

    table(["paired difference", *seeds], [[name, *(difference(folder, first, second) for folder in folders)] for first, second, name in CLAIMS])
    stages = sorted(path.stem for path in folders[0].glob("*.json"))
    rows = []
    for stage in stages:
        records = [json.loads((folder / f"{stage}.json").read_text())["record"] for folder in folders]
        seconds = [record["seconds"] for record in records]
        rows.append([f"`{stage}`", records[0]["kind"], *(f"{value:.0f}" for value in seconds)])
    table(["stage", "kind", *(f"seconds, {seed}" for seed in seeds)], rows)


def curve(folder, stage, metric):
    steps = json.loads(file_of(folder, stage, ".json").read_text())["curve"]
    return [(step["step"], step["metrics"][metric]) for step in steps if metric in step["metrics"]]


def smooth(points, width=5):
    """The mean of the last `width` values."""
    return [(step, sum(value for _, value in points[max(0, at + 1 - width):at + 1]) / min(width, at + 1)) for at, (step, _) in enumerate(points)]


def text(x, y, words, size=12, anchor="start", colour="#333"):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{words}</text>'


def svg(width, height, parts):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">'
    return "\n".join([head, f'<rect width="{width}" height="{height}" fill="white"/>', *parts, "</svg>"]) + "\n"


def panel(folders, metric, title, left, top, width, height):
    lines = [(number, smooth(curve(folder, stage, metric))) for number, (stage, _) in enumerate(CURVES) for folder in folders]
    last = max((step for _, points in lines for step, _ in points), default=1)
    peak = max((value for _, points in lines for _, value in points), default=0.0) * 1.05 or 1.0
    x = lambda step: left + width * step / last
    y = lambda value: top + height * (1 - value / peak)
    parts = [text(left, top - 10, title, 13), f'<path d="M{left},{top}v{height}h{width}" fill="none" stroke="#999"/>']
    for share in (0.5, 1):
        parts.append(text(left - 6, y(peak * share) + 4, f"{peak * share:.2g}", 11, "end", "#666"))
        parts.append(text(x(last * share), top + height + 15, f"{last * share:.0f}", 11, "middle", "#666"))
    for number, points in lines:
        path = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[number]}" stroke-width="1.5" opacity="0.8"/>')
    return parts


def learning(folders):
    parts = []
    for number, (metric, title) in enumerate(PANELS):
        parts += panel(folders, metric, title, 45 + 300 * number, 40, 240, 170)
    for number, (_, name) in enumerate(CURVES):
        parts.append(text(45 + 150 * number, 258, "— " + name, 13, colour=COLOURS[number]))
    parts.append(text(900, 258, "step; a line a seed, means of 5 steps", 12, "end", "#666"))
    return svg(920, 270, parts)


def accuracies(folders):
    parts, left, width, row = [], 190, 560, 26
    for number, (stage, name) in enumerate(MODELS):
        middle = 26 + row * number
        means = [mean_and_error(list(answers(folder, stage).values())) for folder in folders]
        mean = sum(value for value, _ in means) / len(means)
        parts.append(text(left - 8, middle + 4, name, 13, "end"))
        parts.append(f'<rect x="{left}" y="{middle - 8}" width="{width * mean / 0.6:.1f}" height="16" fill="#0072b2" opacity="0.35"/>')
        for value, error in means:
            x, half = left + width * value / 0.6, width * error / 0.6
            parts.append(f'<path d="M{x - half:.1f},{middle}h{2 * half:.1f}" stroke="#333"/><circle cx="{x:.1f}" cy="{middle}" r="3" fill="#0072b2"/>')
    bottom = 26 + row * len(MODELS)
    for tick in range(0, 7):
        parts.append(text(left + width * tick / 6, bottom + 4, f"{tick / 10:.1f}", 11, "middle", "#666"))
    parts.append(text(left + width / 2, bottom + 22, "share of held-out word problems answered right; a dot a seed, with its standard error", 12, "middle", "#666"))
    return svg(left + width + 30, bottom + 34, parts)


def main():
    out, folders = Path(sys.argv[1]), [Path(folder) for folder in sys.argv[2:]]
    out.mkdir(parents=True, exist_ok=True)
    (out / "smollm2-rl.svg").write_text(learning(folders))
    (out / "smollm2-accuracy.svg").write_text(accuracies(folders))
    print_tables(folders)


main()
