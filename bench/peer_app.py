# mypy: ignore-errors
"""The no-op job in the words of each peer; `main` takes `fill N` or `wait N`. Runs in the peers' own environment.

BullMQ's words stand in peer_bullmq.cjs; here its jobs are only counted.
"""

import os
import subprocess
import sys
import time

KIND = os.environ["PEER"]
MYSQL_PORT, REDIS_PORT = int(os.environ["PEER_MYSQL_PORT"]), int(os.environ["PEER_REDIS_PORT"])

if KIND == "huey":
    from huey.contrib.sql_huey import SqlHuey
    from peewee import MySQLDatabase

    database = MySQLDatabase("runtime", user="bench", host="127.0.0.1", port=MYSQL_PORT, ssl_disabled=True)
    huey = SqlHuey("bench", database=database, results=False)

    @huey.task()
    def noop():
        return None

    send, empty, left = noop, huey.flush, huey.pending_count
else:
    import redis

    store = redis.Redis(port=REDIS_PORT)
    if KIND == "dramatiq":
        import dramatiq
        from dramatiq.brokers.redis import RedisBroker

        broker = RedisBroker(port=REDIS_PORT)
        dramatiq.set_broker(broker)

        @dramatiq.actor
        def noop():
            store.incr("done")

        send = noop.send
    elif KIND == "celery":
        from celery import Celery

        app = Celery("peer_app", broker=f"redis://127.0.0.1:{REDIS_PORT}")

        @app.task(ignore_result=True)
        def noop():
            store.incr("done")

        send = noop.delay
    elif KIND == "rq":
        from rq import Queue

        def noop():
            store.incr("done")

        def send():
            Queue(connection=store).enqueue(noop)

    empty = store.flushall


def pending(count):
    if KIND == "bullmq":
        return count - store.zcard("bull:bench:completed")
    return left() if KIND == "huey" else count - int(store.get("done") or 0)


def main():
    verb, count = sys.argv[1], int(sys.argv[2])
    if verb == "fill":
        empty()
        if KIND == "bullmq":
            subprocess.run(["node", os.environ["PEER_BULLMQ"], "fill", str(count)], check=True)
            return
        for _ in range(count):
            send()
        return
    # The clock starts when the worker has done its first jobs: starting a program is not what is compared.
    while pending(count) > count * 0.95:
        time.sleep(0.002)
    at, began = pending(count), time.monotonic()
    while pending(count) > 0:
        time.sleep(0.005)
    print((time.monotonic() - began) * count / at)
