"""A handler of TorchServe for one file, ONNX or TorchScript, that its base handler loads."""

import numpy as np
import torch
from ts.torch_handler.base_handler import BaseHandler


class Layers(BaseHandler):
    def preprocess(self, data):
        return np.array([row["body"] for row in data], dtype=np.float32)

    def inference(self, data):
        if isinstance(self.model, torch.jit.ScriptModule):
            with torch.inference_mode():
                return self.model(torch.from_numpy(data)).numpy()
        [answers] = self.model.run(None, {"x": data})
        return answers

    def postprocess(self, data):
        return data.tolist()
