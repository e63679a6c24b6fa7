"""Names in their one form: kept, compared, found and given up by it."""

import json
from typing import Any

import pytest

from chalicelib.errors import Malformed
from chalicelib.flows.bootstrap import bootstrap
from chalicelib.store.organizations import OrganizationItem
from tests.functional.api import Tenant
from tests.functional.laws.deletions import run
from tests.functional.people import person
from tests.functional.test_projects import KINDS, made, wish
from tests.functional.world import artifact_wish

NFC, NFD = "M\u00fcnchen", "Mu\u0308nchen"
SAME = [(NFC, NFD), (NFD, NFC), ("Berlin", " BERLIN "), ("Stra\u00dfe", "STRASSE"),
        ("a b", "a\u00a0b"), ("\u212bland", "\u00c5LAND")]  # fmt: skip


def taken(answer: Any) -> bool:
    return (answer.status, answer.code) == (409, "name_taken")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("one", "other"), SAME, ids=ascii)
def test_a_name_is_taken_in_every_spelling(tenant: Tenant, kind: str, one: str, other: str) -> None:
    first, second = made(tenant, kind, one), made(tenant, kind, "second")
    assert taken(tenant.call("POST", f"/{kind}s", wish(tenant, kind, other)))
    assert taken(tenant.call("PATCH", f"/{kind}s/{second}", {"name": other}))
    assert tenant.call("PATCH", f"/{kind}s/{first}", {"name": other}).status == 200
    # It was one reservation all the time, and is given up as one.
    assert tenant.call("PATCH", f"/{kind}s/{first}", {"name": "elsewhere"}).status == 200
    assert made(tenant, kind, one)


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_is_kept_in_its_form_with_its_case(tenant: Tenant, kind: str) -> None:
    answer = tenant.call("POST", f"/{kind}s", wish(tenant, kind, f"  {NFD} Ost "))
    assert answer.body["name"] == f"{NFC} Ost"
    assert tenant.audit(kind, answer.body[f"{kind}_id"])[0]["detail"]["name"] == f"{NFC} Ost"


@pytest.mark.parametrize("kind", KINDS)
def test_what_only_looks_alike_is_another_name(tenant: Tenant, kind: str) -> None:
    assert made(tenant, kind, "admin") != made(tenant, kind, "\u0430dmin")


def former(tenant: Tenant, kind: str, name: str, number: int = 1) -> str:
    """One whose name was reserved before names had a normal form."""
    project = tenant.project if kind == "environment" else None
    short = {"project": "prj", "environment": "env"}[kind]
    identifier = f"{short}_{number:020}"
    rows: list[dict[str, Any]] = [
        {"item": f"{kind}#{identifier}", "name": name, "revision": 1, "project": project},
        {
            "item": "#".join(("name", kind, project or "", name.lower())),
            "holder": identifier,
        },
    ]
    for row in rows:
        OrganizationItem(tenant.organization, created_at=1, **row).save()
    return identifier


def reserved(tenant: Tenant, kind: str) -> list[str]:
    """The names that are reserved, but for those that every tenant has."""
    rows = OrganizationItem.query(
        tenant.organization, OrganizationItem.item.startswith(f"name#{kind}#"), consistent_read=True
    )
    names = {row.item.rpartition("#")[2] for row in rows}
    return sorted(names - {"project", "environment"})


FORMER = [(NFD, NFC), ("Stra\u00dfe", "strasse"), (" Berlin", "berlin"), ("Prod\u200a1", "PROD 1")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "other"), FORMER, ids=ascii)
def test_a_name_of_before_the_normal_form_is_still_taken(
    tenant: Tenant, kind: str, name: str, other: str
) -> None:
    identifier = former(tenant, kind, name)
    second = made(tenant, kind, "second")
    for spelling in (name, other):
        assert taken(tenant.call("POST", f"/{kind}s", wish(tenant, kind, spelling)))
        assert taken(tenant.call("PATCH", f"/{kind}s/{second}", {"name": spelling}))
    assert tenant.call("GET", f"/{kind}s/{identifier}").body["name"] == name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "other"), FORMER, ids=ascii)
def test_a_former_reservation_goes_with_the_rename_and_leaves_nothing_behind(
    tenant: Tenant, kind: str, name: str, other: str
) -> None:
    identifier = former(tenant, kind, name)
    path = f"/{kind}s/{identifier}"
    # To its own name in the normal form, and away from it.
    assert tenant.call("PATCH", path, {"name": other}).status == 200
    assert len(reserved(tenant, kind)) == 1
    assert tenant.call("PATCH", path, {"name": "after"}).status == 200
    assert reserved(tenant, kind) == ["after"]
    assert made(tenant, kind, name) != identifier


