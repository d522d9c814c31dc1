#!/usr/bin/env python3
"""Microsoft's own service SDK (PyPI: azure-iot-hub) on modules, jobs, configurations and digital twins. Prints "ok" when
all of it went well."""

import argparse
import time

from azure.iot.hub import DigitalTwinClient, IoTHubConfigurationManager, IoTHubJobManager, IoTHubRegistryManager
from azure.iot.hub.models import (
    CloudToDeviceMethod,
    Configuration,
    ConfigurationContent,
    ConfigurationMetrics,
    ConfigurationQueriesTestInput,
    QuerySpecification,
    Twin,
    TwinProperties,
)
from azure.iot.hub.protocol.models import JobRequest

from service import key, refused


def eventually(what: str, probe):
    for _ in range(300):
        found = probe()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come")


def modules(registry: IoTHubRegistryManager) -> None:
    registry.create_device_with_sas("py-a", key(), key(), "enabled")
    primary = key()
    made = registry.create_module_with_sas("py-a", "motor", "ops", primary, key())
    assert (made.module_id, made.managed_by, made.device_id) == ("motor", "ops", "py-a"), made
    refused("Conflict", registry.create_module_with_sas, "py-a", "motor", "ops", key(), key())
    assert registry.get_module("py-a", "motor").authentication.symmetric_key.primary_key == primary
    changed = registry.update_module_with_sas("py-a", "motor", "others", made.etag, primary, key())
    assert changed.managed_by == "others"
    refused("Precondition Failed", registry.update_module_with_sas, "py-a", "motor", "x", "stale", key(), key())
    refused("Not Found", registry.get_module, "py-a", "nobody")
    x509 = registry.create_module_with_x509("py-a", "sensor", "ops", "a" * 40, "b" * 40)
    assert x509.authentication.type == "selfSigned"
    registry.create_module_with_certificate_authority("py-a", "valve", "ops")
    assert [module.module_id for module in registry.get_modules("py-a")] == ["motor", "sensor", "valve"]

    before = registry.get_module_twin("py-a", "motor")
    patch = Twin(tags={"site": "north"}, properties=TwinProperties(desired={"x": 1}))
    after = registry.update_module_twin("py-a", "motor", patch, before.etag)
    assert (after.module_id, after.properties.desired["$version"]) == ("motor", 2), after
    refused("Precondition Failed", registry.update_module_twin, "py-a", "motor", patch, before.etag)
    whole = registry.replace_module_twin("py-a", "motor", Twin(properties=TwinProperties(desired={"y": 2})))
    assert "x" not in whole.properties.desired and whole.properties.desired["y"] == 2
    query = QuerySpecification(query="SELECT * FROM devices.modules WHERE tags.site = 'north'")
    assert [twin.module_id for twin in registry.query_iot_hub(query, None, 9).items] == ["motor"]
    method = CloudToDeviceMethod(method_name="reboot", payload={"delay": 1}, response_timeout_in_seconds=30)
    refused("Not Found", registry.invoke_device_module_method, "py-a", "motor", method)
    registry.delete_module("py-a", "valve")
    assert len(registry.get_modules("py-a")) == 2


