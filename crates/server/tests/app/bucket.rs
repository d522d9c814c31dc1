//! Files in storage that speaks S3: moto (PyPI) as the bucket.

use crate::files::{FILES, Uploader, refused, with_device};
use muster_engine::{EngineError, files};
use muster_testkit::{Backend, TestApp, skip};
use serde_json::Value;
use std::{error::Error, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// The storage with its bucket `muster`; it ends when it is dropped.
struct Bucket {
    _server: Child,
    endpoint: String,
    id: String,
    secret: String,
}

impl Bucket {
    async fn start(name: &str) -> Option<Self> {
        let Some(python) = std::env::var_os("MUSTER_TEST_PYTHON") else {
            skip(name, "no MUSTER_TEST_PYTHON");
            return None;
        };
        let mut command = Command::new(python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/python/bucket.py"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut server = command.spawn().unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let said = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().expect("where it is");
        let said: Value = serde_json::from_str(&said).unwrap();
        let part = |name: &str| said[name].as_str().unwrap().to_owned();
        Some(Self { _server: server, endpoint: part("endpoint"), id: part("id"), secret: part("secret") })
    }

    /// `files.url` of a bucket, by this secret.
    fn url(&self, bucket: &str, secret: &str) -> String {
        let Self { endpoint, id, .. } = self;
        let mut url = reqwest::Url::parse(&format!("s3://{bucket}/some/prefix")).unwrap();
        url.query_pairs_mut()
            .extend_pairs([("endpoint", endpoint.as_str()), ("allow_http", "true"), ("region", "us-east-1")])
            .extend_pairs([("access_key_id", id.as_str()), ("secret_access_key", secret)]);
        url.into()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_kept_in_a_bucket() {
    let Some(bucket) = Bucket::start("bucket::files_are_kept_in_a_bucket").await else { return };
    let url = bucket.url("muster", &bucket.secret);
    let app = TestApp::start(Backend::Embedded, &[("files.url", &url)]).await;
    files::check(app.app().engine()).await.unwrap();
    let tenant = with_device(&app).await;
    let small = Uploader::granted(&app, &tenant, "small.txt").await;
    assert_eq!(small.put_blob("hello").await.status, 201);
    assert_eq!(small.finish(true).await.status, 204);
    // The first block is more than a bucket takes in one part.
    let (first, second) = (vec![7; (9 << 20) + 1], vec![8; 5]);
    let large = Uploader::granted(&app, &tenant, "large.bin").await;
    for (id, block) in [("MDE=", &first), ("MDI=", &second)] {
        assert_eq!(large.write(&format!("&comp=block&blockid={id}"), &[], block.clone()).await.status, 201);
    }
    assert_eq!(large.put_list(&["MDE=", "MDI="]).await.status, 201);
    assert_eq!(large.finish(true).await.status, 204);
    assert_eq!(tenant.admin.get(&format!("{FILES}/small.txt")).await.text, "hello");
    let fetched = tenant.admin.get(&format!("{FILES}/large.bin")).await;
    assert_eq!((fetched.status, fetched.text.into_bytes() == [first, second].concat()), (200, true));
    assert_eq!(tenant.admin.delete(&format!("{FILES}/large.bin")).await.status, 204);
    files::sweep(app.app().engine()).await.unwrap();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_cannot_be_used_is_told() {
    let Some(bucket) = Bucket::start("bucket::a_bucket_that_cannot_be_used_is_told").await else { return };
    let missing = bucket.url("nowhere", &bucket.secret);
    let wrong = bucket.url("muster", "another secret");
    for (url, reason) in [(missing, "NoSuchBucket"), (wrong, "SignatureDoesNotMatch")] {
        let app = TestApp::start(Backend::Embedded, &[("files.url", &url)]).await;
        let error = files::check(app.app().engine()).await.unwrap_err();
        assert!(matches!(error, EngineError::Unavailable { .. }), "{error:?}");
        assert!(error.source().is_some() && error.with_cause().contains(reason), "{}", error.with_cause());
        assert!(!error.with_cause().contains("another secret") && !error.with_cause().contains(&bucket.secret));
        let tenant = with_device(&app).await;
        let written = Uploader::granted(&app, &tenant, "a.txt").await.put_blob("hello").await;
        assert_eq!(refused(&written), (503, "ServerBusy"));
        assert!(!written.text.contains(reason), "a device is not told: {}", written.text);
        app.stop().await;
    }
}
