//! Files that devices upload: the grant, the blob, the notices, and what the tenant's people see.

use crate::{
    on_both,
    service::{Https, send},
};
use muster_engine::{files, policies::Policy};
use muster_model::{Clock, ManualClock};
use muster_testkit::{Backend, Bootstrapped, Reply, TestApp, skip};
use reqwest::Method;
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use tokio::{process::Command, time::timeout};

on_both! {
    a_device_uploads_in_one_piece_and_in_blocks
    services_hear_of_finished_uploads
    a_grant_is_for_one_blob_and_its_time
    what_is_wrong_with_an_upload_is_told
    names_and_sizes_have_limits
    files_are_kept_to_their_tenant_and_roles
    bytes_that_nobody_needs_are_removed
    the_sdk_uploads
}

pub(crate) const FILES: &str = "/api/devices/pump-1/files";

/// A device that has been granted an upload.
pub(crate) struct Uploader<'a> {
    device: Https<'a>,
    grant: Value,
}

impl<'a> Uploader<'a> {
    pub(crate) async fn granted(app: &'a TestApp, tenant: &Bootstrapped, name: &str) -> Self {
        let device = Https::device(app, tenant, "pump-1");
        let grant = device.call(Method::POST, "/devices/pump-1/files?api-version=2021-04-12", wanted(name)).await.ok();
        Self { device, grant }
    }

    fn part(&self, name: &str) -> &str {
        self.grant[name].as_str().unwrap()
    }

    fn address(&self) -> String {
        format!("/{}/{}{}", self.part("containerName"), self.part("blobName"), self.part("sasToken"))
    }

