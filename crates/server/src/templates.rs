//! `muster templates import`: device models from files, folders and archives.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use flate2::read::GzDecoder;
use muster_engine::{Engine, EngineError, templates, tenants};
use muster_model::{
    Caller, TenantId,
    template::{Bundle, MAX_TEMPLATE_BYTES, Template, bundles},
};
use serde::Serialize;
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Files that are read in one go.
const MAX_FILES: usize = 10_000;
/// Bytes of all of them, unpacked.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Folders in one another.
const MAX_DEPTH: usize = 32;

#[derive(Debug, Subcommand)]
pub(crate) enum Templates {
    /// Import device models and exported templates; ends with 1 where one is refused.
    Import(ImportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Files (.json), folders, or archives (.zip, .tar, .tar.gz, .tgz). Models that use each other may be spread over files.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The tenant's id.
    #[arg(long)]
    tenant: TenantId,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A JSON file that was found.
struct Found {
    /// Where: a path, or a path in an archive.
    name: String,
    text: Vec<u8>,
}

/// What became of one model.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

/// Imports what is found, one template after the other; one that is refused does not keep others out.
pub(crate) async fn run(engine: &Engine, command: Templates) -> anyhow::Result<ExitCode> {
    let Templates::Import(args) = command;
    let caller = tenants::operator(engine, &args.tenant).await?;
    let mut files = Files::default();
    for path in &args.paths {
        files.add(path, 0).with_context(|| format!("{} could not be read", path.display()))?;
    }
    if files.found.is_empty() {
        bail!("there is no .json file");
    }
    let outcomes = import_all(engine, &caller, &files.found).await?;
    let refused = outcomes.iter().filter(|one| one.outcome == "refused").count();
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer(&mut out, &outcomes)?;
        writeln!(out)?;
    } else {
        for Outcome { file, id, outcome, problems } in &outcomes {
            writeln!(out, "{outcome:<10}{}  {file}", id.as_deref().unwrap_or("-"))?;
            problems.iter().try_for_each(|problem| writeln!(out, "          {problem}"))?;
        }
        writeln!(out, "{} imported or as they were, {refused} refused", outcomes.len() - refused)?;
    }
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn import_all(engine: &Engine, caller: &Caller, files: &[Found]) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    let (mut sources, mut documents) = (Vec::new(), Vec::new());
    for file in files {
        match serde_json::from_slice::<Value>(&file.text) {
            Ok(document) => {
                sources.push(file);
                documents.push(document);
            }
            Err(error) => outcomes.push(Outcome {
                file: file.name.clone(),
                id: None,
                outcome: "refused",
                problems: vec![format!("no JSON: {error}")],
            }),
        }
    }
    for Bundle { source, document } in bundles(&documents) {
        let Some(file) = sources.get(source) else { continue };
        // What stands in its file as it is has lines and columns there.
        let alone = documents.get(source) == Some(&document) || document.as_array().is_some_and(|all| all.len() == 1);
        let own = std::str::from_utf8(&file.text).ok().filter(|_| alone && documents[source].is_object());
        let text = own.map_or_else(|| document.to_string(), str::to_owned);
        outcomes.push(import_one(engine, caller, file.name.clone(), &text).await?);
    }
    Ok(outcomes)
}

async fn import_one(engine: &Engine, caller: &Caller, file: String, text: &str) -> anyhow::Result<Outcome> {
    let known = match Template::import_text(text, None) {
        Ok(template) => template,
        Err(problems) => {
            let problems = problems.into_iter().map(|problem| {
                let place = match (problem.line, problem.id) {
                    (1.., _) => format!("{}:{}: ", problem.line, problem.column),
                    (0, Some(id)) => format!("{id}: "),
                    (0, None) => String::new(),
                };
                format!("{place}{}", problem.message)
            });
            return Ok(Outcome { file, id: None, outcome: "refused", problems: problems.collect() });
        }
    };
    let id = Some(known.id.to_string());
    if templates::is_published_as(engine, caller, &known).await? {
        return Ok(Outcome { file, id, outcome: "unchanged", problems: Vec::new() });
    }
    let problems = match templates::import(engine, caller, text).await {
        Ok(_) => return Ok(Outcome { file, id, outcome: "imported", problems: Vec::new() }),
        Err(EngineError::Invalid { problems } | EngineError::Blocked { problems, .. }) => {
            problems.into_iter().map(|problem| problem.message).collect()
        }
        Err(error @ EngineError::Conflict { .. }) => vec![error.to_string()],
        Err(error) => return Err(error.into()),
    };
    Ok(Outcome { file, id, outcome: "refused", problems })
}

/// Files as they are found, within bounds.
#[derive(Default)]
struct Files {
    found: Vec<Found>,
    bytes: u64,
}

impl Files {
    fn add(&mut self, path: &Path, depth: usize) -> anyhow::Result<()> {
        let name = path.display().to_string();
        let lower = name.to_ascii_lowercase();
        if path.is_dir() {
            if depth > MAX_DEPTH {
                bail!("{name}: folders are more than {MAX_DEPTH} deep");
            }
            let mut entries = fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                // A link may lead anywhere, back here too.
                let kind = entry.file_type()?;
                let json = entry.path().extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
                if kind.is_dir() || (kind.is_file() && json) {
                    self.add(&entry.path(), depth + 1)?;
                }
            }
            Ok(())
        } else if lower.ends_with(".zip") {
            self.add_zip(&name, File::open(path)?)
        } else if lower.ends_with(".tar.gz") || lower.ends_with(".tgz") {
            self.add_tar(&name, GzDecoder::new(File::open(path)?))
        } else if lower.ends_with(".tar") {
            self.add_tar(&name, File::open(path)?)
        } else {
            self.add_text(name, File::open(path)?)
        }
    }

    /// Nothing is written to disk, so a name in an archive leads nowhere.
    fn add_zip(&mut self, name: &str, file: File) -> anyhow::Result<()> {
        let mut archive = zip::ZipArchive::new(file)?;
        for index in 0..archive.len() {
            let entry = archive.by_index(index)?;
            if entry.is_file() && is_json(entry.name()) {
                let inner = format!("{name}/{}", entry.name());
                self.add_text(inner, entry)?;
            }
        }
        Ok(())
    }

    fn add_tar(&mut self, name: &str, file: impl Read) -> anyhow::Result<()> {
        // What is not JSON is unpacked as well, to be passed over: it counts.
        let mut archive = tar::Archive::new(file.take(MAX_BYTES));
        for entry in archive.entries()? {
            let entry = entry?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if entry.header().entry_type().is_file() && is_json(&path) {
                self.add_text(format!("{name}/{path}"), entry)?;
            }
        }
        Ok(())
    }

    fn add_text(&mut self, name: String, file: impl Read) -> anyhow::Result<()> {
        if self.found.len() >= MAX_FILES {
            bail!("there are more than {MAX_FILES} files");
        }
        let mut text = Vec::new();
        file.take(MAX_TEMPLATE_BYTES as u64 + 1).read_to_end(&mut text)?;
        if text.len() > MAX_TEMPLATE_BYTES {
            bail!("{name} is larger than {MAX_TEMPLATE_BYTES} bytes");
        }
        self.bytes += text.len() as u64;
        if self.bytes > MAX_BYTES {
            bail!("the files have more than {MAX_BYTES} bytes");
        }
        self.found.push(Found { name, text });
        Ok(())
    }
}

/// Files that a system puts into archives for itself are none.
fn is_json(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".json") && !name.starts_with("__MACOSX/")
}
