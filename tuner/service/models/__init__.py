"""Models that were sent to the service."""
