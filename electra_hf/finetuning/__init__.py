"""Weights to task scores: tasks, the ELECTRA fine-tuning recipe, honest numbers."""
