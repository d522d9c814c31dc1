#!/usr/bin/env python3
"""One device with Microsoft's own SDKs (PyPI: azure-iot-device and azure-storage-blob) that uploads files: a small one in
one piece, and a large one in blocks, several at a time. Prints "ok" when all is well."""

import argparse

from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.iot.device import IoTHubDeviceClient
from azure.storage.blob import BlobClient

LARGE = 9 * (1 << 20) + 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True, help="the hub's host name or address")
    parser.add_argument("--ca", required=True, help="PEM file with the authority to trust")
    parser.add_argument("--device", required=True, help="the device's id")
    parser.add_argument("--key", required=True, help="the device's symmetric key")
    return parser.parse_args()


def blob_client(info: dict, **options) -> BlobClient:
    url = "https://{hostName}/{containerName}/{blobName}{sasToken}".format(**info)
    return BlobClient.from_blob_url(url, **options)


def main() -> None:
    args = arguments()
    with open(args.ca, encoding="ascii") as file:
        options = {"server_verification_cert": file.read()}
    where = {"hostname": args.host, "device_id": args.device, "symmetric_key": args.key}
    client = IoTHubDeviceClient.create_from_symmetric_key(**where, **options)
    client.connect()

    small = client.get_storage_info_for_blob("small.txt")
    with blob_client(small) as blob:
        blob.upload_blob(b"hello", validate_content=True)
        try:
            blob.upload_blob(b"again")
            raise AssertionError("the blob is there already")
        except ResourceExistsError as error:
            assert error.error_code == "BlobAlreadyExists", error.error_code
        blob.upload_blob(b"HELLO", overwrite=True)
        try:
            blob.download_blob()
            raise AssertionError("the grant is to write")
        except HttpResponseError as error:
            assert error.status_code == 403, error
    client.notify_blob_upload_status(small["correlationId"], True, 200, "OK")

    large = client.get_storage_info_for_blob("dir/large ä.bin")
    sizes = {"max_single_put_size": 1 << 20, "max_block_size": 2 << 20}
    with blob_client(large, **sizes) as blob:
        done = blob.upload_blob(bytes(LARGE), max_concurrency=4, validate_content=True)
        assert done["etag"].startswith('"0x') and done["last_modified"], done
    client.notify_blob_upload_status(large["correlationId"], True, 200, "OK")
    client.shutdown()
    print("ok", flush=True)


main()
