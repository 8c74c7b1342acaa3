"""A study that is begun, or continued: only the same model, space, request and budget go on."""

from dataclasses import replace

from tuner.errors import StudyChangedError
from tuner.records import StudyRecord
from tuner.store.storage import Storage
from tuner.targets.variants import PARAMETER


def open_study(storage: Storage, study: StudyRecord) -> StudyRecord:
    """Create `study`, or continue the one of that name.

    Raises:
        StudyChangedError: The stored study has another model, space, request or latency budget.
    """
    if storage.create_study(study):
        return study
    stored = _with_values(storage.study(study.name), study, storage)
    facts = {
        "server": (stored.server, study.server),
        "model": (stored.model, study.model),
        "latency budget": (str(stored.budget), str(study.budget)),
        "objectives": (" and ".join(stored.objectives), " and ".join(study.objectives)),
        "arrivals": (stored.arrivals.value, study.arrivals.value),
        "request": (dict(stored.request), dict(study.request)),
        "choice of variants": (
            stored.parameters.get(PARAMETER),
            study.parameters.get(PARAMETER),
        ),
        "model's files": (stored.model_fingerprint, study.model_fingerprint),
        "search space": (stored.space_fingerprint, study.space_fingerprint),
        "place": (_place_words(stored), _place_words(study)),
        "image": (stored.environment.get("image_digest"), study.environment.get("image_digest")),
        "machine": (stored.hardware.get("fingerprint"), study.hardware.get("fingerprint")),
    }
    for name, (before, now) in facts.items():
        if before != now:
            raise StudyChangedError(
                f"study `{study.name}` cannot be continued: its {name} changed from {before} to "
                f"{now}{_changed_parameters(stored, study) if name == 'search space' else ''}",
                hint="choose another `--study NAME`, or go back to what it began with",
            )
    return stored


def _with_values(stored: StudyRecord, study: StudyRecord, storage: Storage) -> StudyRecord:
    """`stored` with its space as a value, if a version began it that kept words only.

    Domains and defaults in words are all that is left to tell whether it is the space of `study`.
    """
    if stored.space is not None or study.space is None or stored.parameters != study.parameters:
        return stored
    storage.save_space(stored.name, study.space)
    return replace(stored, space=study.space, space_fingerprint=study.space_fingerprint)


def _place_words(study: StudyRecord) -> str:
    if study.place is None:
        return "what an older version did not store"
    return ", ".join(f"{name} {value}" for name, value in study.place.items() if value)


def _changed_parameters(stored: StudyRecord, study: StudyRecord) -> str:
    names = stored.parameters.keys() | study.parameters.keys()
    changed = sorted(n for n in names if stored.parameters.get(n) != study.parameters.get(n))
    return f" (changed: {', '.join(changed)})" if changed else " (its rules changed)"
