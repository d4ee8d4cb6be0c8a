"""A recorded front on other boards, schedules and policies: built and run again, never trained again."""

from crest.replay.comparison import Comparison, compare
from crest.replay.export import replay_csv, replay_json
from crest.replay.plan import Choices, ReplayPlan, changed_policy, plan_replay, recorded_schedule
from crest.replay.pricer import BackendPricer, NetworkPricer
from crest.replay.run import Progress, run_replay
from crest.replay.source import Source, read_source
from crest.replay.tables import replay_tables

__all__ = [
    "BackendPricer",
    "Choices",
    "Comparison",
    "NetworkPricer",
    "Progress",
    "ReplayPlan",
    "Source",
    "changed_policy",
    "compare",
    "plan_replay",
    "read_source",
    "recorded_schedule",
    "replay_csv",
    "replay_json",
    "replay_tables",
    "run_replay",
]
