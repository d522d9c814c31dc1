//! The web app's files, read once at start. Every page is the same file: the browser finds its way by itself.

use crate::app::Api;
use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header},
    web::{Bytes, Data},
};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Below this the names hold a hash of the content.
const ASSETS: &str = "/assets/";
const PAGE: &str = "/index.html";
/// More files than any build of ours has; a folder given by mistake is not read into memory.
const MAX_FILES: usize = 2_000;

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Muster</title></head><body>\
<h1>The web app is not built</h1><p>This server has no web app beside it; its API works. To build the web app, run \
<code>cargo xtask web</code> in the source tree (or <code>cargo xtask run</code>, which builds both) and start the server \
again.</p></body></html>";

/// The web app's files by address; empty where it is not built.
#[derive(Debug, Default)]
pub(crate) struct WebApp {
    files: HashMap<String, File>,
}

#[derive(Debug)]
struct File {
    content_type: &'static str,
    etag: String,
    plain: Bytes,
    brotli: Option<Bytes>,
    gzip: Option<Bytes>,
}

impl WebApp {
    /// Reads the folder that `cargo xtask web` wrote. One that cannot be read counts as not built: the API works
    /// without it.
    pub(crate) fn load(folder: Option<&Path>) -> Self {
        let Some(folder) = folder else { return Self::default() };
        match read(folder) {
            Ok(files) => Self { files },
            Err(error) => {
                tracing::error!(%error, folder = %folder.display(), "the web app's files cannot be read");
                Self::default()
            }
        }
    }

    /// The file for an address, and whether it may be kept for ever.
    fn find(&self, path: &str) -> Option<(&File, Keep)> {
        if path.starts_with(ASSETS) {
            return self.files.get(path).map(|file| (file, Keep::Forever));
        }
        let page = if self.files.contains_key(path) { path } else { PAGE };
        (page != PAGE || is_page(path)).then(|| self.files.get(page)).flatten().map(|file| (file, Keep::UntilChanged))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Forever,
    UntilChanged,
}

/// Answers everything that is not the API.
pub(crate) async fn serve(api: Data<Api>, request: HttpRequest) -> HttpResponse {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, "GET, HEAD")).finish();
    }
    let web = api.web();
    match web.find(request.path()) {
        Some((file, keep)) => file.reply(&request, keep),
        None if web.files.is_empty() && is_page(request.path()) => {
            HttpResponse::ServiceUnavailable().content_type("text/html; charset=utf-8").body(NOT_BUILT)
        }
        None => HttpResponse::NotFound().content_type("text/plain; charset=utf-8").body("not found"),
    }
}

impl File {
    fn reply(&self, request: &HttpRequest, keep: Keep) -> HttpResponse {
        let mut reply = HttpResponse::Ok();
        reply.insert_header((header::ETAG, self.etag.as_str())).insert_header((header::VARY, "accept-encoding"));
        reply.insert_header((
            header::CACHE_CONTROL,
            match keep {
                Keep::Forever => "public, max-age=31536000, immutable",
                Keep::UntilChanged => "no-cache",
            },
        ));
        let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if text(header::IF_NONE_MATCH).split(',').any(|etag| etag.trim().trim_start_matches("W/") == self.etag) {
            return reply.status(actix_web::http::StatusCode::NOT_MODIFIED).finish();
        }
        reply.content_type(self.content_type);
        let accepted = text(header::ACCEPT_ENCODING);
        let (encoding, body) = match (&self.brotli, &self.gzip) {
            (Some(brotli), _) if accepts(accepted, "br") => (Some("br"), brotli),
            (_, Some(gzip)) if accepts(accepted, "gzip") => (Some("gzip"), gzip),
            _ => (None, &self.plain),
        };
        if let Some(encoding) = encoding {
            reply.insert_header((header::CONTENT_ENCODING, encoding));
        }
        reply.body(body.clone())
    }
}

/// The addresses at which the web app has pages.
fn is_page(path: &str) -> bool {
    path == "/" || path == PAGE || path == "/sign-in" || path.starts_with("/t/")
}

