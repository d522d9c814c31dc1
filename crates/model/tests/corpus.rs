//! What the fuzzer has found and begins with (`fuzz/corpus`) holds in ordinary tests, and so does what is near it.

#![expect(clippy::expect_used, reason = "a test stops where something is not as it says")]

#[path = "../../../fuzz/src/targets/mod.rs"]
mod targets;

use proptest::prelude::*;
use std::fs;
use std::path::PathBuf;
use targets::TARGETS;

/// More would make a clone slow, and nobody would look at them.
const MAX_FILES: usize = 200;
/// A seed is short, so that the fuzzer tries many things with it.
const MAX_FILE_BYTES: usize = 16 * 1024;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

/// The files of a target's corpus by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder().join(target)).expect("every target has a corpus");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("a file"))
        .map(|entry| {
            (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("a file is read"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_corpus_is_replayed() {
    let mut count = 0;
    for (target, run) in TARGETS {
        let files = corpus(target);
        assert!(!files.is_empty(), "{target} has no corpus");
        count += files.len();
        for (name, bytes) in files {
            println!("{target}/{name}");
            assert!(bytes.len() <= MAX_FILE_BYTES, "{} bytes", bytes.len());
            run(&bytes);
        }
    }
    assert!(count <= MAX_FILES, "{count} files");
}

#[test]
fn every_corpus_belongs_to_a_target() {
    for entry in fs::read_dir(folder()).expect("the corpora") {
        let name = entry.expect("a folder").file_name();
        assert!(TARGETS.iter().any(|(target, _)| *target == name), "{name:?} is no target");
    }
}

/// A part of one file put into another, as the fuzzer does it.
#[derive(Debug, Clone)]
struct Splice {
    files: (prop::sample::Index, prop::sample::Index),
    from: (prop::sample::Index, prop::sample::Index),
    to: (prop::sample::Index, prop::sample::Index),
    byte: Option<u8>,
}

impl Splice {
    fn apply(&self, files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let range = |bytes: &[u8], ends: &(prop::sample::Index, prop::sample::Index)| {
            let (a, b) = (ends.0.index(bytes.len() + 1), ends.1.index(bytes.len() + 1));
            a.min(b)..a.max(b)
        };
        let (mut bytes, donor) = (self.files.0.get(files).1.clone(), &self.files.1.get(files).1);
        let part: Vec<u8> = donor[range(donor, &self.from)].iter().copied().chain(self.byte).collect();
        let place = range(&bytes, &self.to);
        bytes.splice(place, part);
        bytes
    }
}

fn splice() -> impl Strategy<Value = Splice> {
    let pair = || (any::<prop::sample::Index>(), any::<prop::sample::Index>());
    (pair(), pair(), pair(), any::<Option<u8>>()).prop_map(|(files, from, to, byte)| Splice { files, from, to, byte })
}

proptest! {
    #[test]
    fn what_is_near_the_corpora_holds(splices in proptest::collection::vec(splice(), 16)) {
        for (target, run) in TARGETS {
            let files = corpus(target);
            for splice in &splices {
                run(&splice.apply(&files));
            }
        }
    }

    #[test]
    fn any_bytes_hold(bytes: Vec<u8>) {
        for (_, run) in TARGETS {
            run(&bytes);
        }
    }
}
