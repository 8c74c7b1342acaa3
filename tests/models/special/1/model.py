"""Every trait but a batch dimension; nothing is ever asked of it."""


class TritonPythonModel:
    def execute(self, requests):
        return None
