"""Makes the datasets beside this file: `python make.py` with pyarrow 26, pandas 3, datasets 5 and zstandard 0.25.

The rows are the same in every format and layout that people publish. Each is written by the library that people use for
it.
"""

import gzip
import json
import pathlib
import shutil

import pandas
import pyarrow
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet
import zstandard
from datasets import Dataset, DatasetDict

HERE = pathlib.Path(__file__).parent
QUESTIONS = [
    {"question": "How many are 4 and 5?", "answer": "4 and 5 are nine.\n#### 9", "level": 1, "share": 0.1},
    {"question": "A \"dozen\", halved?\nSay it in figures.", "answer": "12 / 2, that is\n#### 6", "level": 2, "share": 2.0},
    {"question": "Ünïcode, 数字: 2 × 3?", "answer": "mal\t#### 6", "level": 3, "share": 1e-7},
    {"question": " a, b; c ", "answer": "#### 1,080", "level": 4, "share": 1e20},
    {"question": "null or nothing?", "answer": "neither #### 0", "level": None, "share": None},
]
CHATS = [
    {"messages": [{"role": "user", "content": row["question"]}, {"role": "assistant", "content": row["answer"]}]}
    for row in QUESTIONS
]


def fresh(name):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_files(folder, rows):
    """Writes a file for each format."""
    text = lines(rows).encode()
    (folder / "rows.jsonl").write_bytes(text)
    (folder / "rows.jsonl.gz").write_bytes(gzip.compress(text, mtime=0))
    (folder / "rows.jsonl.zst").write_bytes(zstandard.compress(text))
    (folder / "array.json").write_text(json.dumps(rows, indent=1))
    table = pyarrow.Table.from_pylist(rows)
    for compression in ["none", "snappy", "gzip", "zstd", "lz4"]:
        pyarrow.parquet.write_table(table, folder / f"{compression}.parquet", compression=compression, row_group_size=2)
    with pyarrow.ipc.new_file(folder / "file.arrow", table.schema) as file:
        file.write_table(table, max_chunksize=2)
    with pyarrow.ipc.new_stream(folder / "stream.arrow", table.schema) as stream:
        stream.write_table(table, max_chunksize=2)
    for compression in ["lz4", "zstd"]:
        pyarrow.feather.write_feather(table, folder / f"{compression}.feather", compression=compression)
    Dataset.from_list(rows).to_parquet(folder / "datasets.parquet")
    Dataset.from_list(rows).to_json(folder / "datasets.jsonl")


def write_tables(folder, rows):
    """Writes the formats that only take flat rows."""
    frame = pandas.DataFrame(rows).astype({"level": "Int64"})
    frame.to_csv(folder / "pandas.csv", index=False)
    frame.to_csv(folder / "pandas.tsv", index=False, sep="\t")
    frame.to_csv(folder / "pandas.csv.gz", index=False, compression={"method": "gzip", "mtime": 0})
    frame.to_parquet(folder / "pandas.parquet")
    frame.to_json(folder / "pandas.jsonl", orient="records", lines=True)
    frame.to_json(folder / "pandas.json", orient="records")
    frame.astype({"question": "category"}).to_parquet(folder / "category.parquet")
    types = {"question": pyarrow.large_string(), "answer": pyarrow.string_view(), "level": pyarrow.int8(), "share": pyarrow.float32()}
    table = pyarrow.Table.from_pylist(rows).cast(pyarrow.schema(types))
    pyarrow.feather.write_feather(table, folder / "types.feather", compression="uncompressed")


def write_layouts(rows):
    """Writes folders with two splits, in the layouts of the hub and of `save_to_disk`."""
    splits = DatasetDict({"train": Dataset.from_list(rows[:3]), "test": Dataset.from_list(rows[3:])})
    splits.save_to_disk(fresh("saved"), num_shards={"train": 2, "test": 1})
    splits["train"].save_to_disk(fresh("saved-one"), num_shards=2)
    hub = fresh("hub")
    (hub / "README.md").write_text("---\nlicense: mit\n---\n# Questions\n")
    (hub / "data").mkdir()
    for number in range(2):
        shard = splits["train"].shard(2, number, contiguous=True)
        shard.to_parquet(hub / "data" / f"train-{number:05}-of-00002.parquet")
    splits["test"].to_parquet(hub / "data" / "test-00000-of-00001.parquet")
    named = fresh("named")
    (named / "gsm8k_train.jsonl").write_text(lines(rows[:3]))
    (named / "gsm8k_test.jsonl").write_text(lines(rows[3:]))


if __name__ == "__main__":
    questions = fresh("questions")
    write_files(questions, QUESTIONS)
    write_tables(questions, QUESTIONS)
    write_files(fresh("chats"), CHATS)
    write_layouts(QUESTIONS)
