"""Fine-tune a model of a few thousand weights in one process or several, and write down what must not depend on it."""

import json
from pathlib import Path

import torch
from torch.utils.data import TensorDataset
from transformers import ElectraConfig, ElectraForSequenceClassification, ElectraForTokenClassification, set_seed

from electra_hf.finetuning.tagging.training_arguments import TaggingTrainingArguments
from electra_hf.finetuning.trainer import FinetuningTrainer
from electra_hf.models import ElectraForReferenceClassification
from electra_hf.models.token_classification import TokenClassificationWithCRF
from electra_hf.parser import ConfigArgumentParser
from electra_hf.training.setup import end_processes


def collate(rows: list[tuple[torch.Tensor, torch.Tensor]]) -> dict[str, torch.Tensor]:
    ids, labels = zip(*rows, strict=True)
    return {"input_ids": torch.stack(ids), "labels": torch.stack(labels)}


def main() -> None:
    (args,) = ConfigArgumentParser((TaggingTrainingArguments,)).parse()
    set_seed(0)
    config = ElectraConfig(
        vocab_size=64, embedding_size=16, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=24, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        initializer_range=0.3,
    )  # fmt: skip
    ids = torch.randint(5, 64, (128, 12), generator=torch.Generator().manual_seed(1))
    if args.use_crf:
        model = TokenClassificationWithCRF.from_plain(ElectraForTokenClassification(config))
        # Another number of tagged places in every row.
        labels = torch.where(ids < 9 + torch.arange(128)[:, None] % 40, (ids < 20).long(), -100)
    else:
        model = ElectraForReferenceClassification.from_plain(ElectraForSequenceClassification(config), fresh_head=True)
        model.classifier.dropout.p = 0.0
        labels = (ids < 9).any(1).long()
    trainer = FinetuningTrainer(
        model=model,
        args=args,
        train_dataset=TensorDataset(ids, labels),
        eval_dataset=TensorDataset(ids[:13], labels[:13]),
        data_collator=collate,
    )
    trainer.train()
    predictions, _, metrics = trainer.predict(TensorDataset(ids[:13], labels[:13]), metric_key_prefix="eval")
    trainer.save_model()
    noise = torch.rand(3).tolist()
    folder = Path(args.output_dir)
    if trainer.is_world_process_zero():
        history = [
            {name: row[name] for name in ("loss", "grad_norm", "learning_rate")}
            for row in trainer.state.log_history
            if "loss" in row
        ]
        weights = {name: parameter.double().norm().item() for name, parameter in model.named_parameters()}
        result = {
            "history": history, "weights": weights, "predictions": predictions.tolist(),
            "eval_loss": metrics["eval_loss"],
        }  # fmt: skip
        (folder / "result.json").write_text(json.dumps(result))
    if args.world_size > 1:
        torch.distributed.barrier()
        (folder / f"noise-{args.process_index}.json").write_text(json.dumps(noise))
    end_processes()


if __name__ == "__main__":
    main()
