"""Makes `published/NAME.jsonl` beside this file, made-up rows with the columns of a published data set, and
`published/NAME.expected.jsonl`, what the keys of docs/cookbook/data-sets.toml must read of them: `python
make_published.py`, with Python's own library alone.

What is expected is written down here for each set, and not computed from the keys. Of `gpqa` an expected row has the
text of the right option, because its letter is drawn.
"""

import base64
import json
import pathlib
import pickle
import zlib

OUT = pathlib.Path(__file__).parent / "published"
TEN = range(10)
TABLE = {}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def of(name):
    """Registers a function of i, which returns a row and the rows that are expected of it."""
    return lambda make: TABLE.update({name: [make(i) for i in TEN]})


def q(i):
    return f"What is {i} + {i + 1}?"


def a(i):
    return str(2 * i + 1)


def prompt(text, answer=None, verify="number", **more):
    if "tests" in more:
        verify = "instructions" if more["tests"]["form"] == "rules" else "code"
    elif answer is None:
        verify = "none"
    row = {"prompt": text, "answer": answer, "verify": verify, **more}
    return {key: value for key, value in row.items() if value is not None}


def sample(prompt, completion, answer=None, source=None):
    row = {"prompt": prompt, "completion": completion, "answer": answer, "source": source}
    return {key: value for key, value in row.items() if value is not None}


def pair(prompt, chosen, rejected):
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


@of("gsm8k")
def _(i):
    return {"question": q(i), "answer": f"{i} and {i + 1} <<{i}+{i + 1}={a(i)}>>\n#### {a(i)}"}, [prompt(q(i), a(i))]


def verl(text, gold, ability="math", **extra):
    return {
        "data_source": "made-up", "prompt": [user(text)], "ability": ability,
        "reward_model": {"style": "rule", "ground_truth": gold}, "extra_info": {"index": 0, "split": "train", **extra},
    }


@of("verl")
def _(i):
    # Rows are repeated, as in DAPO-Math-17k.
    return verl(q(i % 4), a(i % 4)), [prompt(q(i), a(i))] if i < 4 else []


@of("skywork")
def _(i):
    difficulty = {"DeepSeek-R1-Distill-Qwen-1.5B": 2 * i, "DeepSeek-R1-Distill-Qwen-7B": i}
    expected = [prompt(q(i), a(i))] if 1 <= 2 * i <= 15 else []
    return verl(q(i), json.dumps([a(i)]), model_difficulty=difficulty), expected


@of("eurus-math")
def _(i):
    row = verl(q(i), a(i), "math" if i % 2 else "code")
    row["prompt"].insert(0, {"role": "system", "content": "Think."})
    turns = [{"role": "system", "content": "Think."}, user(q(i))]
    return row, [prompt(turns, a(i))] if i % 2 else []


@of("eurus-code")
def _(i):
    row = verl("Add one.", json.dumps({"inputs": [f"{i}\n"], "outputs": [f"{i + 1}\n"]}), "code" if i % 2 else "math")
    tests = {"form": "streams", "cases": [{"input": f"{i}\n", "output": f"{i + 1}\n"}]}
    return row, [prompt("Add one.", tests=tests)] if i % 2 else []


def openr1(i, kind):
    return {
        "problem": q(i), "solution": f"It is {a(i)}.", "answer": a(i), "problem_type": "Algebra", "question_type": kind,
        "source": "olympiads", "uuid": f"u-{i}", "is_reasoning_complete": [True, True],
        "generations": [f"<think>\n{i}\n</think>\n\n{a(i)}", f"<think>\nno\n</think>\n\n{i}"],
        "correctness_math_verify": [True, i % 5 == 0], "correctness_llama": None, "finish_reasons": None,
        "correctness_count": 1, "messages": [user(q(i)), assistant(f"<think>\n{i}\n</think>\n\n{a(i)}")],
    }


@of("openr1")
def _(i):
    is_word = i % 3 > 0
    return openr1(i, "math-word-problem" if is_word else "proof"), [prompt(q(i), a(i))] if is_word else []


@of("generations")
def _(i):
    row = openr1(i, "math-word-problem")
    right = [text for text, is_right in zip(row["generations"], row["correctness_math_verify"]) if is_right]
    return row, [sample(q(i), text, a(i), "olympiads") for text in right]


