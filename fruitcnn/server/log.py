"""What the server says on standard error: lines for people, or an object of JSON each."""

import datetime
import json
import logging
import sys

from fruitcnn.terminal import printable

LOGGER = logging.getLogger("fruitcnn.server")
# Those that have something to say of what goes wrong.
_LIBRARIES = ("uvicorn.error", "asyncio", "python_multipart")
# The attribute of a log record that has the fields of a request.
_FIELDS = "exchange"
_EXCHANGE = "{client} {method} {path} {status}, {ms} ms, {bytes:,} bytes"


def configure_log(form: str) -> None:
    """From here on this process' messages, and its libraries' warnings, are lines of the form `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    for logger in (LOGGER, *map(logging.getLogger, _LIBRARIES)):
        logger.handlers = [handler]
        logger.setLevel(logging.INFO if logger is LOGGER else logging.WARNING)
        logger.propagate = False


def log_exchange(fields: dict[str, object]) -> None:
    """One request and its answer; never its body, its query or its headers: they can hold what is nobody's business."""
    LOGGER.info("request", extra={_FIELDS: fields})


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, _FIELDS, None)
        text = record.getMessage() if fields is None else _EXCHANGE.format_map(fields)
        # One line each, whatever a request holds.
        lines = [f"fruitcnn: {printable(text)}"]
        return "\n".join(lines + ([self.formatException(record.exc_info)] if record.exc_info else []))


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        fields = getattr(record, _FIELDS, None)
        return json.dumps(
            {
                "time": moment.isoformat(timespec="milliseconds"),
                "level": record.levelname.lower(),
                "message": record.getMessage(),
                **(fields or {}),
                **({"traceback": self.formatException(record.exc_info)} if record.exc_info else {}),
            }
        )
