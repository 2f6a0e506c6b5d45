//! `serve`: the daemon, with what the command line says about its configuration.

use std::{io, io::IsTerminal as _, path::Path};

use anyhow::{Context as _, bail};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{
    args::{Format, Serve},
    out::{Outcome, print, say},
};
use crate::{
    app,
    config::{Config, REFUSAL_HINT},
};

pub(super) fn serve(args: Serve) -> anyhow::Result<Outcome> {
    start_log(&args.log.log_level, args.log.log_format)?;
    let config = with_flags(load_config(args.config.as_deref())?, &args);
    if let Some(why) = config.server.refusal() {
        bail!("{why}\n  hint: {REFUSAL_HINT}");
    }
    run_daemon(async {
        let source = Some(source(args));
        let options = app::Options { listener: None, announce: Some(Box::new(announce)), source };
        app::run(config, options, stop_signal()?).await?;
        Ok(Outcome::Fine)
    })
}

/// A file's configuration or the defaults; every problem is told.
pub(super) fn load_config(path: Option<&Path>) -> anyhow::Result<Config> {
    Config::load(path).map_err(|problems| {
        for problem in &problems {
            say(&problem.to_string());
        }
        anyhow::anyhow!("the configuration cannot be used")
    })
}

fn with_flags(mut config: Config, args: &Serve) -> Config {
    let server = &mut config.server;
    server.listen = args.listen.unwrap_or(server.listen);
    server.token_file = args.token_file.clone().or_else(|| server.token_file.take());
    server.allow_unauthenticated |= args.allow_unauthenticated;
    if let Some(dir) = &args.data_dir {
        config.store.dir.clone_from(dir);
    }
    config
}

/// The same again, for a reload: the file as it is then, with the flags as they were.
fn source(args: Serve) -> app::Source {
    let name = match &args.config {
        Some(file) => file.display().to_string(),
        None => "the command line".to_owned(),
    };
    let read = move || Ok(with_flags(Config::load(args.config.as_deref())?, &args));
    app::Source { name, read: Box::new(read) }
}

/// Starts the log on stderr.
pub(super) fn start_log(level: &str, format: Format) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(level).with_context(|| {
        format!("{level:?} is not a log level: want info, or info,antecede=debug")
    })?;
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match format {
        Format::Text => log.with_ansi(colour).try_init(),
        Format::Json => log.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!(error)).context("cannot start the log")
}

/// After so many tasks a worker looks at the sockets, at the latest. tokio's own 61 is about as many as
/// there are senders at a time: they all came, waited and were answered together, and the cores took
/// turns in being idle.
const SOCKETS_AFTER: u32 = 32;

/// Runs a daemon on all cores.
pub(super) fn run_daemon(
    daemon: impl Future<Output = anyhow::Result<Outcome>>,
) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(SOCKETS_AFTER)
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(daemon)
}

/// Resolves when somebody wants the program to end: Ctrl-C, or a supervisor's SIGTERM. From the call
/// on neither ends it by itself.
pub(super) fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).with_context(|| format!("cannot listen for {kind:?}"));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Tells whoever started the daemon where it listens: with port 0, only it knows.
fn announce(address: std::net::SocketAddr) {
    // Nobody who reads this: the daemon serves all the same.
    drop(print(&format!("listening on http://{address}\n")));
}
