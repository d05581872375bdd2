"""gunicorn --preload: the provider is made before the workers fork; each worker follows the controller by itself."""

import os

from flask import Flask
from openfeature import api
from openfeature.evaluation_context import EvaluationContext

from controller.client import CanaryProvider


def create_app() -> Flask:
    provider = CanaryProvider(os.environ["CANARY_URL"], os.environ["CANARY_TOKEN"], app_version="2.0.0")  # noqa: TID251
    api.set_provider_and_wait(provider)
    app = Flask(__name__)

    @app.get("/<user>")
    def show(user: str) -> dict[str, object]:
        details = api.get_client().get_boolean_details("unified-websocket-emitter", False, EvaluationContext(user))
        return {"worker": os.getpid(), "instance": provider.instance, "variant": details.variant}

    return app
