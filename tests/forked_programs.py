"""`tarsia` in processes forked from one that has imported torch and the like once, which takes a start ten seconds."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

# What is slow to import, and nothing of Tarsia, whose modules each command imports anew, as when it is started.
SLOW = (
    *("torch", "torch._dynamo", "torch.utils.tensorboard", "timm", "onnxscript", "onnxruntime", "pydantic", "cyclopts"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "jinja2"),
)
# Each connection is one command.  Its process is forked twice, so that one waits for the other's exit code.
SERVER = """
import atexit, json, os, signal, socket, sys, traceback
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[1])
listener.listen()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
while True:
    asked, _ = listener.accept()
    if not os.fork():
        break
    asked.close()
listener.close()
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
content, descriptors, *_ = socket.recv_fds(asked, 1 << 20, 3)
process = os.fork()
if process:
    for descriptor in descriptors:
        os.close(descriptor)
    asked.send(str(process).encode())
    asked.send(str(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])).encode())
    os._exit(0)
asked.close()
job = json.loads(content)
for number, descriptor in enumerate(descriptors):
    os.dup2(descriptor, number)
    os.close(descriptor)
sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1, errors="backslashreplace")
os.chdir(job["folder"])
os.environ.clear()
os.environ.update(job["environment"])
sys.argv = ["tarsia", *job["arguments"]]
MEANWHILE
code = 0
try:
    from tarsia.cli import main
    main()
except SystemExit as stop:
    code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
except BaseException:
    traceback.print_exc()
    code = 1
atexit._run_exitfuncs()
sys.stdout.flush()
# What libraries of C++ take down at an end, threads that a fork has not, would abort.
os._exit(code)
"""
# What stands for `tarsia` in a shell: it hands streams, folder, environment and signals on, and ends as the other does.
PROGRAM = """#!{python} -SEs
import json, os, signal, socket, sys
asked = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
asked.connect({address!r})
job = {{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
socket.send_fds(asked, [json.dumps(job).encode()], [0, 1, 2])
process = int(asked.recv(99))
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, lambda number, _: os.kill(process, number))
code = int(asked.recv(99))
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


@contextlib.contextmanager
def forked(program: Path, before: str = "") -> Iterator[None]:
    """The file `program` is `tarsia` meanwhile; `before` is run by each before its command.

    Exit codes, signals, streams, folder and environment are those of a program that was started, and each imports what
    it needs of Tarsia.  What is not tried is that it also imports what it needs of `SLOW`.
    """
    with tempfile.TemporaryDirectory() as folder:  # not pytest's: an address may have 107 characters
        address = f"{folder}/asked"
        command = [sys.executable, "-c", f"import {', '.join(SLOW)}{SERVER}".replace("MEANWHILE", before), address]
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
        program.write_text(PROGRAM.format(python=sys.executable, address=address))
        program.chmod(0o755)
        try:
            yield
        finally:
            server.kill()
            server.wait()
