"""Hands on what arrives at a port of one address to the same port of 127.0.0.1."""

import asyncio
import sys
from contextlib import suppress

from local.cloud.ports import HOST


async def listen(address: str, port: int) -> None:
    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(HOST, port)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(hand_on, address, port)
    await server.serve_forever()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while read := await reader.read(1 << 16):
            writer.write(read)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(listen(sys.argv[1], int(sys.argv[2])))
