"""Runs that survive an interruption, their records, and sweeps over them (chapters 11 to 14)::

    from sam_edu.experiments import RunConfig, run, sweep, load_records
    record = run(RunConfig(dataset="digits", method="sam", rho=0.2, eval_linf=(0.06, 0.1)))

or, from the command line, ``python -m sam_edu.experiments --help``.
"""

from sam_edu.experiments import comparison, protocols, summary
from sam_edu.experiments.config import RunConfig
from sam_edu.experiments.places import results_folder
from sam_edu.experiments.record import Record
from sam_edu.experiments.records import available, load_records
from sam_edu.experiments.runner import run
from sam_edu.experiments.study import Study, study
from sam_edu.experiments.sweep import sweep

__all__ = [
    "Record",
    "RunConfig",
    "Study",
    "available",
    "comparison",
    "load_records",
    "protocols",
    "results_folder",
    "run",
    "study",
    "summary",
    "sweep",
]
