"""`projector health`: asks a probe of the process that serves at the deployment's address, as curl would."""

import json
from http.client import HTTPConnection, HTTPException
from typing import Any, Final

from events.runtime import settings
from events.runtime.errors import ServiceUnavailableError, SettingError
from events.runtime.settings import host_and_port, variable
from projector.metrics import probes

ANSWER_SECONDS: Final = 5.0
ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is served everywhere is asked on loopback


def ask(*, ready: bool) -> tuple[bool, dict[str, Any]]:
    """Return the answer and its facts.

    Raises:
        SettingError: no address is set.
        ServiceUnavailableError: nobody answers there, or something else does.

    """
    address = host_and_port(settings.load().metrics_address)
    name = variable("metrics_address")
    if address is None:
        raise SettingError(f"{name} is not set: set it to the same value as for the program that is asked")
    host, port = address
    path = probes.READY if ready else probes.ALIVE
    where = f"http://{host}:{port}{path}"
    connection = HTTPConnection(ANYWHERE.get(host, host), port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        facts = json.loads(answer.read())
    except (OSError, HTTPException) as error:
        raise ServiceUnavailableError(f"{where} does not answer: {error or type(error).__name__}") from None
    except ValueError:
        raise ServiceUnavailableError(f"{where} is not one of these programs: it does not answer in JSON") from None
    finally:
        connection.close()
    return answer.status == 200, facts  # noqa: PLR2004 - HTTP's OK
