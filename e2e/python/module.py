#!/usr/bin/env python3
"""A module of a device with Microsoft's own SDK (PyPI: azure-iot-device): it sends, reads and reports its twin, and is
spoken to. Prints "ready" when it listens, and "ok" when it has got a method and a change of desired properties, before
and after it has connected again without subscribing again."""

import argparse
import queue

from azure.iot.device import IoTHubModuleClient, Message, MethodResponse


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--connection-string", required=True, help="of the module")
    parser.add_argument("--ca", required=True, help="PEM file with the authority to trust")
    parser.add_argument("--websockets", action="store_true", help="MQTT over WebSocket")
    args = parser.parse_args()
    with open(args.ca, encoding="ascii") as file:
        options = {"server_verification_cert": file.read(), "websockets": args.websockets}
    client = IoTHubModuleClient.create_from_connection_string(args.connection_string, **options)
    happened: queue.Queue = queue.Queue()

    def method(request):
        client.send_method_response(MethodResponse.create_from_method_request(request, 207, {"name": request.name}))
        happened.put("method")

    def patch(desired):
        assert desired["speed"] == 3 and "$version" in desired, desired
        happened.put("patch")

    client.connect()
    message = Message('{"rpm": 900}', content_type="application/json", content_encoding="utf-8")
    message.custom_properties["color"] = "dark red"
    client.send_message(message)
    client.send_message_to_output('{"rpm": 901}', "out")
    assert client.get_twin()["desired"]["$version"] == 1
    client.patch_twin_reported_properties({"serial": "m-1"})
    assert client.get_twin()["reported"]["serial"] == "m-1"
    client.on_method_request_received = method
    client.on_twin_desired_properties_patch_received = patch
    print("ready", flush=True)
    for _ in range(2):
        seen = {happened.get(timeout=60) for _ in range(2)}
        assert seen == {"method", "patch"}, seen
        client.disconnect()
        client.connect()
        print("ready", flush=True)
    client.shutdown()
    print("ok", flush=True)


main()
