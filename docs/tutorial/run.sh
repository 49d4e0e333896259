#!/bin/sh
# Runs every command of docs/tutorial.md, in its order, in the current folder, which should be empty.
#
#     MODEL=/models/SmolLM2-135M-Instruct TRAIN=/data/gsm8k-train.jsonl TEST=/data/gsm8k-test.jsonl \
#         sh docs/tutorial/run.sh
#
# `r1flow` must be on the PATH. MODEL is a folder in Hugging Face's format, TRAIN and TEST are JSON lines with
# `question` and `answer`. All three are absolute paths. It takes five minutes on two cores, and 6 GB of disk.
set -eu
mkdir -p models data
ln -sfn "$MODEL" models/smollm2
ln -sfn "$TRAIN" data/gsm8k-train.jsonl
ln -sfn "$TEST" data/gsm8k-test.jsonl
cp "$(dirname "$0")/workflow.toml" .

# From here on, each line is a command of the page; the first `check` must find the mistake.
set -x
sed '/^questions/s/prompt = "question"/prompt = "problem"/' workflow.toml >mistake.toml
if r1flow check mistake.toml; then exit 1; fi
r1flow check workflow.toml
r1flow check workflow.toml --set rl.max-tokens=9000
r1flow tokens workflow.toml cold-start --row 1
r1flow plan workflow.toml
r1flow apply workflow.toml
r1flow status
r1flow show rl
r1flow show rl.rollouts --where 'reward>0' --rows 1
r1flow show scores/base --failed --rows 1
r1flow scores workflow.toml
r1flow plan workflow.toml --set rl.steps=6
r1flow plan workflow.toml --set rl.lr=3e-5
r1flow apply workflow.toml --set rl.steps=6
r1flow explain rl --set rl.steps=6
r1flow export rl.model reasoner --set rl.steps=6
