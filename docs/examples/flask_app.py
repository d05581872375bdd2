"""Flask: the user is told to OpenFeature once a request, and no flag needs a context argument any more."""

from flask import Flask, g, request
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.track import TrackingEventDetails
from openfeature.transaction_context import ContextVarsTransactionContextPropagator


def create_app() -> Flask:
    app = Flask(__name__)
    api.set_transaction_context_propagator(ContextVarsTransactionContextPropagator())

    @app.before_request
    def remember_user() -> None:
        g.user = request.headers.get("X-User", "")
        api.set_transaction_context(EvaluationContext(g.user, {"country": request.headers.get("X-Country", "")}))

    @app.get("/search")
    def search() -> dict[str, object]:
        flags = api.get_client()
        new = flags.get_boolean_value("new-search", False)
        flags.track("searched", tracking_event_details=TrackingEventDetails(attributes={"latency_ms": 12}))
        return {"user": g.user, "new": new}

    return app
