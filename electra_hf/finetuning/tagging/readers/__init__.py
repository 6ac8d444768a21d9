"""Readers of tagged data, one module for each family of formats."""
