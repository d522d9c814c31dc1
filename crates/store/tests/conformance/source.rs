//! What the source itself promises: which functions reach over all tenants.

use std::{fs, path::Path};

/// Every function that takes `SystemScope`. A new one is a decision: it reaches beyond a tenant.
const UNSCOPED: &[&str] = &[
    "c2d::expire",
    "c2d::held_since",
    "c2d::purge_feedback",
    "configurations::claim_due",
    "counters::purge_ledger",
    "devices::candidates",
    "events::purge",
    "failures::add",
    "failures::purge",
    "files::doomed",
    "files::forget",
    "files::purge_notices",
    "files::purge_uploads",
    "health::add",
    "health::purge",
    "health::sample",
    "hub_sessions::close",
    "hub_sessions::expire",
    "hub_sessions::open",
    "hub_sessions::renew_lease",
    "jobs::claim_due",
    "jobs::purge",
    "outbox::bury",
    "outbox::claim_due",
    "outbox::complete",
    "outbox::next_due",
    "outbox::purge_done",
    "outbox::retry",
    "secrets::find",
    "secrets::find_all",
    "secrets::insert_if_absent",
    "secrets::lock",
    "secrets::put",
    "sessions::delete",
    "sessions::delete_of_user",
    "sessions::find",
    "sessions::insert",
    "sessions::purge_expired",
    "sessions::touch",
    "store::begin_system",
    "store::begin_system_read",
    "telemetry::flush_latest",
    "tenants::find_by_id",
    "tenants::find_by_id_scope",
    "tenants::insert",
    "tenants::list",
    "throttle::add_failure",
    "throttle::failures",
    "throttle::forget",
    "throttle::purge",
    "tokens::find_by_hash",
    "tokens::touch",
    "users::find",
    "users::find_by_email",
    "users::insert",
    "users::memberships",
    "users::set_password",
];

#[test]
fn the_functions_beyond_a_tenant_are_known() {
    let mut unscoped = Vec::new();
    for (module, name, signature) in public_functions() {
        if signature.contains("SystemScope") {
            unscoped.push(format!("{module}::{name}"));
        } else if signature.contains("tx: &Tx") {
            assert!(signature.contains("scope: &Scope"), "{module}::{name} has no scope");
        }
    }
    unscoped.sort();
    assert_eq!(unscoped, UNSCOPED);
}

/// (module, name, signature) of each public function in the crate.
fn public_functions() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut functions, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let inside = path.strip_prefix(&root).expect("inside").with_extension("");
            let module = inside.display().to_string().replace("/mod", "").replace('/', "::");
            let text = fs::read_to_string(&path).expect("a file");
            for part in text.split("pub async fn ").skip(1) {
                let signature = part.split(" {\n").next().expect("a signature");
                let name = signature.split('(').next().expect("a name");
                functions.push((module.clone(), name.to_owned(), signature.to_owned()));
            }
        }
    }
    functions
}
