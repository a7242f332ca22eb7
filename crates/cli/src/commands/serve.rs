//! `glossator serve`

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use glossator_models::BUNDLED;
use glossator_server::{Catalogue, Ended, Limits, Location, Server, Settings};

use crate::args::serve::ServeArgs;
use crate::commands::methods::print;
use crate::exit::{CliError, Exit, Stop, say};
use crate::installed;
use crate::model::Source;

pub(crate) fn run(args: &ServeArgs) -> Result<Exit, Stop> {
    let token = token(args)?;
    let models = models(args)?;
    let (listener, address) = listen(args)?;
    let settings = settings(args, address, token);
    let url = url(address);
    let hidden = settings.token.is_some();
    let names: Vec<_> = models.ids().map(str::to_owned).collect();
    let fail = |error: std::io::Error| CliError::bug(format!("the server: {error}"));
    let server = Server::start(settings, models).map_err(fail)?;
    let key = if hidden { ", which asks for the token" } else { "" };
    print(&format!(
        "serving {url}{key}\nmodels: {}\nstop with Ctrl-C\n",
        crate::exit::printable(&names.join(", "))
    ))?;
    if args.open
        && let Err(error) = open::that_detached(&url)
    {
        say("warning", &format!("no browser could be opened ({error}): go to {url}"));
    }
    match server.run(listener).map_err(fail)? {
        Ended::Terminated => Ok(Exit::Success),
        Ended::Interrupted => Ok(Exit::Interrupted),
    }
}

/// What clients must know; an address that others can reach needs it.
fn token(args: &ServeArgs) -> Result<Option<String>, CliError> {
    let token = match &args.token {
        Some(token) => Some(token.clone()),
        None if args.insecure_no_token => None,
        None => std::env::var("GLOSSATOR_TOKEN").ok().filter(|token| !token.is_empty()),
    };
    if let Some(token) = &token {
        // Others cannot stand in a header, and short ones can be guessed.
        const LEAST: usize = 8;
        if token.len() < LEAST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message =
                format!("the token: expected {LEAST} or more letters, digits and signs of ASCII");
            return Err(CliError::input(message, "make one with `openssl rand -hex 16`"));
        }
    }
    if token.is_none() && !args.host.is_loopback() && !args.insecure_no_token {
        let message =
            format!("--host {}: others can reach that address, and there is no token", args.host);
        let hint = "set GLOSSATOR_TOKEN to a token that clients must send, or add \
                    --insecure-no-token to let everyone ask";
        return Err(CliError::input(message, hint));
    }
    Ok(token)
}

/// The models: those that are named, then the bundled one and those that go by name.
fn models(args: &ServeArgs) -> Result<Catalogue, CliError> {
    let mut models = Catalogue::new();
    for named in &args.model {
        let (id, location) = match Source::find(Some(named), args.download.asked())? {
            Source::Bundled(bundled) => (bundled.id.to_owned(), Location::Bundled(bundled)),
            Source::Path(path) => {
                // What is no model is told now rather than to the first who asks.
                glossator_models::registry::identify(&path)?;
                (name(named, &path), Location::Path(path.into_owned()))
            }
        };
        if models.ids().any(|known| known == id) {
            let message = format!("two models are called {id}");
            return Err(CliError::input(message, "rename one of the directories"));
        }
        models.add(id, location);
    }
    if !args.only {
        for bundled in BUNDLED {
            models.add(bundled.id, Location::Bundled(bundled));
        }
        for (name, dir) in installed::all() {
            models.add(name, Location::Path(dir));
        }
    }
    Ok(models)
}

/// What a model is called: the directory's or file's name; an id as it was given.
fn name(named: &Path, path: &Path) -> String {
    if !named.exists() {
        return named.display().to_string();
    }
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = if path.is_file() { path.file_stem() } else { path.file_name() };
    name.unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn listen(args: &ServeArgs) -> Result<(TcpListener, SocketAddr), CliError> {
    let address = SocketAddr::new(args.host, args.port);
    let failed = |error: std::io::Error| {
        let hint = match error.kind() {
            ErrorKind::AddrInUse => "choose another --port, or 0 for any that is free",
            ErrorKind::PermissionDenied => "choose a --port above 1023",
            ErrorKind::AddrNotAvailable => "--host takes an address of this machine",
            _ => "choose another --host or --port",
        };
        CliError::input(format!("{address}: {error}"), hint)
    };
    let listener = TcpListener::bind(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn settings(args: &ServeArgs, address: SocketAddr, token: Option<String>) -> Settings {
    let mut settings = Settings::new(address);
    settings.hosts.clone_from(&args.allow_host);
    settings.token = token;
    if let Some(threads) = args.threads {
        settings.workers = threads.into();
    }
    settings.queue = args.queue.into();
    settings.cache = args.cache as usize * 1_000_000;
    let usual = Limits::default();
    settings.limits = Limits {
        body: args.max_body as usize * 1000,
        tokens: args.max_tokens as usize,
        evaluations: args.max_evaluations.into(),
        timeout: Duration::from_secs(args.timeout.into()),
        ..usual
    };
    settings.report = Arc::new(|what| say("error", what));
    settings
}

/// Where the page is. All addresses of this machine have no name of their own.
fn url(address: SocketAddr) -> String {
    let port = address.port();
    match address.ip() {
        ip if ip.is_unspecified() => format!("http://127.0.0.1:{port}/"),
        IpAddr::V4(ip) => format!("http://{ip}:{port}/"),
        IpAddr::V6(ip) => format!("http://[{ip}]:{port}/"),
    }
}
