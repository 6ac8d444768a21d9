"""Command lines of the three scripts that contradict themselves or ask for what cannot be."""

from pathlib import Path

import pytest
from malformed import Cases, Kit, check, options

STREAM = ("--streaming", "--dataloader_num_workers", 0)
WARM = ("--batch_size_warmup_steps", 1, "--batch_size_warmup_start")
LONG = ("--length_warmup_steps", 1, "--length_warmup_start")


def into_a_file(_: Path, kit: Kit):
    return ("--output_dir", kit.tokenizer / "tokenizer.json")


PRETRAINING: Cases = {
    "unknown option": (options("--lerning_rate", 1), 2, ("'--lerning_rate'", "did you mean 'learning_rate'")),
    "unknown option with a value": (options("--sead=1"), 2, ("'--sead'", "did you mean 'seed'")),
    "a single dash": (options("-seed", 1), 2, ("'-seed'", "--help")),
    "a word too many": (options("--seed", 1, 2), 2, ("'2'", "--help")),
    "no value": (options("--learning_rate"), 2, ("--learning_rate", "expected one argument")),
    "no file": (options("--train_file"), 2, ("--train_file", "expected at least one argument")),
    "no configuration": (options("--config"), 2, ("--config needs a file",)),
    "empty configuration": (options("--config="), 2, ("--config", "needs a file")),
    "word for a number": (options("--max_steps", "many"), 2, ("--max_steps", "'many'")),
    "fraction for a number": (options("--max_steps", 1.5), 2, ("--max_steps", "'1.5'")),
    "empty number": (options("--max_steps", ""), 2, ("--max_steps", "''")),
    "word for a truth": (options("--fp16", "maybe"), 2, ("--fp16", "maybe")),
    "no choice": (options("--packing", "half"), 2, ("--packing", "'half'", "electra")),
    "no such optimiser": (options("--optim", "adamm"), 2, ("adamm", "adamw_torch")),
    "no such schedule": (options("--lr_scheduler_type", "zigzag"), 2, ("zigzag", "linear")),
    "no such strategy": (options("--eval_strategy", "sometimes"), 2, ("sometimes", "steps")),
    "no such sampler": (options("--sampler", "greedy"), 2, ("greedy", "gumbel")),
    "no such attention": (options("--attn_implementation", "quick"), 2, ("--attn_implementation quick", "sdpa")),
    "no such tracker": (options("--report_to", "paper"), 2, ("--report_to paper",)),
    "no such debugging": (options("--debug", "everything"), 2, ("--debug", "everything")),
    "no JSON": (options("--lr_scheduler_kwargs", "{power"), 2, ("--lr_scheduler_kwargs", "{power")),
    "no such file of accelerate": (options("--accelerator_config", "no.json"), 2, ("no.json", "No such file")),
    "no such DeepSpeed file": (options("--deepspeed", "nowhere.json"), 2, ("deepspeed", "required")),
    "rate below 0": (options("--learning_rate", -1), 2, ("--learning_rate -1.0", "0 or more")),
    "rate nan": (options("--learning_rate", "nan"), 2, ("--learning_rate nan",)),
    "decay below 0": (options("--weight_decay", -1), 2, ("--weight_decay -1.0",)),
    "beta of 1": (options("--adam_beta1", 1), 2, ("--adam_beta1 1.0", "below 1")),
    "epsilon of 0": (options("--adam_epsilon", 0), 2, ("--adam_epsilon 0.0", "above 0")),
    "warm-up below 0": (options("--warmup_steps", -5), 2, ("--warmup_steps -5",)),
    "no epochs": (options("--max_steps", -1, "--num_train_epochs", 0), 2, ("--num_train_epochs 0",)),
    "steps below 0": (options("--max_steps", -7), 2, ("--max_steps -7",)),
    "batch of 0": (options("--per_device_train_batch_size", 0), 2, ("--per_device_train_batch_size 0",)),
    "batch below 0": (options("--per_device_eval_batch_size", -2), 2, ("--per_device_eval_batch_size -2",)),
    "accumulation of 0": (options("--gradient_accumulation_steps", 0), 2, ("--gradient_accumulation_steps 0",)),
    "logging every 0": (options("--logging_steps", 0), 2, ("--logging_steps 0",)),
    "saving every -1": (options("--save_strategy", "steps", "--save_steps", -1), 2, ("--save_steps -1",)),
    "keeping fewer than no checkpoints": (options("--save_total_limit", -1), 2, ("--save_total_limit -1",)),
    "workers below 0": (options("--dataloader_num_workers", -1), 2, ("--dataloader_num_workers -1",)),
    "seed below 0": (options("--seed", -1), 2, ("--seed -1",)),
    "seed too large": (options("--data_seed", 2**32), 2, ("--data_seed 4294967296",)),
    "length of 0": (options("--max_seq_length", 0), 2, ("max_seq_length: 0", "choose 5")),
    "length below 0": (options("--max_seq_length", -8), 2, ("max_seq_length: -8", "choose 5")),
    "too long": (options("--max_seq_length", 64), 2, ("--max_seq_length 64", "max_position_embeddings 16")),
    "held out below 0": (options("--validation_split_percentage", -1), 2, ("validation_split_percentage", "-1")),
    "all held out": (options("--validation_split_percentage", 100), 2, ("validation_split_percentage", "100")),
    "masks below 0": (options("--mlm_probability", -0.1), 2, ("--mlm_probability -0.1",)),
    "no masks": (options("--mlm_probability", 0), 2, ("--mlm_probability 0.0", "above 0")),
    "masks above 1": (options("--mlm_probability", 15), 2, ("--mlm_probability 15.0",)),
    "masks nan": (options("--mlm_probability", "nan"), 2, ("--mlm_probability nan",)),
    "more than all": (options("--mask_replace_prob", 0.9, "--random_replace_prob", 0.2), 2, ("mask_replace_prob",)),
    "temperature of 0": (options("--temperature", 0), 2, ("--temperature 0.0", "above 0")),
    "weight below 0": (options("--generator_weight", -1), 2, ("--generator_weight -1.0",)),
    "no blocks": (options("--max_train_samples", 0), 2, ("--max_train_samples 0",)),
    "prepared by nobody": (options("--preprocessing_num_workers", 0), 2, ("--preprocessing_num_workers 0",)),
    "no buffer": (options("--shuffle_buffer_size", 0), 2, ("--shuffle_buffer_size 0",)),
    "never a pair": (options("--packing", "electra", "--short_probability", 2), 2, ("short_probability", "2")),
    "weights below 0": (options("--corpus_weights", -1), 2, ("corpus weights [-1.0]", "positive")),
    "too many weights": (options("--corpus_weights", 1, 2), 2, ("--corpus_weights", "2")),
    "documents below 0": (options("--corpus_max_documents", -3), 2, ("--corpus_max_documents", "-3")),
    "endless stream": (options(*STREAM, "--max_steps", -1), 2, ("--streaming needs --max_steps",)),
    "no such corpus": (options("--corpus", "python-dogs"), 2, ("python-dogs", "python-docs")),
    "no such encoding": (options("--encoding", "utf-9"), 2, ("'utf-9'", "did you mean")),
    "no such language": (options("--sentence_splitting", "xx-nowhere"), 2, ("xx-nowhere", "sentence_splitting")),
    "a decay without its schedule": (options("--decay_fraction", 0.5), 2, ("--decay_fraction", "use wsd")),
    "a shape without its schedule": (options("--decay_shape", "sqrt"), 2, ("--decay_shape", "use wsd")),
    "a decay of more than all": (
        options("--lr_scheduler_type", "wsd", "--decay_fraction", 2),
        2,
        ("2.0", "at most 1"),
    ),
    "a momentum without Muon": (options("--muon_momentum", 0.9), 2, ("--muon_momentum", "use muon")),
    "a rate without Muon": (options("--muon_learning_rate", 0.9), 2, ("--muon_learning_rate", "use muon")),
    "a batch that does not double": (options(*WARM, 3), 2, ("--batch_size_warmup_start 3", "choose one of 1, 2, 4")),
    "a length that does not double": (options(*LONG, 5), 2, ("--length_warmup_start 5", "choose one of 8, 16")),
    "a warm-up without a start": (
        options("--length_warmup_steps", 5),
        2,
        ("--length_warmup_start", "need each other"),
    ),
    "fp16 on a CPU": (options("--fp16"), 2, ("fp16 needs a GPU", "--fp16 false")),
    "both halves of precision": (options("--fp16", "--bf16"), 2, ("fp16",)),
    "another batch in silence": (options("--auto_find_batch_size"), 2, ("--auto_find_batch_size", "lower")),
    "best of nothing": (
        options("--load_best_model_at_end", "--save_strategy", "steps"),
        2,
        ("--load_best_model_at_end", "eval"),
    ),
    "evaluation of nothing": (
        options("--eval_strategy", "steps", "--validation_split_percentage", 0),
        2,
        ("--eval_strategy", "validation"),
    ),
    "new tokens for old weights": (options("--train_tokenizer"), 2, ("--train_tokenizer", "leave out")),
    "sizes of loaded weights": (options("--config_overrides", "hidden_size=32"), 2, ("--config_overrides",)),
    "search without evaluation": (options("--hpo", "optuna"), 2, ("--hpo", "--do_eval")),
    "search by whom": (options("--hpo", "guessing"), 2, ("guessing", "optuna")),
    "search of nothing": (
        options("--hpo", "optuna", "--do_eval", "--hpo_space", "nowhere.yaml"),
        2,
        ("nowhere.yaml",),
    ),
    "search of no trials": (options("--hpo", "optuna", "--do_eval", "--hpo_trials", 0), 2, ("--hpo_trials is 0",)),
    "output into a file": (into_a_file, 1, ("tokenizer.json", "File exists")),
    "another run's folder": (lambda folder, kit: ("--output_dir", kit.run), 2, ("already holds a run", "auto")),
    "no checkpoint": (options("--resume_from_checkpoint", "true"), 1, ("no checkpoint", "auto")),
}
GLUE: Cases = {
    "unknown option": (options("--num_sead", 1), 2, ("'--num_sead'", "did you mean 'num_seeds'")),
    "no seeds": (options("--num_seeds", 0), 2, ("--num_seeds is 0",)),
    "no epochs": (options("--num_train_epochs", 0), 2, ("--num_train_epochs is 0",)),
    "rate of 0": (options("--learning_rate", 0), 2, ("--learning_rate is 0",)),
    "rate inf": (options("--learning_rate", "inf"), 2, ("--learning_rate inf",)),
    "layers that learn more": (options("--layerwise_lr_decay", 2), 2, ("--layerwise_lr_decay is 2",)),
    "Muon": (options("--optim", "muon"), 2, ("--optim muon", "adamw_torch")),
    "nothing to do": (options("--no_do_train", "--no_do_eval"), 2, ("nothing to evaluate",)),
    "seeds of nothing": (options("--no_do_train", "--num_seeds", 2), 2, ("--num_seeds", "leave out one")),
    "push of nothing": (options("--no_do_train", "--push_to_hub"), 2, ("--push_to_hub", "--no_do_train")),
    "too long": (options("--max_seq_length", 64), 2, ("--max_seq_length 64", "16")),
    "length of 2": (options("--max_seq_length", 2), 2, ("--max_seq_length 2",)),
    "length of 0": (options("--max_seq_length", 0), 2, ("--max_seq_length 0",)),
    "no examples": (options("--max_train_samples", 0), 2, ("--max_train_samples",)),
    "examples below 0": (options("--max_eval_samples", -1), 2, ("--max_eval_samples",)),
    "no such task": (options("--task_name", "sts2"), 2, ("'sts2'", "sst2")),
    "no such kind": (options("--task_kind", "poetry"), 2, ("poetry", "regression")),
    "no such metric": (options("--metric", "beauty"), 2, ("beauty", "--metric")),
    "no such head": (options("--classification_head", "two"), 2, ("two", "reference")),
    "half an override": (options("--config_overrides", "hidden_size"), 2, ("--config_overrides",)),
    "no such field": (options("--config_overrides", "depth=3"), 2, ("--config_overrides", "depth")),
    "resume from a folder": (options("--resume_from_checkpoint", "out/checkpoint-1"), 2, ("auto",)),
    "word for a number": (options("--num_seeds", "many"), 2, ("--num_seeds", "'many'")),
    "best by no metric": (
        options("--metric_for_best_model", "beauty", "--load_best_model_at_end", "--save_strategy", "epoch"),
        2,
        ("--load_best_model_at_end",),
    ),
}
NER: Cases = {
    "unknown option": (options("--doc_strid", 1), 2, ("'--doc_strid'", "did you mean 'doc_stride'")),
    "stride of the whole": (options("--doc_stride", 16), 2, ("--doc_stride", "16")),
    "stride below 0": (options("--doc_stride", -1), 2, ("--doc_stride", "-1")),
    "no such scheme": (options("--tag_scheme", "IOBX"), 2, ("IOBX",)),
    "no such format": (options("--file_format", "letters"), 2, ("letters", "conll")),
    "no such unit": (options("--label_unit", "page"), 2, ("page", "word")),
    "no such column": (options("--label_column_name", 7), 2, ("--label_column_name 7", "2 columns")),
    "a column with a name": (options("--label_column_name", "ner"), 2, ("--label_column_name ner", "number")),
    "one column twice": (options("--label_column_name", 0), 2, ("column 0", "two columns")),
    "no such task": (options("--task_name", "conll1903"), 2, ("conll1903",)),
    "rate below 0": (options("--learning_rate", -1), 2, ("--learning_rate is -1",)),
    "seeds below 0": (options("--num_seeds", -3), 2, ("--num_seeds is -3",)),
}


@pytest.mark.parametrize("name", PRETRAINING)
def test_a_command_line_of_pretraining(name: str, sound_pretraining, kit: Kit, tmp_path: Path):
    check("run_pretraining", sound_pretraining, PRETRAINING[name], kit, tmp_path)


@pytest.mark.parametrize("name", GLUE)
def test_a_command_line_of_classification(name: str, sound_glue, kit: Kit, tmp_path: Path):
    check("run_glue", sound_glue, GLUE[name], kit, tmp_path)


@pytest.mark.parametrize("name", NER)
def test_a_command_line_of_tagging(name: str, sound_ner, kit: Kit, tmp_path: Path):
    check("run_ner", sound_ner, NER[name], kit, tmp_path)