@of("numina")
def _(i):
    kind, valid = ["math-word-problem", "proof", "MCQ"][i % 3], "Yes" if i < 8 else "Incomplete"
    row = {
        "problem": q(i), "solution": "…", "answer": "proof" if kind == "proof" else a(i), "problem_type": "Algebra",
        "question_type": kind, "problem_is_valid": valid, "solution_is_valid": "Yes", "source": "x", "synthetic": False,
    }
    return row, [prompt(q(i), a(i))] if kind != "proof" and valid == "Yes" else []


@of("big-math")
def _(i):
    rate = i / 10
    row = {"problem": q(i), "answer": a(i), "source": "orca_math", "domain": ["Algebra"], "llama8b_solve_rate": rate}
    return row, [prompt(q(i), a(i))] if rate >= 0.1 else []


@of("deepscaler")
def _(i):
    return {"problem": q(i), "answer": a(i), "solution": "…"}, [prompt(q(i), a(i))]


@of("math-500")
def _(i):
    gold = f"\\frac{{{i}}}{{7}}"
    row = {"problem": q(i), "solution": "…", "answer": gold, "subject": "Algebra", "level": 1 + i % 5, "unique_id": f"test/{i}"}
    return row, [prompt(q(i), gold)]


@of("aime-24")
def _(i):
    row = {"id": 60 + i, "problem": q(i), "solution": "…", "answer": f"{i:03}", "url": "…", "year": "2024"}
    return row, [prompt(q(i), f"{i:03}")]


@of("aime-25")
def _(i):
    return {"question": q(i), "answer": a(i)}, [prompt(q(i), a(i))]


@of("aime-26")
def _(i):
    return {"problem_idx": i, "problem": q(i), "answer": 2 * i + 1, "problem_type": ["Algebra"]}, [prompt(q(i), a(i))]


@of("synthetic-1")
def _(i):
    is_math = i % 2 == 0
    row = {
        "problem_id": f"p-{i}", "source": "x", "task_type": "verifiable_math" if is_math else "verifiable_code",
        "in_source_id": None, "prompt": q(i), "gold_standard_solution": "…", "metadata": "{}",
        "verification_info": json.dumps({"ground_truth": a(i)} if is_math else {"language": "python", "test_cases": []}),
    }
    return row, [prompt(q(i), a(i))] if is_math else []


@of("synthetic-1-sft")
def _(i):
    row = {
        "problem_id": f"p-{i}", "task_type": "verifiable_math", "prompt": q(i), "llm_response": a(i), "score": i % 2,
        "messages": [user(q(i)), assistant(a(i))],
    }
    return row, [sample(q(i), a(i))] if i % 2 else []


@of("rlvr")
def _(i):
    name = ["gsm8k", "MATH", "ifeval"][i % 3]
    row = {"messages": [user(q(i))], "ground_truth": a(i), "dataset": name, "constraint": None}
    expected = prompt(q(i), a(i))
    return row, [{**expected, "verify": "none" if name == "ifeval" else "number"}]


@of("gpqa")
def _(i):
    wrong = [f"{a(i)}{n}" for n in range(3)]
    row = {"Question": q(i), "Correct Answer": f"{a(i)}\n", "Subdomain": "Sums"}
    row.update({f"Incorrect Answer {n + 1}": text for n, text in enumerate(wrong)})
    return row, [{"question": q(i), "right": a(i), "options": sorted([a(i), *wrong])}]


def lettered(text, options, right):
    lines = "".join(f"\n{letter}) {option}" for letter, option in zip("ABCDEFGHIJ", options))
    return prompt(f"{text}\n{lines}", "ABCDEFGHIJ"[right], "choice")


@of("mmlu")
def _(i):
    # Their texts are digits, too, so that an index cannot be taken for one of them.
    options = [str(i), str(i + 1), a(i), "0"]
    row = {"question": q(i), "subject": "elementary_mathematics", "choices": options, "answer": 2}
    return row, [lettered(q(i), options, 2)]


@of("arc")
def _(i):
    labels = ["A", "B", "C", "D"] if i % 2 else ["1", "2", "3", "4"]
    options = ["a stone", "a tree", "a river", "a cloud"]
    row = {"id": f"Mercury_{i}", "question": q(i), "choices": {"text": options, "label": labels}, "answerKey": labels[i % 4]}
    return row, [lettered(q(i), options, i % 4)]


