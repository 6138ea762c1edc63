"""The dead-man's switch: a web address is asked for when a check has ended well.

Whoever listens there raises an alarm when the calls stay out, also where this machine, its network or its database is
gone, of which nothing here could send an alert.
"""

from concurrent.futures import wait as wait_for
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import structlog

from events.runtime import background
from events.runtime.settings import Settings

ANSWER_SECONDS: Final = 10.0

_log = structlog.get_logger()


def call(settings: Settings) -> None:
    """Ask for the address, if one is set; a failure is logged, without what may be secret, and changes nothing."""
    if not (url := settings.heartbeat_url.get_secret_value()):
        return
    asked = background.begin(lambda: _answer(url), name="heartbeat")
    wait_for([asked], ANSWER_SECONDS)
    why = asked.result() if asked.done() else f"no answer within {ANSWER_SECONDS:g} s"
    if why:
        _log.warning("heartbeat failed", host=urlsplit(url).hostname, reason=why)


def _answer(url: str) -> str:
    """Ask once; return why that failed."""
    try:
        with urlopen(Request(url), timeout=ANSWER_SECONDS):  # noqa: S310 - the setting admits no other scheme than http
            return ""
    except HTTPError as error:
        return f"HTTP status {error.code}"
    except URLError as error:
        return str(error.reason)
    except (OSError, HTTPException, ValueError) as error:
        return type(error).__name__
