"""What an application needs of this room."""

from fastapi import FastAPI

from tuner.service.access.access import Access
from tuner.service.access.bodies import Bodies
from tuner.service.access.gate import Gate
from tuner.service.access.headers import Headers
from tuner.service.access.hosts import Hosts
from tuner.service.access.login import LoginPage


def install(app: FastAPI, access: Access, login_page: LoginPage) -> None:
    """Close `app` to all that `access` does not let in, but for the page to log in at."""
    app.state.access, app.state.login_page = access, login_page
    # The one that is added last is asked first.
    app.add_middleware(Bodies)
    app.add_middleware(Gate, access=access)
    settings = access.settings
    app.add_middleware(Hosts, listening=settings.host, names=settings.allowed_hosts)
    app.add_middleware(Headers)
