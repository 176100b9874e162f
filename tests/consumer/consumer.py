#!/usr/bin/env python3
"""Reads what Vitrine agents publish: validates it, counts every event once, and accounts for every number.

Written from protocol/schema/asyncapi.json alone: topics, quality of service and forms are read from it at start. It needs
paho-mqtt and jsonschema. It keeps its account in memory: a platform keeps it in its database, in the transaction
that takes the events, and acknowledges after that.

    consumer.py --broker 127.0.0.1:1883 --seconds 60

prints at the end, and every so often with --every, one line of JSON; with --events, every event is appended to a file.
"""

import argparse
import json
import re
import signal
import sys
import threading
from collections import Counter, defaultdict
from pathlib import Path

import paho.mqtt.client as mqtt
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from referencing import Registry
from referencing.jsonschema import DRAFT202012

DOCUMENT = Path(__file__).resolve().parents[2] / "protocol/schema/asyncapi.json"
SESSION_SECONDS = 86_400


class Invalid(Exception):
    """A message that is not as documented."""


class Channel:
    """A channel of the document: which topics belong to it, and what a message on it has to look like."""

    def __init__(self, name, channel, schema_of):
        self.name = name
        self.address = channel["address"]
        self.filter = re.sub(r"\{\w+\}", "+", self.address)
        self.pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.address))
        (message,) = channel["messages"].values()
        self.validator = schema_of(message)

    def read(self, topic_fields, payload):
        """The message, or Invalid."""
        try:
            message = json.loads(payload)
        except ValueError as error:
            raise Invalid(f"not JSON: {error}") from error
        error = best_match(self.validator.iter_errors(message))
        if error:
            raise Invalid(f"{error.json_path}: {error.message}")
        for field, value in topic_fields.items():
            if message.get(field) != value:
                raise Invalid(f"{field} is {message.get(field)!r}, and {value!r} in the topic")
        if len(message.get("events", [])) != message.get("count", 0):
            raise Invalid("count is not the number of events")
        return message


class Document:
    """The AsyncAPI document."""

    def __init__(self, path):
        document = json.loads(path.read_text())
        registry = Registry().with_resource("vitrine:", DRAFT202012.create_resource(document))

        def schema_of(message):
            (_, _, name) = message["$ref"].rpartition("/")
            reference = document["components"]["messages"][name]["payload"]["$ref"]
            schema = {"$ref": f"vitrine:{reference}"}
            return Draft202012Validator(schema, registry=registry, format_checker=FormatChecker())

        self.channels = []
        for operation in document["operations"].values():
            if operation["action"] == "send":
                (_, _, name) = operation["channel"]["$ref"].rpartition("/")
                channel = Channel(name, document["channels"][name], schema_of)
                channel.qos = operation["bindings"]["mqtt"]["qos"]
                self.channels.append(channel)
        schemas = document["components"]["schemas"].values()
        types = (schema.get("properties", {}).get("type", {}) for schema in schemas)
        self.event_types = {of_type["const"] for of_type in types if "const" in of_type}

    def channel_of(self, topic):
        """The channel of a topic and what the topic says."""
        for channel in self.channels:
            if match := channel.pattern.fullmatch(topic):
                return channel, match.groupdict()
        raise Invalid("no such channel")


class Numbers:
    """The sequence numbers of one stream of one spool."""

    def __init__(self):
        self.upto = 0  # all numbers from 1 to this one are accounted for
        self.above = set()  # and these
        self.highest = 0

    def add(self, seq):
        """Whether it is new."""
        if seq <= self.upto or seq in self.above:
            return False
        self.above.add(seq)
        self.highest = max(self.highest, seq)
        while self.upto + 1 in self.above:
            self.upto += 1
            self.above.remove(self.upto)
        return True

    def holes(self):
        """How many numbers below the highest have neither arrived nor been stated as lost."""
        return self.highest - self.upto - len(self.above)


