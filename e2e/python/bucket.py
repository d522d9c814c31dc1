#!/usr/bin/env python3
"""Storage that speaks S3 (PyPI: moto) at a port of its own, with the bucket "muster" and one user who may use it and
whose signatures are checked. Prints where it is and the user's key as JSON, and runs until its input ends. Whatever is
then asked with another key is refused."""

import json
import os
import sys

os.environ.update(AWS_ACCESS_KEY_ID="root", AWS_SECRET_ACCESS_KEY="root", AWS_DEFAULT_REGION="us-east-1")

import boto3  # noqa: E402, it reads the environment
import requests  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402

POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


def main() -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="muster")
    users = boto3.client("iam", endpoint_url=endpoint)
    users.create_user(UserName="muster")
    users.put_user_policy(UserName="muster", PolicyName="files", PolicyDocument=json.dumps(POLICY))
    key = users.create_access_key(UserName="muster")["AccessKey"]
    # From here on, every request is checked.
    requests.post(f"{endpoint}/moto-api/reset-auth", data=b"0", timeout=10).raise_for_status()
    print(json.dumps({"endpoint": endpoint, "id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}), flush=True)
    sys.stdin.read()
    server.stop()


main()
