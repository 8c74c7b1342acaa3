"""A small transformer encoder in numpy: sequences in, one embedding per sequence out."""

import numpy as np
import triton_python_backend_utils as pb_utils

LAYERS, LENGTH, WIDTH, HEADS, HIDDEN = 24, 8, 96, 4, 384
SEED = 20240501


class Encoder:
    """Pre-norm transformer with seeded weights; (batch, LENGTH, WIDTH) to (batch, WIDTH)."""

    def __init__(self):
        rng = np.random.default_rng(SEED)

        def weights(rows, columns):
            return (rng.standard_normal((rows, columns)) / np.sqrt(rows)).astype(np.float32)

        self.layers = [
            (
                weights(WIDTH, 3 * WIDTH),
                weights(WIDTH, WIDTH),
                weights(WIDTH, HIDDEN),
                weights(HIDDEN, WIDTH),
            )
            for _ in range(LAYERS)
        ]

    def __call__(self, x):
        for projection, output, up, down in self.layers:
            x = x + self._attend(_normalise(x), projection) @ output
            x = x + np.maximum(_normalise(x) @ up, 0.0) @ down
        return _normalise(x).mean(axis=1)

    def _attend(self, x, projection):
        batch = x.shape[0]
        heads = (x @ projection).reshape(batch, LENGTH, 3, HEADS, WIDTH // HEADS)
        query, key, value = heads.transpose(2, 0, 3, 1, 4)
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(WIDTH // HEADS))
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ value
        return mixed.transpose(0, 2, 1, 3).reshape(batch, LENGTH, WIDTH)


def _normalise(x):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(1e-5))


class TritonPythonModel:
    """All requests of one call run as one batch, as a real accelerator backend would."""

    def initialize(self, args):
        self.encoder = Encoder()

    def execute(self, requests):
        inputs = [pb_utils.get_input_tensor_by_name(r, "sequence").as_numpy() for r in requests]
        embeddings = self.encoder(np.concatenate(inputs))
        ends = np.cumsum([len(x) for x in inputs])[:-1]
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("embedding", part)])
            for part in np.split(embeddings, ends)
        ]