def jobs(manager: IoTHubJobManager, registry: IoTHubRegistryManager) -> None:
    twin = Twin(etag="*", tags={"job": "done"}, properties=TwinProperties(desired={"z": 1}))
    request = JobRequest(
        job_id="py-twins",
        type="scheduleUpdateTwin",
        update_twin=twin,
        query_condition="deviceId = 'py-a'",
        max_execution_time_in_seconds=60,
    )
    made = manager.create_scheduled_job("py-twins", request)
    assert (made.job_id, made.type) == ("py-twins", "scheduleUpdateTwin"), made

    def ended(job: str):
        found = manager.get_scheduled_job(job)
        return found if found.status in ("completed", "failed") else None

    done = eventually("the end of the job", lambda: ended("py-twins"))
    assert (done.status, done.device_job_statistics.succeeded_count) == ("completed", 1), done
    assert registry.get_twin("py-a").tags == {"job": "done"}
    method = CloudToDeviceMethod(method_name="reboot", payload={}, response_timeout_in_seconds=5)
    request = JobRequest(
        job_id="py-methods",
        type="scheduleDeviceMethod",
        cloud_to_device_method=method,
        query_condition="*",
        start_time="2100-01-01T00:00:00Z",
    )
    refused("Bad Request", manager.create_scheduled_job, "py-methods", request)
    request.start_time = None
    manager.create_scheduled_job("py-methods", request)
    done = eventually("the end of the job", lambda: ended("py-methods"))
    assert done.device_job_statistics.failed_count == 1, done
    query = QuerySpecification(query="SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'py-methods'")
    page = registry.query_iot_hub(query, None, 9)
    assert len(page.items) == 1
    request.job_id = "py-later"
    request.start_time = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    manager.create_scheduled_job("py-later", request)
    manager.cancel_scheduled_job("py-later")
    assert manager.get_scheduled_job("py-later").status == "cancelled"
    listed = manager.query_scheduled_jobs("scheduleUpdateTwin", "completed")
    assert [job["jobId"] for job in listed.items] == ["py-twins"], listed
    assert len(manager.query_scheduled_jobs(None, None).items) == 3
    refused("Not Found", manager.get_scheduled_job, "nobody")


def configurations(manager: IoTHubConfigurationManager, registry: IoTHubRegistryManager) -> None:
    wanted = Configuration(
        id="py-config",
        schema_version="1.0",
        labels={"by": "test"},
        content=ConfigurationContent(device_content={"properties.desired.fan": {"speed": 3}}),
        target_condition="deviceId = 'py-a'",
        priority=10,
        metrics=ConfigurationMetrics(queries={"all": "SELECT deviceId FROM devices"}),
    )
    made = manager.create_configuration(wanted)
    assert (made.id, made.priority, made.labels) == ("py-config", 10, {"by": "test"}), made
    eventually("the value", lambda: registry.get_twin("py-a").properties.desired.get("fan") == {"speed": 3})

    def counted():
        found = manager.get_configuration("py-config")
        return found if found.system_metrics.results.get("appliedCount") == 1 else None

    found = eventually("the counts", counted)
    assert found.metrics.results == {"all": 1}, found
    wanted.priority = 11
    changed = manager.update_configuration(wanted, made.etag)
    assert changed.priority == 11
    refused("Precondition Failed", manager.update_configuration, wanted, made.etag)
    assert [one.id for one in manager.get_configurations(5)] == ["py-config"]
    test = ConfigurationQueriesTestInput(target_condition="tags.a =", custom_metric_queries={"a": "SELECT"})
    tested = manager.test_configuration_queries(test)
    assert tested.target_condition_error and "a" in tested.custom_metric_query_errors
    content = ConfigurationContent(modules_content={"motor": {"properties.desired": {"w": 1}}})
    manager.apply_configuration_on_edge_device("py-a", content)
    assert registry.get_module_twin("py-a", "motor").properties.desired["w"] == 1
    manager.delete_configuration("py-config")
    refused("Not Found", manager.get_configuration, "py-config")


def digital_twins(client: DigitalTwinClient) -> None:
    client.update_digital_twin("py-a", [{"op": "add", "path": "/thermostat1/target", "value": 21}])
    twin = client.get_digital_twin("py-a")
    assert twin["$dtId"] == "py-a", twin
    assert twin["thermostat1"]["$metadata"]["target"]["desiredValue"] == 21, twin
    refused("Bad Request", client.update_digital_twin, "py-a", [{"op": "test", "path": "/a", "value": 1}])
    refused("Not Found", client.invoke_command, "py-a", "reboot", {}, 1, 5)
    refused("Not Found", client.invoke_component_command, "py-a", "thermostat1", "max", {}, 1, 5)
    refused("Not Found", client.get_digital_twin, "nobody")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--connection-string", required=True, help="of the policy iothubowner")
    string = parser.parse_args().connection_string
    registry = IoTHubRegistryManager.from_connection_string(string)
    modules(registry)
    jobs(IoTHubJobManager.from_connection_string(string), registry)
    configurations(IoTHubConfigurationManager.from_connection_string(string), registry)
    digital_twins(DigitalTwinClient.from_connection_string(string))
    registry.delete_device("py-a")
    refused("Not Found", registry.get_module, "py-a", "motor")
    print("ok", flush=True)


main()
