"""Train a few thousand weights in each of some variants, one after the other, in as many processes as were started."""

import json
import sys
from pathlib import Path

import torch
from transformers import BertTokenizer, ElectraConfig, set_seed

from electra_hf.models import (
    ElectraForReplacedTokenDetection,
    ReplacedTokenDetectionConfig,
    derive_generator_config,
    sampling,
)
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer
from electra_hf.training.setup import end_processes

sys.path.insert(0, str(Path(__file__).parent))
from tiny_run import RandomBlocks

VARIANTS = {
    "gdes": ({"embedding_sharing": "gdes"}, {}),
    "gumbel_softmax": (
        {
            "sampler": "gumbel_softmax",
            "generator_feedback": -0.5,
            "gumbel_temperature_schedule": "exponential",
            "gumbel_temperature_end": 0.5,
        },
        {},
    ),
    "frozen": (
        {"freeze_generator": True, "embedding_sharing": "none", "temperature_schedule": "exponential"},
        {},
    ),
    "decoupled": ({"embedding_sharing": "gdes"}, {"optimization": "decoupled", "generator_learning_rate": 2e-3}),
}
ROWS = 16


def main(folder: Path, processes: int) -> None:
    # Without noise each process samples what one process would; the softmax of the soft choice stays.
    sampling.gumbel_noise = torch.zeros_like
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [f"w{number}" for number in range(59)]
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(words)})
    results = {}
    for name, (settings, options) in VARIANTS.items():
        set_seed(0)
        discriminator = ElectraConfig(
            vocab_size=64, embedding_size=16, hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
            intermediate_size=64, max_position_embeddings=24, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0, initializer_range=0.3,
        )  # fmt: skip
        config = ReplacedTokenDetectionConfig(
            generator_config=derive_generator_config(discriminator, 0.5),
            discriminator_config=discriminator,
            **settings,
        )
        model = ElectraForReplacedTokenDetection(config)
        model.implementation = "plain"
        trainer = PretrainingTrainer(
            model=model,
            args=PretrainingArguments(
                output_dir=str(folder / name), use_cpu=True, disable_tqdm=True, max_steps=4, save_strategy="no",
                logging_steps=1, per_device_train_batch_size=ROWS // processes, seed=1, report_to="none",
                warmup_steps=1, learning_rate=1e-3, **options,
            ),
            train_dataset=RandomBlocks(64, seed=1),
            data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=1),
        )  # fmt: skip
        trainer.train()
        timed = ("per_second", "runtime", "seconds", "teraflops", "preparation_time", "total_flos", "epoch")
        history = [
            {metric: value for metric, value in row.items() if not metric.endswith(timed)}
            for row in trainer.state.log_history[:-1]
        ]
        weights = {key: parameter.double().norm().item() for key, parameter in model.named_parameters()}
        results[name] = {"history": history, "weights": weights}
        if trainer.is_world_process_zero():
            (folder / f"{processes}.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
    end_processes()
