"""What a program does with a client that was generated from the OpenAPI document, and nothing else.

Arguments: where the control listener is, where the gateway is. Everything that is called and everything that
is read of the answers is generated; a field that the document does not describe would not be there.
"""

import sys

import httpx
from tollgate_client import AuthenticatedClient, Client
from tollgate_client.api.audit import get_audit, get_audit_verify
from tollgate_client.api.consumers import get_consumers_id, post_consumers, put_consumers_id
from tollgate_client.api.events import get_events
from tollgate_client.api.jobs import get_jobs_id, post_jobs, post_jobs_preview
from tollgate_client.api.keys import get_keys, get_keys_id, post_keys, post_keys_id_revoke
from tollgate_client.api.session import delete_session, get_session, get_sessions, post_session
from tollgate_client.api.usage import get_usage
from tollgate_client.models import (
    ConsumerSpec,
    KeySelection,
    NewJobType3,
    NewJobType3Operation,
    NewKey,
    SignIn,
    Tags,
)

control, gateway = sys.argv[1], sys.argv[2]


def good(answer, status=200):
    assert answer.status_code == status, (answer.status_code, answer.content)
    return answer.parsed


def signed_in():
    wrong = SignIn(email="owner@example.com", password="wrong horse battery")
    refused = good(post_session.sync_detailed(client=Client(base_url=control), body=wrong), 401)
    assert refused.code == "sign_in_failed", refused
    right = SignIn(email="owner@example.com", password="correct horse battery staple")
    answer = post_session.sync_detailed(client=Client(base_url=control), body=right)
    session = good(answer)
    assert session.role == "owner" and session.fresh and session.tenants[0].id == session.tenant.id
    name, value = answer.headers["set-cookie"].split(";")[0].split("=", 1)
    return AuthenticatedClient(
        base_url=control,
        token=session.csrf_token,
        prefix="",
        auth_header_name="X-CSRF-Token",
        cookies={name: value},
    )


def called(key):
    return httpx.get(f"{gateway}/tiles/7", headers={"X-API-Key": key}).status_code


client = signed_in()
assert good(get_session.sync_detailed(client=client)).user.email == "owner@example.com"
assert [own.current for own in good(get_sessions.sync_detailed(client=client)).items] == [True]

spec = ConsumerSpec(project="maps", name="generated", external_id="p-17")
made = post_consumers.sync_detailed(client=client, body=spec)
consumer = good(made, 201)
again = good(post_consumers.sync_detailed(client=client, body=spec), 409)
assert again.code == "conflict", again
seen = get_consumers_id.sync_detailed(consumer.id, client=client)
assert good(seen).spec.external_id == "p-17"
spec.external_id = "p-18"
changed = put_consumers_id.sync_detailed(consumer.id, client=client, body=spec, if_match=seen.headers["etag"])
assert good(changed).spec.external_id == "p-18"
stale = put_consumers_id.sync_detailed(consumer.id, client=client, body=spec, if_match=seen.headers["etag"])
assert good(stale, 412).code == "outdated"

keys = []
for index in range(5):
    body = NewKey(project="maps", consumer="generated", policy="standard", name=f"k{index}")
    name = f"run-{index}"
    keys.append(good(post_keys.sync_detailed(client=client, body=body, idempotency_key=name), 201))
assert all(called(key.key) == 200 for key in keys)

listed, cursor = [], None
while True:
    more = {} if cursor is None else {"cursor": cursor}
    page = good(get_keys.sync_detailed(client=client, consumer=consumer.id, limit=2, **more))
    listed += [key.id for key in page.items]
    cursor = page.next_
    if cursor is None:
        break
assert sorted(listed) == sorted(key.id for key in keys), listed

first = keys[0]
revoked = good(post_keys_id_revoke.sync_detailed(first.id, client=client, wait=True))
assert revoked.state == "revoked", revoked
assert called(first.key) == 401
assert good(get_keys_id.sync_detailed(first.id, client=client)).state == "revoked"
assert good(get_keys_id.sync_detailed("key_00000000001", client=client), 404).code == "not_found"

selection = KeySelection(project="maps", consumer="generated")
preview = good(post_jobs_preview.sync_detailed(client=client, body=selection))
assert (preview.keys, preview.live) == (5, 4), preview
tags = Tags.from_dict({"wave": "1"})
tag = NewJobType3(operation=NewJobType3Operation.TAG, keys=selection, set_=tags)
job = good(post_jobs.sync_detailed(client=client, body=tag), 202)
while good(get_jobs_id.sync_detailed(job.id, client=client)).state == "running":
    pass
assert good(get_jobs_id.sync_detailed(job.id, client=client)).changed == 4
assert len(good(get_keys.sync_detailed(client=client, job=job.id)).items) == 4

usage = good(get_usage.sync_detailed(client=client, consumer=consumer.id, wait=True))
assert usage.total.requests == 6 and usage.total.denied == 1, usage
events = good(get_events.sync_detailed(client=client, key_id=first.id, wait=True))
assert [event.code for event in events.items] == ["key_revoked", "valid"], events
audit = good(get_audit.sync_detailed(client=client, subject=first.id))
assert [entry.action for entry in audit.items] == ["key.revoke", "key.create"], audit
assert good(get_audit_verify.sync_detailed(client=client)).ok

good(delete_session.sync_detailed(client=client), 204)
assert good(get_session.sync_detailed(client=client), 401).code == "sign_in_missing"
print("the generated client did everything")
