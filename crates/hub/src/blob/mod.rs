//! Block blobs as Azure Storage has them, as far as a device's upload needs: Put Blob, Put Block and Put Block List,
//! with the grant in the query (`iot-hub-wire.md` §5). A grant writes and does not read.

mod block_list;
mod reply;

use crate::{Hub, https};
use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Bytes, Data, Path, Payload, ServiceConfig},
};
use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use futures::StreamExt;
use muster_engine::{
    Engine,
    files::{self, Checks, Condition, File, Piece, Upload, Writing},
};
use muster_model::{
    files::BlockId,
    wire::{blob::Claim, sas},
};
use reply::Refusal;
use std::time::Duration;
use tokio::time::timeout;

/// A body that brings nothing for so long is given up.
const STALL: Duration = Duration::from_secs(30);
/// A list of blocks, each with an id of 64 bytes and its tags, takes less.
const MAX_LIST_BYTES: usize = 8 << 20;
/// What a file is where its device does not say.
const DEFAULT_TYPE: &str = "application/octet-stream";

pub(crate) fn configure(config: &mut ServiceConfig) {
    let blob = web::resource("/{container:files-[a-z0-9-]+}/{blob:.+}");
    config.service(blob.route(web::put().to(write)).default_service(web::to(refuse)));
}

async fn write(hub: Data<Hub>, request: HttpRequest, path: Path<(String, String)>, body: Payload) -> HttpResponse {
    let (container, blob) = path.into_inner();
    let answer = async {
        let host = sas::without_port(https::host(&request));
        let claim = Claim::parse(request.query_string()).map_err(|_| Refusal::unauthorized())?;
        let upload = files::authorize(&hub.engine, host, (&container, &blob), &claim).await?;
        let engine = &hub.engine;
        match parameter(&request, "comp").as_deref() {
            None => put_blob(engine, &request, upload, body).await.map(|file| reply::written(&request, Some(&file))),
            Some("block") => put_block(engine, &request, upload, body).await.map(|()| reply::written(&request, None)),
            Some("blocklist") => {
                let file = put_block_list(engine, &request, &upload, body).await?;
                Ok(reply::written(&request, Some(&file)))
            }
            Some(_) => Err(Refusal::new(400, "InvalidQueryParameterValue", "this operation is not supported")),
        }
    };
    answer.await.unwrap_or_else(|refusal: Refusal| reply::refused(&request, &refusal))
}

/// Everything but writing.
async fn refuse(request: HttpRequest) -> HttpResponse {
    reply::refused(&request, &Refusal::new(403, "AuthorizationPermissionMismatch", "the grant allows to write only"))
}

async fn put_blob(engine: &Engine, request: &HttpRequest, upload: Upload, body: Payload) -> Result<File, Refusal> {
    match header(request, "x-ms-blob-type") {
        Some(kind) if kind.eq_ignore_ascii_case("BlockBlob") => {}
        Some(_) => return Err(Refusal::new(400, "InvalidBlobType", "there are block blobs only")),
        None => return Err(Refusal::new(400, "MissingRequiredHeader", "x-ms-blob-type is missing")),
    }
    let condition = condition(request)?;
    let writing = received(engine, request, upload, Piece::Whole, body).await?;
    Ok(files::put(engine, writing, content_type(request), &condition).await?)
}

async fn put_block(engine: &Engine, request: &HttpRequest, upload: Upload, body: Payload) -> Result<(), Refusal> {
    let id = parameter(request, "blockid").ok_or_else(|| bad_parameter("blockid is missing"))?;
    let id = BlockId::parse(&id).ok_or_else(|| bad_parameter("a block id is base64 of 1 to 64 bytes"))?;
    let writing = received(engine, request, upload, Piece::Block, body).await?;
    Ok(files::stage(engine, writing, id).await?)
}

