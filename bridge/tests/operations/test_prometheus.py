"""The dashboard and the alerts under operations/ speak of metrics that the bridge has, in expressions that Prometheus reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry, ProcessCollector
from promql_parser import MatchOp

from zaehlwerk_bridge.metrics import PREFIX, TABLE, Counter, Described, Histogram
from zaehlwerk_bridge.settings import HttpSettings

OPERATIONS = Path(__file__).parents[2] / "operations"
GIVEN_BY_PROMETHEUS = {"instance", "job"}
ALERTS = yaml.safe_load((OPERATIONS / "prometheus/alerts.yml").read_text(encoding="utf-8"))
RULES: list[dict[str, Any]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((OPERATIONS / "grafana/zaehlwerk-bridge.json").read_text(encoding="utf-8"))


def _samples(metric: Described) -> list[str]:
    name = PREFIX + metric.name
    if isinstance(metric, Histogram):
        return [f"{name}_{part}" for part in ("bucket", "sum", "count")]
    return [f"{name}_total" if isinstance(metric, Counter) else name]


def _known() -> dict[str, set[str]]:
    """The labels of each sample that a scrape of the bridge brings."""
    known: dict[str, set[str]] = {"up": set()}
    for metric in (metric for metrics in TABLE.values() for metric in metrics):
        labels = {"le"} if isinstance(metric, Histogram) else {metric.label} - {""}
        known |= dict.fromkeys(_samples(metric), labels)
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    known |= {sample.name: set() for family in registry.collect() for sample in family.samples}
    return known


KNOWN = _known()


def _label_values(sample: str) -> set[str] | None:
    """What a label of `sample` may be, None if that is open."""
    for metric in (metric for metrics in TABLE.values() for metric in metrics):
        if sample in _samples(metric) and metric.label in (
            "fate",
            "frame",
            "cause",
            "state",
            "resolution",
            "side",
        ):
            return {part.split(" (")[0].strip() for part in metric.label_meaning.split(";")}
    return None


def panels() -> Iterator[dict[str, Any]]:
    yield from (panel for panel in DASHBOARD["panels"] if panel["type"] != "row")


def _variables_filled(expression: str) -> str:
    """As Grafana asks: variables replaced."""
    return expression.replace("$__rate_interval", "2m").replace("$instance", ".*")


EXPRESSIONS = [(rule["alert"], rule["expr"]) for rule in RULES] + [
    (f"{panel['title']} {target['refId']}", _variables_filled(target["expr"]))
    for panel in panels()
    for target in panel["targets"]
]


def _problems(expression: str) -> list[str]:
    """What of `expression` names something that is not there."""
    problems: list[str] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            if node.name not in KNOWN:
                problems.append(f"no metric {node.name}")
                return
            for matcher in node.matchers.matchers:
                values = _label_values(node.name)
                if matcher.name not in KNOWN[node.name] | GIVEN_BY_PROMETHEUS:
                    problems.append(f"{node.name} has no label {matcher.name}")
                elif (
                    matcher.name in KNOWN[node.name]
                    and values
                    and matcher.op in (MatchOp.Equal, MatchOp.NotEqual)
                ):
                    problems.extend(
                        [f"{node.name}: no {matcher.name} {matcher.value}"] * (matcher.value not in values)
                    )
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            inside = {
                label
                for name in re.findall(r"[a-z_]{6,}", str(node.expr))
                for label in KNOWN.get(name, set())
            }
            missing = set(node.modifier.labels) - inside - GIVEN_BY_PROMETHEUS
            problems.extend(f"nothing in {node.expr} has a label {label}" for label in missing)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return problems


@pytest.mark.parametrize(("about", "expression"), EXPRESSIONS, ids=[about for about, _ in EXPRESSIONS])
def test_an_expression_parses_and_names_only_what_the_bridge_has(about: str, expression: str) -> None:
    assert _problems(expression) == []


@pytest.mark.parametrize(
    "expression",
    [
        "zaehlwerk_bridge_events == 0",
        'zaehlwerk_bridge_ready{sight="store"}',
        'zaehlwerk_bridge_ready{side="shop"}',
        "sum by (cause) (zaehlwerk_bridge_outbox_messages)",
    ],
)
def test_an_expression_that_names_what_is_not_there_is_found(expression: str) -> None:
    assert len(_problems(expression)) == 1


def test_counters_are_never_read_without_a_rate() -> None:
    """A counter begins anew with every start: its value alone says nothing."""
    counters = {
        name
        for metrics in TABLE.values()
        for metric in metrics
        if isinstance(metric, Counter)
        for name in _samples(metric)
    }
    for about, expression in EXPRESSIONS:
        rated: list[str] = []
        bare: list[str] = []

        def visit(node: Any, rated: list[str] = rated, bare: list[str] = bare) -> None:
            if isinstance(node, promql_parser.MatrixSelector):
                rated.append(node.vector_selector.name)
            elif isinstance(node, promql_parser.VectorSelector):
                bare.append(node.name)

        promql_parser.walk(promql_parser.parse(expression), visit)
        assert not {name for name in bare if name in counters and name not in rated}, about


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert re.fullmatch(r"Zaehlwerk[A-Za-z]+", rule["alert"])
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
            assert label in GIVEN_BY_PROMETHEUS or label in rule["expr"], rule["alert"]


def test_what_has_to_be_alarmed_by_is() -> None:
    """The figures that facts of operations name: age of the outbox, disk, broker and source, rejected, down."""
    expressions = " ".join(rule["expr"] for rule in RULES)
    for name in (
        "outbox_oldest_age_seconds",
        "store_failing",
        "ready",
        "rejected_total",
        "messages_quarantined_total",
    ):
        assert PREFIX + name in expressions
    assert "up{" in expressions


def test_the_dashboard_shows_every_metric_of_the_bridge() -> None:
    shown = " ".join(target["expr"] for panel in panels() for target in panel["targets"])
    shown += str(DASHBOARD["templating"])
    hidden = [
        metric.name for metrics in TABLE.values() for metric in metrics if PREFIX + metric.name not in shown
    ]
    assert hidden == []


def test_panels_have_ids_of_their_own_and_lie_beside_each_other() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_prometheus_scrapes_where_the_bridge_listens() -> None:
    configuration = yaml.safe_load((OPERATIONS / "prometheus/prometheus.yml").read_text(encoding="utf-8"))
    (job,) = configuration["scrape_configs"]
    assert job["job_name"] == "zaehlwerk-bridge"
    default = HttpSettings()
    assert job["static_configs"][0]["targets"] == [f"{default.address}:{default.port}"]
    assert configuration["rule_files"] == ["alerts.yml"]
