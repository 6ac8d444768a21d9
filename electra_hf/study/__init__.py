"""Several ways to pre-train on the same text at equal budgets, judged by the same fine-tuning.

    STUDY.yaml --read_study--> Study --plan--> jobs --run_jobs--> folders --collect--> study.json, study.md, study.png

Every job is one of the scripts, or a command of `electra-hf`, in a process of its own: there is no second way to
train.
"""