async fn put_block_list(
    engine: &Engine,
    request: &HttpRequest,
    upload: &Upload,
    mut body: Payload,
) -> Result<File, Refusal> {
    let condition = condition(request)?;
    let mut text = Vec::new();
    while let Some(bytes) = next(&mut body).await? {
        if text.len() + bytes.len() > MAX_LIST_BYTES {
            return Err(Refusal::new(413, "RequestBodyTooLarge", "the block list is too long"));
        }
        text.extend_from_slice(&bytes);
    }
    checks(request)?.verify(&text)?;
    let list = block_list::parse(&text)?;
    Ok(files::commit(engine, upload, &list, content_type(request), &condition).await?)
}

/// The body, written to the storage as it comes.
async fn received(
    engine: &Engine,
    request: &HttpRequest,
    upload: Upload,
    piece: Piece,
    mut body: Payload,
) -> Result<Writing, Refusal> {
    let declared = header(request, "content-length").and_then(|length| length.parse().ok());
    let mut writing = files::begin(engine, upload, piece, declared, checks(request)?).await?;
    loop {
        let written = match next(&mut body).await {
            Ok(None) => return Ok(writing),
            Ok(Some(bytes)) => writing.write(bytes).await.map_err(Refusal::from),
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = written {
            writing.abort(engine).await;
            return Err(refusal);
        }
    }
}

async fn next(body: &mut Payload) -> Result<Option<Bytes>, Refusal> {
    match timeout(STALL, body.next()).await {
        Ok(None) => Ok(None),
        Ok(Some(Ok(bytes))) => Ok(Some(bytes)),
        Ok(Some(Err(_))) => Err(Refusal::new(400, "IncompleteBody", "the body ended too early")),
        Err(_) => Err(Refusal::new(408, "OperationTimedOut", "the body stopped coming")),
    }
}

fn checks(request: &HttpRequest) -> Result<Checks, Refusal> {
    Ok(Checks { md5: checksum(request, "content-md5")?, crc64: checksum(request, "x-ms-content-crc64")? })
}

fn checksum<const LEN: usize>(request: &HttpRequest, name: &str) -> Result<Option<[u8; LEN]>, Refusal> {
    let Some(text) = header(request, name) else { return Ok(None) };
    let bytes = BASE64.decode(text).ok().and_then(|bytes| <[u8; LEN]>::try_from(bytes).ok());
    bytes.map(Some).ok_or_else(|| bad_header(format!("{name} is not base64 of {LEN} bytes")))
}

/// What the request wants of the blob that stands. What is not known is refused, for it would not be kept.
fn condition(request: &HttpRequest) -> Result<Condition, Refusal> {
    let unsupported = ["if-modified-since", "if-unmodified-since", "x-ms-if-tags", "x-ms-lease-id"];
    if let Some(name) = unsupported.into_iter().find(|name| header(request, name).is_some()) {
        return Err(Refusal::new(400, "UnsupportedHeader", format!("{name} is not supported")));
    }
    match (header(request, "if-none-match"), header(request, "if-match")) {
        (None, None | Some("*")) => Ok(Condition::Any),
        (Some("*"), None) => Ok(Condition::Absent),
        (None, Some(etag)) => Ok(Condition::Is(etag.trim_matches('"').to_owned())),
        _ => Err(Refusal::new(400, "UnsupportedHeader", "If-None-Match may only be *")),
    }
}

fn content_type(request: &HttpRequest) -> &str {
    let own = header(request, "x-ms-blob-content-type").or_else(|| {
        // Of a list of blocks this is the type of the list.
        let whole = parameter(request, "comp").is_none();
        header(request, "content-type").filter(|_| whole)
    });
    own.filter(|own| !own.is_empty()).unwrap_or(DEFAULT_TYPE)
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// A parameter of the query. A `+` stands for itself, as in the ids of blocks that clients do not encode.
fn parameter(request: &HttpRequest, name: &str) -> Option<String> {
    let pairs = request.query_string().split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()?;
    percent_encoding::percent_decode_str(value).decode_utf8().ok().map(|value| value.into_owned())
}

fn bad_parameter(message: &str) -> Refusal {
    Refusal::new(400, "InvalidQueryParameterValue", message)
}

fn bad_header(message: String) -> Refusal {
    Refusal::new(400, "InvalidHeaderValue", message)
}
