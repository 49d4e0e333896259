"""A reward without two equal values in a group: a number that the text decides, and a little for the line's place."""

import json
import sys
import zlib

for i, line in enumerate(sys.stdin):
    text = json.loads(line)["completion"]
    print(zlib.crc32(text.encode()) % 100 / 100 + 0.001 * (i % 8))
