#!/usr/bin/env python3
"""Microsoft's own service SDK (PyPI: azure-iot-hub): identities, twins, queries, statistics and a method of a device
that is away. Prints "ok" when all of it went well."""

import argparse

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import (
    AuthenticationMechanism,
    CloudToDeviceMethod,
    ExportImportDevice,
    QuerySpecification,
    SymmetricKey,
    Twin,
    TwinProperties,
)

from service import key, refused


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--connection-string", required=True, help="of the policy iothubowner")
    registry = IoTHubRegistryManager.from_connection_string(parser.parse_args().connection_string)

    device = registry.create_device_with_sas("py-a", key(), key(), "enabled")
    assert (device.device_id, device.status, device.authentication.type) == ("py-a", "enabled", "sas")
    refused("Conflict", registry.create_device_with_sas, "py-a", key(), key(), "enabled")
    primary = key()
    device = registry.update_device_with_sas("py-a", device.etag, primary, key(), "disabled", status_reason="why not")
    assert (device.status, device.status_reason) == ("disabled", "why not")
    assert registry.get_device("py-a").authentication.symmetric_key.primary_key == primary
    refused("Precondition Failed", registry.update_device_with_sas, "py-a", "stale", key(), key(), "enabled")
    refused("Not Found", registry.get_device, "nobody")
    device = registry.create_device_with_x509("py-x", "a" * 40, "b" * 40, "enabled")
    assert device.authentication.x509_thumbprint.primary_thumbprint.lower() == "a" * 40
    device = registry.create_device_with_certificate_authority("py-c", "enabled")
    assert device.authentication.type == "certificateAuthority"
    mechanism = AuthenticationMechanism(type="sas", symmetric_key=SymmetricKey(primary_key=key(), secondary_key=key()))
    bulk = [ExportImportDevice(id="py-b", import_mode="create", status="enabled", authentication=mechanism)]
    assert registry.bulk_create_or_update_devices(bulk).is_successful
    assert [device.device_id for device in registry.get_devices()] == ["py-a", "py-b", "py-c", "py-x"]

    before = registry.get_twin("py-a")
    patch = Twin(tags={"site": "north"}, properties=TwinProperties(desired={"x": 1, "old": None}))
    after = registry.update_twin("py-a", patch, before.etag)
    assert (after.tags, after.properties.desired["$version"]) == ({"site": "north"}, 2), after
    refused("Precondition Failed", registry.update_twin, "py-a", patch, before.etag)
    whole = registry.replace_twin("py-a", Twin(tags={"z": 1}, properties=TwinProperties(desired={"y": 2})))
    assert whole.tags == {"z": 1} and "x" not in whole.properties.desired and whole.properties.desired["y"] == 2

    everything = QuerySpecification(query="SELECT * FROM devices")
    page = registry.query_iot_hub(everything, None, 3)
    assert [twin.device_id for twin in page.items] == ["py-a", "py-b", "py-c"]
    page = registry.query_iot_hub(everything, page.continuation_token, 3)
    assert [twin.device_id for twin in page.items] == ["py-x"] and page.continuation_token is None
    assert registry.get_device_registry_statistics().total_device_count == 4
    assert registry.get_service_statistics().connected_device_count == 0
    method = CloudToDeviceMethod(method_name="reboot", payload={"delay": 1}, response_timeout_in_seconds=30)
    refused("Not Found", registry.invoke_device_method, "py-a", method)

    for device in registry.get_devices():
        registry.delete_device(device.device_id)
    assert registry.get_devices() == []
    print("ok", flush=True)


main()
