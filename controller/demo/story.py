"""The story: ramp up, put in a fault, watch the canary convict itself, be rolled back, and verified."""

from __future__ import annotations

import json
import signal
import socket
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from secrets import token_urlsafe

from rich.console import Console
from rich.live import Live

from controller.clock import system_clock
from controller.demo.options import CANARY, CONTROL, FLAG, ROLLOUT, Fault, Options
from controller.demo.processes import Child, DemoProcessError
from controller.demo.remote import Operator
from controller.demo.summary import exposed_after, replayed, summary
from controller.demo.timeline import Timeline
from controller.demo.view import screen
from controller.wire.api.rollouts import RolloutView

_LOOK_EVERY_S = 0.4
_WARM_UP_EVENTS = 2_000
_FAULT_AFTER_S = 2.0
#: The whole story may take this long.
_PATIENCE_S = 115.0
_FINAL = ("promoted", "rolled_back", "aborted")


class Story:
    """One run of the demo."""

    def __init__(self, options: Options, console: Console, folder: Path) -> None:
        self._options = options
        self._console = console
        self._folder = folder
        self._live: Live | None = None
        self._timeline = Timeline(system_clock, self._tell)
        self._backends: dict[str, Child] = {}
        self._stage_since: tuple[int, float] = (-1, 0.0)
        self._faulted = False

    def run(self, stack: ExitStack) -> int:
        """Tell the story; 0 only if it ends as the fault calls for."""
        self._operator = self._start_controller(stack)
        self._start_backends(stack)
        self._crowd = self._start_users(stack)
        self._say_what_comes()
        if self._console.is_terminal and not self._options.plain:
            self._live = stack.enter_context(Live(console=self._console, refresh_per_second=8, transient=True))
        self._warm_up()
        self._begin()
        view = self._watch()
        self._settle_down()
        view = self._operator.rollout(ROLLOUT)
        self._timeline.learn(view, self._operator.decisions(ROLLOUT))
        self._stop_live()
        return self._close(view)

    def _start_controller(self, stack: ExitStack) -> Operator:
        port = self._options.port or _free_port()
        admin = f"demo-{token_urlsafe(24)}"
        where = ["--host", "127.0.0.1", "--port", str(port), "--database-url", f"sqlite:///{self._folder}/canary.db"]
        child = Child("controller", ["controller", "serve", *where], self._folder, {"CANARY_ADMIN_TOKEN": admin})
        stack.callback(child.stop)
        operator = Operator(f"http://127.0.0.1:{port}", admin)
        stack.callback(operator.close)
        if not operator.wait_until_ready():
            raise DemoProcessError(f"the controller did not start: {child.last_words()}")
        operator.post("/api/v1/flags", {"key": FLAG, "variants": {CONTROL: False, CANARY: True}, "control": CONTROL})
        self._sdk_token = str(operator.post("/api/v1/tokens", {"role": "sdk", "name": "demo"})["token"])
        return operator

    def _start_backends(self, stack: ExitStack) -> None:
        stack.callback(self._stop_backends)
        for name in ("chat-a", "chat-b"):
            self._start_backend(name)

    def _stop_backends(self) -> None:
        for child in self._backends.values():
            child.stop()

    def _start_backend(self, name: str, version: str = "2.0.0", port: int = 0) -> None:
        module = ["controller.demo.backend", "--name", name, "--version", version, "--port", str(port)]
        environment = {"CANARY_URL": self._operator.url, "CANARY_TOKEN": self._sdk_token}
        self._backends[name] = Child(name, [*module, "--seed", str(self._options.seed)], self._folder, environment)
        self._backends[name].first_words()

    def _start_users(self, stack: ExitStack) -> Child:
        ports = [str(child.first_words()["port"]) for child in self._backends.values()]
        seed, users = str(self._options.seed), str(self._options.users)
        module = ["controller.demo.users", "--users", users, "--seed", seed, "--ports", *ports]
        crowd = Child("users", module, self._folder, {})
        stack.callback(crowd.stop)
        crowd.first_words()
        return crowd

    def _say_what_comes(self) -> None:
        self._console.print(
            f"A chat back end moves its users from the legacy emitter to the unified one: 10 %, 50 %, 100 %.\n"
            f"On the way: {self._options.fault.words}. It must end [bold]{self._options.fault.end}[/bold].\n"
            "The shipped judge with its shipped constants decides; only the bake times (seconds) and the promotion\n"
            "margin (5 points instead of 1) are the demo's own.\n"
            f"Dashboard: {self._operator.url}\n",
            soft_wrap=True,
        )
        self._timeline.happened(f"{self._options.users} users at a time on two back ends, all on the legacy emitter")

    def _warm_up(self) -> None:
        until = time.monotonic() + 30
        while self._crowd.said.get("events", 0) < _WARM_UP_EVENTS and time.monotonic() < until:
            self._show(None)
            time.sleep(_LOOK_EVERY_S)

    def _begin(self) -> None:
        self._operator.post("/api/v1/rollouts", self._options.manifest())
        self._operator.post(f"/api/v1/rollouts/{ROLLOUT}/start", {"reason": "the demo"})

    def _watch(self) -> RolloutView:
        until = time.monotonic() + _PATIENCE_S
        while True:
            view = self._operator.rollout(ROLLOUT)
            self._timeline.learn(view, self._operator.decisions(ROLLOUT))
            self._show(view)
            if view.phase in _FINAL or time.monotonic() > until:
                return view
            self._put_in_the_fault(view)
            time.sleep(_LOOK_EVERY_S)

    def _put_in_the_fault(self, view: RolloutView) -> None:
        if view.stage != self._stage_since[0]:
            self._stage_since = (view.stage, time.monotonic())
        due = view.stage == 1 and time.monotonic() - self._stage_since[1] >= _FAULT_AFTER_S
        fault = self._options.fault
        if self._faulted or not due or fault is Fault.NONE:
            return
        self._faulted = True
        self._timeline.happened(f"FAULT: {fault.words}")
        if fault.in_the_emitter:
            for child in self._backends.values():
                child.tell(fault.value)
        elif fault is Fault.ABANDON:
            self._crowd.tell(json.dumps({"fault": fault.value}))
        else:
            self._deploy()

    def _deploy(self) -> None:
        port = self._backends["chat-a"].first_words()["port"]
        self._backends["chat-a"].stop()
        self._timeline.happened("chat-a has drained and said goodbye")
        self._backends["chat-a"] = self._backends.pop("chat-a")
        self._start_backend("chat-a2", "2.0.1", port)
        self._timeline.happened("chat-a2 (2.0.1) serves in its place")

    def _settle_down(self) -> None:
        """Watch a moment longer: an exposure after the end would still be seen."""
        until = time.monotonic() + 3
        while time.monotonic() < until:
            self._show(self._operator.rollout(ROLLOUT))
            time.sleep(_LOOK_EVERY_S)

    def _close(self, view: RolloutView) -> int:
        crowd = dict(self._crowd.said)
        checked, differing = replayed(self._operator.ledger(ROLLOUT))
        exposed = exposed_after(self._operator.instances()) if view.verification is not None else 0
        replay_text = f"{differing} of {checked} DIFFER" if differing else f"{checked} identical"
        self._console.print(summary(view, crowd, self._timeline, replay_text, exposed))
        good = view.phase == self._options.fault.end and not differing and not exposed
        verdict = "as it must" if good else f"it must end {self._options.fault.end}, with none of the above amiss"
        self._console.print(f"[bold]{'OK' if good else 'NOT OK'}[/bold]: the rollout ended {view.phase}, {verdict}.")
        if self._options.keep:
            self._keep()
        return 0 if good else 1

    def _keep(self) -> None:
        self._console.print(f"Still running: {self._operator.url} (Ctrl-C ends it)")
        try:
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            return

    def _show(self, view: RolloutView | None) -> None:
        if self._live is not None:
            title = f"canary demo, fault: {self._options.fault.value}   {self._operator.url}"
            lines = [self._timeline.line(moment) for moment in sorted(self._timeline.moments)]
            self._live.update(screen(title, view, self._crowd.said, lines))

    def _tell(self, line: str) -> None:
        if self._live is None:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _stop_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
            for moment in sorted(self._timeline.moments):
                self._console.print(self._timeline.line(moment), markup=False, highlight=False, soft_wrap=True)


def main(options: Options) -> int:
    """Run the demo in a fresh folder; everything it started is ended again. Returns the exit code."""
    console = Console()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="canary-demo-") as folder, ExitStack() as stack:
        try:
            return Story(options, console, Path(folder)).run(stack)
        except DemoProcessError as error:
            console.print(f"[bold red]error[/bold red]: {error}", highlight=False)
            return 1
        except KeyboardInterrupt:
            console.print("ended early")
            return 1


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
