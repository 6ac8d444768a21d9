"""How fast is the search for duplicates, how much memory does it take, and what does it find?

    python benchmarks/deduplication.py --train_files "articles/wiki_*" --json results.json

Three questions, one table each:

1. Signatures of the corpus, MB/s of one core, by method; datasketch and rensa do the same work if they are installed.
2. Passages with planted near duplicates (a share of the words replaced): how many are found, next to the probability
   that their Jaccard similarity gives, and precision and recall against all pairs compared by brute force.
3. A million short records, some repeated: time of both passes, and the memory of the process at its highest.

Without --train_files, the embedded corpus is used.
"""

import argparse
import importlib
import importlib.util
import json
import platform
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np

from electra_hf.corpora import Corpus, LocalFiles, PythonDocs
from electra_hf.corpora.deduplication import DeduplicationSettings, deduplicate, sign
from electra_hf.corpora.deduplication.signatures import BANDS

WORD = re.compile(r"\w+")
EDITED = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
Method = Literal["exact", "minhash"]
METHODS: tuple[Method, ...] = ("exact", "minhash")
Figures = dict[str, Any]


def word_shingles(text: str, words: int = 5) -> set[str]:
    """What the package does without a loop, with one."""
    found = WORD.findall(text.lower())
    return {" ".join(found[index : index + words]) for index in range(max(1, len(found) - words + 1))}


def with_datasketch(texts: list[str]) -> None:
    datasketch = importlib.import_module("datasketch")
    for text in texts:
        datasketch.MinHash(num_perm=112).update_batch(shingle.encode() for shingle in word_shingles(text))


def with_rensa(texts: list[str]) -> None:
    rensa = importlib.import_module("rensa")
    for text in texts:
        minhash = rensa.RMinHash(num_perm=112, seed=1)
        minhash.update(list(word_shingles(text)))
        minhash.digest()


def speeds(texts: list[str], rounds: int) -> Figures:
    size = sum(len(text.encode()) for text in texts) / 1e6
    work: dict[str, Callable[[], object]] = {
        method: lambda method=method: sign(texts, DeduplicationSettings(method)) for method in METHODS
    }
    for package, run in (("datasketch", with_datasketch), ("rensa", with_rensa)):
        if importlib.util.find_spec(package):
            work[f"{package} (5 words, 112 orders)"] = lambda run=run: run(texts)
    result = {}
    for name, run in work.items():
        times = []
        for _ in range(rounds):
            began = time.process_time()
            run()
            times.append(time.process_time() - began)
        result[name] = size / min(times)
        print(f"{name:<36}{result[name]:>8.1f} MB/s")
    return {"megabytes": size, "megabytes_per_second": result}


def passages(texts: list[str], number: int, words: int) -> list[list[str]]:
    found = []
    for text in texts:
        split = text.split()
        found += [split[start : start + words] for start in range(0, len(split) - words + 1, words)]
    random.Random(0).shuffle(found)
    return found[:number]


