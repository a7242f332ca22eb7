//! `cargo xtask bench serve`: many clients at once against the release program on this machine.
//!
//! Clients ask in turns, without pause, for predictions, explanations and attacks on texts that are
//! mostly new; who is told to come again (429) waits a while, as the answer says. Beside them one
//! client asks every few milliseconds whether the server is well. The table says how many answers
//! of which status came, how long they took, and what memory the server had meanwhile.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::bench::{build_programs, date, note, processor, say};

const USAGE: &str = "\
cargo xtask bench serve [--clients 64] [--seconds 60] [--program target/release/glossator]";

/// Words of the texts; the bundled model knows them.
const WORDS: [&str; 16] = [
    "a",
    "touching",
    "funny",
    "and",
    "wise",
    "film",
    "not",
    "bad",
    "but",
    "the",
    "ending",
    "drags",
    "slow",
    "brilliant",
    "dull",
    "never",
];

/// What a client asks for in turns, with the body around its text.
const ASKED: [(&str, &str, &str); 4] = [
    ("predict", "/v1/predict", r#"{"input": {"text": "TEXT"}}"#),
    ("explain, gradient", "/v1/explain", r#"{"input": {"text": "TEXT"}, "method": "gradient"}"#),
    ("explain, integrated gradients", "/v1/explain", r#"{"input": {"text": "TEXT"}}"#),
    ("attack, hotflip", "/v1/attack", r#"{"input": {"text": "TEXT"}, "attack": "hotflip"}"#),
];

struct Settings {
    root: PathBuf,
    clients: usize,
    seconds: u64,
    /// None: the one of this checkout, which is built first.
    program: Option<PathBuf>,
}

impl Settings {
    fn parse(args: &[String]) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
        let mut settings = Self { root: root.to_owned(), clients: 64, seconds: 60, program: None };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value\n{USAGE}"));
            match arg.as_str() {
                "--clients" => settings.clients = value()?.parse()?,
                "--seconds" => settings.seconds = value()?.parse()?,
                "--program" => settings.program = Some(PathBuf::from(value()?)),
                other => bail!("unknown argument {other}\n{USAGE}"),
            }
        }
        // A minute is what the table is about; ten of them are enough for anything.
        ensure!((1..=1000).contains(&settings.clients), "--clients: expected 1 to 1000");
        ensure!((1..=600).contains(&settings.seconds), "--seconds: expected 1 to 600");
        Ok(settings)
    }
}

/// Loads a server with many clients, prints the table and writes `target/bench/serve.md`.
pub(crate) fn serve(args: &[String]) -> Result<()> {
    let settings = Settings::parse(args)?;
    let program = match &settings.program {
        Some(program) => program.clone(),
        None => {
            build_programs(&settings.root)?;
            settings.root.join("target/release/glossator")
        }
    };
    let server = Server::start(&program)?;
    let report = load(&settings, &server)?;
    say(&report)?;
    let path = settings.root.join("target/bench/serve.md");
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    std::fs::write(&path, &report).with_context(|| path.display().to_string())?;
    say(&format!("\nwritten to {}", path.display()))
}

/// The server under load, which ends with the benchmark.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(program: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["serve", "--port", "0"]).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
        let out = child.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        let address = address.with_context(|| format!("no address in {line:?}"))?.to_owned();
        Ok(Self { child, address })
    }

    /// Megabytes of memory that the server has.
    fn memory(&self) -> Result<f64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).context(path)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")).context("no VmRSS")?;
        Ok(kilobytes.trim().parse::<f64>()? / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that is used again and again.
struct Client {
    address: String,
    stream: Option<BufReader<TcpStream>>,
}

/// What came back.
struct Answer {
    status: u16,
    retry_after: Option<u64>,
}

impl Client {
    fn new(address: &str) -> Self {
        Self { address: address.to_owned(), stream: None }
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(Duration::from_secs(180)))?;
                self.stream.insert(BufReader::new(stream))
            }
        };
        let (host, length) = (&self.address, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).with_context(|| format!("no status in {line:?}"))?;
        let status = status.parse()?;
        let (mut length, mut retry_after) = (0, None);
        loop {
            let mut line = String::new();
            ensure!(stream.read_line(&mut line)? > 0, "the answer ended early");
            let line = line.trim_end().to_ascii_lowercase();
            match line.split_once(": ") {
                _ if line.is_empty() => break,
                Some(("content-length", n)) => length = n.parse()?,
                Some(("retry-after", n)) => retry_after = Some(n.parse()?),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        Ok(Answer { status, retry_after })
    }
}

