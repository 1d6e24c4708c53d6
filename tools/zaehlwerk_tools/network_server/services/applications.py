"""ApplicationService."""

from __future__ import annotations

from chirpstack_api.api import application_pb2
from google.protobuf.empty_pb2 import Empty

from zaehlwerk_tools.network_server.api_keys import Caller
from zaehlwerk_tools.network_server.errors import invalid
from zaehlwerk_tools.network_server.identifiers import uuid_text
from zaehlwerk_tools.network_server.network import Network
from zaehlwerk_tools.network_server.registry import Application

from .times import to_timestamp


class ApplicationService:
    """Applications of a tenant."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def create(
        self, request: application_pb2.CreateApplicationRequest, caller: Caller
    ) -> application_pb2.CreateApplicationResponse:
        """Create an application."""
        if not request.HasField("application"):
            raise invalid("application is missing")
        tenant_id = uuid_text(request.application.tenant_id)
        caller.require(tenant_id, write=True)
        now = self._network.scheduler.now_ns
        application = Application(
            id=self._network.identities.uuid("application"),
            tenant_id=tenant_id,
            name=request.application.name,
            description=request.application.description,
            tags=dict(request.application.tags),
            created_ns=now,
            updated_ns=now,
        )
        self._network.registry.add_application(application)
        return application_pb2.CreateApplicationResponse(id=application.id)

    def get(
        self, request: application_pb2.GetApplicationRequest, caller: Caller
    ) -> application_pb2.GetApplicationResponse:
        """An application by its id."""
        application_id = uuid_text(request.id)
        caller.require(self._tenant_of(application_id), write=False)
        application = self._network.registry.application(application_id)
        return application_pb2.GetApplicationResponse(
            application=application_pb2.Application(
                id=application.id,
                name=application.name,
                description=application.description,
                tenant_id=application.tenant_id,
                tags=application.tags,
            ),
            created_at=to_timestamp(application.created_ns),
            updated_at=to_timestamp(application.updated_ns),
        )

    def update(self, request: application_pb2.UpdateApplicationRequest, caller: Caller) -> Empty:
        """Change name, description and tags of an application."""
        if not request.HasField("application"):
            raise invalid("application is missing")
        application_id = uuid_text(request.application.id)
        caller.require(self._tenant_of(application_id), write=True)
        present = self._network.registry.application(application_id)
        self._network.registry.add_application(
            Application(
                id=application_id,
                tenant_id=present.tenant_id,
                name=request.application.name,
                description=request.application.description,
                tags=dict(request.application.tags),
                created_ns=present.created_ns,
                updated_ns=self._network.scheduler.now_ns,
            )
        )
        return Empty()

    def delete(self, request: application_pb2.DeleteApplicationRequest, caller: Caller) -> Empty:
        """Delete an application with its devices."""
        application_id = uuid_text(request.id)
        caller.require(self._tenant_of(application_id), write=True)
        self._network.registry.remove_application(application_id)
        return Empty()

    def list(
        self, request: application_pb2.ListApplicationsRequest, caller: Caller
    ) -> application_pb2.ListApplicationsResponse:
        """Applications of a tenant by name; `limit` 0 gives their number only. Tags are not in the list."""
        tenant_id = uuid_text(request.tenant_id)
        caller.require(tenant_id, write=False)
        search = request.search.lower()
        applications = sorted(
            (
                a
                for a in self._network.registry.applications.values()
                if a.tenant_id == tenant_id and search in a.name.lower()
            ),
            key=lambda a: (a.name, a.id),
        )
        return application_pb2.ListApplicationsResponse(
            total_count=len(applications),
            result=[
                application_pb2.ApplicationListItem(
                    id=application.id,
                    created_at=to_timestamp(application.created_ns),
                    updated_at=to_timestamp(application.updated_ns),
                    name=application.name,
                    description=application.description,
                )
                for application in applications[request.offset :][: request.limit]
            ],
        )

    def _tenant_of(self, application_id: str) -> str | None:
        application = self._network.registry.applications.get(application_id)
        return application.tenant_id if application else None