    /// PUT to the blob's address with more of a query, headers and a body.
    pub(crate) async fn write(&self, query: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Reply {
        put(&self.device, &format!("{}{query}", self.address()), headers, body).await
    }

    pub(crate) async fn put_blob(&self, body: impl Into<Vec<u8>>) -> Reply {
        self.write("", &BLOCK_BLOB, body).await
    }

    pub(crate) async fn put_list(&self, ids: &[&str]) -> Reply {
        let entries: String = ids.iter().map(|id| format!("<Latest>{id}</Latest>")).collect();
        self.write("&comp=blocklist", &[], format!("<BlockList>{entries}</BlockList>")).await
    }

    pub(crate) async fn finish(&self, success: bool) -> Reply {
        let told = json!({"correlationId": self.part("correlationId"), "isSuccess": success, "statusCode": 200});
        self.device.call(Method::POST, "/devices/pump-1/files/notifications?api-version=2019-10-01", told).await
    }
}

const BLOCK_BLOB: [(&str, &str); 2] = [("x-ms-blob-type", "BlockBlob"), ("x-ms-version", "2026-10-06")];

fn wanted(name: &str) -> Value {
    json!({ "blobName": name })
}

async fn put(by: &Https<'_>, address: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Reply {
    let request = by.request(Method::PUT, address).body(body.into());
    send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

/// The status and the code in the header and in the XML.
pub(crate) fn refused(reply: &Reply) -> (u16, &str) {
    let code = reply.headers["x-ms-error-code"].to_str().unwrap();
    assert!(reply.text.contains(&format!("<Error><Code>{code}</Code><Message>")), "{}", reply.text);
    assert!(reply.headers.contains_key("x-ms-request-id") && reply.headers.contains_key("x-ms-version"));
    (reply.status, code)
}

pub(crate) async fn with_device(app: &TestApp) -> Bootstrapped {
    let tenant = app.bootstrap("contoso").await;
    tenant.admin.put("/api/devices/pump-1", json!({})).await.ok();
    tenant
}

async fn listed(tenant: &Bootstrapped) -> Vec<(String, u64)> {
    let page = tenant.admin.get(FILES).await.ok();
    let file = |file: &Value| (file["name"].as_str().unwrap().to_owned(), file["sizeBytes"].as_u64().unwrap());
    page["value"].as_array().unwrap().iter().map(file).collect()
}

async fn a_device_uploads_in_one_piece_and_in_blocks(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = with_device(&app).await;
    let uploader = Uploader::granted(&app, &tenant, "logs/a 1.txt").await;
    let port = app.app().addresses().hub_https.unwrap().port();
    assert_eq!(uploader.part("hostName"), format!("localhost:{port}"));
    assert_eq!(uploader.part("containerName"), "files-contoso");
    assert_eq!(uploader.part("blobName"), "pump-1/logs/a 1.txt");
    let sas = uploader.part("sasToken");
    assert!(sas.starts_with("?sv=") && ["&sr=b", "&sig=", "&se=", "&sp=w"].iter().all(|field| sas.contains(field)));

    let md5 = ("content-md5", "XUFAKrxLKna5cZ2REBfFkg==");
    let typed = [BLOCK_BLOB[0], BLOCK_BLOB[1], ("content-type", "text/plain"), md5, ("x-ms-client-request-id", "c-1")];
    let written = uploader.write("", &typed, "hello").await;
    assert_eq!((written.status, written.text.as_str()), (201, ""));
    for (name, value) in [("x-ms-version", "2026-10-06"), ("x-ms-client-request-id", "c-1"), md5] {
        assert_eq!(written.headers[name], value, "{name}");
    }
    let modified = written.headers["last-modified"].to_str().unwrap();
    assert!(modified.ends_with(" GMT") && written.headers["etag"].to_str().unwrap().starts_with("\"0x"), "{modified}");
    let page = tenant.admin.get(FILES).await.ok();
    let file = &page["value"][0];
    assert_eq!((&file["name"], &file["sizeBytes"]), (&json!("logs/a 1.txt"), &json!(5)));
    assert_eq!((&file["contentType"], page["value"].as_array().unwrap().len()), (&json!("text/plain"), 1));
    let fetched = tenant.admin.get(&format!("{FILES}/logs/a%201.txt")).await;
    assert_eq!((fetched.status, fetched.text.as_str()), (200, "hello"));
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("content-length", "5"),
        ("x-content-type-options", "nosniff"),
        ("content-disposition", "attachment; filename*=UTF-8''a%201%2Etxt"),
    ] {
        assert_eq!(fetched.headers[name], value, "{name}");
    }
    assert_eq!(uploader.finish(true).await.status, 204);

    let again = Uploader::granted(&app, &tenant, "logs/a 1.txt").await;
    let large = vec![b'x'; 2 << 20];
    assert_eq!(again.write("&comp=block&blockid=AAAB", &[], large.clone()).await.status, 201);
    assert_eq!(again.write("&blockid=AAAA&comp=block&timeout=60", &[], "head ").await.status, 201);
    assert_eq!(again.write("&comp=block&blockid=AAAC", &[], "lost").await.status, 201);
    assert_eq!(listed(&tenant).await, [("logs/a 1.txt".to_owned(), 5)], "blocks are no file yet");
    assert_eq!(again.put_list(&["AAAA", "AAAB"]).await.status, 201);
    assert_eq!(again.put_list(&["AAAA", "AAAB"]).await.status, 201, "a client whose answer was lost asks again");
    let fetched = tenant.admin.get(&format!("{FILES}/logs/a%201.txt")).await;
    assert!(fetched.text.strip_prefix("head ").map(str::as_bytes) == Some(&large[..]), "{} bytes", fetched.text.len());
    assert_eq!(tenant.admin.delete(&format!("{FILES}/logs/a%201.txt")).await.status, 204);
    assert_eq!(listed(&tenant).await, []);
    assert_eq!(tenant.admin.get(&format!("{FILES}/logs/a%201.txt")).await.status, 404);
    app.stop().await;
}

async fn services_hear_of_finished_uploads(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = with_device(&app).await;
    let service = Https::service(&app, &tenant, Policy::Service);
    let notices = "/messages/serviceBound/fileNotifications";
    assert_eq!(service.get(notices).await.status, 204);
    let failed = Uploader::granted(&app, &tenant, "failed.txt").await;
    assert_eq!(failed.finish(false).await.status, 204);
    assert_eq!(failed.finish(true).await.status, 404, "it is finished");
    assert_eq!(service.get(notices).await.status, 204, "only of what succeeded");
    let done = Uploader::granted(&app, &tenant, "done.txt").await;
    assert_eq!(done.finish(true).await.status, 404, "there is no file");
    assert_eq!(done.put_blob("hello").await.status, 201);
    let path = format!("/devices/pump-1/files/notifications/{}", done.part("correlationId"));
    assert_eq!(done.device.call(Method::POST, &path, json!({"isSuccess": true})).await.status, 204);

    let token = |reply: &Reply| reply.headers["etag"].to_str().unwrap().trim_matches('"').to_owned();
    let first = service.get(notices).await;
    let (host, told) = (done.part("hostName"), &first.json);
    assert_eq!((&told["deviceId"], &told["blobSizeInBytes"]), (&json!("pump-1"), &json!(5)), "{}", first.text);
    assert_eq!(told["blobName"], "pump-1/done.txt");
    assert_eq!(told["blobUri"], format!("https://{host}/files-contoso/pump-1/done.txt"));
    assert!(told["lastUpdatedTime"].is_string() && told["enqueuedTimeUtc"].is_string());
    assert_eq!(service.get(notices).await.status, 204, "somebody has it");
    let abandon = format!("{notices}/{}/abandon", token(&first));
    assert_eq!(service.call(Method::POST, &abandon, json!({})).await.status, 204);
    let second = service.get(notices).await;
    let complete = format!("{notices}/{}", token(&second));
    assert_eq!(service.call(Method::DELETE, &complete, json!({})).await.status, 204);
    assert_eq!(service.call(Method::DELETE, &complete, json!({})).await.status, 412);
    assert_eq!(service.get(notices).await.status, 204);
    assert_eq!(Https::service(&app, &tenant, Policy::RegistryReadWrite).get(notices).await.status, 401);
    app.stop().await;
}

async fn a_grant_is_for_one_blob_and_its_time(backend: Backend) {
    let clock = ManualClock::new(std::time::SystemTime::now().into());
    let app = TestApp::start_at(backend, &[], Clock::Manual(clock.clone())).await;
    let (tenant, stranger) = (with_device(&app).await, app.bootstrap("fabrikam").await);
    stranger.admin.put("/api/devices/pump-2", json!({})).await.ok();
    let uploader = Uploader::granted(&app, &tenant, "a.txt").await;
    let other = Uploader::granted(&app, &tenant, "b.txt").await;
    let device = Https::device(&app, &stranger, "pump-2");
    device.call(Method::POST, "/devices/pump-2/files", wanted("a.txt")).await.ok();
    let (address, sas) = (uploader.address(), uploader.part("sasToken").to_owned());
    for bad in [
        "/files-contoso/pump-1/a.txt".to_owned(),
        format!("/files-contoso/pump-1/b.txt{sas}"),
        format!("/files-contoso/pump-1/a.txt/more{sas}"),
        format!("/files-contoso/pump-1%2F..%2Fpump-1%2Fa.txt{sas}"),
        format!("/files-contoso/pump-2/a.txt{sas}"),
        format!("/files-fabrikam/pump-2/a.txt{sas}"),
        format!("/files-fabrikam/pump-1/a.txt{sas}"),
        format!("/files-nobody/pump-1/a.txt{sas}"),
        format!("/files-contoso/pump-1/a.txt{}", other.part("sasToken")),
        address.replace("&sp=w", "&sp=rw"),
        address.replace("&se=20", "&se=21"),
        address.replace("&sig=", "&sig=AAAA"),
        address.replace("&sig=", "&sig=*"),
        format!("{address}&se=2099-01-01T00%3A00%3A00Z"),
    ] {
        let reply = put(&device, &bad, &BLOCK_BLOB, "x").await;
        assert_eq!(refused(&reply), (403, "AuthenticationFailed"), "{bad}");
    }
    let read = send(device.request(Method::GET, &address)).await;
    assert_eq!(refused(&read), (403, "AuthorizationPermissionMismatch"));
    for method in [Method::HEAD, Method::DELETE, Method::POST] {
        assert_eq!(send(device.request(method, &address)).await.status, 403);
    }
    // Whoever has the grant may write, without the device's token.
    assert_eq!(put(&device, &address, &BLOCK_BLOB, "x").await.status, 201);
    assert_eq!(uploader.finish(true).await.status, 204);
    assert_eq!(refused(&uploader.put_blob("y").await), (403, "AuthenticationFailed"), "it is finished");

    tenant.admin.patch("/api/devices/pump-1", json!({"enabled": false})).await.ok();
    assert_eq!(refused(&other.put_blob("y").await).0, 403, "its device is blocked");
    tenant.admin.patch("/api/devices/pump-1", json!({"enabled": true})).await.ok();
    clock.advance(chrono::Duration::minutes(59));
    assert_eq!(other.put_blob("y").await.status, 201);
    clock.advance(chrono::Duration::minutes(1));
    for reply in [other.put_blob("z").await, other.write("&comp=block&blockid=AAAA", &[], "z").await] {
        assert_eq!(refused(&reply), (403, "AuthenticationFailed"), "its time is over");
    }
    app.stop().await;
}

async fn what_is_wrong_with_an_upload_is_told(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = with_device(&app).await;
    let uploader = Uploader::granted(&app, &tenant, "a.txt").await;
    let block = "&comp=block&blockid=";
    let long = format!("{block}{}", "A".repeat(88));
    for (query, headers, code) in [
        ("", &[][..], "MissingRequiredHeader"),
        ("", &[("x-ms-blob-type", "PageBlob")], "InvalidBlobType"),
        ("", &[BLOCK_BLOB[0], ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")], "Md5Mismatch"),
        ("", &[BLOCK_BLOB[0], ("content-md5", "AAAA")], "InvalidHeaderValue"),
        ("", &[BLOCK_BLOB[0], ("x-ms-content-crc64", "AAAAAAAAAAA=")], "Crc64Mismatch"),
        ("", &[BLOCK_BLOB[0], ("if-none-match", "\"0x1\"")], "UnsupportedHeader"),
        ("", &[BLOCK_BLOB[0], ("x-ms-lease-id", "1")], "UnsupportedHeader"),
        ("&comp=metadata", &[BLOCK_BLOB[0]], "InvalidQueryParameterValue"),
        ("&comp=block", &[], "InvalidQueryParameterValue"),
        ("&comp=block&blockid=", &[], "InvalidQueryParameterValue"),
        ("&comp=block&blockid=..%2F..%2Fx", &[], "InvalidQueryParameterValue"),
        (&long, &[], "InvalidQueryParameterValue"),
        ("&comp=blocklist", &[], "InvalidXmlDocument"),
        ("&comp=blocklist", &[("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")], "Md5Mismatch"),
    ] {
        let reply = uploader.write(query, headers, "hello").await;
        assert_eq!(refused(&reply), (400, code), "{query} {headers:?}");
    }
    assert_eq!(uploader.write(&format!("{block}AAAA"), &[], "x").await.status, 201);
    for ids in [&["AAAB"][..], &["AAAA", "AAAA"]] {
        assert_eq!(refused(&uploader.put_list(ids).await), (400, "InvalidBlockList"), "{ids:?}");
    }
    assert_eq!(refused(&uploader.put_list(&["*"]).await), (400, "InvalidBlockId"));
    assert_eq!(listed(&tenant).await, []);

    let crc64 = ("x-ms-content-crc64", "AAAAAAAAAAA=");
    assert_eq!(uploader.write("", &[BLOCK_BLOB[0], crc64], "").await.status, 201, "of nothing it is 0");
    let absent = [BLOCK_BLOB[0], ("if-none-match", "*")];
    assert_eq!(refused(&uploader.write("", &absent, "y").await), (409, "BlobAlreadyExists"));
    let stale = [BLOCK_BLOB[0], ("if-match", "\"0x1\"")];
    assert_eq!(refused(&uploader.write("", &stale, "y").await), (412, "ConditionNotMet"));
    let written = uploader.put_blob("y").await;
    let fresh = [BLOCK_BLOB[0], ("if-match", written.headers["etag"].to_str().unwrap())];
    assert_eq!(uploader.write("", &fresh, "yy").await.status, 201);
    assert_eq!(listed(&tenant).await, [("a.txt".to_owned(), 2)]);

    let device = &uploader.device;
    for body in [json!({"isSuccess": true}), json!({"correlationId": "x"}), json!([])] {
        let reply = device.call(Method::POST, "/devices/pump-1/files/notifications", body).await;
        assert_eq!((reply.status, &reply.headers["iothub-errorcode"]), (400, &"ArgumentInvalid".parse().unwrap()));
    }
    for id in ["x", "../x", "00000000-0000-0000-0000-000000000000"] {
        let told = json!({"correlationId": id, "isSuccess": true});
        assert_eq!(device.call(Method::POST, "/devices/pump-1/files/notifications", told).await.status, 404, "{id}");
    }
    app.stop().await;
}

async fn names_and_sizes_have_limits(backend: Backend) {
    let limits = [("files.max_file_bytes", "1048576"), ("files.max_tenant_bytes", "2097152")];
    let app = TestApp::start(backend, &limits).await;
    let tenant = with_device(&app).await;
    let device = Https::device(&app, &tenant, "pump-1");
    let long = "a".repeat(1025);
    for bad in ["", "..", "../x", "a/../../x", "/etc/passwd", "a//b", "a/", "a\\b", "a\u{0}b", "a\nb", &long] {
        let reply = device.call(Method::POST, "/devices/pump-1/files", wanted(bad)).await;
        assert_eq!(
            (reply.status, &reply.headers["iothub-errorcode"]),
            (400, &"ArgumentInvalid".parse().unwrap()),
            "{bad}"
        );
    }
    for body in [json!({}), json!([]), json!({"blobName": 1})] {
        assert_eq!(device.call(Method::POST, "/devices/pump-1/files", body).await.status, 400);
    }
    let foreign = device.call(Method::POST, "/devices/pump-2/files", wanted("a")).await;
    assert_eq!(foreign.status, 401);

    let uploader = Uploader::granted(&app, &tenant, "a.bin").await;
    let (whole, half) = (vec![7; 1 << 20], vec![7; 1 << 19]);
    let more = [whole.clone(), vec![7]].concat();
    assert_eq!(refused(&uploader.put_blob(more.clone()).await), (413, "RequestBodyTooLarge"));
    assert_eq!(refused(&uploader.write("&comp=block&blockid=AAAA", &[], more).await), (413, "RequestBodyTooLarge"));
    for id in ["AAAA", "AAAB"] {
        assert_eq!(uploader.write(&format!("&comp=block&blockid={id}"), &[], half.clone()).await.status, 201);
    }
    assert_eq!(refused(&uploader.write("&comp=block&blockid=AAAC", &[], "x").await), (413, "RequestBodyTooLarge"));
    assert_eq!(uploader.put_list(&["AAAA", "AAAB"]).await.status, 201);
    let second = Uploader::granted(&app, &tenant, "b.bin").await;
    assert_eq!(second.put_blob(whole.clone()).await.status, 201);
    let third = Uploader::granted(&app, &tenant, "c.bin").await;
    assert_eq!(refused(&third.put_blob("x").await), (403, "TenantStorageQuotaExceeded"));

    for name in 3..10 {
        Uploader::granted(&app, &tenant, &name.to_string()).await;
    }
    let full = device.call(Method::POST, "/devices/pump-1/files", wanted("one-too-many")).await;
    let code = "DeviceMaximumActiveFileUploadLimitExceeded".parse().unwrap();
    assert_eq!((full.status, &full.headers["iothub-errorcode"]), (403, &code));
    assert_eq!(third.finish(false).await.status, 204);
    Uploader::granted(&app, &tenant, "room-again").await;
    app.stop().await;
}

async fn files_are_kept_to_their_tenant_and_roles(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let (tenant, stranger) = (with_device(&app).await, app.bootstrap("fabrikam").await);
    assert_eq!(Uploader::granted(&app, &tenant, "dir/a.txt").await.put_blob("x").await.status, 201);
    let file = format!("{FILES}/dir/a.txt");
    for reply in [stranger.admin.get(FILES).await, stranger.admin.get(&file).await, stranger.admin.delete(&file).await]
    {
        assert_eq!(reply.status, 404, "{}", reply.text);
    }
    let role = json!({ "roles": [{ "role": "84cc62c1-dabe-49d3-b16e-8b291232b285" }] });
    let token = tenant.admin.put("/api/apiTokens/viewer", role).await.ok()["token"].as_str().unwrap().to_owned();
    let viewer = app.client(Some(token));
    for reply in [viewer.get(FILES).await, viewer.get(&file).await, viewer.delete(&file).await] {
        assert_eq!(reply.status, 403, "{}", reply.text);
    }
    assert_eq!(app.client(None).delete(&file).await.status, 401);
    for bad in ["dir%2F..%2Fa.txt", "dir//a.txt", "%2e%2e%2fa", "dir/a.txt/", "a%00b"] {
        let reply = tenant.admin.get(&format!("{FILES}/{bad}")).await;
        assert!((400..=404).contains(&reply.status), "{bad}: {}", reply.text);
    }
    assert_eq!(tenant.admin.get(&format!("{FILES}?$skiptoken=x")).await.status, 400);
    assert_eq!(tenant.admin.get(&format!("{FILES}/other.txt")).await.status, 404);
    assert_eq!(Uploader::granted(&app, &tenant, "b.txt").await.put_blob("x").await.status, 201);
    let first = tenant.admin.get(&format!("{FILES}?maxpagesize=1")).await.ok();
    assert_eq!(first["value"][0]["name"], "b.txt");
    let next = first["nextLink"].as_str().unwrap();
    let second = tenant.admin.get(&next[next.find("/api/").unwrap()..]).await.ok();
    assert_eq!((&second["value"][0]["name"], second.get("nextLink")), (&json!("dir/a.txt"), None));
    app.stop().await;
}

fn stored(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.map(|entry| entry.unwrap().path()).map(|path| if path.is_dir() { stored(&path) } else { 1 }).sum()
}

async fn bytes_that_nobody_needs_are_removed(backend: Backend) {
    let clock = ManualClock::new(std::time::SystemTime::now().into());
    let app = TestApp::start_at(backend, &[], Clock::Manual(clock.clone())).await;
    let tenant = with_device(&app).await;
    let (folder, engine) = (app.folder().join("files"), app.app().engine());
    let sweep = async || files::sweep(engine).await.unwrap();
    let uploader = Uploader::granted(&app, &tenant, "a.txt").await;
    for body in ["one", "two"] {
        assert_eq!(uploader.put_blob(body).await.status, 201);
    }
    assert_eq!(uploader.write("&comp=block&blockid=AAAA", &[], "waits").await.status, 201);
    assert_eq!(stored(&folder), 3);
    assert_eq!((sweep().await, stored(&folder)), (1, 2), "what was replaced");
    clock.advance(chrono::Duration::hours(2));
    assert_eq!((sweep().await, stored(&folder)), (1, 1), "what was abandoned");
    assert_eq!(tenant.admin.get(&format!("{FILES}/a.txt")).await.text, "two");
    tenant.admin.delete("/api/devices/pump-1").await.ok();
    assert_eq!((sweep().await, stored(&folder)), (1, 0), "what was a deleted device's");
    app.stop().await;
}

async fn the_sdk_uploads(backend: Backend) {
    let name = "files::the_sdk_uploads";
    let Some(python) = std::env::var_os("MUSTER_TEST_PYTHON") else { return skip(name, "no MUSTER_TEST_PYTHON") };
    let Some(app) = TestApp::start_for_sdks(backend, name, &[]).await else { return };
    let tenant = with_device(&app).await;
    let key = muster_model::wire::sas::derive_key(&tenant.tenant.keys.primary_key, "pump-1").unwrap();
    let ca = app.folder().join("tls/ca.pem");
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/python/upload.py"));
    command.args(["--host", &tenant.tenant.hub_host, "--device", "pump-1", "--key", &key]).arg("--ca").arg(&ca);
    command.env("REQUESTS_CA_BUNDLE", &ca).env("SSL_CERT_FILE", &ca).kill_on_drop(true);
    let output = timeout(Duration::from_secs(180), command.output()).await.unwrap().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim().ends_with("ok"), "{said}\n{errors}");
    let large = 9 * (1 << 20) + 1;
    let expected = [("dir/large ä.bin".to_owned(), large), ("small.txt".to_owned(), 5)];
    assert_eq!(listed(&tenant).await, expected);
    let service = Https::service(&app, &tenant, Policy::Service);
    for name in ["pump-1/small.txt", "pump-1/dir/large ä.bin"] {
        let notice = service.get("/messages/serviceBound/filenotifications").await;
        assert_eq!(notice.json["blobName"], name, "{}", notice.text);
    }
    app.stop().await;
}
