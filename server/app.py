"""The application: settings in, ASGI app out."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy import Engine
from starlette.middleware import Middleware
from starlette.routing import Route

from core.errors import InvalidInput
from core.schema.problem import Problem
from core.tracks import load_tracks
from core.version import code_commit
from server.access.rate_limit import RateLimits, limit_rate
from server.artifacts.incoming import IncomingCheckpoints
from server.artifacts.store import ArtifactStore
from server.artifacts.sweeper import Sweeper
from server.baselines import import_baselines
from server.board.entries import fill_boards
from server.board.kept_standings import read_ahead
from server.body_limit import BodyLimit
from server.compressed_curves import CompressedCurves
from server.curve_keeper import CurveKeeper
from server.database import create_engine, read_session, upgrade, write_session
from server.error_answers import error_handlers
from server.idle.rebase import rebase_submissions
from server.job_queue import extend_leases
from server.lease_clock import lease_now
from server.live.hub import Hub
from server.memory.change_rows import make_up_changes
from server.reaper import Reaper
from server.rendered.cache import PageCache
from server.rendered.middleware import RenderedPages
from server.routes import (
    about,
    authors,
    board,
    board_files,
    check,
    checkpoints,
    crawlers,
    events,
    feeds,
    forms,
    health,
    jobs,
    ledger,
    memory,
    pages,
    pictures,
    quota,
    runs,
    sign_in,
    submissions,
    submit,
    tokens,
    tracks,
    workers,
)
from server.security_headers import SecurityHeaders, security_headers
from server.settings import ServerSettings
from server.settlement.settler import Settler
from server.sign_in.forgery import refuse_forgery
from server.sign_in.setup import SignIn, set_up_sign_in
from server.static_files import CompressedFiles
from server.templating import STATIC
from server.trust.standing import settle_standings

API = "/api/v1"
REAPER_SECONDS = 5.0
SETTLE_SECONDS = 5.0
SWEEP_SECONDS = 10.0
CURVE_SECONDS = 10.0


def create_app(settings: ServerSettings) -> FastAPI:
    """Build the application, on a database that it migrates and fills with the baselines.

    Raises:
        InvalidInput: the tracks' folder is empty or does not follow its schema.
        ArtifactsUnavailable: the folder of artifacts cannot be made.
        SQLAlchemyError, OSError: the database cannot be opened.
        CommandError: the database is of a newer version of the project.
    """
    served = load_tracks(settings.tracks_folder)
    if not served:
        message = f"there are no tracks in {settings.tracks_folder}."
        raise InvalidInput([Problem(path="tracks_folder", message=message)])
    engine = create_engine(settings.database_url)
    upgrade(engine)
    with write_session(engine) as session:
        settle_standings(session, settings.access)
        make_up_changes(session, served)
        import_baselines(session, served, settings.tracks_folder)
        fill_boards(session, served.values())
        if settings.queues_runs:
            rebase_submissions(session, served)
    engine.dispose()
    with read_session(engine) as session:
        read_ahead(session)
    store = ArtifactStore(settings.artifacts_address)
    app = FastAPI(
        title="Five-Dollar LLM",
        version=code_commit(),
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{API}/openapi.json",
        exception_handlers=error_handlers(),
        middleware=[
            Middleware(SecurityHeaders, headers=security_headers(settings.public_url)),
            Middleware(BodyLimit),
            Middleware(CompressedCurves),
        ],
        lifespan=_lifespan,
    )
    app.state.settings = settings
    app.state.tracks = served
    app.state.engine = engine
    app.state.hub = Hub()
    app.state.settler = Settler(engine, app.state.hub)
    app.state.checkpoints = IncomingCheckpoints(store, settings.checkpoint_bytes)
    app.state.rate_limits = RateLimits(settings)
    app.state.sign_in = set_up_sign_in(settings)
    app.state.page_token = secrets.token_urlsafe()
    if settings.page_cache_seconds:
        _keep_pages(app, settings)
    checked = [Depends(limit_rate), Depends(refuse_forgery)]
    api = APIRouter(prefix=API)
    # What workers send comes first, since routes are tried in order.
    for routes in (
        jobs,
        workers,
        submissions,
        check,
        runs,
        board_files,
        tracks,
        checkpoints,
        ledger,
        memory,
        authors,
        about,
        quota,
        tokens,
        health,
        events,
    ):
        api.include_router(routes.router)
    signed_in = (sign_in.router, forms.router) if settings.has_sign_in else ()
    machine_read = (feeds.router, pictures.router, crawlers.router)
    for router in (api, board.router, pages.router, submit.router, *machine_read, *signed_in):
        app.include_router(router, dependencies=checked)
    app.mount("/static", CompressedFiles(directory=STATIC), name="static")
    return app


def _keep_pages(app: FastAPI, settings: ServerSettings) -> None:
    """Send rendered pages again for a while, around all other middleware."""
    sign_in: SignIn | None = app.state.sign_in
    app.add_middleware(
        RenderedPages,
        cache=PageCache(app.state.hub, settings.page_cache_seconds),
        paths=[route.path_regex for route in pages.router.routes if isinstance(route, Route)],
        session_cookie=sign_in.session.name if sign_in else "",
        limits=app.state.rate_limits,
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: ServerSettings = app.state.settings
    engine: Engine = app.state.engine
    with write_session(engine) as session:
        extend_leases(session, lease_now() + timedelta(seconds=settings.lease_seconds))
    interval = min(REAPER_SECONDS, settings.lease_seconds / 4)
    reaper = Reaper(engine, interval, app.state.tracks, settings.queues_runs, app.state.hub)
    reaper.start()
    app.state.reaper = reaper
    sweeper = Sweeper(engine, app.state.checkpoints.store, SWEEP_SECONDS)
    sweeper.start()
    keeper = CurveKeeper(engine, CURVE_SECONDS)
    keeper.start()
    settler: Settler = app.state.settler
    settling = await settler.start(SETTLE_SECONDS, app.state.tracks, settings.queues_runs)
    try:
        yield
    finally:
        await settling.stop()
        await keeper.stop()
        await sweeper.stop()
        await reaper.stop()
        engine.dispose()
