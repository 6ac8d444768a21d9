"""Files of other machines, by URL: fsspec reaches them, and universal_pathlib gives them the methods of a `Path`.

Nothing is copied to the disk. What goes wrong on the way has many exceptions, one family for each protocol's package;
`network_errors` and `explain_failure` make one sentence of each.
"""

import io
import logging
import sys
import time
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, cast

from electra_hf.errors import UsageError, explain_os_error

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

RETRY_SECONDS = 1.0  # before the first new attempt, twice as long before each further one
MAX_RETRIES = 5
# A server may be silent for so long; the whole of a file may take any time.
_CONNECT_SECONDS = 30
_SILENCE_SECONDS = 120

_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}
# The exceptions of each package that are no OSError. Of a package that is not loaded none can have been raised.
_NETWORK_ERRORS = {
    "aiohttp": "ClientError",
    "botocore.exceptions": "BotoCoreError",
    "google.auth.exceptions": "GoogleAuthError",
    "httpx": "HTTPError",
    "httpx2": "HTTPError",
}

logger = logging.getLogger(__name__)


def as_path(name: str | Path) -> Path:
    """A local path, or for a URL (https://, hf://, s3://, gs:// and what else fsspec knows) one that works like it.

    Raises:
        UsageError: No such protocol, or the package that speaks it is not installed.
    """
    if not isinstance(name, str):
        return name
    if "://" not in name:
        return Path(name)
    from upath import UPath

    protocol = name.partition("://")[0]
    options: dict[str, Any] = {}
    if protocol in ("http", "https"):
        from aiohttp import ClientTimeout

        # The default is five minutes for all of a file.
        timeout = ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS)
        options["client_kwargs"] = {"timeout": timeout}
    try:
        path = UPath(name, **options)
        path.fs  # noqa: B018  (made here, so that a missing package is reported before anything long starts)
    except ImportError as error:
        package = _PACKAGES.get(protocol)
        hint = f"`pip install {package}`" if package else f"install what is missing ({error})"
        raise UsageError(
            f"{name}: {protocol}:// needs a package that is not installed: {hint}, or copy the files to this machine"
        ) from error
    except ValueError as error:
        raise UsageError(f"{name}: cannot be opened ({error}): check the part before ://") from error
    except (OSError, *network_errors()) as error:
        raise UsageError(f"{name}: cannot be opened ({error}): check the address and the connection") from error
    if path.protocol in ("file", "local"):
        return Path(path.path)
    return cast(Path, path)


def is_remote(path: Path) -> bool:
    """Whether a path is a URL that `as_path` opened, rather than a file of this machine."""
    return not isinstance(path, PurePath)


def network_errors() -> tuple[type[Exception], ...]:
    """What a file system may raise besides OSError when a machine cannot be reached or refuses."""
    return tuple(getattr(sys.modules[name], kind) for name, kind in _NETWORK_ERRORS.items() if name in sys.modules)


def explain_failure(error: Exception, path: Path) -> str:
    """One sentence for a failed operation on a local or remote file: which one, what was said, and the way out.

    Args:
        error: An OSError, or one of `network_errors`.
        path: The file or folder, if the error does not name another one.
    """
    if isinstance(error, FileNotFoundError) and is_remote(path):
        if is_absence(error):
            return f"{path}: no such file: check the address and your access to it"
        error = cast(Exception, error.__cause__)
    if _is_of_network(error, path):
        said = " ".join(str(error).split())
        return (
            f"{path}: cannot be reached ({type(error).__name__}{': ' if said else ''}{said}): check the address, your "
            "access to it and the connection, and try again"
        )
    assert isinstance(error, OSError)
    return explain_os_error(error, error.filename or path)


def is_absence(error: FileNotFoundError) -> bool:
    """Whether a file is not there; the HTTP file system says so whatever happened, and keeps what it was as cause."""
    cause = error.__cause__
    return not isinstance(cause, network_errors()) or getattr(cause, "status", None) == 404


def _is_of_network(error: Exception, path: Path) -> bool:
    return isinstance(error, network_errors()) or (
        is_remote(path) and isinstance(error, ConnectionError | TimeoutError)
    )


class RemoteReader(io.RawIOBase):
    """The bytes of a remote file, in one pass that goes on where it was after the connection broke.

    A server that cannot send a part of a file is asked for the whole of it; what was read already is then passed over.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = path.open("rb")
        self._position = 0
        self._in_parts = True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer)
        data = self._read(len(view))
        self._position += len(data)
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def _read(self, size: int) -> bytes:
        failures = 0
        while True:
            try:
                if self._file is None:
                    self._file = self._open_again()
                return self._file.read(size)
            except (OSError, *network_errors()) as error:
                failures += 1
                if failures > MAX_RETRIES or not _is_passing(error, self._path):
                    raise
                logger.warning("%s: %s at byte %d: trying again", self._path, type(error).__name__, self._position)
                time.sleep(RETRY_SECONDS * 2 ** (failures - 1))
            except ValueError:
                # What fsspec raises when the answer to a request for a part is the whole.
                if not self._in_parts or self._path.fs.protocol[0] != "http":  # type: ignore[attr-defined]
                    raise
                self._in_parts = False
            self._file = None

    def _open_again(self) -> Any:
        remote: Any = self._path
        if self._in_parts:
            file = remote.open("rb")
            file.seek(self._position)
            return file
        file = remote.fs.open(remote.path, "rb", block_size=0)
        passed = 0
        while passed < self._position:
            data = file.read(min(2**20, self._position - passed))
            if not data:
                raise EOFError("the file became shorter while it was read")
            passed += len(data)
        return file


def _is_passing(error: Exception, path: Path) -> bool:
    """Whether another attempt may succeed: nothing that the server refused."""
    status = getattr(error, "status", None)
    return _is_of_network(error, path) and (status is None or status == 429 or status >= 500)
