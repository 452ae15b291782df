"""promtool accepts the alert rules and the dashboard's queries, and the alerts fire when they should.

The tests are skipped if promtool is not installed; .ci/run installs it and forbids skips.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from django.conf import settings

from tests.conftest import REPOSITORY

PROMETHEUS = REPOSITORY / "deploy/prometheus"


def promtool(*arguments: object) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed")
    run = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, cwd=PROMETHEUS)
    assert run.returncode == 0, run.stdout + run.stderr


def test_alert_rules_fire_only_when_they_should() -> None:
    promtool("check", "rules", "alerts.yml")
    promtool("test", "rules", "alerts_test.yml")


def test_a_scrape_may_take_as_long_as_a_hanging_service() -> None:
    """Otherwise Prometheus reports that web is down (FacecloudDown), not the service that hangs."""
    promtool("check", "config", "--syntax-only", "prometheus.yml")
    limits = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["global"]
    timeout_s = int(limits["scrape_timeout"].removesuffix("s"))
    assert timeout_s >= settings.DB_STATEMENT_TIMEOUT_S + 2 * settings.VALKEY_TIMEOUT_S
    assert timeout_s <= int(limits["scrape_interval"].removesuffix("s"))


def test_the_dashboard_queries_are_valid_promql(tmp_path: Path) -> None:
    dashboard = json.loads((REPOSITORY / "deploy/grafana/facecloud.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = [{"record": f"asked:{number}", "expr": expr} for number, expr in enumerate(asked)]
    (tmp_path / "asked.yml").write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    promtool("check", "rules", tmp_path / "asked.yml")


def test_every_alert_has_a_firing_test_and_a_runbook_link() -> None:
    rules = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"][0]["rules"]
    tried = (PROMETHEUS / "alerts_test.yml").read_text()
    for rule in rules:
        assert f'alertname="{rule["alert"]}"' in tried
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


@pytest.mark.parametrize("document", ["operators/runbook.md", "operators/runbook.en.md"])
def test_the_runbook_has_an_entry_for_each_alert_and_no_other(document: str) -> None:
    rules = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"][0]["rules"]
    entries = re.findall(r"^## (\w+)$", (REPOSITORY / "docs" / document).read_text(), re.MULTILINE)
    assert sorted(entries) == sorted(rule["alert"] for rule in rules)
    for rule in rules:
        assert rule["annotations"]["runbook"] == f"docs/operators/runbook.en.md#{rule['alert'].lower()}"
