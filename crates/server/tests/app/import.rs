//! `muster templates import`: files, folders and archives, on a database of its own.

use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

fn muster(data: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.args(arguments).env("MUSTER__DATA_DIR", data).env("MUSTER__LOG__FILTER", "error");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    child.stdin.take().expect("an input").write_all(input.as_bytes()).expect("reads");
    child.wait_with_output().expect("ends")
}

/// A database with the tenant `plant`, and a folder beside it.
fn plant() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = [
        "admin",
        "bootstrap",
        "--tenant=plant",
        "--name=Plant",
        "--admin-email=a@plant.example",
        "--admin-password-stdin",
    ];
    let made = muster(&folder.path().join("data"), &arguments, "a long enough password\n");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::create_dir_all(folder.path().join("models/deep")).expect("a folder");
    folder
}

/// Imports a path of the folder; whether all went well, and what came of each model.
fn import(folder: &TempDir, path: &str) -> (bool, Vec<Value>) {
    let path = folder.path().join(path).display().to_string();
    let done = muster(&folder.path().join("data"), &["templates", "import", "--tenant=plant", "--json", &path], "");
    let said = serde_json::from_slice::<Vec<Value>>(&done.stdout);
    (done.status.success(), said.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr))))
}

fn outcomes(said: &[Value]) -> Vec<(&str, &str)> {
    let text = |one: &'_ Value, name: &str| -> &'static str {
        Box::leak(one[name].as_str().unwrap_or("-").to_owned().into_boxed_str())
    };
    said.iter().map(|one| (text(one, "id"), text(one, "outcome"))).collect()
}

fn interface(id: &str, extends: Value, contents: Value) -> String {
    json!({
        "@id": id, "@type": "Interface", "@context": "dtmi:dtdl:context;2", "extends": extends, "contents": contents,
    })
    .to_string()
}

fn lamp() -> String {
    let contents = json!([{"@type": "Telemetry", "name": "brightness", "schema": "double"}]);
    interface("dtmi:plant:Lamp;1", json!("dtmi:plant:Base;1"), contents)
}

fn base() -> String {
    interface("dtmi:plant:Base;1", json!([]), json!([{"@type": "Property", "name": "serial", "schema": "string"}]))
}

#[test]
fn models_spread_over_a_folder_become_templates() {
    let folder = plant();
    let file = |name: &str, text: &str| fs::write(folder.path().join("models").join(name), text).expect("writes");
    file("lamp.json", &lamp());
    file("deep/base.json", &base());
    file("readme.md", "no model");
    let (good, said) = import(&folder, "models");
    assert_eq!((good, outcomes(&said)), (true, vec![("dtmi:plant:Lamp;1", "imported")]), "{said:?}");
    let (_, again) = import(&folder, "models");
    assert_eq!(outcomes(&again), [("dtmi:plant:Lamp;1", "unchanged")]);

    file(
        "bad.json",
        "{\n  \"@id\": \"dtmi:plant:Bad;1\", \"@type\": \"Interface\", \"@context\": \"dtmi:dtdl:context;2\",\n  \"contents\": [{\"@type\": \"Telemetry\", \"name\": \"t\", \"schema\": \"dubble\"}]\n}",
    );
    file("cut.json", "{\"@id\":");
    file("lamp.json", &lamp().replace("brightness", "warmth"));
    let (good, said) = import(&folder, "models");
    assert!(!good);
    let of = |file: &str| said.iter().find(|one| one["file"].as_str().unwrap().ends_with(file)).unwrap();
    assert!(of("bad.json")["problems"][0].as_str().unwrap().starts_with("3:"), "{said:?}");
    assert!(of("cut.json")["problems"][0].as_str().unwrap().contains("no JSON"), "{said:?}");
    let breaking = of("lamp.json");
    assert!(breaking["problems"].to_string().contains("brightness"), "what is published only grows: {breaking}");
}

#[test]
fn archives_are_read_and_hostile_ones_do_no_harm() {
    let folder = plant();
    let path = |name: &str| folder.path().join(name);
    let gz =
        flate2::write::GzEncoder::new(fs::File::create(path("models.tar.gz")).expect("a file"), Default::default());
    let mut tar = tar::Builder::new(gz);
    for (name, text) in [("a/lamp.json", lamp()), ("a/base.json", base())] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_cksum();
        tar.append_data(&mut header, name, text.as_bytes()).expect("appends");
    }
    tar.into_inner().expect("ends").finish().expect("ends");
    assert_eq!(outcomes(&import(&folder, "models.tar.gz").1), [("dtmi:plant:Lamp;1", "imported")]);

    let mut zip = zip::ZipWriter::new(fs::File::create(path("models.zip")).expect("a file"));
    let plain = zip::write::SimpleFileOptions::default();
    for (name, text) in [("../../evil.json", base()), ("__MACOSX/x.json", "no".into()), ("x.txt", "no".into())] {
        zip.start_file(name, plain).expect("starts");
        zip.write_all(text.as_bytes()).expect("writes");
    }
    zip.finish().expect("ends");
    assert_eq!(outcomes(&import(&folder, "models.zip").1), [("dtmi:plant:Base;1", "imported")]);
    assert!(!path("../evil.json").exists() && !path("evil.json").exists());

    let mut bomb = zip::ZipWriter::new(fs::File::create(path("bomb.zip")).expect("a file"));
    bomb.start_file("bomb.json", plain.compression_method(zip::CompressionMethod::Deflated)).expect("starts");
    bomb.write_all(&vec![b' '; 8 * 1024 * 1024]).expect("writes");
    bomb.finish().expect("ends");
    fs::write(path("cut.zip"), b"PK\x03\x04nothing").expect("writes");
    fs::write(path("cut.tar.gz"), b"\x1f\x8bnothing").expect("writes");
    fs::write(path("large.json"), vec![b' '; 2 * 1024 * 1024]).expect("writes");
    for bad in ["bomb.zip", "cut.zip", "cut.tar.gz", "large.json", "none.json"] {
        let path = path(bad).display().to_string();
        let done = muster(&folder.path().join("data"), &["templates", "import", "--tenant=plant", &path], "");
        let error = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && error.contains(bad), "{bad}: {error}");
    }
    let done = muster(&folder.path().join("data"), &["templates", "import", "--tenant=none", "x.json"], "");
    assert!(!done.status.success());
}
