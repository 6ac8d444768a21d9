"""Hyper-parameter search, for whatever is trained.

Public names:
    arguments: SearchArguments
    space: read_space, Parameter, FINETUNING_SPACES, PRETRAINING_SPACE
    run: search, score_of, ReportToTrial
    study: SearchResult, TrialRecord
"""

from electra_hf.training.search.arguments import SearchArguments
from electra_hf.training.search.run import ReportToTrial, score_of, search
from electra_hf.training.search.space import FINETUNING_SPACES, PRETRAINING_SPACE, Parameter, read_space
from electra_hf.training.search.study import SearchResult, TrialRecord

__all__ = [
    "FINETUNING_SPACES",
    "PRETRAINING_SPACE",
    "Parameter",
    "ReportToTrial",
    "SearchArguments",
    "SearchResult",
    "TrialRecord",
    "read_space",
    "score_of",
    "search",
]
