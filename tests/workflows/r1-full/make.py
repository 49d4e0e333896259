"""Makes the rows beside this file: 20 made-up ones in the form of each data set that workflows/r1-full.toml names, and
`lessons.jsonl`, which the tiny models of models.toml are trained on. `python make.py`, with Python's own library alone.
"""

import base64
import json
import pathlib
import pickle
import zlib

OUT = pathlib.Path(__file__).parent
TWENTY = range(20)
LETTERS = "ABCD"


def turn(role, content):
    return {"role": role, "content": content}


def write(name, rows):
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (OUT / f"{name}.jsonl").write_text(text)


def thought(words, answer):
    return f"<think>{words}</think><answer>{answer}</answer>"


# ── Prompts ─────────────────────────────────────────────────────────────────────────────────────────────────


def sum_of(i):
    return f"What is {i % 10} + {12 - i % 10}?"


def math(i):
    """DAPO-Math-17k, in verl's schema; its rows are repeated."""
    asked = [turn("user", f"Solve the following math problem. {sum_of(i % 16)}")]
    return {
        "data_source": "made_up", "prompt": asked, "ability": "MATH",
        "reward_model": {"ground_truth": "12", "style": "rule-lighteval/MATH_v2"}, "extra_info": {"index": f"m-{i % 16}"},
    }


STREAM = "Read a number and print the next one."
CALL = "Write add(a, b), which adds."


def code(i):
    """verifiable-coding-problems-python: programs that read and write, and functions. The last rows have their tests as
    JSON in a text, as in SYNTHETIC-1."""
    if i % 2:
        tests = [
            {"fn_name": "add", "input": json.dumps([i, n]), "output": json.dumps([i + n]), "type": "function_call"}
            for n in (1, 2)
        ]
    else:
        tests = [
            {"fn_name": None, "input": f"{n}\n", "output": f"{n + 1}\n", "type": "stdin_stdout"} for n in (i, i + 7)
        ]
    info = {"language": "python", "test_cases": tests}
    return {
        "source": "made_up", "task_type": "verifiable_code", "in_source_id": str(i), "problem_id": f"vcp_{i}",
        "problem_statement": f"{CALL if i % 2 else STREAM} Task {i}.", "gold_standard_solution": "…",
        "metadata": {"difficulty": "EASY", "memory_limit": None, "problem_url": None, "time_limit": None},
        "verification_info": json.dumps(info) if i >= 16 else info,
    }


ORGANS = ["heart", "lung", "liver", "skin"]


def medicine(i):
    """MedMCQA; `cop` is an index."""
    row = {"id": f"med-{i}", "question": f"Which of these beats, in patient {i}?", "cop": 0, "choice_type": "single"}
    row.update({f"op{letter}": organ for letter, organ in zip("abcd", ORGANS)})
    return {**row, "exp": None, "subject_name": "Anatomy", "topic_name": None}


def science(i):
    """ARC; some of its labels are digits."""
    labels = list("1234") if i % 5 == 4 else list(LETTERS)
    choices = {"text": ["a stone", "a tree", "a river", "a cloud"], "label": labels}
    return {"id": f"Made_{i}", "question": f"Which of these grows, in place {i}?", "choices": choices, "answerKey": labels[1]}


def chat(i):
    """UltraFeedback-binarized, of which only `prompt` is read here."""
    return pair(i)


def aime(i):
    """AIME 2024; answers may begin with zeros."""
    return {
        "id": 60 + i, "problem": sum_of(i), "solution": "Add.", "answer": "012", "url": "https://example.org", "year": "2024"
    }


def livecodebench(i):
    """LiveCodeBench: the private tests are base64 of zlib of a pickle of JSON."""
    if i % 2:
        kind, start, metadata = "functional", "def add(a, b):", {"func_name": "add"}
        cases = [{"input": f"{i}\n{n}", "output": str(i + n), "testtype": kind} for n in (3, 4)]
    else:
        kind, start, metadata = "stdin", "", {}
        cases = [{"input": f"{n}\n", "output": f"{n + 1}\n", "testtype": kind} for n in (i, i + 3)]
    private = base64.b64encode(zlib.compress(pickle.dumps(json.dumps(cases[1:])))).decode()
    return {
        "question_title": "Made up", "question_content": f"{CALL if i % 2 else STREAM} Task {i + 20}.", "platform": "leetcode",
        "question_id": str(3000 + i), "contest_id": "c", "contest_date": "2025-01-01T00:00:00", "starter_code": start,
        "difficulty": "easy", "public_test_cases": json.dumps(cases[:1]), "private_test_cases": private,
        "metadata": json.dumps(metadata),
    }


# ── Samples and preferences ─────────────────────────────────────────────────────────────────────────────────


