"""Makes METRICS.md out of the metrics themselves: `python -m zaehlwerk_bridge.metrics_table > bridge/METRICS.md`."""

from zaehlwerk_bridge.metrics import PREFIX, TABLE, Counter, Described, Histogram

_INTRODUCTION = f"""# Metrics of zaehlwerk-bridge

`GET /metrics` answers in Prometheus' text form, or as OpenMetrics if that is asked for. `/healthz` says 200 as long as event
loop, store, source and publisher move, or wait for something outside: restart the bridge if it does not. `/readyz` says 200 while all streams of the source are open,
the broker is connected and the store commits, else 503 and which side is not ready and why; restarting does not help then.
Both answer with a JSON object. Address and port are settings (`http.address`, `http.port`).

All names begin with `{PREFIX}`, left out below; times are in seconds, sizes in bytes. Counters begin at 0 with the process. A gauge
that cannot be told now is absent. Beside these there are Prometheus' usual `process_*` and `python_info`.

This page is made from the code by `python -m zaehlwerk_bridge.metrics_table`; a test compares them.
"""


def metrics_markdown() -> str:
    """Return the whole page."""
    parts = [_INTRODUCTION]
    for heading, metrics in TABLE.items():
        lines = [f"## {heading}\n", "| metric | kind | meaning | label |", "|---|---|---|---|"]
        lines += [_line(metric) for metric in metrics]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _line(metric: Described) -> str:
    kind = type(metric).__name__.lower()
    name = metric.name + ("_total" if isinstance(metric, Counter) else "")
    if isinstance(metric, Histogram):
        name += "_{bucket,sum,count}"
    label = f"`{metric.label}`: {metric.label_meaning}" if metric.label else ""
    return f"| `{name}` | {kind} | {metric.meaning} | {label} |"


if __name__ == "__main__":
    print(metrics_markdown(), end="")
