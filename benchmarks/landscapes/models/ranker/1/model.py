"""A two-tower ranker: one tower embeds a user, the other 50 items; scores are their products."""

import numpy as np
import triton_python_backend_utils as pb_utils

WIDTH, HIDDEN, SEED = 64, 256, 20261201


class TritonPythonModel:
    def initialize(self, args):
        rng = np.random.default_rng(SEED)
        self.user_tower, self.item_tower = (
            [_dense(rng, WIDTH, HIDDEN), _dense(rng, HIDDEN, WIDTH)] for _ in range(2)
        )

    def execute(self, requests):
        named = [
            [pb_utils.get_input_tensor_by_name(r, name).as_numpy() for r in requests]
            for name in ("user", "items")
        ]
        users, items = (np.concatenate(each) for each in named)
        user = _embedded(users, self.user_tower)
        item = _embedded(items.reshape(-1, WIDTH), self.item_tower).reshape(items.shape)
        scores = (item @ user[:, :, None])[:, :, 0]
        ends = np.cumsum([len(each) for each in named[0]])[:-1]
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("scores", part)])
            for part in np.split(scores, ends)
        ]


def _dense(rng, rows, columns):
    return (rng.standard_normal((rows, columns)) * np.sqrt(2 / rows)).astype(np.float32)


def _embedded(x, tower):
    first, second = tower
    return np.maximum(x @ first, 0) @ second
