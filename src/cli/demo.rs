//! `demo`: the daemon on defaults in a temporary directory, into which the founding incident is
//! posted as its tools would have posted it, faster than it happened.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use anyhow::{Context as _, bail};
use tokio::{net::TcpListener, sync::oneshot};

use super::{
    args::{Demo, Format, Server},
    client::Client,
    out::{Outcome, say},
    serve::{run_daemon, start_log, stop_signal},
    story,
};
use crate::{
    app,
    config::Config,
    replay::catalog,
    wire::case::{Case, posts},
};

/// The founding incident, as its post-mortem told it.
pub(super) const FOUNDING_INCIDENT: &str = include_str!("../../incidents/founding.json");

/// Where the daemon listens by default.
const PORT: u16 = 8377;

pub(super) fn demo(args: &Demo, format: Format) -> anyhow::Result<Outcome> {
    start_log(&args.log_level, Format::Text)?;
    let case = Case::parse(FOUNDING_INCIDENT.as_bytes()).context("cannot use the incident")?;
    let dir = tempfile::tempdir().context("cannot make a temporary directory")?;
    let mut config = Config::default();
    dir.path().clone_into(&mut config.store.dir);
    config.model.catalog = catalog(&case);
    run_daemon(async {
        let listener = listen(args.listen).await?;
        config.server.listen = listener.local_addr().context("cannot tell the port")?;
        if let Some(why) = config.server.refusal() {
            bail!("{why}: the demo has no token, let it listen on 127.0.0.1");
        }
        run(config, listener, &case, args, format).await
    })
}

/// The listener that was asked for; else the default one, or one on any port that is free.
async fn listen(asked: Option<SocketAddr>) -> anyhow::Result<TcpListener> {
    let wanted = asked.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
    match TcpListener::bind(wanted).await {
        Err(error) if asked.is_none() && error.kind() == io::ErrorKind::AddrInUse => {
            say(&format!("{wanted} is taken: listening on another port"));
            let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            TcpListener::bind(free).await.context("cannot listen on any port")
        }
        bound => bound.with_context(|| format!("cannot listen on {wanted}")),
    }
}

/// Runs the daemon, and tells it the story; ends when either fails, or when it is asked to.
async fn run(
    config: Config,
    listener: TcpListener,
    case: &Case,
    args: &Demo,
    format: Format,
) -> anyhow::Result<Outcome> {
    let url = format!("http://{}", config.server.listen);
    let client = Client::new(&Server { server: url, token_file: None })?;
    let (stop, stopped) = oneshot::channel::<()>();
    // That the sender is gone says the same as that it sent.
    let shutdown = async move { drop(stopped.await) };
    let options = app::Options { listener: Some(listener), announce: None, source: None };
    let mut daemon = Box::pin(app::run(config, options, shutdown));
    let asked = stop_signal()?;
    let posts = posts(case);
    let told = async {
        story::tell(&client, &posts, args.speed, format).await?;
        if !args.exit {
            std::future::pending::<()>().await;
        }
        Ok(())
    };
    let ended = tokio::select! {
        // The daemon ends by itself only where it failed.
        ended = &mut daemon => return ended.map(|()| Outcome::Fine),
        told = told => told,
        () = asked => Ok(()),
    };
    drop(stop);
    daemon.await?;
    ended.map(|()| Outcome::Fine)
}
