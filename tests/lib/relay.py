#!/usr/bin/python3
"""A TCP relay with bad manners: one port a computer, each line spoilt by command.

    relay.py HOST CITY-HOST:PORT LINES      prints the ports as JSON, then reads one JSON object a line:
    {"line": 0, "fault": "cap", "value": 4000}

Faults of a line last until another takes their place; `none` heals it. What a connection has lost it
does not get back: a healed line carries new connections, as behind a NAT that forgot the old ones.

    none     as a line should be          cap     bytes a second, either way
    delay    seconds, either way          cut     connections are reset, new ones too
    up, down nothing goes that way, and no one is told (half-open)
    forget   open connections go silent for ever, new ones work (NAT)
    large    a burst above 1200 bytes vanishes, and what follows it (MTU black hole)
"""
import asyncio
import json
import sys

LARGE = 1200
PIECE = 65536


class Line:
    def __init__(self):
        self.fault, self.value, self.open = "none", 0, set()

    def order(self, fault, value):
        self.fault, self.value = fault, value
        for flow in list(self.open):
            if fault == "cut":
                flow.abort()
            elif fault == "forget":
                flow.dead = True
        if fault == "forget":
            self.fault = "none"


class Flow:
    """One connection. `dead`: it swallows everything and never ends by itself."""

    def __init__(self, line, writers):
        self.line, self.writers, self.dead = line, writers, False

    def abort(self):
        for writer in self.writers:
            writer.transport.abort()

    def swallows(self, way, data):
        if self.line.fault == way or (self.line.fault == "large" and len(data) > LARGE):
            self.dead = True  # the stream has a hole now: nothing behind it may be delivered
        return self.dead

    async def pump(self, way, reader, writer):
        while data := await reader.read(PIECE):
            if self.line.fault == "delay":
                await asyncio.sleep(self.line.value)
            elif self.line.fault == "cap":
                await asyncio.sleep(len(data) / self.line.value)
            if not self.swallows(way, data):
                writer.write(data)
                await writer.drain()
        if not self.dead:
            writer.close()

    async def run(self, county, city):
        ways = [asyncio.ensure_future(self.pump("up", county, self.writers[1])),
                asyncio.ensure_future(self.pump("down", city, self.writers[0]))]
        await asyncio.gather(*ways, return_exceptions=True)


async def serve(line, city, county_reader, county_writer):
    if line.fault == "cut":
        county_writer.transport.abort()
        return
    try:
        city_reader, city_writer = await asyncio.open_connection(*city)
    except OSError:
        county_writer.transport.abort()
        return
    flow = Flow(line, (county_writer, city_writer))
    line.open.add(flow)
    await flow.run(county_reader, city_reader)
    line.open.discard(flow)
    flow.abort()


async def main(host, city, count):
    city = city.rsplit(":", 1)
    lines = [Line() for _ in range(count)]
    servers = [await asyncio.start_server(lambda r, w, line=line: serve(line, city, r, w), host, 0)
               for line in lines]
    print(json.dumps([s.sockets[0].getsockname()[1] for s in servers]), flush=True)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while text := await orders.readline():
        order = json.loads(text)
        lines[order["line"]].order(order["fault"], order.get("value", 0))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
