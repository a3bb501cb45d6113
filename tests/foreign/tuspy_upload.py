"""Uploads a file with tuspy: python tuspy_upload.py URL TOKEN FILE WAY"""

import sys

from tusclient.client import TusClient

url, token, path, way = sys.argv[1:]
MIB = 1024 * 1024

client = TusClient(url, headers={"Authorization": f"Bearer {token}"})
metadata = {"filename": f"{way}.mp4", "start": "2026-11-20T14:03:22+01:00"}


def uploader(**options):
    return client.uploader(path, metadata=metadata, **options)


if way == "whole":
    uploader().upload()
elif way == "chunked":
    uploader(chunk_size=MIB).upload()
elif way == "checksums":
    uploader(chunk_size=MIB, upload_checksum=True).upload()
elif way == "resumed":
    first = uploader(chunk_size=MIB)
    first.upload_chunk()
    first.upload_chunk()
    uploader(chunk_size=MIB, url=first.url).upload()
else:
    sys.exit(f"no such way: {way}")
