"""What the scripts on the service SDK share."""

import base64
import os


def key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def refused(phrase: str, call, *arguments) -> None:
    """The SDK tells errors by the reason phrase."""
    try:
        call(*arguments)
    except Exception as error:  # noqa: BLE001, the SDK has several
        assert phrase in str(error), error
    else:
        raise AssertionError(f"expected '{phrase}'")
