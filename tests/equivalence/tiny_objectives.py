"""Train tiny models of the objectives with two encoders, in one process or in several, without noise.

    python tiny_objectives.py FOLDER

Writes losses, metrics and norms of the final weights of each objective.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from tiny_run import RandomBlocks
from transformers import BertTokenizer, ElectraConfig, set_seed

from electra_hf.errors import run_script
from electra_hf.models import derive_generator_config
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer
from electra_hf.training.objectives import OBJECTIVES
from electra_hf.training.setup import end_processes, leaves_together

NAMES = ("electra_15", "replace_mlm", "all_tokens_mlm", "electric")
ROWS = 8


def train_one(name: str, folder: Path, processes: int) -> dict[str, Any]:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [f"w{number}" for number in range(59)]
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(words)})
    set_seed(0)
    main = ElectraConfig(
        vocab_size=64, embedding_size=16, hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=24,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        initializer_range=0.3,  # logits far enough apart that rounding does not change an argmax
    )  # fmt: skip
    model_class = OBJECTIVES[name].model
    # Samples are those of the most likely tokens, at a temperature or by a bias.
    certain: dict[str, Any] = {"temperature": 1e-6}
    if name == "electric":
        certain = {"special_token_ids": [0, 2, 3, 4]}
    configs = {"generator_config": derive_generator_config(main, 0.25), f"{model_class.main_part}_config": main}
    model = model_class(model_class.config_class(**configs, **certain))
    if name == "electric":
        with torch.no_grad():
            model.generator.bias.copy_(torch.arange(64) * 100.0)
    trainer = PretrainingTrainer(
        model=model,
        args=PretrainingArguments(
            output_dir=str(folder / name), use_cpu=True, disable_tqdm=True, max_steps=2, logging_steps=1,
            per_device_train_batch_size=ROWS // processes, per_device_eval_batch_size=4, seed=5, report_to="none",
            save_strategy="no",
        ),
        train_dataset=RandomBlocks(16, seed=1),
        eval_dataset=RandomBlocks(13, seed=2),
        data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=5),
        processing_class=tokenizer,
    )  # fmt: skip
    trainer.train()
    metrics = trainer.evaluate()
    timed = ("runtime", "per_second", "seconds", "teraflops", "preparation_time")
    rows = [
        {key: value for key, value in row.items() if not key.endswith(timed)}
        for row in [*trainer.state.log_history[:2], metrics]
    ]
    weights = {key: parameter.double().norm().item() for key, parameter in model.named_parameters()}
    return {"rows": rows, "weights": weights}


@leaves_together
def main() -> None:
    folder = Path(sys.argv[1])
    processes = int(PretrainingArguments(output_dir=str(folder), use_cpu=True).world_size)
    for name in NAMES:
        result = train_one(name, folder, processes)
        if PretrainingArguments(output_dir=str(folder), use_cpu=True).process_index == 0:
            (folder / f"{name}.json").write_text(json.dumps(result))
    end_processes()


if __name__ == "__main__":
    run_script(main)
