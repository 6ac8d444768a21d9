"""What does it cost to train a tokenizer? Seconds and peak memory of each kind on the same text.

    python benchmarks/tokenizer_training.py --train_file 'wiki/en/*' --vocab_size 32000 --json results.json

Every training runs in a process of its own, whose peak resident memory the system reports (`ru_maxrss`); the first row
only imports the libraries. Characters are those of the sample (`--sample_characters`, 0 for all of the text).
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from electra_hf.corpora.arguments import SourceArguments, open_source
from electra_hf.tokens.tokenizers import inspect_tokenizer, train_tokenizer
from electra_hf.tokens.tokenizers.training import SAMPLE_CHARACTERS

IMPORTS_ONLY = "imports only"


def measure(options: argparse.Namespace, kind: str) -> dict:
    """Train in this process; run in one of its own."""
    start = time.perf_counter()
    found = {}
    if kind != IMPORTS_ONLY:
        corpus = open_source(SourceArguments(train_file=options.train_file), seed=0)
        tokenizer = train_tokenizer(
            corpus.documents(),
            kind,
            options.vocab_size,
            sample_characters=options.sample_characters,
            pre_tokenizer=options.pre_tokenizer,
            show_progress=False,
        )
        found["tokens"] = len(tokenizer)
        found["bytes_per_token"] = inspect_tokenizer(tokenizer, corpus.documents()).bytes_per_token
    found["seconds"] = time.perf_counter() - start
    found["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds and memory of training a tokenizer.")
    parser.add_argument("--train_file", nargs="+", required=True)
    parser.add_argument("--vocab_size", type=int, default=32_000)
    parser.add_argument("--sample_characters", type=int, default=SAMPLE_CHARACTERS)
    parser.add_argument("--pre_tokenizer", default="none")
    parser.add_argument("--kinds", nargs="+", default=["wordpiece", "unigram", "bpe"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options, options.only)))
        return
    results = {"settings": {"cpus": len(os.sched_getaffinity(0)), "vocab_size": options.vocab_size}, "kinds": {}}
    print(f"{results['settings']['cpus']} CPUs, {options.vocab_size} tokens, at most {options.sample_characters:,}")
    for kind in (IMPORTS_ONLY, *options.kinds):
        command = [sys.executable, __file__, *sys.argv[1:], "--only", kind]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        found = results["kinds"][kind] = json.loads(output.splitlines()[-1])
        print(f"{kind:<12} {found['seconds']:>7.1f} s {found['peak_gb']:>6.2f} GB  {found.get('tokens', '')}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
