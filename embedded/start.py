"""bin/start: run the whole product on this machine in the foreground, and recover from an earlier crash.

checks → PostgreSQL, Valkey → tables, demo customer → workers, beat, web → a first signed call → watch
         (the models are downloaded in parallel)
"""

import argparse
import json
import os
import signal
import socket
import sys
import time
import urllib.error
from ipaddress import ip_address
from typing import TYPE_CHECKING, NoReturn

import psutil
from django.core.exceptions import ImproperlyConfigured

from embedded import preflight, smoke_test
from embedded.environment import KEYS, load_dotenv, read_env, secret_values
from embedded.paths import REPOSITORY, Paths, here
from embedded.pip_settings import uv_environment
from embedded.services.managed_process import Process, ServiceError
from embedded.services.pair import Services
from embedded.site import beat_process, mail_process, scheduled_process, web_process, worker_process
from embedded.supervisor import Supervisor
from inference.models.setup import missing_files

if TYPE_CHECKING:
    from embedded.log_files import LogFiles

AFTER_A_CRASH_S = 20  # until the processes of a killed supervisor have released the port
PREPARE_TIMEOUT_S = 180
MODELS_TIMEOUT_S = 600
READY_TIMEOUT_S = 90
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - only if --host says so
CHANGED = "(密码已修改 password was changed)"
STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: list[str]) -> int:
    """Run bin/start and return its exit status: 0 after Ctrl-C, 1 with one sentence if it could not start."""
    options = parse(arguments)
    os.umask(0o077)  # files are readable only by their owner
    load_dotenv()
    for number in STOPPING_SIGNALS:
        signal.signal(number, interrupt)
    try:
        preflight.check_machine()
        paths = here()
        preflight.make_folders(paths)
        with preflight.only_one(paths.lock, url_of(options.host, options.port)) as ended_cleanly:
            preflight.check_address(options.host, options.port, 0 if ended_cleanly else AFTER_A_CRASH_S)
            Start(paths, options.host, options.port).run()
    except (preflight.Refusal, ServiceError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:  # a full disk, a file of another user: `[Errno 28] No space left on device: …`
        sys.stderr.write(f"bin/start cannot continue: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/start", description="Start the whole product on this machine.")
    parser.add_argument("--port", type=int, default=8000, help="port of the console and the API (8000)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (127.0.0.1; 0.0.0.0: all addresses)"
    )
    return parser.parse_args(arguments)


def interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


class Start:
    """One run of the product."""

    def __init__(self, paths: Paths, host: str, port: int) -> None:
        self._paths = paths
        self._host, self._port = host, port
        self._since = float(os.environ.get("FACECLOUD_STARTED_AT") or time.time())
        self._log_files = log_files(paths)
        self._supervisor = Supervisor(self._say, tidy=self._log_files.rotate)
        self._services = Services.of(paths)
        self._url = url_of(host, port)
        self._environment = {
            "STATIC_MANIFEST": "true",
            **os.environ,
            "SITE_URL": os.environ.get("SITE_URL") or site_url(host, port),
            **registrations(host),
            "DJANGO_ALLOWED_HOSTS": allowed_hosts(host, os.environ.get("DJANGO_ALLOWED_HOSTS", "")),
            **self._services.application,
            "DATABASE_OWNER_URL": "",  # except in the step that prepares the tables
            **secret_values(paths.secrets, KEYS),
            "FACECLOUD_VAR_DIR": str(paths.var),
            "MODELS_DIR": str(paths.models),
        }

    def run(self) -> NoReturn:
        """Start everything and watch it until KeyboardInterrupt. Raises ServiceError if a part fails."""
        try:
            self._log_files.rotate()
            self._bring_up()
            self._make_first_call()
            self._introduce()
            self._supervisor.watch()
        finally:
            for number in STOPPING_SIGNALS:  # a second Ctrl-C must not interrupt the stop
                signal.signal(number, signal.SIG_IGN)
            self._say("stopping ...")
            self._supervisor.stop()
            self._say("stopped")

    def _bring_up(self) -> None:
        """Start each part as soon as its dependencies are ready, while the models are downloaded."""
        logs, environment = self._paths.logs, self._environment
        models = self._models_step()
        prepare = self._step("prepare", "embedded.prepare", self._url, **self._services.owner)
        worker = worker_process(environment, logs=logs)
        web = web_process(environment, host=self._host, port=self._port, logs=logs)
        try:
            if models:
                self._say("fetching the models ...")
                models.start()
            for service in self._services.embedded.values():
                self._supervisor.start(service.process, service)
                self._say(f"{service.process.name} is up")
            self._say("preparing the tables and the demo customer ...")
            prepare.start()
            if models:
                models.finish(MODELS_TIMEOUT_S)
            self._say("warming up the worker ...")
            self._supervisor.start(worker)
            prepare.finish(PREPARE_TIMEOUT_S)
            self._say("starting the web server ...")
            self._supervisor.start(web)
        finally:
            for step in filter(None, (prepare, models)):
                step.stop()
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not is_ready(self._url):
            for process in (worker, web):
                process.check_still_starting(deadline)
            time.sleep(0.1)
        for make in (scheduled_process, mail_process, beat_process):
            self._supervisor.start(make(environment, logs=logs))

    def _make_first_call(self) -> None:
        """Make a signed call and print the answer, even an error: the demo App may have used up its quota."""
        demo = read_env(self._paths.demo)
        picture = (self._paths.models / "astronaut.png").read_bytes()
        self._say("ready; a first signed call, face_detect on a photograph:")
        try:
            answer = smoke_test.detect_when_ready(
                self._url, demo["FACECLOUD_APP_KEY"], demo["FACECLOUD_SECRET_KEY"], picture
            )
        except OSError as error:
            raise ServiceError(f"The first call got no answer ({error}); logs: {self._paths.logs}") from error
        print_line(json.dumps(answer, ensure_ascii=False, indent=2))

    def _introduce(self) -> None:
        demo = read_env(self._paths.demo)
        print_line(
            f"\n  控制台 console   {self._url}/console/\n"
            f"  登录 login       {demo['FACECLOUD_USER']}  {demo.get('FACECLOUD_PASSWORD', CHANGED)}\n"
            f"  运营 operator    {demo['FACECLOUD_OPERATOR']}  "
            f"{demo.get('FACECLOUD_OPERATOR_PASSWORD', CHANGED)}\n"
            f"  密钥 keys        {self._paths.demo}\n"
            f"{self._mail_line()}"
            "  Ctrl-C 停止 to stop\n"
        )

    def _mail_line(self) -> str:
        """Return the line with the folder of mails, or "" if a mail server is set."""
        return "" if os.environ.get("EMAIL_URL") else f"  邮件 mail        {self._paths.mail}\n"

    def _models_step(self) -> Process | None:
        """Return the step that downloads the models; None if all are present and intact."""
        if not missing_files(self._paths.models):
            return None
        return self._step(
            "models", "inference.models.setup", "--models", str(self._paths.models), **uv_environment()
        )

    def _step(self, name: str, module: str, *arguments: str, **more_environment: str) -> Process:
        """Return a program that must succeed before the start continues."""
        command = [sys.executable, "-m", module, *arguments]
        log = self._paths.logs / f"{name}.log"
        # Unbuffered, so that the last line of its log has the reason for a failure.
        environment = self._environment | {"PYTHONUNBUFFERED": "1"} | more_environment
        return Process(name, command, log=log, cwd=REPOSITORY, env=environment)

    def _say(self, line: str) -> None:
        """Print one line with the seconds since bin/start was called."""
        print_line(f"{time.time() - self._since:6.1f} s  {line}")


def log_files(paths: Paths) -> "LogFiles":
    """Return the rotated logs of this run. Raises ServiceError if one of their settings is wrong."""
    try:
        from embedded.log_files import LogFiles  # reads the settings, including .env
    except ImproperlyConfigured as error:
        raise ServiceError(f"A setting in the environment or in .env is wrong: {error}") from error
    return LogFiles(paths.logs)


def print_line(text: str) -> None:
    """Print a line. If the output is closed, end as if the terminal were closed."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise KeyboardInterrupt from None


def url_of(host: str, port: int) -> str:
    """Return the URL for a browser on this machine."""
    return f"http://{'127.0.0.1' if host in EVERYWHERE else bracketed(host)}:{port}"


def registrations(host: str) -> dict[str, str]:
    """Return defaults for registration: open to anyone, and on loopback with a high limit."""
    chosen = {"REGISTRATION": "open"}
    if host in ("127.0.0.1", "localhost", "::1"):
        chosen["REGISTRATIONS_PER_ADDRESS"] = "1000"  # all clients have the same address
    return {name: os.environ.get(name) or value for name, value in chosen.items()}


def site_url(host: str, port: int) -> str:
    """Return the URL for links in mails; if `host` is all addresses, one that other machines can reach."""
    reachable = next((a for a in own_addresses() if not ip_address(a).is_loopback), "127.0.0.1")
    return url_of(reachable if host in EVERYWHERE else host, port)


def allowed_hosts(host: str, configured: str) -> str:
    """Return the names that the user set, or else those of this machine, plus those that bin/start uses.

    Never `*`: a forged Host header would be trusted.
    """
    names = [configured] if configured else []
    if host in EVERYWHERE and not configured:
        names = [socket.gethostname().lower(), *map(bracketed, own_addresses())]
    return ",".join(dict.fromkeys([*names, "localhost", "127.0.0.1", "[::1]", bracketed(host)]))


def own_addresses() -> list[str]:
    """Return the addresses of this machine's interfaces, IPv4 first, without a name server."""
    found = {
        ip_address(one.address.partition("%")[0])
        for interface in psutil.net_if_addrs().values()
        for one in interface
        if one.family in (socket.AF_INET, socket.AF_INET6)
    }
    return [str(address) for address in sorted(found, key=lambda address: (address.version, address))]


def bracketed(host: str) -> str:
    """Return the host as it is written in a URL: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def is_ready(url: str) -> bool:
    try:
        with smoke_test.DIRECT.open(f"{url}/readyz", timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
