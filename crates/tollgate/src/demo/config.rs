//! The demo's configuration: defaults, with free ports where the default ones are taken.

use std::{net::SocketAddr, path::PathBuf};

use crate::{
    cli::Global,
    config::{self, Config, LoadError, Sources},
    failure::Failure,
};

/// Reads the environment and `--set`, but for where data is kept.
pub(super) fn config(global: &Global, data_dir: PathBuf, once: bool) -> Result<Config, Failure> {
    let is_ours =
        |name: &str| !["TOLLGATE_DATABASE__", "TOLLGATE_JOURNAL__"].iter().any(|own| name.starts_with(own));
    let mut environment = config::environment();
    environment.retain(|(name, _)| is_ours(name));
    let says_level = |sources: &Sources| {
        sources.environment.iter().any(|(name, _)| name == "TOLLGATE_LOG__LEVEL")
            || sources.flags.iter().any(|(path, _)| path == "log.level")
    };
    let sources = Sources { file: None, environment, flags: global.settings.clone(), data_dir };
    let mut config = config::parse(&sources).map_err(|errors| Failure::from(LoadError::Settings(errors)))?;
    if config.database.url.is_some() || config.journal.dir.is_some() {
        return Err(Failure::Usage(
            "the demo keeps its data in its own folder; leave database.url and journal.dir away".to_owned(),
        ));
    }
    if !says_level(&sources) {
        // The demo talks on stdout; its log is for when something is wrong. That its status page
        // is public is part of it.
        "error".clone_into(&mut config.log.level);
    }
    for listen in
        [&mut config.gateway.listener.listen, &mut config.service_api.listen, &mut config.control.listen]
    {
        *listen = free(*listen, once);
    }
    Ok(config)
}

/// The address itself when it is free, else the same with a free port.
fn free(wanted: SocketAddr, once: bool) -> SocketAddr {
    let anywhere = SocketAddr::new(wanted.ip(), 0);
    if once || std::net::TcpListener::bind(wanted).is_err() { anywhere } else { wanted }
}