/// What one client, or all of them, saw.
#[derive(Default)]
struct Seen {
    /// Answers by what was asked and the status.
    counts: BTreeMap<(&'static str, u16), usize>,
    /// Milliseconds of answers with a document, by what was asked.
    times: BTreeMap<&'static str, Vec<f64>>,
    /// Connections that failed, with the first reason.
    broken: Vec<String>,
}

impl Seen {
    fn add(&mut self, other: Self) {
        for (key, count) in other.counts {
            *self.counts.entry(key).or_default() += count;
        }
        for (key, times) in other.times {
            self.times.entry(key).or_default().extend(times);
        }
        self.broken.extend(other.broken);
    }
}

/// A text that nobody else asks about, or, one time in eight, one that all do.
fn text(client: usize, turn: usize) -> String {
    let mut seed = if turn % 8 == 7 { turn % 64 } else { client * 1_000_003 + turn * 8191 + 1 };
    let mut words = Vec::with_capacity(16);
    for _ in 0..8 + seed % 12 {
        words.push(WORDS[seed % WORDS.len()]);
        seed = (seed / 3).wrapping_mul(1_103_515_245).wrapping_add(seed + 12_345) % (1 << 31);
    }
    words.join(" ")
}

fn client(address: &str, number: usize, over: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut client = Client::new(address);
    let mut turn = 0;
    while !over.load(Ordering::Relaxed) {
        let (what, path, body) = ASKED[(number + turn) % ASKED.len()];
        let body = body.replace("TEXT", &text(number, turn));
        let began = Instant::now();
        match client.ask("POST", path, &body) {
            Ok(answer) => {
                *seen.counts.entry((what, answer.status)).or_default() += 1;
                if answer.status == 200 {
                    let time = began.elapsed().as_secs_f64() * 1e3;
                    seen.times.entry(what).or_default().push(time);
                }
                // Who is told to come again does, and not all at the same moment.
                if let Some(seconds) = answer.retry_after {
                    let pause = Duration::from_millis(seconds * 1000 + number as u64 * 7);
                    let until = Instant::now() + pause;
                    while Instant::now() < until && !over.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                } else {
                    turn += 1;
                }
            }
            Err(error) => {
                seen.broken.push(format!("{what}: {error:#}"));
                client.stream = None;
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
    seen
}

/// Milliseconds of answers about the server's health.
fn health(address: &str, over: &AtomicBool) -> Result<Vec<f64>> {
    let mut client = Client::new(address);
    let mut times = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let answer = client.ask("GET", "/healthz", "")?;
        ensure!(answer.status == 200, "/healthz answered {}", answer.status);
        times.push(began.elapsed().as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_millis(25));
    }
    Ok(times)
}

fn load(settings: &Settings, server: &Server) -> Result<String> {
    // The models are looked at, and the first answers are paid for.
    let mut warm = Client::new(&server.address);
    warm.ask("GET", "/v1/models", "")?;
    for (_, path, body) in ASKED {
        let answer = warm.ask("POST", path, &body.replace("TEXT", "a touching film"))?;
        ensure!(answer.status == 200, "{path} answered {}", answer.status);
    }
    note(&format!("{} clients for {} s", settings.clients, settings.seconds))?;
    let over = AtomicBool::new(false);
    let mut memory = vec![("before", server.memory()?)];
    let began = Instant::now();
    let (seen, health) = std::thread::scope(|scope| -> Result<_> {
        let (address, over) = (server.address.as_str(), &over);
        let clients: Vec<_> = (0..settings.clients)
            .map(|number| scope.spawn(move || client(address, number, over)))
            .collect();
        let health = scope.spawn(move || health(address, over));
        let part = Duration::from_secs(settings.seconds) / 3;
        for when in ["after a third", "after two thirds", "at the end"] {
            std::thread::sleep(part);
            memory.push((when, server.memory()?));
        }
        over.store(true, Ordering::Relaxed);
        let mut seen = Seen::default();
        for client in clients {
            seen.add(client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?);
        }
        let health = health.join().map_err(|_| anyhow::anyhow!("the health client panicked"))??;
        Ok((seen, health))
    })?;
    Ok(report(settings, &seen, &health, &memory, began.elapsed()))
}

/// The value below which that share of the values is.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (share * values.len() as f64).ceil() as usize;
    values.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

fn report(
    settings: &Settings,
    seen: &Seen,
    health: &[f64],
    memory: &[(&str, f64)],
    time: Duration,
) -> String {
    let mut out = format!(
        "{} clients for {} s; {}; {}\n\n| asked | 200 | 429 | others | p50 ms | p99 ms |\n\
         |---|---|---|---|---|---|\n",
        settings.clients,
        settings.seconds,
        processor(),
        date(),
    );
    let mut all = 0;
    for (what, ..) in ASKED {
        let count = |status| seen.counts.get(&(what, status)).copied().unwrap_or(0);
        let mine = seen.counts.iter().filter(|((asked, _), _)| *asked == what);
        let total: usize = mine.map(|(_, count)| count).sum();
        let others = total - count(200) - count(429);
        let mut times = seen.times.get(what).cloned().unwrap_or_default();
        let (half, most) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
        all += count(200);
        let _ = writeln!(
            out,
            "| {what} | {} | {} | {others} | {half:.0} | {most:.0} |",
            count(200),
            count(429)
        );
    }
    let mut health = health.to_vec();
    let _ = writeln!(
        out,
        "\nAnswers with a document: {:.1} a second. Connections that failed: {}.\n\n\
         `/healthz`, {} times: p50 {:.1} ms, p99 {:.1} ms, slowest {:.1} ms.\n",
        all as f64 / time.as_secs_f64(),
        seen.broken.len(),
        health.len(),
        quantile(&mut health, 0.5),
        quantile(&mut health, 0.99),
        quantile(&mut health, 1.0),
    );
    for reason in seen.broken.iter().take(3) {
        let _ = writeln!(out, "A connection that failed: {reason}\n");
    }
    let memory: Vec<_> = memory.iter().map(|(when, mb)| format!("{when} {mb:.0} MB")).collect();
    let _ = writeln!(out, "Memory: {}.", memory.join(", "));
    out
}