/// Whether an `Accept-Encoding` takes the encoding by its name; `q=0` does not.
fn accepts(header: &str, encoding: &str) -> bool {
    header.split(',').any(|entry| {
        let (name, parameters) = entry.split_once(';').unwrap_or((entry, ""));
        let refused = parameters.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0_f32));
        name.trim().eq_ignore_ascii_case(encoding) && !refused
    })
}

fn read(folder: &Path) -> io::Result<HashMap<String, File>> {
    let mut paths = Vec::new();
    list(folder, &mut paths)?;
    let mut files = HashMap::new();
    for path in &paths {
        let Some(content_type) = content_type(path) else { continue };
        let Some(address) = address(folder, path) else { continue };
        let plain = Bytes::from(fs::read(path)?);
        let digest = Sha256::digest(&plain);
        let etag = format!("\"{}\"", digest[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        let packed = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            paths.iter().find(|path| path.as_os_str() == name).map(fs::read).transpose()
        };
        let brotli = packed(".br")?.map(Bytes::from);
        let gzip = packed(".gz")?.map(Bytes::from);
        files.insert(address, File { content_type, etag, plain, brotli, gzip });
    }
    Ok(files)
}

fn list(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(&entry.path(), paths)?;
        } else {
            paths.push(entry.path());
        }
        if paths.len() > MAX_FILES {
            return Err(io::Error::other(format!("more than {MAX_FILES} files")));
        }
    }
    Ok(())
}

fn address(folder: &Path, path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.strip_prefix(folder).ok()?.iter().map(|part| part.to_str()).collect();
    Some(format!("/{}", parts?.join("/")))
}

/// The types that a build has; packed copies have none, they are read with their original.
fn content_type(path: &Path) -> Option<&'static str> {
    Some(match path.extension()?.to_str()? {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "webmanifest" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn built() -> (tempfile::TempDir, WebApp) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("assets")).unwrap();
        for (name, content) in [
            ("index.html", "page"),
            ("assets/a-1.js", "script"),
            ("assets/a-1.js.br", "packed"),
            ("assets/x.map", "map"),
        ] {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let web = WebApp::load(Some(folder.path()));
        (folder, web)
    }

    #[test]
    fn every_page_is_the_same_file_and_assets_are_their_own() {
        let (_folder, web) = built();
        for path in ["/", "/sign-in", "/t/demo", "/t/demo/devices/a", "/index.html"] {
            let (file, keep) = web.find(path).unwrap();
            assert_eq!((file.plain.as_ref(), keep), (&b"page"[..], Keep::UntilChanged), "{path}");
        }
        assert_eq!(web.find("/assets/a-1.js").unwrap().1, Keep::Forever);
        for path in
            ["/assets/none.js", "/assets/x.map", "/assets/a-1.js.br", "/etc/passwd", "/assets/../index.html", "/x"]
        {
            assert!(web.find(path).is_none(), "{path}");
        }
    }

    #[test]
    fn the_packed_copy_goes_to_whoever_takes_it() {
        let (_folder, web) = built();
        let (file, keep) = web.find("/assets/a-1.js").unwrap();
        for (accepted, encoding) in [("gzip, br", Some("br")), ("gzip", None), ("br;q=0", None), ("", None)] {
            let request = TestRequest::default().insert_header((header::ACCEPT_ENCODING, accepted)).to_http_request();
            let reply = file.reply(&request, keep);
            let sent = reply.headers().get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap());
            assert_eq!(sent, encoding, "{accepted}");
        }
        let known = TestRequest::default().insert_header((header::IF_NONE_MATCH, file.etag.as_str())).to_http_request();
        assert_eq!(file.reply(&known, keep).status(), 304);
    }

    #[test]
    fn a_missing_folder_is_a_web_app_that_is_not_built() {
        assert!(WebApp::load(None).files.is_empty());
        assert!(WebApp::load(Some(Path::new("/nonexistent"))).files.is_empty());
    }
}
