"""The imported halves as models, and the folder that pre-training and fine-tuning go on from."""

from pathlib import Path

from transformers import ElectraForMaskedLM, ElectraForPreTraining, PreTrainedModel

from electra_hf.models.configuration import ReplacedTokenDetectionConfig
from electra_hf.models.replaced_token_detection import ElectraForReplacedTokenDetection
from electra_hf.models.tf_checkpoint.electra import Half, ImportedElectra


def save_imported(found: ImportedElectra, folder: Path) -> None:
    """Write a folder as pre-training does: the discriminator at the root, the generator in `generator/`.

    A lone half is at the root.

    Args:
        found: From `import_electra`.
        folder: Made if needed.
    """
    generator = found.generator and _build(ElectraForMaskedLM, found.generator)
    discriminator = found.discriminator and _build(ElectraForPreTraining, found.discriminator)
    if generator is None or discriminator is None:
        (discriminator or generator).save_pretrained(folder)
        return
    config = ReplacedTokenDetectionConfig(
        generator_config=generator.config,
        discriminator_config=discriminator.config,
        embedding_sharing="all" if found.embeddings_shared else "none",
        pad_token_id=discriminator.config.pad_token_id,
    )
    ElectraForReplacedTokenDetection(config, generator=generator, discriminator=discriminator).save_pretrained(folder)


def _build(cls: type[PreTrainedModel], half: Half) -> PreTrainedModel:
    model = cls(half.config)
    model.load_state_dict(half.weights)
    return model
