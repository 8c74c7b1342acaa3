"""/api/v1/audit: who changed what."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from tuner.service.access.principal import Admin
from tuner.service.api.lookup import Here
from tuner.service.api.problems import documented
from tuner.store.audit import PAGE, AuditEntry, audit_entries

routes = APIRouter(prefix="/audit", tags=["audit"])


class AuditDocument(BaseModel):
    """One change: `by` is empty where it is not known who made it."""

    id: int
    at: datetime
    by: str
    address: str
    action: str
    subject: str
    content: dict[str, Any]

    @classmethod
    def of(cls, entry: AuditEntry) -> "AuditDocument":
        return cls(**vars(entry))


class AuditPage(BaseModel):
    """The latest first."""

    items: list[AuditDocument]
    before: Annotated[
        int | None, Field(description="What to ask for next: `?before=`; null at the end.")
    ]


@routes.get(
    "",
    operation_id="list_changes",
    summary="Who changed what through this service: jobs, models, and logins",
    responses=documented(),
)
def list_changes(
    service: Here,
    _: Admin,
    before: Annotated[
        int | None, Query(ge=1, le=2**53, description="Only those with a lower number.")
    ] = None,
    limit: Annotated[
        int, Query(ge=1, le=PAGE, description="So many at most are on a page.")
    ] = 100,
) -> AuditPage:
    found = audit_entries(service.storage, before=before, limit=limit + 1)
    items = [AuditDocument.of(entry) for entry in found[:limit]]
    return AuditPage(items=items, before=items[-1].id if len(found) > limit else None)
