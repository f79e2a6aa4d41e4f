"""WHIP publisher and WHEP viewer on aiortc, a stack that shares no code with ours.

    aiortc_client.py publish|play URL --seconds N [--wait N] [--token T]

Prints one JSON line: {"frames_video", "frames_audio", "state", "delete"}. A viewer counts decoded frames, a publisher packets sent.
A 409 is asked again after its Retry-After for `--wait` seconds: the stream is not live yet, or its last publisher is just leaving.
Exit 1 with a plain line on stderr when the session did not come up.
"""

import argparse
import array
import asyncio
import fractions
import json
import math
import sys
import time
from urllib.parse import urljoin

import aiohttp
import av
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender, RTCSessionDescription

CONNECT_SECONDS = 15


WIDTH, HEIGHT = 640, 360
RAMP = bytes(range(256)) * (WIDTH // 256 + 2)


class Picture(MediaStreamTrack):
    """A moving picture: slanted stripes, 30 frames a second."""

    kind = "video"

    def __init__(self):
        super().__init__()
        self.count = 0
        self.started = time.monotonic()

    async def recv(self):
        due = self.started + self.count / 30
        await asyncio.sleep(max(0, due - time.monotonic()))
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        starts = ((row + 4 * self.count) % 256 for row in range(HEIGHT))
        frame.planes[0].update(b"".join(RAMP[start : start + WIDTH] for start in starts))
        for plane in frame.planes[1:]:
            plane.update(bytes([128]) * plane.buffer_size)
        frame.pts = self.count * 3000
        frame.time_base = fractions.Fraction(1, 90000)
        self.count += 1
        return frame


class Tone(MediaStreamTrack):
    """440 Hz, 20 ms a frame."""

    kind = "audio"

    def __init__(self):
        super().__init__()
        self.count = 0
        self.started = time.monotonic()

    async def recv(self):
        due = self.started + self.count / 50
        await asyncio.sleep(max(0, due - time.monotonic()))
        first = self.count * 960
        wave = array.array("h", (int(8000 * math.sin(math.tau * 440 / 48000 * at)) for at in range(first, first + 960)))
        frame = av.AudioFrame(format="s16", layout="mono", samples=960)
        frame.planes[0].update(wave.tobytes())
        frame.sample_rate = 48000
        frame.pts = self.count * 960
        frame.time_base = fractions.Fraction(1, 48000)
        self.count += 1
        return frame


def publishing(pc):
    pc.addTransceiver(Tone(), direction="sendonly")
    video = pc.addTransceiver(Picture(), direction="sendonly")
    codecs = RTCRtpSender.getCapabilities("video").codecs
    video.setCodecPreferences([codec for codec in codecs if codec.mimeType in ("video/H264", "video/rtx")])


def playing(pc, counts, tasks):
    async def count(track):
        while True:
            await track.recv()
            counts[track.kind] += 1

    @pc.on("track")
    def _(track):
        tasks.append(asyncio.ensure_future(count(track)))

    for kind in ("audio", "video"):
        pc.addTransceiver(kind, direction="recvonly")


async def connected(pc):
    """Waits until media can flow. Raises when it cannot, or does not in time."""
    ended = asyncio.get_running_loop().create_future()

    def look():
        if pc.connectionState in ("connected", "failed", "closed") and not ended.done():
            ended.set_result(pc.connectionState)

    pc.on("connectionstatechange", look)
    look()
    state = await asyncio.wait_for(ended, CONNECT_SECONDS)
    if state != "connected":
        raise RuntimeError(f"the peer connection {state}")


async def offered(http, url, offer, auth, wait):
    """Posts the offer. Answers the session's URL and the answer."""
    until = time.monotonic() + wait
    while True:
        async with http.post(url, data=offer, headers={"Content-Type": "application/sdp", **auth}) as answer:
            body = await answer.text()
            if answer.status == 201:
                return urljoin(str(answer.url), answer.headers["Location"]), body
            if answer.status != 409 or time.monotonic() > until:
                raise RuntimeError(f"POST: {answer.status} {body[:200]}")
            pause = float(answer.headers.get("Retry-After", 1))
        await asyncio.sleep(min(pause, 2))


async def run(role, url, seconds, wait, token):
    pc = RTCPeerConnection()
    counts = {"video": 0, "audio": 0}
    tasks = []
    if role == "publish":
        publishing(pc)
    else:
        playing(pc, counts, tasks)
    await pc.setLocalDescription(await pc.createOffer())
    auth = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession() as http:
        offer = pc.localDescription.sdp.encode()
        session, body = await offered(http, url, offer, auth, wait)
        try:
            await pc.setRemoteDescription(RTCSessionDescription(body, "answer"))
            await connected(pc)
            await asyncio.sleep(seconds)
            if role == "publish":
                for row in (await pc.getStats()).values():
                    if row.type == "outbound-rtp":
                        counts[row.kind] += row.packetsSent
            state = pc.connectionState
        finally:
            async with http.delete(session, headers=auth) as ended:
                deleted = ended.status
            for task in tasks:
                task.cancel()
            await pc.close()
    return {"frames_video": counts["video"], "frames_audio": counts["audio"], "state": state, "delete": deleted}


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("role", choices=["publish", "play"])
    args.add_argument("url")
    args.add_argument("--seconds", type=float, default=5)
    args.add_argument("--wait", type=float, default=0)
    args.add_argument("--token")
    given = args.parse_args()
    try:
        print(json.dumps(asyncio.run(run(given.role, given.url, given.seconds, given.wait, given.token))), flush=True)
    except (RuntimeError, OSError, KeyError, asyncio.TimeoutError, aiohttp.ClientError) as cause:
        sys.exit(f"aiortc {given.role}: {type(cause).__name__}: {cause}")


main()
