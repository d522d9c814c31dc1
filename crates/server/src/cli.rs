//! The command line.

use crate::{App, Config, Options, dtdl, logging, templates};
use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use muster_engine::{
    Roles,
    policies::{KeySlot, Policy},
    tenants::{self, Bootstrap, BootstrapResult},
};
use muster_model::TenantId;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, io::Read, process::ExitCode};

/// Muster: connect, watch and manage devices.
#[derive(Debug, Parser)]
#[command(name = "muster", version, about, long_about = None)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the product, or one role of it.
    Serve(Serve),
    /// Bring the database to this release's schema, one process at a time.
    Migrate,
    /// Administer tenants.
    #[command(subcommand)]
    Admin(Admin),
    /// Simulate devices that send telemetry, and measure the acknowledgements.
    Simulate(muster_loadgen::SimulateArgs),
    /// Work with a tenant's device templates.
    #[command(subcommand)]
    Templates(templates::Templates),
    /// Work with device models in the Digital Twins Definition Language (DTDL).
    #[command(subcommand)]
    Dtdl(dtdl::Dtdl),
    /// Print the REST API's OpenAPI document.
    Openapi,
}

#[derive(Debug, Args)]
struct Serve {
    /// What this process is, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "all")]
    roles: Vec<RoleName>,
    /// Make the demo tenant, with simulated devices, dashboards and rules.
    #[arg(long)]
    demo: bool,
    /// Migrate the database first (always done on SQLite).
    #[arg(long)]
    migrate: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleName {
    All,
    Hub,
    Worker,
    Api,
}

#[derive(Debug, Subcommand)]
enum Admin {
    /// Create a tenant with its administrator, its enrollment group and an API token; an existing one is only printed.
    Bootstrap(BootstrapArgs),
    /// Replace one key of a hub policy and print the new connection string; whoever stands on the old key is cut off.
    RegenerateKey(RegenerateKeyArgs),
}

#[derive(Debug, Args)]
struct RegenerateKeyArgs {
    /// The tenant's id.
    #[arg(long)]
    tenant: TenantId,
    /// The policy's name, for example "iothubowner".
    #[arg(long)]
    policy: String,
    /// The key to be replaced.
    #[arg(long, value_enum)]
    key: KeyName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KeyName {
    Primary,
    Secondary,
}

#[derive(Debug, Args)]
struct BootstrapArgs {
    /// The tenant's id in addresses, for example "contoso".
    #[arg(long)]
    tenant: TenantId,
    /// The tenant's name.
    #[arg(long)]
    name: String,
    /// The administrator's e-mail address.
    #[arg(long)]
    admin_email: String,
    /// Read the administrator's password from standard input.
    #[arg(long, required = true)]
    admin_password_stdin: bool,
    /// Let services read telemetry at /messages/events; done to an existing tenant as well.
    #[arg(long)]
    event_feed: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs a command to its end; says how the process ends.
///
/// # Errors
/// What went wrong, for people.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Command::Dtdl(command) = cli.command {
        return dtdl::run(command);
    }
    // Fails only where a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let done = match cli.command {
        Command::Dtdl(_) => Ok(()),
        Command::Templates(command) => return runtime.block_on(template_command(command)),
        Command::Serve(serve) => runtime.block_on(start(serve)),
        Command::Migrate => runtime.block_on(migrate()),
        Command::Admin(Admin::Bootstrap(args)) => runtime.block_on(bootstrap(args)),
        Command::Admin(Admin::RegenerateKey(args)) => runtime.block_on(regenerate_key(args)),
        Command::Simulate(args) => runtime.block_on(muster_loadgen::simulate(args)),
        Command::Openapi => {
            println!("{}", muster_api::openapi()?);
            Ok(())
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

async fn start(serve: Serve) -> anyhow::Result<()> {
    let config = Config::load()?;
    logging::start(&config.log)?;
    let has = |name| serve.roles.contains(&RoleName::All) || serve.roles.contains(&name);
    let options = Options {
        roles: Roles { hub: has(RoleName::Hub), worker: has(RoleName::Worker), api: has(RoleName::Api) },
        demo: serve.demo,
        migrate: serve.migrate,
    };
    let stop = signals()?;
    let app = tokio::select! {
        app = App::start(config, options) => app?,
        () = stop.clone().cancelled_owned() => return Ok(()),
    };
    println!("Muster is ready.\n{}{}", app.addresses(), app.welcome());
    tokio::select! {
        () = stop.cancelled() => {}
        () = app.failed() => {}
    }
    app.stop().await?;
    Ok(())
}

/// A token that SIGTERM and Ctrl-C cancel.
fn signals() -> anyhow::Result<tokio_util::sync::CancellationToken> {
    let stop = tokio_util::sync::CancellationToken::new();
    let token = stop.clone();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        token.cancel();
    });
    Ok(stop)
}

async fn migrate() -> anyhow::Result<()> {
    let config = Config::load()?;
    logging::start(&config.log)?;
    let store = crate::app::connect_store(&config).await?;
    store.migrate().await.context("the database could not be migrated")?;
    println!("The database has this release's schema.");
    Ok(())
}

async fn bootstrap(args: BootstrapArgs) -> anyhow::Result<()> {
    let config = Config::load()?;
    let mut password = String::new();
    std::io::stdin().take(4096).read_to_string(&mut password).context("the password could not be read")?;
    let password = password.trim_end_matches(['\r', '\n']).to_owned();
    if password.is_empty() {
        bail!("no password came on standard input");
    }
    let engine = crate::app::tool_engine(&config).await?;
    let request = Bootstrap {
        tenant: args.tenant,
        name: args.name,
        admin_email: args.admin_email,
        admin_password: SecretString::from(password),
    };
    let made = tenants::bootstrap(&engine, request).await?;
    if args.event_feed {
        tenants::begin_event_feed(&engine, &made.tenant).await?;
    }
    let made = Bootstrapped::from(made);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&made)?);
    } else {
        print!("{made}");
    }
    Ok(())
}

