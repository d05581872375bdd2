"""Delivery of notices to channels: by the leader alone, one lane for each channel, so that none holds up another."""