@pytest.mark.parametrize("kind", KINDS)
def test_two_that_only_spelling_told_apart_go_on_and_each_can_end(
    tenant: Tenant, kind: str
) -> None:
    one, other = former(tenant, kind, NFD, 1), former(tenant, kind, NFC, 2)
    if kind == "environment":
        changed = tenant.call("PATCH", f"/{kind}s/{one}", {"heartbeat_interval_seconds": 7})
        assert changed.status == 200, changed.body
    assert taken(tenant.call("PATCH", f"/{kind}s/{one}", {"name": NFC}))
    answer = tenant.call("DELETE", f"/{kind}s/{one}")
    assert answer.status == 202
    run(tenant, answer.body["job"]["job_id"])
    assert tenant.call("GET", f"/{kind}s/{one}").status == 404
    assert reserved(tenant, kind) == [NFC.lower()]
    assert tenant.call("PATCH", f"/{kind}s/{other}", {"name": NFC.upper()}).status == 200


def test_an_agents_name_is_trimmed_and_found_in_every_case(tenant: Tenant) -> None:
    token = tenant.mint(max_uses=3)["token"]
    enrolled = tenant.exchange(token, name=" Edge-1 ")
    assert enrolled.status == 201, enrolled.body
    agent = enrolled.body["agent_id"]
    for asked in ("edge-1", "EDGE-1", "%20Edge", "e"):
        found = tenant.call("GET", f"/agents?name={asked}").body["agents"]
        assert [one["agent_id"] for one in found] == [agent], asked
    assert taken(tenant.exchange(token, name="EDGE-1"))
    assert tenant.call("PATCH", f"/agents/{agent}", {"name": "EDGE-1 "}).body["name"] == "EDGE-1"


def test_labels_and_filenames_are_kept_and_found_in_their_form(tenant: Tenant) -> None:
    host = tenant.enroll()
    path = f"/agents/{host.agent_id}"
    changed = tenant.call("PATCH", path, {"labels": {"site": f" {NFD} "}})
    assert changed.body["labels"] == {"site": NFC}
    for spelled in ("M%C3%BCnchen", "Mu%CC%88nchen", "%20M%C3%BCnchen%20"):
        found = tenant.call("GET", f"/agents?label=site={spelled}").body["agents"]
        assert [one["agent_id"] for one in found] == [host.agent_id]
    assert tenant.call("GET", "/agents?label=site=m%C3%BCnchen").body["agents"] == []
    assert host.beat().status == 200
    sent = artifact_wish(filename=f" {NFD}.gz ", metadata={"site": f"{NFD} "})
    announced = host.call("POST", "/artifacts", sent)
    assert announced.status == 201, announced.body
    shown = tenant.call("GET", f"{path}/artifacts/{announced.body['artifact_id']}").body
    assert (shown["filename"], shown["metadata"]) == (f"{NFC}.gz", {"site": NFC})


BOUND = ["web-1.example.com", "Web-1.Example.COM", "web-1.example.com.", " WEB-1.example.com. "]


@pytest.mark.parametrize("bound", BOUND)
def test_a_bound_hostname_is_one_host_with_and_without_the_dot_and_in_every_case(
    tenant: Tenant, bound: str
) -> None:
    minted = tenant.mint(hostname=bound, max_uses=9)
    assert minted["hostname"] == "web-1.example.com"
    for number, said in enumerate(BOUND):
        enrolled = tenant.exchange(minted["token"], hostname=said, name=f"host-{number}")
        assert enrolled.status == 201, enrolled.body
    for other in ("web-1.example", "web-1", "web-1.example.com.evil", "xweb-1.example.com"):
        refused = tenant.exchange(minted["token"], hostname=other)
        assert (refused.status, refused.code) == (403, "hostname_mismatch")


@pytest.mark.parametrize("sign", ["\u200b", "\u202e", "\n", "\ufeff", "\u2060", "\u00ad"])
def test_an_invisible_sign_is_named_by_its_number_wherever_a_name_is_taken(
    tenant: Tenant, sign: str
) -> None:
    admin, name = person(tenant, "org_admin"), f"a{sign}b"
    host = tenant.enroll()
    for answer in (
        tenant.call("POST", "/projects", {"name": name}),
        tenant.call("POST", "/environments", {"name": name, "project": tenant.project}),
        tenant.call("PATCH", f"/organizations/{tenant.organization}", {"name": name}),
        tenant.call("PATCH", f"/agents/{host.agent_id}", {"labels": {"a": name}}),
        tenant.call("PATCH", f"/agents/{host.agent_id}", {"name": name}),
        admin.call("POST", "/organizations", {"name": name}),
        admin.call("POST", "/organization-keys", {"name": name, "scopes": ["agents:read"]}),
        admin.call("PATCH", "/me", {"display_name": name}),
    ):
        assert (answer.status, answer.code) == (400, "validation_failed")
        (error,) = answer.body["errors"]
        assert f"U+{ord(sign):04X}" in error["message"]
        assert sign not in json.dumps(error, ensure_ascii=False)


def test_the_first_names_of_a_stage_have_the_form_too(tenant: Tenant) -> None:
    names = {"organization_name": "Org", "project_name": "P", "environment_name": "E"}
    assert tenant
    for name in names:
        with pytest.raises(Malformed, match=r"must not hold U\+200B"):
            bootstrap(**{**names, name: "a\u200b"}, heartbeat_interval=60, actor="x", now=1)  # type: ignore[arg-type]