@of("medmcqa")
def _(i):
    options = ["heart", "lung", "liver", "skin"]
    row = {"id": f"m-{i}", "question": q(i), "cop": i % 4, "choice_type": "single", "exp": "…", "subject_name": "Anatomy"}
    row.update(dict(zip(["opa", "opb", "opc", "opd"], options)))
    return row, [lettered(q(i), options, i % 4)]


@of("ifeval")
def _(i):
    row = {
        "key": 1000 + i, "prompt": "Write about sums.",
        "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
        "kwargs": [{"num_words": None, "relation": None}, {"num_words": i + 10, "relation": "at least"}],
    }
    rules = [
        {"id": "punctuation:no_comma", "arguments": {}},
        {"id": "length_constraints:number_words", "arguments": {"num_words": i + 10, "relation": "at least"}},
    ]
    return row, [prompt("Write about sums.", tests={"form": "rules", "rules": rules})]


@of("kodcode")
def _(i):
    code = f"from solution import add\n\ndef test_add():\n    assert add({i}, 1) == {i + 1}\n"
    row = {
        "style": "instruct", "subset": "Prefill", "question_id": f"k-{i}", "question": "Write `add`.", "solution": "…",
        "test": code, "gpt_difficulty": "easy", "gpt_pass_percentage": 1.0 - i / 10,
        "test_info": [{"function_name": "add", "parameter_list": "(a, b)", "function_declaration": "def add(a, b):", "docstring": ""}],
    }
    tests = {"form": "program", "code": code, "runner": "pytest", "function": "add"}
    return row, [prompt("Write `add`.", tests=tests)] if i <= 5 else []


@of("taco")
def _(i):
    if i % 2:
        row = {"inputs": [f"{i}\n", [str(i), "1"]], "outputs": [f"{i}\n", str(i + 1)]}
        cases = [{"input": f"{i}\n", "output": f"{i}\n"}, {"input": f"{i}\n1", "output": str(i + 1)}]
        tests = {"form": "streams", "cases": cases, "time-limit": 2.0}
    else:
        row = {"fn_name": "add", "inputs": [[i, 1]], "outputs": [[i + 1]]}
        cases = [{"arguments": [i, 1], "expected": [[i + 1], i + 1]}]
        tests = {"form": "calls", "function": "add", "cases": cases, "time-limit": 2.0}
    row = {
        "question": "Add.", "solutions": "[]", "starter_code": "", "input_output": json.dumps(row), "difficulty": "EASY",
        "raw_tags": "[]", "name": None, "source": "codechef", "time_limit": "2.0 seconds", "memory_limit": "256.0 megabytes",
    }
    return row, [prompt("Add.", tests=tests)]


@of("apps")
def _(i):
    # Some rows have no tests.
    tests = json.dumps({"inputs": [f"{i}\n"], "outputs": [f"{i}\n"]}) if i < 7 else ""
    row = {"problem_id": i, "question": "Repeat.", "solutions": "[]", "input_output": tests, "difficulty": "interview", "url": "…", "starter_code": ""}
    streams = {"form": "streams", "cases": [{"input": f"{i}\n", "output": f"{i}\n"}]}
    return row, [prompt("Repeat.", tests=streams)] if i < 7 else []


@of("code-contests")
def _(i):
    def tests(*cases):
        return {"input": [f"{case}\n" for case in cases], "output": [f"{case + 1}\n" for case in cases]}

    row = {
        "name": f"{i}_A. Add", "description": "Add one.", "public_tests": tests(i), "private_tests": tests(i + 1, i + 2),
        "generated_tests": tests(), "solutions": {"language": [3], "solution": ["…"]}, "source": 2, "difficulty": 7,
        "time_limit": {"seconds": 1, "nanos": 500000000}, "memory_limit_bytes": 256000000,
        "input_file": "in.txt" if i == 9 else "", "output_file": "",
    }
    cases = [{"input": f"{case}\n", "output": f"{case + 1}\n"} for case in (i, i + 1, i + 2)]
    streams = {"form": "streams", "cases": cases, "time-limit": 1.5}
    return row, [prompt("Add one.", tests=streams)] if i < 9 else []


