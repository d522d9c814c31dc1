#!/usr/bin/env python3
"""One device with Microsoft's own SDK (PyPI: azure-iot-device) that keeps sending whatever happens to its connection.

It prints a line a happening: "connected", "disconnected", "method N", "message N", "patch N" (each with a number that
came with it). It subscribes once. When its input ends it prints the numbers of all messages that were acknowledged, as
a JSON array."""

import argparse
import json
import sys
import threading
import time

from azure.iot.device import IoTHubDeviceClient, Message, MethodResponse
from azure.iot.device.exceptions import ConnectionDroppedError, ConnectionFailedError, NoConnectionError, OperationTimeout

AWAY = (ConnectionDroppedError, ConnectionFailedError, NoConnectionError, OperationTimeout)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True, help="the hub's host name or address")
    parser.add_argument("--ca", required=True, help="PEM file with the authority to trust")
    parser.add_argument("--device", required=True, help="the device's id")
    parser.add_argument("--key", required=True, help="the device's symmetric key")
    parser.add_argument("--token-seconds", type=int, default=3600, help="how long a token lives; renewed 120 s before")
    return parser.parse_args()


def say(what: str) -> None:
    print(what, flush=True)


def main() -> None:
    args = arguments()
    with open(args.ca, encoding="ascii") as file:
        options = {"server_verification_cert": file.read(), "sastoken_ttl": args.token_seconds}
    client = IoTHubDeviceClient.create_from_symmetric_key(
        hostname=args.host, device_id=args.device, symmetric_key=args.key, connection_retry_interval=1, **options
    )

    def method(request):
        client.send_method_response(MethodResponse.create_from_method_request(request, 200, request.payload))
        say(f"method {request.payload}")

    client.on_connection_state_change = lambda: say("connected" if client.connected else "disconnected")
    client.connect()
    client.on_method_request_received = method
    client.on_message_received = lambda message: say(f"message {message.data.decode()}")
    client.on_twin_desired_properties_patch_received = lambda desired: say(f"patch {desired['round']}")
    say("ready")

    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    acknowledged = []
    while not ended.is_set():
        number = len(acknowledged)
        body = json.dumps({"number": number})
        try:
            client.send_message(Message(body, content_encoding="utf-8", content_type="application/json"))
            acknowledged.append(number)
        except AWAY:
            # The same number again: it is not acknowledged.
            time.sleep(0.2)
        time.sleep(0.005)
    client.shutdown()
    say(json.dumps(acknowledged))


main()
