#!/usr/bin/env python3
"""One device with Microsoft's own SDK (PyPI: azure-iot-device). It provisions itself where it is told how, connects,
sends telemetry, reports a property, reads its twin and uploads a file. Then it prints "ready" and waits for a direct method, a
cloud-to-device message and a change of desired properties; and once more after it has connected again without
subscribing again. At the end it prints "ok"."""

import argparse
import json
import queue
import uuid

from azure.iot.device import X509, IoTHubDeviceClient, Message, MethodResponse, ProvisioningDeviceClient
from azure.storage.blob import BlobClient


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True, help="the hub's host name or address")
    parser.add_argument("--ca", required=True, help="PEM file with the authority to trust")
    parser.add_argument("--device", required=True, help="the device's id")
    parser.add_argument("--key", help="the device's symmetric key")
    parser.add_argument("--certificate", help="PEM file with the device's certificate, and those above it")
    parser.add_argument("--private-key", help="PEM file with the certificate's key")
    parser.add_argument("--id-scope", help="provision first, in this id scope")
    parser.add_argument("--websockets", action="store_true", help="MQTT over WebSocket")
    parser.add_argument("--messages", type=int, default=100)
    return parser.parse_args()


def provision(args: argparse.Namespace, x509: X509 | None, options: dict) -> tuple[str, str]:
    where = {"provisioning_host": args.host, "registration_id": args.device, "id_scope": args.id_scope}
    if x509:
        client = ProvisioningDeviceClient.create_from_x509_certificate(x509=x509, **where, **options)
    else:
        client = ProvisioningDeviceClient.create_from_symmetric_key(symmetric_key=args.key, **where, **options)
    client.provisioning_payload = {"modelId": "dtmi:test:Machine;1"}
    result = client.register()
    assert result.status == "assigned", result.status
    return result.registration_state.assigned_hub, result.registration_state.device_id


def main() -> None:
    args = arguments()
    with open(args.ca, encoding="ascii") as file:
        options = {"server_verification_cert": file.read(), "websockets": args.websockets}
    x509 = X509(cert_file=args.certificate, key_file=args.private_key) if args.certificate else None
    host, device = provision(args, x509, options) if args.id_scope else (args.host, args.device)

    where = {"hostname": host, "device_id": device}
    if x509:
        client = IoTHubDeviceClient.create_from_x509_certificate(x509=x509, **where, **options)
    else:
        client = IoTHubDeviceClient.create_from_symmetric_key(symmetric_key=args.key, **where, **options)
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
    for number in range(args.messages):
        body = json.dumps({"temperature": number})
        client.send_message(Message(body, content_encoding="utf-8", content_type="application/json"))
    marker = str(uuid.uuid4())
    client.patch_twin_reported_properties({"serialNumber": marker})
    twin = client.get_twin()
    assert twin["reported"]["serialNumber"] == marker, twin

    grant = client.get_storage_info_for_blob("log.txt")
    url = "https://{hostName}/{containerName}/{blobName}{sasToken}".format(**grant)
    with BlobClient.from_blob_url(url, connection_verify=args.ca) as blob:
        blob.upload_blob(f"{device} has started\n", overwrite=True)
    client.notify_blob_upload_status(grant["correlationId"], True, 200, "done")

    client.on_method_request_received = method
    client.on_message_received = message
    client.on_twin_desired_properties_patch_received = patch
    for again in (False, True):
        if again:
            client.disconnect()
            client.connect()
        print("ready", flush=True)
        seen = {happened.get(timeout=60) for _ in range(3)}
        assert seen == {"method", "message", "patch"}, seen
    client.shutdown()
    print("ok", flush=True)


main()
