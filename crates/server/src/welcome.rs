//! What a newcomer reads after `muster serve --demo`.

use muster_engine::{
    Engine, EngineError,
    demo::Demo,
    tenants::{self, Bootstrap},
};
use muster_model::TenantId;
use secrecy::SecretString;
use std::path::Path;

/// Where to look, whom to sign in as, and a line to copy for a first device.
pub(crate) async fn welcome(engine: &Engine, demo: &Demo, data_dir: &Path) -> Result<String, EngineError> {
    // The tenant exists: this only reads what devices need to know.
    let wanted = Bootstrap {
        tenant: TenantId::parse(demo.tenant)?,
        name: demo.tenant.to_owned(),
        admin_email: demo.email.to_owned(),
        admin_password: SecretString::from(demo.password),
    };
    let made = tenants::bootstrap(engine, wanted).await?;
    Ok(format!(
        "\nOpen      {}/t/{}\nUser      {}\nPassword  {}\n\n\
         A first device, with Microsoft's SDK (pip install azure-iot-device):\n  \
         python3 examples/python/first_device.py --host {} --id-scope {} --group-key {} --ca {}\n",
        engine.config().public_url,
        demo.tenant,
        demo.email,
        demo.password,
        made.hub_host,
        made.id_scope,
        made.keys.primary_key,
        data_dir.join("tls/ca.pem").display(),
    ))
}
