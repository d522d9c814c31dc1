#!/usr/bin/env python3
"""Manages enrollments with Microsoft's own client (PyPI: azure-iothub-provisioningserviceclient), and lets a device
register through one of them (PyPI: azure-iot-device). Prints "ok" when all of it went well."""

import argparse

from azure.iot.device import X509, ProvisioningDeviceClient
from provisioningserviceclient import (
    IndividualEnrollment,
    EnrollmentGroup,
    ProvisioningServiceClient,
    ProvisioningServiceError,
    QuerySpecification,
)
from provisioningserviceclient.models import AttestationMechanism, InitialTwin, ReprovisionPolicy
from provisioningserviceclient.protocol.models import SymmetricKeyAttestation

KEY = "18RQk/hOPJR9EbsJlk2j8WA6vWaj/yi+oaYg7zmxfQNdOyMSu+SJ8O7TSlZhDJCYmn4rzEiVKIzNiVAWjLxrGA=="


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True, help="the provisioning service's host name or address")
    parser.add_argument("--ca", required=True, help="PEM file with the authority to trust")
    parser.add_argument("--connection-string", required=True, help="of the policy provisioningserviceowner")
    parser.add_argument("--id-scope", required=True)
    parser.add_argument("--certificate", required=True, help="PEM file with a certificate for the device py-own")
    parser.add_argument("--private-key", required=True)
    parser.add_argument("--root", required=True, help="PEM file with an authority")
    parser.add_argument("--issued", required=True, help="PEM file with a certificate of that authority for py-issued")
    parser.add_argument("--issued-key", required=True)
    return parser.parse_args()


def text(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def refused(call) -> int:
    try:
        call()
    except ProvisioningServiceError as error:
        return error.cause.response.status_code
    raise AssertionError("it was not refused")


def main() -> None:
    args = arguments()
    service = ProvisioningServiceClient.create_from_connection_string(args.connection_string)
    options = {"provisioning_host": args.host, "id_scope": args.id_scope, "server_verification_cert": text(args.ca)}

    # An individual enrollment by symmetric key: keys are made, kept, hidden and shown again.
    keys = AttestationMechanism(type="symmetricKey", symmetric_key=SymmetricKeyAttestation(primary_key=KEY, secondary_key=KEY))
    wanted = IndividualEnrollment.create(registration_id="py-key", attestation=keys, device_id="renamed")
    wanted.initial_twin = InitialTwin.create(tags={"site": "north"}, desired_properties={"target": 20})
    made = service.create_or_update(wanted)
    assert made.etag and made.provisioning_status == "enabled", made
    assert refused(lambda: service.create_or_update(wanted)) == 409
    found = service.get_individual_enrollment("py-key")
    assert found.device_id == "renamed" and found.attestation.symmetric_key is None, found
    shown = service.get_individual_enrollment_attestation_mechanism("py-key")
    assert shown.symmetric_key.primary_key == KEY, shown
    found.provisioning_status = "enabled"
    changed = service.create_or_update(found)
    assert changed.etag != found.etag
    assert refused(lambda: service.create_or_update(found)) == 412
    device = ProvisioningDeviceClient.create_from_symmetric_key(registration_id="py-key", symmetric_key=KEY, **options)
    state = device.register()
    assert (state.status, state.registration_state.device_id) == ("assigned", "renamed"), state
    assert service.get_registration_state("py-key").device_id == "renamed"

    # By certificate: one of its own, and one of an authority.
    own = AttestationMechanism.create_with_x509_client_certs(text(args.certificate))
    service.create_or_update(IndividualEnrollment.create(registration_id="py-own", attestation=own))
    described = service.get_individual_enrollment("py-own").attestation.x509.client_certificates.primary
    assert len(described.info.sha1_thumbprint) == 40, described
    signing = AttestationMechanism.create_with_x509_signing_certs(text(args.root))
    policy = ReprovisionPolicy(update_hub_assignment=True, migrate_device_data=True)
    group = EnrollmentGroup.create(enrollment_group_id="py-group", attestation=signing, reprovision_policy=policy)
    service.create_or_update(group)
    for id, certificate, key in [
        ("py-own", args.certificate, args.private_key),
        ("py-issued", args.issued, args.issued_key),
    ]:
        x509 = X509(cert_file=certificate, key_file=key)
        state = ProvisioningDeviceClient.create_from_x509_certificate(x509=x509, registration_id=id, **options).register()
        assert (state.status, state.registration_state.device_id) == ("assigned", id), state
    # The client's own query for the registrations of a group passes its arguments twice, and so never asks.
    assert service.get_registration_state("py-issued").status == "assigned"

    # Lists, pages and the end.
    query = service.create_individual_enrollment_query(QuerySpecification("SELECT *"), page_size=1)
    listed = [query.next()[0].registration_id, query.next()[0].registration_id]
    assert listed == ["py-key", "py-own"], listed
    groups = service.create_enrollment_group_query(QuerySpecification("SELECT *")).next()
    assert sorted(one.enrollment_group_id for one in groups) == ["SAS-IoT-Devices", "py-group"], groups
    service.delete(changed)
    assert refused(lambda: service.get_individual_enrollment("py-key")) == 404
    service.delete_enrollment_group_by_param("py-group")
    print("ok")


main()
