"""Every route besides completions, as a Starlette application made from the table of operations."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dominion.domain.contracts import Dialect
from dominion.domain.errors import DominionError, Internal, NotFound, WrongMethod
from dominion.domain.people import Principal
from dominion.services.accounts.identity import Identity
from dominion.services.offer.listing import ModelList, Shape
from dominion.services.operations.table import Asked, Operation, Role
from dominion.transports.http.completions import RequestIds
from dominion.transports.http.errors import headers_of, status_of
from dominion.transports.http.guard import AdminGate, IpGuard
from dominion.transports.http.metrics import MetricsPage
from dominion.transports.http.request import (
    CallerGone,
    address_of,
    bearer,
    check_json,
    key_of,
    read_body,
    with_google_key,
)

LOG = logging.getLogger("dominion.http")
LARGEST_BODY = 256 * 1024
LOOPBACK = frozenset({"127.0.0.1", "::1", "local"})
Endpoint = Callable[[Request], Awaitable[Response]]
DialectOf = Callable[[str, Shape], Dialect]
LISTS = ("/v1/models", "/v1beta/")
"""Paths that Google's clients ask, too, with a key of their own kind; the first is every vendor's."""


class Routes:
    """Builds the application. `dialect_of` names the dialect whose error envelope a path answers with, when the caller
    speaks like a client of this vendor's."""

    def __init__(
        self,
        identity: Identity,
        gate: AdminGate,
        guard: IpGuard,
        ids: RequestIds,
        dialect_of: DialectOf,
        trusted_proxies: frozenset[str],
    ) -> None:
        self._identity = identity
        self._gate = gate
        self._guard = guard
        self._ids = ids
        self._dialect_of = dialect_of
        self._trusted = trusted_proxies

    def application(
        self, table: tuple[Operation, ...], models: ModelList, metrics: MetricsPage, document: dict[str, Any]
    ) -> Starlette:
        """The application. Every route is made by `_guarded`, which cannot be called without a role."""
        routes = [self._operation(operation) for operation in table]

        async def list_models(request: Request) -> Response:
            return _json(models.listed(_shape(request)))

        async def one_model(request: Request) -> Response:
            return _json(models.one(request.path_params["model"], _shape(request)))

        async def metrics_page(_: Request) -> Response:
            return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

        async def openapi(_: Request) -> Response:
            return _json(document)

        routes += [
            self._guarded("/v1/models", "GET", "caller", list_models),
            self._guarded("/v1/models/{model:path}", "GET", "caller", one_model),
            self._guarded("/v1beta/models", "GET", "caller", list_models),
            self._guarded("/v1beta/models/{model:path}", "GET", "caller", one_model),
            self._guarded("/metrics", "GET", "local", metrics_page),
            self._guarded("/openapi.json", "GET", "open", openapi),
        ]
        application = Starlette(routes=routes, exception_handlers={HTTPException: self._no_route})
        application.router.redirect_slashes = False
        return application

    def _operation(self, operation: Operation) -> Route:
        async def run(request: Request) -> Response:
            body = b""
            if operation.body is not None:
                check_json(dict(request.headers.raw), LARGEST_BODY)
                body = await read_body(request.receive, LARGEST_BODY)
            asked = Asked(
                path=dict(request.path_params),
                query=dict(request.query_params),
                body=body,
                principal=getattr(request.state, "principal", None),
                request_id=request.state.id,
            )
            return _json(await operation.run(asked), status=201 if operation.creates else 200)

        return self._guarded(operation.path, operation.method, operation.role, run)

    def _guarded(self, path: str, method: str, role: Role, run: Endpoint) -> Route:
        """A route behind its policy, with errors in the dialect of its path."""

        async def endpoint(request: Request) -> Response:
            request_id = request.state.id = self._ids.next()
            try:
                request.state.principal = await self._check(role, request)
                response = await run(request)
            except DominionError as error:
                return self._failure(error, request, request_id)
            except CallerGone:
                return Response(status_code=400)  # nobody reads it
            except Exception:
                LOG.exception("%s: a defect of the gateway", request_id)
                return self._failure(Internal("Something went wrong inside the gateway."), request, request_id)
            response.headers["x-request-id"] = request_id
            return response

        return Route(path, endpoint, methods=[method])

    async def _check(self, role: Role, request: Request) -> Principal | None:
        """Raises Unauthenticated, Forbidden or RateLimited unless the role's policy is met."""
        headers = dict(request.headers.raw)
        address = address_of(request.scope["client"], headers, self._trusted)
        if role == "caller":
            self._guard.check(address)
            if request.scope["path"].startswith(LISTS):
                headers = with_google_key(headers, request.scope["query_string"])
            return await self._identity.identify(key_of(headers))
        if role == "admin" or (role == "local" and address not in LOOPBACK):
            await self._gate.check(bearer(headers), address)
        return None

    def _failure(self, error: DominionError, request: Request, request_id: str) -> Response:
        dialect = self._dialect_of(request.scope["path"], _shape(request))
        response = Response(
            dialect.write_error(error, request_id), status_of(error, dialect.name), media_type="application/json"
        )
        response.raw_headers.extend([(b"x-request-id", request_id.encode()), *headers_of(error)])
        return response

    async def _no_route(self, request: Request, problem: Exception) -> Response:
        path, request_id = request.scope["path"], self._ids.next()
        allowed = (getattr(problem, "headers", None) or {}).get("Allow", "")
        if allowed:
            methods = tuple(sorted(method.strip() for method in allowed.split(",")))
            error: DominionError = WrongMethod(f"{request.method} is not for {path[:200]}.", allowed=methods)
        else:
            error = NotFound(f"There is nothing at {path[:200]}.")
        return self._failure(error, request, request_id)


def _shape(request: Request) -> Shape:
    """Whose client this is, where the path alone does not tell."""
    if (
        request.scope["path"].startswith("/v1beta/")
        or "x-goog-api-key" in request.headers
        or ("key" in request.query_params)
    ):
        return "gemini"
    return "anthropic" if "anthropic-version" in request.headers else "openai"


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
