"""The last step before a service runs: set its session, user and parent-death signal, then exec.

A script for a bare interpreter, `python -I -S launch.py PARENT_PID SIGNAL ROOT|NOROOT COMMAND…`, because a
process that may have threads must not run Python code between fork and exec. Standard library only.
"""

import ctypes
import os
import pwd
import signal
import sys
from typing import NoReturn

PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
CLONE_NEWUSER = 0x10000000
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)


def main(argv: list[str]) -> NoReturn:
    """Replace this process by the command."""
    parent, death_signal, root, *command = argv
    if os.getpid() != os.getsid(0):
        os.setsid()  # a Ctrl-C in the terminal goes to the supervisor alone
    if root == "NOROOT" and os.geteuid() == 0:
        leave_root()
    # Set this after the change of credentials, which would clear it.
    libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("the supervisor ended before the service could start")
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execvp(command[0], command)  # noqa: S606 - deliberately without a shell


def leave_root() -> None:
    """Drop root: enter a user namespace, in which this process still owns its files, or become `nobody`."""
    if namespaces_work():
        enter_namespace()
    else:
        become_nobody()


def namespaces_work() -> bool:
    """Return whether `enter_namespace` works. A child process tries it, because failure cannot be undone."""
    child = os.fork()
    if child == 0:
        try:
            enter_namespace()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def enter_namespace() -> None:
    """Enter a user namespace in which the current user has the uid and gid 1000. Raises OSError."""
    uid, gid = os.geteuid(), os.getegid()
    checked(libc.unshare(CLONE_NEWUSER))
    for name, text in (("setgroups", "deny"), ("uid_map", f"1000 {uid} 1"), ("gid_map", f"1000 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def become_nobody() -> None:
    """Switch to an unprivileged uid that keeps one capability: to read the project's files."""
    nobody = pwd.getpwnam("nobody")
    checked(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)
    bit = 1 << CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    effective_permitted_inheritable = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    checked(libc.capset(header, effective_permitted_inheritable))
    checked(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0))


def checked(result: int) -> None:
    """Raise OSError with the errno of the C library if the call failed."""
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))


if __name__ == "__main__":
    main(sys.argv[1:])
