"""Tasks: what they are, and their examples from published files, the Hub or files of one's own."""

from electra_hf.finetuning.tasks.arguments import TaskArguments
from electra_hf.finetuning.tasks.loading import load_task
from electra_hf.finetuning.tasks.published import GLUE_TASKS, TASKS, task_names
from electra_hf.finetuning.tasks.sources import hub_dataset
from electra_hf.finetuning.tasks.task import Kind, Task, TaskData

__all__ = [
    "GLUE_TASKS",
    "TASKS",
    "Kind",
    "Task",
    "TaskArguments",
    "TaskData",
    "hub_dataset",
    "load_task",
    "task_names",
]
