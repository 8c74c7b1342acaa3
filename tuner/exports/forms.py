"""How a configuration can be handed over."""

from enum import StrEnum


class ExportForm(StrEnum):
    """The server's own file, a document of what was measured, or what deploys it."""

    FILE = "file"
    JSON = "json"
    YAML = "yaml"
    CONFIG_PBTXT = "config.pbtxt"
    CONFIG_PROPERTIES = "config.properties"
    MODEL_CONFIG = "model-config.yaml"
    ENV = "env"
    DOCKER_RUN = "docker-run"
    COMPOSE = "compose"
    KUBERNETES = "kubernetes"
    SYSTEMD = "systemd"


DOCUMENTS = (ExportForm.JSON, ExportForm.YAML)
"""What has everything in it that others say beside it."""
