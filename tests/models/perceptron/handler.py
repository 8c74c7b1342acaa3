"""A handler of TorchServe for an eager model, which its base handler loads and optimises."""

import torch
from ts.torch_handler.base_handler import BaseHandler


class Perceptrons(BaseHandler):
    def preprocess(self, data):
        return torch.tensor([row["body"] for row in data], dtype=torch.float32)

    def postprocess(self, data):
        return data.tolist()
