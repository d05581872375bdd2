"""What an application embeds: an OpenFeature provider that evaluates locally, and a reporter of deliveries."""

from controller.client.attempts import Attempt
from controller.client.canary import Assignment, CanaryClient, ClientObserver, TokenRefused
from controller.client.pace import Pace
from controller.client.provider import CanaryProvider
from controller.client.reporter import DeliveryReporter, ReporterCounters

__all__ = [
    "Assignment",
    "Attempt",
    "CanaryClient",
    "CanaryProvider",
    "ClientObserver",
    "DeliveryReporter",
    "Pace",
    "ReporterCounters",
    "TokenRefused",
]
