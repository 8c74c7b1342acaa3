"""The bundled model repository: something to tune without bringing a model.

`encoder` is a transformer encoder in numpy, which is what `tuner optimize` tunes by default.
`accelerator` behaves like one device that all instances share; its capacity is known on paper.
"""

from pathlib import Path

REPOSITORY = Path(__file__).parent / "models"
MODEL = "encoder"
