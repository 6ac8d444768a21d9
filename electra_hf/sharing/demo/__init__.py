"""A pre-trained model to play with in the browser: swap tokens, judge texts, fill masks.

This folder stands alone. Its modules import torch, transformers, safetensors, gradio and each other, so that a copy of
it is all that a Space of the Hub needs (`electra-hf demo MODEL --as-space FOLDER`); the other way round, the commands
`detect` and `fill` compute with `tokens` and `filling`.
"""
