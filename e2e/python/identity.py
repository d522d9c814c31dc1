#!/usr/bin/env python3
"""One device with Microsoft's own SDK (PyPI: azure-iot-device): it provisions itself where it is told how, connects,
sends telemetry, reads its twin and reports a property. Prints "ok" when all of it went well."""

import argparse
import uuid

from azure.iot.device import X509, IoTHubDeviceClient, Message, ProvisioningDeviceClient


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
    return parser.parse_args()


def main() -> None:
    args = arguments()
    with open(args.ca, encoding="ascii") as file:
        options = {"server_verification_cert": file.read(), "websockets": args.websockets}
    x509 = X509(cert_file=args.certificate, key_file=args.private_key) if args.certificate else None

    host, device = args.host, args.device
    if args.id_scope:
        where = {"provisioning_host": host, "registration_id": device, "id_scope": args.id_scope}
        if x509:
            provisioning = ProvisioningDeviceClient.create_from_x509_certificate(x509=x509, **where, **options)
        else:
            provisioning = ProvisioningDeviceClient.create_from_symmetric_key(symmetric_key=args.key, **where, **options)
        provisioning.provisioning_payload = {"modelId": "dtmi:test:Machine;1"}
        result = provisioning.register()
        assert result.status == "assigned", result.status
        host, device = result.registration_state.assigned_hub, result.registration_state.device_id

    where = {"hostname": host, "device_id": device}
    if x509:
        client = IoTHubDeviceClient.create_from_x509_certificate(x509=x509, **where, **options)
    else:
        client = IoTHubDeviceClient.create_from_symmetric_key(symmetric_key=args.key, **where, **options)
    client.connect()
    client.send_message(Message('{"temperature": 21.5}', content_encoding="utf-8", content_type="application/json"))
    marker = str(uuid.uuid4())
    client.patch_twin_reported_properties({"serialNumber": marker})
    twin = client.get_twin()
    assert twin["reported"]["serialNumber"] == marker, twin
    client.shutdown()
    print("ok")


main()
