"""The log of a batch session's command: text as it is, asked for by the container's id."""

from __future__ import annotations

from wire_manager import Reply, listing

SESSION, KERNEL = "44223ee2-3bdc-4b59-b1c4-e3a4745fa494", "01a20201-bb5e-7764-b9c0-f19987e4893f"


async def test_it_is_asked_for_by_the_main_container(serve, client):
    row = {
        "id": SESSION,
        "session_id": SESSION,
        "main_kernel_id": KERNEL,
        "name": "b",
        "status": "TERMINATED",
    }

    def script(seen):
        if seen.route == "GET /session/_/logs":
            return Reply(200, "one\ntw\u00f6 \ufffd".encode(), {"content-type": "text/plain"})
        return listing(row)

    server = await serve(script)
    api = await client(server)
    cs = await api.get(SESSION)
    assert await cs.task_log() == "one\ntw\u00f6 \ufffd"
    assert server.asked[-1].target == f"/session/_/logs?taskId={KERNEL}"
