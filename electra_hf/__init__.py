"""Pre-train ELECTRA-family text encoders (replaced-token detection) with Hugging Face transformers."""

__version__ = "0.1.0"