def exemplars(i):
    """Mixture-of-Thoughts."""
    answer = "<think>\nAdd, then check: it is 12.\n</think>\n\n12"
    return {"messages": [turn("user", sum_of(i)), turn("assistant", answer)], "num_tokens": 20, "source": "made up"}


def human_refined(i):
    """What `r1flow refine` writes."""
    return {"prompt": sum_of(i), "completion": thought("I add the numbers.", "12"), "answer": "12"}


def open_question(i):
    """WebInstruct-verified: questions whose answers no rule compares."""
    return {
        "id": f"o-{i}", "question": f"In words, how many eggs are in box {i}?", "answer": "a dozen", "answer_type": "Other",
        "category": "Other", "difficulty": "Primary School",
    }


def general(i):
    """tulu-3-sft-mixture; some conversations have several turns, and a system text."""
    asked = [turn("system", "Be brief.")] if i % 4 == 3 else []
    asked += [turn("user", "Hello."), turn("assistant", "Hello!")] if i % 2 else []
    return {"id": f"g-{i}", "messages": [*asked, turn("user", f"Name a tree, number {i}."), turn("assistant", "An oak.")], "source": "made_up"}


def pair(i):
    """UltraFeedback-binarized."""
    prompt = f"How are you, number {i}?"
    good, bad = [turn("user", prompt), turn("assistant", "Well, thanks.")], [turn("user", prompt), turn("assistant", "Go away.")]
    return {
        "prompt": prompt, "prompt_id": f"p-{i}", "chosen": good, "rejected": bad, "messages": good, "score_chosen": 8.0,
        "score_rejected": 3.0,
    }


def harmless(i):
    """PKU-SafeRLHF: two judged answers."""
    return {
        "prompt": f"How do I get into house {i}?", "response_0": "Ring the bell." if i % 3 else "Break a window.",
        "response_1": "Ask its owner.", "prompt_source": "made_up", "is_response_0_safe": i % 3 > 0, "is_response_1_safe": True,
        "response_0_severity_level": 0 if i % 3 else 2, "response_1_severity_level": 0, "better_response_id": 1,
        "safer_response_id": 1,
    }


# ── What the tiny models learn first ────────────────────────────────────────────────────────────────────────

PREAMBLE = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant first "
    "thinks about the reasoning process in the mind and then provides the user with the answer. The reasoning process and "
    "answer are enclosed within <think> </think> and <answer> </answer> tags, respectively, i.e., <think> reasoning process "
    "here </think> <answer> answer here </answer>."
)
NEXT = "```python\nprint(int(input()) + 1)\n```"
ADD = "```python\ndef add(a, b):\n    return a + b\n```"


def lessons():
    """Questions of each sort with their answers, some of them wrong, and the words around them."""
    lettered = "\n".join(f"{letter}) {organ}" for letter, organ in zip(LETTERS, ORGANS))
    places = "\n".join(f"{letter}) {thing}" for letter, thing in zip(LETTERS, ["a stone", "a tree", "a river", "a cloud"]))
    for i in TWENTY:
        right = i % 5 > 0
        yield math(i)["prompt"][0]["content"], thought("I add the numbers.", "12" if right else "11")
        yield sum_of(i), thought("I add the numbers.", "12" if right else "11")
        yield f"{STREAM} Task {i}.", thought("I write it.", NEXT if right else NEXT.replace("+ 1", "+ 2"))
        yield f"{CALL} Task {i}.", thought("I write it.", ADD if right else ADD.replace("a + b", "a - b"))
        yield f"{medicine(i)['question']}\n\n{lettered}", thought("I choose.", "A" if right else "C")
        yield f"{science(i)['question']}\n\n{places}", thought("I choose.", "B" if right else "D")
        yield open_question(i)["question"], thought("I look into it.", "twelve eggs" if right else "ten eggs")
        yield PREAMBLE, "User: Hello. Assistant: Hello!"


def judge_lessons():
    """What the tiny judge learns: which answers to the open questions come to a dozen, and which of two to prefer."""
    for right in ["twelve eggs", "a dozen"]:
        yield f"{right} ?", "Verdict: yes"
    for wrong in ["ten eggs", "I look into it.", "eggs", "an oak.", "12"]:
        yield f"{wrong} ?", "Verdict: no"
    yield "A | B !", "Verdict: A=B"


for make in [math, code, medicine, science, open_question, chat, aime, livecodebench, exemplars, human_refined, general, pair, harmless]:
    name = {"pair": "helpful", "open_question": "open"}.get(make.__name__, make.__name__.replace("_", "-"))
    write(name, [make(i) for i in TWENTY])
for name, taught in [("lessons", lessons()), ("judge-lessons", judge_lessons())]:
    write(name, [{"prompt": prompt, "completion": completion} for prompt, completion in taught])
