"""Deploy-time health checks over real HTTP (Railway docs: healthchecks): status 200 passes, nothing else does."""

from __future__ import annotations

import asyncio
import contextlib

HOST = "healthcheck.railway.app"
_ATTEMPT_SECONDS = 5.0


async def answers_200(port: int, path: str) -> bool:
    """One GET to the loopback port; redirects are not followed."""
    with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        async with asyncio.timeout(_ATTEMPT_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                target = path if path.startswith("/") else f"/{path}"
                writer.write(f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
                status_line = await reader.readline()
            finally:
                writer.close()
            return status_line.split()[1:2] == [b"200"]
    return False
