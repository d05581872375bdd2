"""canary-controller: feature-flagged canary rollouts that judge themselves and roll back by themselves."""

__version__ = "0.1.0"