@of("verifiable-code")
def _(i):
    # A function's arguments and result are JSON in texts, the result often in a list of one.
    if i == 9:
        cases = [{"fn_name": "add", "input": "['x']", "output": "['x']", "type": "function_call"}]
        expected = []
    elif i % 2:
        output = json.dumps([i + 1] if i % 4 == 1 else i + 1)
        cases = [{"fn_name": "add", "input": json.dumps([i, 1]), "output": output, "type": "function_call"}]
        right = [[i + 1], i + 1] if i % 4 == 1 else [i + 1]
        tests = {"form": "calls", "function": "add", "cases": [{"arguments": [i, 1], "expected": right}]}
        expected = [prompt("Add one.", tests=tests)]
    else:
        cases = [{"fn_name": None, "input": f"{i}\n", "output": f"{i + 1}\n", "type": "stdin_stdout"}]
        tests = {"form": "streams", "cases": [{"input": f"{i}\n", "output": f"{i + 1}\n"}]}
        expected = [prompt("Add one.", tests=tests)]
    info = {"language": "python", "test_cases": cases}
    row = {
        "source": "apps", "task_type": "verifiable_code", "in_source_id": str(i), "problem_statement": "Add one.",
        "gold_standard_solution": "…", "problem_id": f"vcp_{i}", "metadata": {"difficulty": "EASY"},
        "verification_info": json.dumps(info) if i == 8 else info,
    }
    return row, expected


@of("livecodebench")
def _(i):
    def packed(cases):
        return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(cases)))).decode()

    if i % 2:
        kind, start, metadata = "functional", "class Solution:\n    def add(self, a, b):", {"func_name": "add"}
        texts = [(f"{i}\n[1, 2]", str(i)), (f"{i + 1}\n\"x\"", str(i + 1))]
        cases = [{"arguments": [i, [1, 2]], "expected": [i]}, {"arguments": [i + 1, "x"], "expected": [i + 1]}]
        tests = {"form": "calls", "function": "add", "cases": cases}
    else:
        kind, start, metadata = "stdin", "", {}
        # As long as pickle puts a text outside of its frames.
        texts = [(f"{i}\n", f"{i}\n"), (f"{i} é" * (10000 if i == 4 else 1), f"{i}\n")]
        tests = {"form": "streams", "cases": [{"input": x, "output": y} for x, y in texts]}
    public, private = [{"input": x, "output": y, "testtype": kind} for x, y in texts]
    row = {
        "question_title": "Add", "question_content": "Add up.", "platform": "leetcode", "question_id": str(3000 + i),
        "contest_id": "weekly", "contest_date": "2025-01-01T00:00:00", "starter_code": start, "difficulty": "easy",
        "public_test_cases": json.dumps([public]), "private_test_cases": packed([private]) if i % 3 else json.dumps([private]),
        "metadata": json.dumps(metadata),
    }
    return row, [prompt(f"Add up. {start}" if start else "Add up.", tests=tests)]


@of("humaneval")
def _(i):
    check = f"def check(candidate):\n    assert candidate({i}) == {i + 1}\n"
    text = "def f(x):\n    \"\"\"Adds one.\"\"\"\n"
    row = {"task_id": f"HumanEval/{i}", "prompt": text, "canonical_solution": "…", "test": check, "entry_point": "f"}
    tests = {"form": "program", "code": f"{check}\ncheck(f)\n", "runner": "python", "function": "f"}
    return row, [prompt(text, tests=tests)]


@of("mbpp")
def _(i):
    asserts = [f"assert f({n}) == {n + 1}" for n in (i, i + 1)]
    setup = "import math" if i % 2 else ""
    row = {"task_id": i, "text": "Add one.", "code": "…", "test_list": asserts, "test_setup_code": setup, "challenge_test_list": []}
    code = "\n".join(([setup] if setup else []) + asserts)
    return row, [prompt("Add one.", tests={"form": "program", "code": code, "runner": "python"})]


@of("thoughts")
def _(i):
    tokens = 2000 * i + 1000
    row = {"messages": [user(q(i)), assistant(f"<think>\n{i}\n</think>\n{a(i)}")], "num_tokens": tokens, "source": "x"}
    return row, [sample(q(i), f"<think>\n{i}\n</think>\n{a(i)}", source="x")] if tokens <= 16384 else []


@of("alpaca")
def _(i):
    row = {"instruction": "Add.", "input": f"{i}, {i + 1}" if i % 2 else "", "output": a(i)}
    return row, [sample(f"Add. {i}, {i + 1}" if i % 2 else "Add.", a(i))]


