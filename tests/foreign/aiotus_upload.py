"""Uploads a file with aiotus: python aiotus_upload.py URL TOKEN FILE WAY"""

import asyncio
import sys

import aiotus

url, token, path, way = sys.argv[1:]
CHUNKS = {"whole": 1024 * 1024 * 1024, "chunked": 1024 * 1024}


async def main():
    with open(path, "rb") as file:
        location = await aiotus.upload(
            url,
            file,
            metadata={"filename": f"{way}.mp4".encode(), "start": b"2026-11-20T14:03:22+01:00"},
            config=aiotus.RetryConfiguration(retry_attempts=1),
            headers={"Authorization": f"Bearer {token}"},
            chunksize=CHUNKS[way],
        )
    if location is None:
        sys.exit("nothing was uploaded")


asyncio.run(main())
