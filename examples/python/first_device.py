#!/usr/bin/env python3
"""A first device, with Microsoft's own SDK (PyPI: azure-iot-device) and nothing changed in it.

The device provisions itself through Muster's DPS with the enrollment group's symmetric key, connects to the hub that
DPS names, reports a property and sends telemetry. `muster serve --demo` prints the line to start it with; the web app
shows it under "Connect" on every device.

    python first_device.py --id-scope ID --group-key KEY --device my-first-device --ca data/tls/ca.pem
"""

import argparse
import base64
import hashlib
import hmac
import json
import math
import random
import time
from datetime import datetime, timezone

from azure.iot.device import IoTHubDeviceClient, Message, ProvisioningDeviceClient
from azure.iot.device.exceptions import ConnectionDroppedError, ConnectionFailedError, NoConnectionError, OperationTimeout

AWAY = (ConnectionDroppedError, ConnectionFailedError, NoConnectionError, OperationTimeout)


def derive_key(group_key: str, registration_id: str) -> str:
    """The device's own key: HMAC-SHA256 of its registration id under the group's key."""
    digest = hmac.new(base64.b64decode(group_key), registration_id.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A first device for Muster.")
    parser.add_argument("--host", default="localhost", help="the hub's host name (MUSTER__HUB__HOST)")
    parser.add_argument("--id-scope", required=True, help="the tenant's id scope")
    parser.add_argument("--group-key", required=True, help="a key of the enrollment group SAS-IoT-Devices")
    parser.add_argument("--device", default="my-first-device", help="the device's id")
    parser.add_argument("--model", help="the device's model id, for example dtmi:muster:demo:Machine;1")
    parser.add_argument("--ca", help="PEM file with Muster's certificate authority (DATA_DIR/tls/ca.pem, or GET /ca.pem)")
    parser.add_argument("--interval", type=float, default=2.0, help="seconds between messages")
    parser.add_argument("--count", type=int, default=0, help="messages to send; 0 = until Ctrl-C")
    parser.add_argument("--temperature", type=float, help="always send this temperature")
    return parser.parse_args()


def send(client: IoTHubDeviceClient, message: Message) -> None:
    """Sends the message until the hub has acknowledged it: a hub that is away comes back."""
    while True:
        try:
            return client.send_message(message)
        except AWAY as error:
            print(f"the hub is away, trying again ({type(error).__name__})", flush=True)
            time.sleep(1)


def main() -> None:
    args = arguments()
    ca = open(args.ca, encoding="ascii").read() if args.ca else None
    trust = {"server_verification_cert": ca} if ca else {}
    key = derive_key(args.group_key, args.device)

    provisioning = ProvisioningDeviceClient.create_from_symmetric_key(
        provisioning_host=args.host, registration_id=args.device, id_scope=args.id_scope, symmetric_key=key, **trust
    )
    if args.model:
        provisioning.provisioning_payload = {"modelId": args.model}
    result = provisioning.register()
    if result.status != "assigned":
        raise SystemExit(f"provisioning ended with status {result.status}")
    state = result.registration_state
    print(f"provisioned: {state.device_id} at {state.assigned_hub}", flush=True)

    options = {"product_info": args.model} if args.model else {}
    client = IoTHubDeviceClient.create_from_symmetric_key(
        symmetric_key=key, hostname=state.assigned_hub, device_id=state.device_id, **options, **trust
    )
    client.connect()
    print("connected", flush=True)
    client.patch_twin_reported_properties({"serialNumber": f"SN-{args.device}", "firmwareVersion": "1.0.0"})

    sent = 0
    try:
        while args.count == 0 or sent < args.count:
            swing = 4 * math.sin(time.time() / 60)
            temperature = args.temperature if args.temperature is not None else 22 + swing + random.gauss(0, 0.2)
            body = {"temperature": round(temperature, 2), "humidity": round(45 - swing + random.gauss(0, 0.5), 1)}
            message = Message(json.dumps(body), content_encoding="utf-8", content_type="application/json")
            send(client, message)
            sent += 1
            print(f"{datetime.now(timezone.utc):%H:%M:%S} sent {body}", flush=True)
            if args.count == 0 or sent < args.count:
                time.sleep(args.interval)
    except KeyboardInterrupt:
        pass
    finally:
        client.shutdown()
    print(f"{sent} messages sent and acknowledged", flush=True)


if __name__ == "__main__":
    main()
