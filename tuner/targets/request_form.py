"""What the requests of a study carry: tensors that are made up, or bodies that are given."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tuner.errors import InputError
from tuner.load.requests import Tensor, TensorSpec
from tuner.protocols.tensors.datatypes import pack_strings
from tuner.protocols.tensors.inputs import generate_inputs


@dataclass(frozen=True, kw_only=True)
class RequestForm:
    """What each request carries.

    Servers of tensors get `batch` inferences, with `shapes` for dimensions left open; others get
    `bodies` in turn, as they are, with `content_type`.
    """

    batch: int = 1
    zero: bool = False
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    bodies: tuple[bytes, ...] = ()
    content_type: str = ""

    def as_record(self) -> dict[str, object]:
        """As a study keeps it; two with the same record ask for the same."""
        if self.bodies:
            digest = hashlib.sha256(pack_strings(self.bodies)).hexdigest()[:10]
            return {
                "bodies": len(self.bodies),
                "digest": digest,
                "content_type": self.content_type,
            }
        return {
            "batch": self.batch,
            "data": "zero" if self.zero else "random",
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
        }

    def check_tensors(self, server: str) -> None:
        """That it is a form for a server of tensors.

        Raises:
            InputError: It is one of bodies.
        """
        if self.bodies or self.content_type:
            raise InputError(
                f"`--body` and `--content-type` are for servers that take any body, but {server} "
                "takes tensors",
                hint="leave them out; `--input-data`, `--shape` and `--batch` say what is sent",
            )

    def check_bodies(self, server: str) -> None:
        """That it is a form for a server of bodies.

        Raises:
            InputError: It has none, or says something of tensors.
        """
        if not self.bodies:
            raise InputError(
                f"{server} takes requests of any form, so one must be given",
                hint="name a file that holds the body of a request: `--body FILE`; several are "
                "sent in turn",
            )
        if self.batch != 1 or self.zero or self.shapes:
            raise InputError(
                "`--batch`, `--input-data` and `--shape` are for servers of tensors, but "
                f"{server} takes the bodies as they are",
                hint="leave them out",
            )

    def check_nothing(self, server: str) -> None:
        """That nothing was said, where something else says what is sent.

        Raises:
            InputError: Something was.
        """
        if self != RequestForm():
            raise InputError(
                "`--body`, `--content-type`, `--batch`, `--input-data` and `--shape` mean nothing "
                f"to {server}",
                hint="`serve.request` in that file says what is sent; leave them out",
            )

    def inputs(
        self, specs: Iterable[TensorSpec], *, batched: bool, seed: int
    ) -> tuple[Tensor, ...]:
        """Tensors for a model whose input shapes begin with the batch dimension if `batched`.

        Raises:
            InputError: Requests are to carry a batch that the model cannot take.
        """
        if self.batch > 1 and not batched:
            raise InputError(
                f"`--batch {self.batch}` was given, but the model has no batch dimension",
                hint="leave `--batch` out, or give the model one (Triton: `max_batch_size` in "
                "config.pbtxt)",
            )
        sized = [
            TensorSpec(s.name, s.datatype, (self.batch, *s.shape[1:]) if batched else s.shape)
            for s in specs
        ]
        return generate_inputs(sized, seed=seed, zero=self.zero, shapes=self.shapes)
