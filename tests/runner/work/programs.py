"""Training programs that are not: each is run as `python FILE RUN_FOLDER PARENT_PID`."""

import sys
from pathlib import Path

from tests.runner import examples

START = """
import json, os, signal, subprocess, sys, time
folder, parent = sys.argv[1], int(sys.argv[2])
def write(name, text):
    with open(f"{folder}/{name}.part", "w") as file:
        file.write(text)
    os.rename(f"{folder}/{name}.part", f"{folder}/{name}")
def metric(step):
    with open(f"{folder}/metrics.jsonl", "a") as file:
        file.write(json.dumps(dict(step=step, tokens=step, train_seconds=step, train_loss=1,
            learning_rate=1, adamw_learning_rate=1, gradient_norm=1, tokens_per_second=1)) + "\\n")
def mark(name):
    open(f"{folder}/{name}", "w").close()
write("phase.json", json.dumps(dict(phase="training", completed=1, total=2)))
print("hello from the child", flush=True)
"""
SUCCEED = "metric(1); metric(2); write('result.json', open(os.environ['RESULT']).read())"
FAIL = (
    "write('failure.json', json.dumps(dict(kind='diverged', message='loss is nan'))); sys.exit(6)"
)
CRASH = "raise ValueError('no such luck')"
SEGFAULT = "os.kill(os.getpid(), signal.SIGSEGV)"
DIE = "os.kill(os.getpid(), signal.SIGKILL)"
STEP_UNTIL_ASKED = """
signal.signal(signal.SIGTERM, lambda *_: (mark("checkpoint-000000001"), os._exit(130)))
step = 0
mark("started")
while True:
    step += 1
    metric(step)
    time.sleep(0.05)
"""
IGNORE_REQUESTS = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
write("grandchild", str(grandchild.pid))
mark("started")
while True:
    time.sleep(1)
"""
HANG = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
metric(1)
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
write("grandchild", str(grandchild.pid))
while True:
    print("still here", flush=True)
    time.sleep(0.05)
"""
ANCHOR = f"""
write("anchor.json", {examples.anchor().model_dump_json()!r})
write("measured", "once")
"""


def program(folder: Path, body: str, name: str = "program.py") -> list[str]:
    """The command of a program whose run folder and parent are arguments still to come."""
    file = folder / name
    file.write_text(START + body)
    return [sys.executable, "-S", str(file)]
