//! What can be typed after `glossator serve`.

use std::net::IpAddr;
use std::path::PathBuf;

use super::Download;

pub(crate) const EXAMPLES: &str = "Examples:
  glossator serve --open
  glossator serve --model ./my-bert --model ./my-qa --port 8080
  GLOSSATOR_TOKEN=$(openssl rand -hex 16) glossator serve --host 0.0.0.0
  curl http://127.0.0.1:7010/v1/explain -H 'Content-Type: application/json' \\
    -d '{\"input\": {\"text\": \"not bad at all\"}}'

The page and all requests stay on this machine unless --host says otherwise. GET /openapi.json
describes the interface; `glossator schema http` prints the same.

Exit status: 0 asked to terminate; 2 usage, or an address that cannot be used; 3 a failure of
glossator itself; 130 interrupted.";

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// A model to serve, by directory, file, id or name; repeat it for several. The first is the
    /// default; the bundled model and those that go by name are there too
    #[arg(long, value_name = "MODEL", help_heading = "Models")]
    pub(crate) model: Vec<PathBuf>,

    /// Serve only the models that --model names
    #[arg(long, requires = "model", help_heading = "Models")]
    pub(crate) only: bool,

    #[command(flatten)]
    pub(crate) download: Download,

    /// Port to listen on; 0 for any that is free
    #[arg(long, value_name = "PORT", default_value_t = 7010, help_heading = "Address")]
    pub(crate) port: u16,

    /// Open the page in a browser
    #[arg(long, help_heading = "Address")]
    pub(crate) open: bool,

    /// Address to listen on; any other than this machine's own needs a token
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", help_heading = "Address")]
    pub(crate) host: IpAddr,

    /// Another name by which clients may call the server, with or without a port; repeatable
    #[arg(long, value_name = "NAME", help_heading = "Address")]
    pub(crate) allow_host: Vec<String>,

    /// What clients must send as `Authorization: Bearer TOKEN`; better in the environment variable
    /// GLOSSATOR_TOKEN, which other users cannot see
    #[arg(long, value_name = "TOKEN", help_heading = "Address")]
    pub(crate) token: Option<String>,

    /// Let everyone who reaches --host ask, without a token
    #[arg(long, conflicts_with = "token", help_heading = "Address")]
    pub(crate) insecure_no_token: bool,

    /// Requests that are computed side by side [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024),
        help_heading = "Limits")]
    pub(crate) threads: Option<u16>,

    /// Requests that may wait for these; more are told to come again (429)
    #[arg(long, value_name = "N", default_value_t = 32,
        value_parser = clap::value_parser!(u16).range(0..=10_000), help_heading = "Limits")]
    pub(crate) queue: u16,

    /// Seconds that a request may wait, and then be computed
    #[arg(long, value_name = "S", default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..=86_400), help_heading = "Limits")]
    pub(crate) timeout: u32,

    /// Kilobytes of a request
    #[arg(long, value_name = "KB", default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..=65_536), help_heading = "Limits")]
    pub(crate) max_body: u32,

    /// Tokens of all texts of a request
    #[arg(long, value_name = "N", default_value_t = 4096,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "Limits")]
    pub(crate) max_tokens: u32,

    /// Gradients that a method may be set to compute; forward passes of an attack four times as many
    #[arg(long, value_name = "N", default_value_t = 5000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "Limits")]
    pub(crate) max_evaluations: u32,

    /// Megabytes of results to keep for requests that come again
    #[arg(long, value_name = "MB", default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(0..=65_536), help_heading = "Limits")]
    pub(crate) cache: u32,
}