class Account:
    """What has arrived. Messages are taken by one thread while another asks for the summary."""

    def __init__(self, document, events):
        self.document = document
        self.sink = events
        self.lock = threading.Lock()
        self.numbers = defaultdict(Numbers)
        self.events = Counter()
        self.unknown = Counter()
        self.status = {}
        self.batches = self.duplicates = self.gaps = self.lost = self.invalid = 0
        self.first_invalid = None

    def take(self, topic, payload):
        try:
            channel, topic_fields = self.document.channel_of(topic)
            message = channel.read(topic_fields, payload)
        except Invalid as error:
            with self.lock:
                self.invalid += 1
                self.first_invalid = self.first_invalid or f"{topic}: {error}"
            return
        with self.lock:
            self.take_message(channel, topic_fields, message)

    def take_message(self, channel, topic_fields, message):
        if channel.name == "status":
            self.status["/".join(topic_fields.values())] = message["state"]
        else:
            self.batches += 1
            for seq, event in enumerate(message["events"], message["first_seq"]):
                self.take_event(message, seq, event)

    def take_event(self, batch, seq, event):
        spool, stream = batch["spool_id"], batch["stream"]
        if not self.numbers[spool, stream].add(seq):
            self.duplicates += 1
            return
        self.events[stream] += 1
        if event["type"] not in self.document.event_types:
            self.unknown[event["type"]] += 1
        if event["type"] == "gap":
            self.gaps += 1
            of_stream = self.numbers[spool, event["stream"]]
            self.lost += sum(of_stream.add(lost) for lost in range(event["first_seq"], event["last_seq"] + 1))
        if self.sink:
            place = {"spool_id": spool, "stream": stream, "seq": seq}
            self.sink.write(json.dumps(place | event, separators=(",", ":")) + "\n")

    def summary(self):
        with self.lock:
            return {
                "events": dict(sorted(self.events.items())),
                "batches": self.batches,
                "duplicates": self.duplicates,
                "gaps": self.gaps,
                "lost": self.lost,
                "holes": sum(numbers.holes() for numbers in self.numbers.values()),
                "invalid": self.invalid,
                "first_invalid": self.first_invalid,
                "unknown": dict(self.unknown),
                "status": dict(self.status),
            }


def connect(arguments, document, account):
    """A client whose session outlives its connection, and which acknowledges what it has taken, not what it has received."""
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, arguments.client_id, protocol=mqtt.MQTTv5, manual_ack=True
    )
    if arguments.user:
        client.username_pw_set(arguments.user, Path(arguments.password_file).read_text().strip())

    def subscribe(client, userdata, flags, reason, properties):
        if reason.is_failure:
            print(f"the broker refuses: {reason}", file=sys.stderr)
        else:
            client.subscribe([(channel.filter, channel.qos) for channel in document.channels])

    def subscribed(client, userdata, mid, reasons, properties):
        refused = [str(reason) for reason in reasons if reason.is_failure]
        print(f"the broker refuses: {refused}" if refused else "subscribed", file=sys.stderr, flush=True)

    def take(client, userdata, message):
        account.take(message.topic, message.payload)
        client.ack(message.mid, message.qos)

    client.on_connect, client.on_subscribe, client.on_message = subscribe, subscribed, take
    session = Properties(PacketTypes.CONNECT)
    session.SessionExpiryInterval = SESSION_SECONDS
    client.reconnect_delay_set(1, 30)
    (host, _, port) = arguments.broker.rpartition(":")
    client.connect_async(host, int(port), clean_start=False, properties=session)
    client.loop_start()
    return client


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", required=True, metavar="HOST:PORT")
    parser.add_argument("--user")
    parser.add_argument("--password-file")
    parser.add_argument("--client-id", default="vitrine-consumer", help="names the session at the broker")
    parser.add_argument("--document", type=Path, default=DOCUMENT, help="the AsyncAPI document")
    parser.add_argument("--events", metavar="FILE", help="append every event to FILE, a line of JSON each")
    parser.add_argument("--seconds", type=float, help="end after so long; otherwise at SIGINT or SIGTERM")
    parser.add_argument("--every", type=float, metavar="SECONDS", help="print the account every so often, too")
    arguments = parser.parse_args()

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if arguments.seconds:
        threading.Timer(arguments.seconds, stop.set).start()

    document = Document(arguments.document)
    events = open(arguments.events, "a", buffering=1) if arguments.events else None
    account = Account(document, events)
    client = connect(arguments, document, account)
    while not stop.wait(arguments.every):
        print(json.dumps(account.summary()), flush=True)
    client.disconnect()
    client.loop_stop()
    print(json.dumps(account.summary()), flush=True)


if __name__ == "__main__":
    main()
