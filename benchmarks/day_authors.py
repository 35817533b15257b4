"""The authors of a simulated day: they submit, cancel, withdraw and ask for reruns."""

import random
import threading
import uuid
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus

import httpx

from benchmarks.processes import wait_for

NAMES = ("ada", "emmy", "grace", "sofia")
ACTS = {
    "submit": 20.0,
    "repeat": 2.0,
    "misspell": 1.0,
    "cancel": 1.0,
    "withdraw": 0.5,
    "rerun": 1.0,
}
"""How often an hour."""
ANSWER_SECONDS = 60.0
"""How long an author sends a request again before it counts as lost."""
TEXT = """track: debug
name: {name}
author: {author}
hypothesis: Nothing is lost.
overrides:
  optimizer.muon.{setting}: {value}
"""


class Authors:
    """A thread that acts at random moments until it is stopped."""

    def __init__(self, url: str, speed: float, seed: int) -> None:
        self._url = url
        self._speed = speed
        self._random = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live)
        self.accepted: dict[str, str] = {}
        """Run by submission."""
        self.written: list[tuple[str, str]] = []
        """Submission and author."""
        self.acts: Counter[str] = Counter()
        self.num_requests = 0
        self.problems: list[str] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, once what is under way has been answered."""
        self._stop.set()
        self._thread.join()

    def _live(self) -> None:
        rate = sum(ACTS.values()) / 3600.0 * self._speed
        while not self._stop.wait(self._random.expovariate(rate)):
            (act,) = self._random.choices(list(ACTS), list(ACTS.values()))
            try:
                self._do(act)
            except TimeoutError:
                self.problems.append(f"{act}: no answer within {ANSWER_SECONDS:g} s")

    def _do(self, act: str) -> None:
        if act in ("submit", "repeat", "misspell"):
            self._submit(act)
        elif self.written:
            submission, author = self._random.choice(self.written)
            body = {"author": author, "reason": "A mistake."} if act == "withdraw" else None
            if act == "rerun":
                body = {"author": author}
            answer = self._post(f"/submissions/{submission}/{act}", json=body)
            # Too late is an answer too, and so is one that repeats what was done before.
            self._expect(act, answer, {HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.CONFLICT})

    def _submit(self, act: str) -> None:
        author = self._random.choice(NAMES)
        step = self._random.randrange(3 if act == "repeat" else 10_000)
        text = TEXT.format(
            name=f"{act} {len(self.accepted)}",
            author=author,
            setting="learning_rat" if act == "misspell" else "learning_rate",
            value=round(0.01 + step * 2e-6, 6),
        )
        headers = {"Idempotency-Key": uuid.uuid4().hex, "Content-Type": "application/yaml"}
        answer = self._post("/submissions", content=text, headers=headers)
        if act == "misspell":
            self._expect(act, answer, {HTTPStatus.UNPROCESSABLE_ENTITY})
        elif self._expect(act, answer, {HTTPStatus.OK, HTTPStatus.CREATED}):
            receipt = answer.json()
            self.accepted[receipt["submission_id"]] = receipt["run_id"]
            self.written.append((receipt["submission_id"], author))

    def _expect(self, act: str, answer: httpx.Response, allowed: set[HTTPStatus]) -> bool:
        self.acts[act] += 1
        if answer.status_code in allowed:
            return True
        self.problems.append(f"{act}: {answer.status_code} {answer.text[:200]}")
        return False

    def _post(
        self,
        path: str,
        content: str | None = None,
        json: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send until there is an answer other than that there is none now.

        Raises:
            TimeoutError: there was none.
        """
        answers: list[httpx.Response] = []

        def send() -> bool:
            self.num_requests += 1
            try:
                answer = httpx.post(
                    f"{self._url}/api/v1{path}", content=content, json=json, headers=headers
                )
            except httpx.TransportError:
                return False
            answers.append(answer)
            return answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE

        wait_for(send, ANSWER_SECONDS)
        return answers[-1]
