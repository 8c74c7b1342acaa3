"""Four real landscapes: models, search spaces, and what every configuration of them measured."""
