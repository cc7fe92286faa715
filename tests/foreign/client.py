"""pysignalr, as its documentation has it used."""

import asyncio
import json
import os
import sys

from pysignalr.client import SignalRClient

HUB, BUCKET, ADMIN_KEY = (os.environ[name] for name in ("HUB", "BUCKET", "ADMIN_KEY"))
EVENTS = ("FileCreated", "FileUpdated", "FileDeleted", "BucketCreated", "BucketUpdated", "BucketDeleted")


async def ask(words):
    print(f"@ask {words}", flush=True)
    return (await asyncio.to_thread(sys.stdin.readline)).strip()


class Listener:
    """A client that subscribes whenever it has connected, and keeps what comes."""

    def __init__(self, url, method, arguments, ping):
        self.client = SignalRClient(url, signalr_ping_interval=ping, retry_sleep=0.1)
        self.seen, self.changed, self.subscriptions = [], asyncio.Condition(), 0
        self.method, self.arguments = method, arguments
        for name in EVENTS:
            self.client.on(name, lambda arguments, name=name: self.add(name, arguments))
        self.client.on_open(self.subscribe)
        self.running = asyncio.create_task(self.client.run())

    async def add(self, name, arguments):
        about = arguments[-1]["path"] if isinstance(arguments[-1], dict) else arguments[-1]
        async with self.changed:
            self.seen.append(f"{name} {about}")
            self.changed.notify_all()

    async def subscribe(self):
        # A callback of its opening can't wait for the answer, as it holds up the reader.
        await self.client.send(self.method, self.arguments, self.subscribed)

    async def subscribed(self, completion):
        assert completion.error is None, completion.error
        async with self.changed:
            self.subscriptions += 1
            self.changed.notify_all()

    async def until(self, holds):
        async with self.changed:
            await self.changed.wait_for(holds)

    async def stop(self):
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)


async def main():
    times = json.loads(await ask("times"))
    ping = times["ping"] / 1000
    bucket = Listener(HUB, "SubscribeToBucket", [BUCKET], ping)
    await bucket.until(lambda: bucket.subscriptions == 1)
    for words in ("upload a.txt", "upload a.txt", "upload b.txt", "delete a.txt"):
        await ask(words)
    await bucket.until(lambda: len(bucket.seen) == 4)
    assert bucket.seen == ["FileCreated a.txt", "FileUpdated a.txt", "FileCreated b.txt", "FileDeleted a.txt"], bucket.seen

    await asyncio.sleep(2 * times["timeout"] / 1000)
    await ask("upload c.txt")
    await bucket.until(lambda: len(bucket.seen) == 5)
    assert bucket.subscriptions == 1, "it has been dropped although it pinged"

    await ask("restart")
    await bucket.until(lambda: bucket.subscriptions == 2)
    await ask("upload d.txt")
    await bucket.until(lambda: len(bucket.seen) == 6)
    assert bucket.seen[5] == "FileCreated d.txt", bucket.seen
    await bucket.stop()

    everything = Listener(f"{HUB}?access_token={ADMIN_KEY}", "SubscribeToAll", [], ping)
    await everything.until(lambda: everything.subscriptions == 1)
    await ask("upload e.txt")
    await everything.until(lambda: len(everything.seen) == 1)
    assert everything.seen == ["FileCreated e.txt"], everything.seen
    await everything.stop()
    print("connected, subscribed, lived through two time-outs and a restart", flush=True)


asyncio.run(asyncio.wait_for(main(), 120))
