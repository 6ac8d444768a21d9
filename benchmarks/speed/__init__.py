"""Shared parts of the speed benchmarks: what is compared, the processes that run it, and what their figures say."""
