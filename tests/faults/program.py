"""The interpreter that the processes under test are forked from, warm with everything they need.

`python -m tests.faults.program FD` answers requests on a socket: fork, run `module:function(*arguments)` with
its own standard output and environment, tell its number, later its exit. A fork saves two seconds of imports; the
child is a process like any other and shares nothing with its siblings.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import socket
import sys
import tempfile
import traceback
from typing import Any


def say(text: object) -> None:
    """Write one line at once; a pipe takes it whole."""
    os.write(1, f"{text}\n".encode())


def run(function: str, arguments: list[Any]) -> int:
    """Run `module:function` and return the exit status."""
    module, _, name = function.partition(":")
    try:
        getattr(importlib.import_module(module), name)(*arguments)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _child(request: dict[str, Any], handles: list[int], server: socket.socket) -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: nobody outlives the tests
    server.close()
    os.dup2(handles[0], 1)
    os.dup2(handles[1], 2)
    for handle in handles:
        os.close(handle)
    os.environ.update(request["environment"])
    importlib.reload(importlib.import_module("workbench.store.crash"))  # it looks at the environment once
    os._exit(run(request["function"], request["arguments"]))


def _warm() -> None:
    """Do everything once, so that what is loaded or compiled for it is inherited by all children."""
    from tests.faults import content, flips
    from tests.faults.operations import OPERATIONS, missing
    from tests.store import worlds
    from workbench.store import Store

    with tempfile.TemporaryDirectory() as folder, Store.open(f"{folder}/s") as store:
        store.write(worlds.everything())
        for number in range(flips.SEALED):
            store.write(content.batch("w0", number))
        for name in ("seal", "compact", "tier", "vacuum"):
            if not missing(name):
                OPERATIONS[name][1](store)
        for read in flips.READS.values():
            read(store)


def serve(handle: int) -> None:
    """Answer requests until the other side closes the socket."""
    _warm()
    server = socket.socket(fileno=handle)
    server.send(b"{}")
    while True:
        message, handles, _, _ = socket.recv_fds(server, 1 << 16, 2)
        if not message:
            os._exit(0)
        request = json.loads(message)
        if "wait" in request:
            server.send(json.dumps({"status": os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])}).encode())
            continue
        pid = os.fork()
        if pid == 0:
            _child(request, list(handles), server)
        for handle in handles:
            os.close(handle)
        server.send(json.dumps({"pid": pid}).encode())


if __name__ == "__main__":
    serve(int(sys.argv[1]))