@of("sharegpt")
def _(i):
    turns = [{"from": "user", "value": q(i)}, {"from": "assistant", "value": a(i)}]
    turns_read = [{"role": "system", "content": "Think."}, user(q(i))]
    return {"system": "Think.", "conversations": turns}, [sample(turns_read, a(i))]


@of("guanaco")
def _(i):
    first = f"### Human: {q(i)}### Assistant: {a(i)}"
    if i % 2 == 0:
        return {"text": first}, [sample(q(i), a(i))]
    turns = [user(q(i)), assistant(a(i)), user("Sure?")]
    return {"text": f"{first}### Human: Sure?### Assistant: Yes."}, [sample(turns, "Yes.")]


@of("feedback")
def _(i):
    good, bad = [user(q(i)), assistant(a(i))], [user(q(i)), assistant("No idea.")]
    row = {
        "prompt": q(i), "prompt_id": f"f-{i}", "chosen": good, "rejected": bad, "messages": good, "score_chosen": 8.5,
        "score_rejected": 5.0,
    }
    return row, [pair(q(i), a(i), "No idea.")]


@of("feedback-scores")
def _(i):
    scores = [5.0, i / 1.0, 7.5, 2.0]
    completions = [{"model": f"m{n}", "response": f"answer {n}", "overall_score": score} for n, score in enumerate(scores)]
    row = {"source": "x", "instruction": q(i), "models": ["m0"], "completions": completions, "correct_answers": []}
    # The first of equals.
    best = max(range(4), key=lambda n: (scores[n], -n))
    worst = min(range(4), key=lambda n: (scores[n], -n))
    return row, [pair(q(i), f"answer {best}", f"answer {worst}")]


@of("helpsteer3")
def _(i):
    preference = i % 7 - 3
    context = [user(q(i))] if i % 2 else [user("Hello"), assistant("Hi"), user(q(i))]
    row = {
        "domain": "general", "language": "english", "context": context, "response1": "one", "response2": "two",
        "overall_preference": preference, "individual_preference": [{"score": preference, "reasoning": "…", "feedback1": "…", "feedback2": "…"}],
    }
    better, worse = ("one", "two") if preference < 0 else ("two", "one")
    asked = q(i) if i % 2 else context
    return row, [pair(asked, better, worse)] if preference else []


@of("nectar")
def _(i):
    ranks = [3.0, 1.0, 4.0, 2.0] if i < 9 else [1.0, 1.0, 1.0, 1.0]
    answers = [{"answer": f"answer {n}", "model": "m", "rank": rank} for n, rank in enumerate(ranks)]
    row = {"prompt": f"\n\nHuman: {q(i)}\n\nAssistant: ", "answers": answers, "turns": 1, "num_responses": 4, "source": ["x"], "good_natured": True}
    return row, [pair(q(i), "answer 1", "answer 2")] if i < 9 else []


@of("hh")
def _(i):
    if i == 9:
        # Some of its pairs are not answers to the same turns.
        return {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: c\n\nAssistant: d"}, []
    head = f"\n\nHuman: Hello\n\nAssistant: Hi\n\nHuman: {q(i)}\n\nAssistant:"
    turns = [user("Hello"), assistant("Hi"), user(q(i))]
    return {"chosen": f"{head} {a(i)}", "rejected": f"{head} No."}, [pair(turns, a(i), "No.")]


def safe_row(i):
    return {
        "prompt": q(i), "response_0": "zero", "response_1": "one", "prompt_source": "x", "is_response_0_safe": i % 2 == 0,
        "is_response_1_safe": True, "response_0_severity_level": i % 2, "response_1_severity_level": 0,
        "better_response_id": i % 2, "safer_response_id": (i // 2) % 2,
    }


@of("safer")
def _(i):
    safer = (i // 2) % 2
    return safe_row(i), [pair(q(i), ["zero", "one"][safer], ["one", "zero"][safer])]


@of("better")
def _(i):
    return safe_row(i), [pair(q(i), ["zero", "one"][i % 2], ["one", "zero"][i % 2])]


@of("safe")
def _(i):
    return safe_row(i), [{"prompt": q(i), "completion": "zero", "label": int(i % 2 == 0)}]


OUT.mkdir(exist_ok=True)
for name, rows in TABLE.items():
    for suffix, lines in [("", [row for row, _ in rows]), (".expected", [row for _, read in rows for row in read])]:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (OUT / f"{name}{suffix}.jsonl").write_text(text)
