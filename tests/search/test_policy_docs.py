"""The examples of docs/policies.md are policies that a search accepts."""

import re
from pathlib import Path

import pytest
import yaml
from search_stubs import make_plan

DOCS = Path(__file__).resolve().parents[2] / "docs" / "policies.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_accepted(example):
    plan = make_plan(policy=yaml.safe_load(example)["policy"])
    assert plan.study.policy.objectives


def test_the_page_has_examples():
    assert len(EXAMPLES) == 3