async fn template_command(command: templates::Templates) -> anyhow::Result<ExitCode> {
    let engine = crate::app::tool_engine(&Config::load()?).await?;
    templates::run(&engine, command).await
}

async fn regenerate_key(args: RegenerateKeyArgs) -> anyhow::Result<()> {
    let config = Config::load()?;
    let policy = Policy::from_name(&args.policy);
    let policy = policy.with_context(|| format!("there is no policy '{}'", args.policy))?;
    let slot = match args.key {
        KeyName::Primary => KeySlot::Primary,
        KeyName::Secondary => KeySlot::Secondary,
    };
    let engine = crate::app::tool_engine(&config).await?;
    println!("{}", tenants::regenerate_policy_key(&engine, &args.tenant, policy, slot).await?);
    Ok(())
}

/// What `muster admin bootstrap` prints: for the operator who asked, secrets included.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Bootstrapped {
    tenant: String,
    id_scope: String,
    hub_host: String,
    enrollment_group: Group,
    connection_strings: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    id: String,
    primary_key: String,
    secondary_key: String,
}

impl From<BootstrapResult> for Bootstrapped {
    fn from(made: BootstrapResult) -> Self {
        Self {
            tenant: made.tenant.into(),
            id_scope: made.id_scope.into(),
            hub_host: made.hub_host,
            enrollment_group: Group {
                id: made.enrollment_group.into(),
                primary_key: made.keys.primary_key,
                secondary_key: made.keys.secondary_key,
            },
            connection_strings: made.connection_strings,
            api_token: made.api_token.map(|token| token.expose_secret().to_owned()),
        }
    }
}

impl fmt::Display for Bootstrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "tenant            {}", self.tenant)?;
        writeln!(f, "id scope          {}", self.id_scope)?;
        writeln!(f, "hub host          {}", self.hub_host)?;
        writeln!(f, "enrollment group  {}", self.enrollment_group.id)?;
        writeln!(f, "primary key       {}", self.enrollment_group.primary_key)?;
        writeln!(f, "secondary key     {}", self.enrollment_group.secondary_key)?;
        match &self.api_token {
            Some(token) => writeln!(f, "API token         {token}  (shown once)"),
            None => writeln!(f, "The tenant exists; nothing was changed."),
        }
    }
}
