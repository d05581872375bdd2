"""Traces of ingest, tick and publish with OpenTelemetry, where it is installed and asked for; otherwise nothing at all.

`pip install 'canary-controller[server,otel]'` and CANARY_TRACES=otlp. Where traces go is OpenTelemetry's own setting
(OTEL_EXPORTER_OTLP_ENDPOINT and so on).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

_NAME = "controller"
_tracers: list[Any] = []


class TracingNotInstalled(RuntimeError):
    """Traces are asked for and OpenTelemetry is not there."""


def start_tracing(environment: str, version: str, exporter: Any = None) -> Any:
    """Begin to trace; returns the provider, whose `shutdown` sends what is left.

    `exporter` takes the place of OTLP over HTTP, for tests.

    Raises:
        TracingNotInstalled: the extra `otel` is not installed.
    """
    try:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an optional extra
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        if exporter is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

            exporter = OTLPSpanExporter()
    except ImportError as error:
        raise TracingNotInstalled(f"CANARY_TRACES: pip install 'canary-controller[server,otel]' ({error})") from None
    names = {
        "service.name": "canary-controller",
        "service.version": version,
        "deployment.environment.name": environment,
    }
    provider = TracerProvider(resource=Resource.create(names))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracers[:] = [provider.get_tracer(_NAME, version)]
    return provider


def stop_tracing(provider: Any) -> None:
    """Send what is left, and trace no more."""
    _tracers.clear()
    provider.shutdown()


@contextmanager
def span(name: str, traceparent: str | None = None, **attributes: str | int) -> Iterator[None]:
    """A span around a piece of work; what it raises is noted in it and goes on.

    Args:
        name: `ingest`, `tick`, `publish` and the like: a few, none with a user's data in it.
        traceparent: of the request that caused it (W3C Trace Context), if it had one.
        attributes: numbers and keys, never what is secret or a user's.
    """
    if not _tracers:
        yield
        return
    named: Mapping[str, Any] = {f"canary.{key}": value for key, value in attributes.items()}
    with _tracers[0].start_as_current_span(name, context=_context(traceparent), attributes=named):
        yield


def exemplar() -> dict[str, str] | None:
    """The trace of the work under way, to be kept beside a figure; None outside of one that is sampled."""
    found = _present()
    return {"trace_id": f"{found.trace_id:032x}"} if found is not None and found.trace_flags.sampled else None


def traceparent() -> str | None:
    """The span of the work under way as W3C Trace Context, for what it causes elsewhere; None outside of any."""
    found = _present()
    return None if found is None else f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"


def add_trace(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A step of structlog: what is logged in the middle of a span names it."""
    found = _present()
    if found is not None:
        event["trace_id"], event["span_id"] = f"{found.trace_id:032x}", f"{found.span_id:016x}"
    return event


def _present() -> Any:
    """The context of the span under way; None outside of any."""
    if not _tracers:
        return None
    from opentelemetry import trace  # noqa: PLC0415 - there is a tracer, so it is installed

    found = trace.get_current_span().get_span_context()
    return found if found.is_valid else None


def _context(traceparent: str | None) -> Any:
    if traceparent is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent})
