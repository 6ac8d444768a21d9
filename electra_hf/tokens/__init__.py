"""Text -> integers: tokenizers, fixed-length blocks, prepared folders, and the masked batch.

The way through: `tokenizers` (train or load) -> `encoding` (text to ids) -> `packing` (ids to blocks, pure) ->
`shards` and `preparation` (a corpus to a folder) -> `blocks` or `streaming` (data sets) -> `masking` (the collator).
Names are imported from their modules: a preparation worker then starts without torch.

Public names:
    tokenizers: train_tokenizer, load_tokenizer, inspect_tokenizer, check_tokenizer, tokenizer_fingerprint
    packing: PackedBlocks, SpecialIds, pack_full, pack_electra
    sentence_pairs: pack_pairs
    shards: PackingSettings
    preparation: prepare, default_prepared_folder
    executors: prepare_with_executor
    prepared: open_prepared, prepared_splits
    blocks: BlockDataset
    streaming: StreamingBlocks
    order: permuted
    masking: DataCollatorForReplacedTokenDetection
"""