def planted(texts: list[str], number: int, words: int) -> Figures:
    chosen = passages(texts, number, words)
    vocabulary = sorted({word for passage in chosen for word in passage})
    chance = random.Random(1)
    originals = [" ".join(passage) for passage in chosen]
    copies, shares = [], []
    for index, passage in enumerate(chosen):
        share = EDITED[index % len(EDITED)]
        shares.append(share)
        copies.append(" ".join(chance.choice(vocabulary) if chance.random() < share else word for word in passage))
    everything = originals + copies
    settings = DeduplicationSettings("minhash")
    keys = sign(everything, settings)[BANDS:]
    sets = [word_shingles(text) for text in everything]
    threshold = settings.threshold
    hits = wrong = missed = 0
    below: list[float] = []
    for left, right in combinations(range(len(everything)), 2):
        shared = len(sets[left] & sets[right])
        similarity = shared / (len(sets[left]) + len(sets[right]) - shared)
        found = bool((keys[:, left] == keys[:, right]).any())
        hits += found and similarity >= threshold
        wrong += found and similarity < threshold
        missed += not found and similarity >= threshold
        if found and similarity < threshold:
            below.append(similarity)
    rows = []
    print(f"\n{'words replaced':>14}{'Jaccard':>10}{'expected':>10}{'found':>8}")
    for share in EDITED:
        pairs = [index for index, edited in enumerate(shares) if edited == share]
        similar = [
            len(sets[pair] & sets[pair + len(chosen)]) / len(sets[pair] | sets[pair + len(chosen)]) for pair in pairs
        ]
        found = [(keys[:, pair] == keys[:, pair + len(chosen)]).any() for pair in pairs]
        expected = [1 - (1 - value**settings.rows) ** settings.bands for value in similar]
        row = {"replaced": share, "jaccard": np.mean(similar), "expected": np.mean(expected), "found": np.mean(found)}
        rows.append({name: float(value) for name, value in row.items()})
        print(f"{share:>13.1%}{row['jaccard']:>11.3f}{row['expected']:>10.3f}{row['found']:>8.3f}")
    result = {
        "passages": len(everything),
        "words": words,
        "threshold": threshold,
        "precision": hits / (hits + wrong),
        "recall": hits / (hits + missed),
        "lowest_similarity_found": min(below, default=None),
        "rows": rows,
    }
    print(
        f"all {len(everything) * (len(everything) - 1) // 2:,} pairs, duplicates from {threshold:.2f} on: "
        f"precision {result['precision']:.3f}, recall {result['recall']:.3f}; least similar pair found "
        f"{result['lowest_similarity_found']}"
    )
    return result


class ShortRecords(Corpus):
    """Records of 24 random words; one in ten repeats an earlier one, and one in ten does with another last word."""

    def __init__(self, records: int) -> None:
        self.records = records
        self.name = f"{records:,} short records"

    def describe(self) -> Figures:
        return {"records": self.records}

    def _texts(self) -> Iterator[str]:
        for number in range(self.records):
            kind = number % 10
            seed = number - kind if kind in (8, 9) else number
            words = np.random.Philox(seed).random_raw(24) % 50_000
            if kind == 9:
                words[-1] = 50_000 + number
            yield " ".join(f"w{word}" for word in words)


def highest_memory() -> float:
    """MiB of this process, of Linux; `getrusage` would tell those of the parent if they were more."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def synthetic(records: int, method: Method) -> Figures:
    """Both passes in a process of their own, whose memory is therefore its own."""
    before = highest_memory()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        corpus = deduplicate(ShortRecords(records), folder, DeduplicationSettings(method), progress=False)
        seconds = time.perf_counter() - began
        report = corpus.report  # pyright: ignore[reportAttributeAccessIssue]
    memory = highest_memory()
    chosen = {name: report[name] for name in ("exact_duplicates", "near_duplicates", "characters")}
    return {"seconds": seconds, "memory_before_mib": before, "memory_mib": memory, **chosen}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train_files", nargs="+", help="paths, globs or folders")
    parser.add_argument("--rounds", type=int, default=3, help="of each speed; the best one counts")
    parser.add_argument("--passages", type=int, default=800, help="originals, each with one edited copy")
    parser.add_argument("--words", type=int, default=300, help="of a passage")
    parser.add_argument("--records", type=int, default=1_000_000, help="of the synthetic corpus")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()

    corpus = LocalFiles(options.train_files) if options.train_files else PythonDocs()
    texts = list(corpus.documents())
    result: Figures = {
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "options": {name: value for name, value in vars(options).items() if name != "json"},
        "speed": speeds(texts, options.rounds),
        "planted": planted(texts, options.passages, options.words),
        "synthetic": {},
    }
    print(f"\n{options.records:,} records{'seconds':>16}{'MiB':>8}{'exact':>10}{'near':>10}")
    for method in METHODS:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            figures = pool.submit(synthetic, options.records, method).result()
        result["synthetic"][method] = figures
        found = f"{figures['exact_duplicates']:>10,}{figures['near_duplicates']:>10,}"
        print(f"{method:<17}{figures['seconds']:>16.1f}{figures['memory_mib']:>8.0f}{found}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
