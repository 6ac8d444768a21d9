"""What a run will take, worked out and measured before it is made: sizes, memory, disk, time and cost.

The way through: `text` (what there is to train on, or a stand-in for it) -> `sizes` (parameters, steps, tokens,
arithmetic) -> `memory` (by tensor) -> `probe` (a few real steps in a process of their own) -> `forecast` (all of it as
one record) with `gpus` (what data sheets promise).
"""
