"""Which files a job needs on a host, and where they are there."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from tuner.fleet.travel import Packed, Parcel, SentFile
from tuner.space import spec
from tuner.space.serve import ServeSpec
from tuner.study.job import Job, PreparedJob
from tuner.targets import staging
from tuner.targets.base import ServedModel
from tuner.targets.command.model import CommandModel
from tuner.targets.llama_cpp.model import parts
from tuner.targets.triton.base import TritonModel
from tuner.targets.triton.beside import is_model


def pack(prepared: PreparedJob) -> Packed:
    """What a job names by a path, found and read once; what only the driver needs stays there.

    Raises:
        ModelError: A file cannot be read.
    """
    packing = _Packing()
    job = prepared.job
    prompts = job.form.prompts
    form = replace(
        job.form,
        files=tuple(packing.each("data", job.form.files)),
        prompts=replace(
            prompts,
            dataset=prompts.dataset and packing.add(prompts.dataset, Path("dataset")),
            tokenizer=prompts.tokenizer and packing.add(prompts.tokenizer, Path("tokenizer")),
        ),
    )
    variants = job.variants
    if job.model_file:
        variants = tuple(map(str, packing.each("variants", map(Path, job.variants))))
    sent = replace(
        job,
        model=_model(prepared),
        repository=job.repository and _repository(packing, job.repository, prepared.model),
        model_file=job.model_file and packing.add(job.model_file, Path("model")),
        variants=variants,
        space_file=job.space_file and _space(packing, job.space_file),
        form=form,
        database="",
        options={},
        log="",
    )
    return packing.packed(sent)


def _model(prepared: PreparedJob) -> str | None:
    """What it is called; a folder that a space file serves must be at its place on each host."""
    model, job = prepared.model, prepared.job
    if isinstance(model, CommandModel):
        return model.given or job.model
    return job.model or (model.name if job.repository else None)


def unpacked_job(job: Job, folder: Path) -> Job:
    """The job of a parcel, as it is on a host that has unpacked the files into `folder`."""

    def at(path: Path | None) -> Path | None:
        # Absolute paths stay what they are, and so do the names of built-in spaces.
        return path and (path if str(path) in spec.built_in() else folder / path)

    variants, prompts = job.variants, job.form.prompts
    if job.model_file:
        variants = tuple(str(folder / each) for each in job.variants)
    return replace(
        job,
        repository=at(job.repository),
        model_file=at(job.model_file),
        variants=variants,
        space_file=at(job.space_file),
        form=replace(
            job.form,
            files=tuple(folder / each for each in job.form.files),
            prompts=replace(
                prompts,
                dataset=prompts.dataset and folder / prompts.dataset,
                tokenizer=prompts.tokenizer and folder / prompts.tokenizer,
            ),
        ),
    )


class _Packing:
    """The files that were found so far, by their paths on a host."""

    def __init__(self) -> None:
        self._sources: dict[str, Path] = {}
        self._folders: dict[str, None] = {}

    def add(self, source: Path, place: Path) -> Path:
        """Take a file, or a folder with all that is in it and behind its links, into `place`.

        Of a model of several files, the first of which is named, all are taken.
        """
        put = place / source.absolute().name
        for part in parts(source):
            self.put(part, place / part.absolute().name)
        return put

    def each(self, place: str, sources: Iterable[Path]) -> Iterator[Path]:
        """Take each into a folder of its own: two may have one name."""
        for number, source in enumerate(sources):
            yield self.add(source, Path(place, str(number)))

    def put(self, source: Path, put: Path) -> None:
        """Take it as `put`."""
        with staging.readable(source):
            if not source.is_dir():
                self.folder(put.parent)
                self._sources[str(put)] = source
                return
            for folder, names in staging.walk(source):
                here = put / folder.relative_to(source)
                self.folder(here)
                files = ((here / n, folder / n) for n in names if (folder / n).is_file())
                self._sources |= {str(there): file for there, file in files}

    def folder(self, put: Path) -> None:
        """Have a folder there."""
        self._folders[str(put)] = None

    def packed(self, job: Job) -> Packed:
        files = tuple(_sent(path, source) for path, source in self._sources.items())
        return Packed(Parcel(job, files, tuple(self._folders)), tuple(self._sources.values()))


def _sent(path: str, source: Path) -> SentFile:
    with staging.readable(source), source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    return SentFile(path, size, digest, executable=os.access(source, os.X_OK))


def _repository(packing: _Packing, folder: Path, model: ServedModel) -> Path:
    """All that is in it but what is hidden, and models that are not asked."""
    put = Path("repository", folder.absolute().name)
    packing.folder(put)
    wanted = _wanted(model)
    with staging.readable(folder):
        found = sorted(folder.iterdir())
    for each in found:
        if not each.name.startswith(".") and (not is_model(each) or wanted(each.name)):
            packing.put(each, put / each.name)
    return put


def _wanted(model: ServedModel) -> Callable[[str], bool]:
    """Whether the model of this name in the repository is needed for `model`."""
    if not isinstance(model, TritonModel):
        return lambda _: True
    needs = model.needs
    names = {*model.forms, *model.before, *(each.name for each in needs.companions)}
    return lambda name: name in names or name in needs.mentioned


def _space(packing: _Packing, file: Path) -> Path:
    """The space file, with what its `serve` names by relative paths."""
    if str(file) in spec.built_in():
        return file
    serve = spec.load_space(file).serve
    base = file.parent.absolute()
    named = [] if serve is None else list(_named(serve, base))
    # Folders keep their names: fingerprints have them.
    root = Path(os.path.commonpath([base, *named])).parent

    def place(path: Path) -> Path:
        return Path("space") / path.relative_to(root)

    packing.put(file, place(base / file.name))
    for each in named:
        if each.exists():
            packing.put(each, place(each))
    if serve is not None and not Path(serve.directory).is_absolute():
        packing.folder(place(_normal(base, serve.directory)))
    return place(base / file.name)


def _named(serve: ServeSpec, base: Path) -> Iterator[Path]:
    """Files that `serve` names from the space file on, and the command from its directory on."""
    directory = _normal(base, serve.directory)
    bodies = serve.request.body_files if serve.request else ()
    for each in (*serve.reads, *bodies):
        if not Path(each).is_absolute():
            yield _normal(base, each)
    if not Path(serve.directory).is_absolute():
        for word in serve.command:
            if not Path(word).is_absolute() and (directory / word).is_file():
                yield _normal(directory, word)


def _normal(base: Path, path: str) -> Path:
    return Path(os.path.normpath(base / path))
