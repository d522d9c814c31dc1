#!/usr/bin/env python3
"""One device with Microsoft's own SDK (PyPI: azure-iot-device) that is spoken to: a direct method, a cloud-to-device
message and a change of desired properties. Prints "ready" when it listens, and "ok" when it has got one of each, before
and after it has connected again without subscribing again."""

import argparse
import json
import queue

from azure.iot.device import IoTHubDeviceClient, MethodResponse


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True, help="the hub's host name or address")
    parser.add_argument("--ca", required=True, help="PEM file with the authority to trust")
    parser.add_argument("--device", required=True, help="the device's id")
    parser.add_argument("--key", required=True, help="the device's symmetric key")
    parser.add_argument("--websockets", action="store_true", help="MQTT over WebSocket")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    with open(args.ca, encoding="ascii") as file:
        options = {"server_verification_cert": file.read(), "websockets": args.websockets}
    where = {"hostname": args.host, "device_id": args.device, "symmetric_key": args.key}
    client = IoTHubDeviceClient.create_from_symmetric_key(**where, **options)
    happened: queue.Queue = queue.Queue()

    def method(request):
        answer = {"name": request.name, "payload": request.payload}
        client.send_method_response(MethodResponse.create_from_method_request(request, 207, answer))
        happened.put("method")

    def message(received):
        assert received.custom_properties == {"color": "dark red"}, received.custom_properties
        assert received.content_type == "application/json", received.content_type
        assert json.loads(received.data)["hello"] == "world", received.data
        happened.put("message")

    def patch(desired):
        assert desired["target"] == 20 and "$version" in desired, desired
        happened.put("patch")

    client.connect()
    client.on_method_request_received = method
    client.on_message_received = message
    client.on_twin_desired_properties_patch_received = patch
    print("ready", flush=True)
    for _ in range(2):
        seen = {happened.get(timeout=60) for _ in range(3)}
        assert seen == {"method", "message", "patch"}, seen
        client.disconnect()
        client.connect()
        print("ready", flush=True)
    client.shutdown()
    print("ok", flush=True)


main()
