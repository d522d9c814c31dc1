//! From bound wasm and source files to the folder that is served: hashed names, preloads, compressed copies.

use super::{Bound, Build};
use anyhow::{Context, Result, bail};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fmt, fs,
    io::Write,
    path::{Path, PathBuf},
};

/// Where the page finds the files; whatever is below may be kept by browsers for ever.
const BASE: &str = "/assets/";

/// What the template says where the preloads and the style sheet go.
const HEAD: &str = r#"<link data-muster="head">"#;

/// What the template says where the script goes.
const BOOT: &str = r#"<script data-muster="boot"></script>"#;

/// Sizes, for the person who waits.
pub struct Written {
    wasm_bytes: usize,
    wasm_brotli_bytes: usize,
    files: usize,
}

impl fmt::Display for Written {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wasm_bytes, wasm_brotli_bytes, files } = self;
        write!(
            formatter,
            "{files} files, wasm {} KiB, {} KiB over the wire",
            wasm_bytes / 1024,
            wasm_brotli_bytes / 1024
        )
    }
}

/// Writes everything to a folder beside `dist` and swaps the two, so that a server sees the old or the new.
pub fn write(source: &Path, bound: &Bound, dist: &Path, build: Build) -> Result<Written> {
    let fresh = dist.with_extension("new");
    remove(&fresh)?;
    let mut folder = Folder { path: fresh.clone(), build, files: 0 };

    let names = copy_assets(&source.join("assets"), &mut folder)?;
    let css = rename(&join_styles(&source.join("style"))?, &names).context("in frontend/style")?;
    let style = folder.add("muster.css", css.as_bytes())?;
    for (path, script) in &bound.snippets {
        folder.write(&format!("assets/snippets/{path}"), script.as_bytes())?;
    }
    let wasm = folder.add("muster.wasm", &bound.wasm)?;
    let glue = folder.add("muster.js", bound.js.as_bytes())?;
    let start = format!("import start from \"{glue}\";\nawait start({{ module_or_path: \"{wasm}\" }});\n");
    let boot = folder.add("boot.js", start.as_bytes())?;

    let template = fs::read_to_string(source.join("index.html")).context("cannot read frontend/index.html")?;
    let template = rename(&template, &names).context("in frontend/index.html")?;
    folder.write("index.html", page(&template, &[&style, &wasm, &glue, &boot])?.as_bytes())?;

    let brotli = fresh.join(format!("{}.br", wasm.trim_start_matches('/')));
    let written = Written {
        wasm_bytes: bound.wasm.len(),
        wasm_brotli_bytes: usize::try_from(fs::metadata(brotli)?.len())?,
        files: folder.files,
    };
    remove(dist)?;
    fs::rename(&fresh, dist)?;
    Ok(written)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder in the making.
struct Folder {
    path: PathBuf,
    build: Build,
    files: usize,
}

impl Folder {
    /// Adds an asset under its content-hashed name and returns its address.
    fn add(&mut self, name: &str, content: &[u8]) -> Result<String> {
        let hash = &hex(&Sha256::digest(content))[..12];
        let (stem, extension) = name.rsplit_once('.').context("an asset needs a file extension")?;
        let address = format!("{BASE}{stem}-{hash}.{extension}");
        self.write(&address[1..], content)?;
        Ok(address)
    }

    /// Writes a file and, when that pays, its compressed copies.
    fn write(&mut self, path: &str, content: &[u8]) -> Result<()> {
        let file = self.path.join(path);
        fs::create_dir_all(file.parent().context("a file stands in a folder")?)?;
        fs::write(&file, content)?;
        self.files += 1;
        let packed = ["woff2", "png", "webp", "jpg"].iter().any(|extension| path.ends_with(extension));
        if !packed {
            fs::write(file.with_file_name(suffixed(&file, "gz")?), gzip(content, self.build)?)?;
            fs::write(file.with_file_name(suffixed(&file, "br")?), brotli(content, self.build)?)?;
        }
        Ok(())
    }
}

fn suffixed(file: &Path, suffix: &str) -> Result<String> {
    let name = file.file_name().context("a file has a name")?;
    Ok(format!("{}.{suffix}", name.to_string_lossy()))
}

fn gzip(content: &[u8], build: Build) -> Result<Vec<u8>> {
    let level = if build == Build::Release { 9 } else { 1 };
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

fn brotli(content: &[u8], build: Build) -> Result<Vec<u8>> {
    let quality = if build == Build::Release { 11 } else { 4 };
    let mut packed = Vec::new();
    let mut writer = brotli::CompressorWriter::new(&mut packed, 1 << 16, quality, 22);
    writer.write_all(content)?;
    drop(writer);
    Ok(packed)
}

/// Copies every file below `folder`; the map goes from plain to hashed names.
fn copy_assets(folder: &Path, into: &mut Folder) -> Result<BTreeMap<String, String>> {
    let mut names = BTreeMap::new();
    for file in sorted_files(folder, None)? {
        let name = file.strip_prefix(folder)?.to_string_lossy().into_owned();
        names.insert(name.clone(), into.add(&name, &fs::read(&file)?)?);
    }
    Ok(names)
}

fn join_styles(folder: &Path) -> Result<String> {
    let mut joined = String::new();
    for file in sorted_files(folder, Some("css"))? {
        joined.push_str(&fs::read_to_string(&file)?);
        joined.push('\n');
    }
    Ok(joined)
}

fn sorted_files(folder: &Path, extension: Option<&str>) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if folder.is_dir() {
        super::list_files(folder, &mut files)?;
    }
    files.retain(|file| match extension {
        Some(wanted) => file.extension().is_some_and(|extension| extension == wanted),
        None => file.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')),
    });
    files.sort();
    Ok(files)
}

/// Fills the template.
fn page(template: &str, [style, wasm, glue, boot]: &[&str; 4]) -> Result<String> {
    // The comment in front speaks to us, not to browsers.
    let start = template.find("<!doctype html>").context("frontend/index.html has no <!doctype html>")?;
    let template = &template[start..];
    for mark in [HEAD, BOOT] {
        if template.matches(mark).count() != 1 {
            bail!("frontend/index.html must say {mark} once");
        }
    }
    let head = format!(
        concat!(
            "<link rel=\"preload\" href=\"{wasm}\" as=\"fetch\" type=\"application/wasm\" crossorigin>\n    ",
            "<link rel=\"modulepreload\" href=\"{glue}\">\n    ",
            "<link rel=\"stylesheet\" href=\"{style}\">"
        ),
        wasm = wasm,
        glue = glue,
        style = style,
    );
    let script = format!("<script type=\"module\" src=\"{boot}\"></script>");
    Ok(template.replace(HEAD, &head).replace(BOOT, &script))
}

/// Replaces `/assets/NAME` by the address of the asset called NAME.
fn rename(text: &str, names: &BTreeMap<String, String>) -> Result<String> {
    let mut renamed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(BASE) {
        let (before, from) = rest.split_at(at);
        let end = from.find(['"', '\'', ')', ' ', '>', '?', '#']).unwrap_or(from.len());
        let (address, after) = from.split_at(end);
        renamed.push_str(before);
        match names.get(&address[BASE.len()..]) {
            Some(new) => renamed.push_str(new),
            None => bail!("{address} names no file in frontend/assets"),
        }
        rest = after;
    }
    renamed.push_str(rest);
    Ok(renamed)
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn source() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let file = folder.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        let html = format!("<!-- about -->\n<!doctype html><link rel=icon href=\"/assets/icon.svg\">{HEAD}{BOOT}");
        write("index.html", &html);
        write("assets/icon.svg", "<svg/>");
        write("assets/fonts/a.woff2", "font");
        write("style/20-b.css", "b{}");
        write("style/10-a.css", "a{src:url(/assets/fonts/a.woff2)}");
        folder
    }

    fn bound() -> Bound {
        Bound { wasm: b"\0asm".to_vec(), js: "export default 1".to_owned(), snippets: Vec::new() }
    }

    #[test]
    fn writes_hashed_names_preloads_and_compressed_copies() {
        let source = source();
        let dist = source.path().join("dist");
        write(source.path(), &bound(), &dist, Build::Release).unwrap();
        let page = fs::read_to_string(dist.join("index.html")).unwrap();
        assert!(page.starts_with("<!doctype html>"), "{page}");
        assert!(page.contains("/assets/icon-") && page.contains("as=\"fetch\" type=\"application/wasm\" crossorigin"));
        let files: Vec<String> = sorted_files(&dist, None)
            .unwrap()
            .iter()
            .map(|file| file.strip_prefix(&dist).unwrap().to_string_lossy().into_owned())
            .collect();
        let count = |start: &str, end: &str| files.iter().filter(|f| f.starts_with(start) && f.ends_with(end)).count();
        assert_eq!(count("assets/muster-", ".wasm.br"), 1, "{files:?}");
        assert_eq!(count("assets/fonts/a-", ".woff2"), 1, "{files:?}");
        assert_eq!(count("assets/fonts/a-", ".br"), 0, "a font is packed already");
        let css = files.iter().find(|file| file.ends_with(".css")).unwrap();
        let css = fs::read_to_string(dist.join(css)).unwrap();
        assert!(css.starts_with("a{src:url(/assets/fonts/a-") && css.contains("\nb{}"), "{css}");
    }

    #[test]
    fn a_name_without_a_file_fails() {
        let source = source();
        fs::write(source.path().join("style/30-c.css"), "c{src:url('/assets/none.svg')}").unwrap();
        let error = write(source.path(), &bound(), &source.path().join("dist"), Build::Dev).err().unwrap();
        assert!(format!("{error:#}").contains("/assets/none.svg"), "{error:#}");
    }

    #[test]
    fn compressed_copies_unpack_to_the_content() {
        let content = b"the same again and again, the same again and again".repeat(20);
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&gzip(&content, Build::Release).unwrap()[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, content);
        let packed = brotli(&content, Build::Release).unwrap();
        assert!(packed.len() < content.len());
        let mut unpacked = Vec::new();
        brotli::Decompressor::new(&packed[..], 4096).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, content);
    }
}
