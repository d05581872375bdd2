"""What an application embeds: an OpenFeature provider that evaluates locally, and a reporter of deliveries."""

from controller.client.attempts import Attempt
from controller.client.provider import CanaryProvider
from controller.client.reporter import DeliveryReporter, ReporterCounters

__all__ = ["Attempt", "CanaryProvider", "DeliveryReporter", "ReporterCounters"]
