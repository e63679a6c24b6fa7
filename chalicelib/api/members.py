"""The members of the organization and of its projects."""

from collections.abc import Callable
from typing import Any

from chalice import Response

from chalicelib import runtime
from chalicelib.api import lists, member_shapes, requests
from chalicelib.api.callers import Caller
from chalicelib.api.problems import answer
from chalicelib.api.views import Api
from chalicelib.flows import members as member_flow
from chalicelib.flows import members_accounts, members_of_projects
from chalicelib.flows.members import Member, MemberPage

api = Api(__name__)


@api.route("/members", methods=["GET"])
def list_members(caller: Caller) -> Response:
    """Members, with their roles in the organization and in projects."""
    return _list(caller, "members", member_flow.page, member_shapes.member)


def _list(
    caller: Caller,
    listing: str,
    page: Callable[..., MemberPage],
    shape: Callable[[Member], dict[str, Any]],
) -> Response:
    organization = caller.origin.organization
    wanted = lists.paging(api.current_request, organization, listing)
    found = page(organization, after=wanted.after, limit=wanted.limit)
    return wanted.answer("members", [shape(row) for row in found.rows], found.next)


@api.route("/members/{user_id}", methods=["GET"])
def get_member(caller: Caller, user_id: str) -> Response:
    """One member."""
    requests.query(api.current_request)
    return answer(member_shapes.member(member_flow.get(caller.origin.organization, user_id)))


@api.route("/members/{user_id}", methods=["PATCH"])
def change_member(caller: Caller, user_id: str) -> Response:
    """Give a member another role in the organization."""
    wanted = requests.body(api.current_request, member_flow.ChangeRoleRequest)
    patience = runtime.current().patience
    changed = member_flow.change_role(patience, caller.origin, user_id, wanted)
    return answer(member_shapes.member(changed))


@api.route("/members/{user_id}", methods=["DELETE"])
def remove_member(caller: Caller, user_id: str) -> Response:
    """End a membership; the account stays. The answer shows what the member was."""
    requests.query(api.current_request)
    removed = member_flow.remove(runtime.current().patience, caller.origin, user_id)
    return answer(member_shapes.member(removed))


@api.route("/members/{user_id}/disable", methods=["POST"])
def disable_user(caller: Caller, user_id: str) -> Response:
    """Disable an account that this organization made."""
    wanted = requests.body(api.current_request, members_accounts.AccountRequest, optional=True)
    patience = runtime.current().patience
    row = members_accounts.disable(patience, caller.origin, user_id, wanted.note)
    return answer(member_shapes.account(row))


@api.route("/members/{user_id}/enable", methods=["POST"])
def enable_user(caller: Caller, user_id: str) -> Response:
    """Let a disabled account be used again."""
    wanted = requests.body(api.current_request, members_accounts.AccountRequest, optional=True)
    patience = runtime.current().patience
    row = members_accounts.enable(patience, caller.origin, user_id, wanted.note)
    return answer(member_shapes.account(row))


@api.route("/projects/{project_id}/members", methods=["GET"])
def list_project_members(caller: Caller, project_id: str) -> Response:
    """The members with a role of their own in a project."""

    def page(organization: str, **part: Any) -> MemberPage:  # noqa: ANN401 - handed on
        return members_of_projects.page(organization, project_id, **part)

    return _list(
        caller,
        f"members of {project_id}",
        page,
        lambda found: member_shapes.project_member(found, project_id),
    )


@api.route("/projects/{project_id}/members/{user_id}", methods=["PUT"])
def put_project_member(caller: Caller, project_id: str, user_id: str) -> Response:
    """Give a member a role in a project."""
    wanted = requests.body(api.current_request, members_of_projects.ProjectRoleRequest)
    patience = runtime.current().patience
    changed = members_of_projects.put(patience, caller.origin, project_id, user_id, wanted)
    return answer(member_shapes.project_member(changed, project_id))


@api.route("/projects/{project_id}/members/{user_id}", methods=["DELETE"])
def remove_project_member(caller: Caller, project_id: str, user_id: str) -> Response:
    """Take a member's own role in a project away."""
    requests.query(api.current_request)
    patience = runtime.current().patience
    changed = members_of_projects.remove(patience, caller.origin, project_id, user_id)
    return answer(member_shapes.project_member(changed, project_id))
