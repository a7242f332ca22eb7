//! `cargo xtask bench`: side by side with PyTorch and Captum.
//!
//! Both contenders are processes that stay up and take one command a line, in turns: ours, theirs,
//! ours, theirs. What the machine does meanwhile thus hits both, and the ratio of each turn is
//! worth more than any number of milliseconds. Wall time is what each worker measures around the
//! explanation itself; processor time and peak memory come from `/proc`, with the same instrument
//! for both.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

const USAGE: &str = "\
cargo xtask bench peers [--quick] [--threads 2] [--sizes minilm,base] [--tokens 32,128]
                        [--rounds N] [--program target/release/glossator] [--eager]";

/// How far two engines may differ, relative to the largest score: both compute in f32.
const AGREEMENT: f64 = 1e-3;

struct Settings {
    root: PathBuf,
    threads: usize,
    sizes: Vec<String>,
    tokens: Vec<usize>,
    rounds: usize,
    /// Measured explanations in one turn of a case that takes milliseconds.
    repeats: usize,
    program: Option<PathBuf>,
    attention: &'static str,
}

impl Settings {
    fn parse(args: &[String]) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
        let mut settings = Self {
            root: root.to_owned(),
            threads: 2,
            sizes: vec!["minilm".to_owned(), "base".to_owned()],
            tokens: vec![32, 128],
            rounds: 7,
            repeats: 5,
            program: None,
            attention: "sdpa",
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value\n{USAGE}"));
            match arg.as_str() {
                "--quick" => (settings.rounds, settings.repeats) = (3, 3),
                "--threads" => settings.threads = value()?.parse()?,
                "--sizes" => settings.sizes = value()?.split(',').map(str::to_owned).collect(),
                "--tokens" => {
                    settings.tokens =
                        value()?.split(',').map(str::parse).collect::<Result<_, _>>()?;
                }
                "--rounds" => settings.rounds = value()?.parse::<usize>()?.max(1),
                "--program" => settings.program = Some(PathBuf::from(value()?)),
                "--eager" => settings.attention = "eager",
                other => bail!("unknown argument {other}\n{USAGE}"),
            }
        }
        Ok(settings)
    }

    fn python(&self) -> PathBuf {
        self.root.join("target/python/bin/python")
    }

    fn model(&self, size: &str) -> PathBuf {
        self.root.join("target/bench/models").join(size)
    }

    fn ours(&self, size: &str) -> Command {
        let mut command = Command::new(self.root.join("target/release/examples/bench_worker"));
        command.arg("--model").arg(self.model(size));
        command.args(["--threads", &self.threads.to_string()]);
        command
    }

    fn theirs(&self, size: &str) -> Command {
        let mut command = Command::new(self.python());
        command.arg(self.root.join("tools/bench/peer_worker.py"));
        command.arg("--model").arg(self.model(size));
        command.args(["--threads", &self.threads.to_string()]);
        command.args(["--attention", self.attention]);
        command
    }
}

/// Compares with PyTorch and Captum, prints the tables and writes `target/bench/peers.md`.
pub(crate) fn peers(args: &[String]) -> Result<()> {
    let settings = Settings::parse(args)?;
    let versions = prepare(&settings)?;
    let load_before = load_average();
    let mut cases = Vec::new();
    for size in &settings.sizes {
        cases.extend(explanations(&settings, size)?);
    }
    let mut processes = Vec::new();
    for size in &settings.sizes {
        processes.push(whole_process(&settings, size)?);
    }
    let report = report(&settings, &versions, &load_before, &cases, &processes)?;
    say(&report)?;
    let path = settings.root.join("target/bench/peers.md");
    std::fs::write(&path, &report).with_context(|| path.display().to_string())?;
    say(&format!("\nwritten to {}", path.display()))
}

pub(crate) fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

pub(crate) fn note(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stderr(), "{line}")?)
}

pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// Makes what is missing: the virtual environment, the models, the programs. Returns the versions
/// of the contenders.
fn prepare(settings: &Settings) -> Result<String> {
    let python = settings.python();
    let probe = "import sys, torch, transformers, captum; \
                 print(f'Python {sys.version.split()[0]}, torch {torch.__version__}, '\
                       f'transformers {transformers.__version__}, Captum {captum.__version__}')";
    let versions = |python: &Path| -> Option<String> {
        let output = Command::new(python).args(["-c", probe]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let theirs = match versions(&python) {
        Some(theirs) => theirs,
        None => {
            note("installing PyTorch, transformers and Captum into target/python")?;
            let python = crate::python::environment(&settings.root)?;
            versions(&python).context("PyTorch, transformers and Captum do not import")?
        }
    };
    for size in &settings.sizes {
        let directory = settings.model(size);
        if !directory.join("model.safetensors").exists() {
            note(&format!("making a random {size} model"))?;
            let script = settings.root.join("tools/bench/make_model.py");
            run(Command::new(&python).arg(script).arg(size).arg(&directory))?;
        }
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // All of the workspace, as the tests are built: the dependencies are built once for both.
    run(Command::new(&cargo).current_dir(&settings.root).args([
        "build",
        "--release",
        "--workspace",
        "--bin=glossator",
        "--example=bench_worker",
    ]))?;
    Ok(format!("Glossator {}; {theirs}", env!("CARGO_PKG_VERSION")))
}

/// A contender that waits for commands.
struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// One explanation.
struct Sample {
    wall: f64,
    cpu: f64,
    scores: Vec<f64>,
}

impl Worker {
    fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
        let input = child.stdin.take().context("no pipe to the worker")?;
        let output = BufReader::new(child.stdout.take().context("no pipe from the worker")?);
        let mut worker = Self { child, input, output };
        let ready = worker.line()?;
        ensure!(ready == "ready", "{command:?} said {ready:?}");
        Ok(worker)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "a worker ended early");
        Ok(line.trim_end().to_owned())
    }

    fn run(&mut self, command: &str) -> Result<Sample> {
        let before = cpu_milliseconds(self.child.id());
        writeln!(self.input, "{command}")?;
        self.input.flush()?;
        let line = self.line()?;
        let cpu = cpu_milliseconds(self.child.id()) - before;
        let numbers: Vec<f64> =
            line.split(' ').map(str::parse).collect::<Result<_, _>>().context(line.clone())?;
        let (&wall, scores) = numbers.split_first().context("an empty answer")?;
        Ok(Sample { wall, cpu, scores: scores.to_vec() })
    }

    /// The most memory that was resident at once so far, in MiB.
    fn peak(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some(kib / 1024.0)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The run is over whatever becomes of the worker.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time of all threads of a process; both contenders keep their threads. NaN where
/// there is no `/proc`.
fn cpu_milliseconds(pid: u32) -> f64 {
    let thread = |entry: std::io::Result<std::fs::DirEntry>| -> Option<f64> {
        let text = std::fs::read_to_string(entry.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    match std::fs::read_dir(format!("/proc/{pid}/task")) {
        Ok(threads) => threads.filter_map(thread).sum::<f64>() / 1e6,
        Err(_) => f64::NAN,
    }
}

/// What one contender needed, a number for each turn.
#[derive(Default)]
struct Turns {
    wall: Vec<f64>,
    cpu: Vec<f64>,
    peak: Option<f64>,
    scores: Vec<f64>,
}

/// One explanation of one size, by both.
struct Case {
    size: String,
    tokens: usize,
    what: String,
    ours: Turns,
    theirs: Turns,
}

impl Case {
    /// The largest difference of a score, as a share of the largest score.
    fn disagreement(&self) -> f64 {
        let largest = self.theirs.scores.iter().map(|s| s.abs()).fold(0.0, f64::max);
        let pairs = self.ours.scores.iter().zip(&self.theirs.scores);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest
    }
}

fn explanations(settings: &Settings, size: &str) -> Result<Vec<Case>> {
    let mut ours = Worker::start(settings.ours(size))?;
    let mut theirs = Worker::start(settings.theirs(size))?;
    let mut cases = Vec::new();
    for &tokens in &settings.tokens {
        for name in ["gradient", "ig50"] {
            let (their_command, what) = match name {
                "gradient" => (format!("gradient {tokens}"), "gradient".to_owned()),
                _ => faster_batch(&mut theirs, tokens)?,
            };
            let our_command = format!("{name} {tokens} 0");
            let repeats = if name == "gradient" { settings.repeats } else { 1 };
            note(&format!("{size}, {tokens} tokens, {what}: {} turns each", settings.rounds))?;
            let mut case = Case {
                size: size.to_owned(),
                tokens,
                what,
                ours: Turns::default(),
                theirs: Turns::default(),
            };
            for _ in 0..settings.rounds {
                turn(&mut ours, &our_command, repeats, &mut case.ours)?;
                turn(&mut theirs, &their_command, repeats, &mut case.theirs)?;
            }
            // A process of its own, so that the peak is of this case and of no other.
            for (command, line, turns) in [
                (settings.ours(size), &our_command, &mut case.ours),
                (settings.theirs(size), &their_command, &mut case.theirs),
            ] {
                let mut worker = Worker::start(command)?;
                worker.run(line)?;
                worker.run(line)?;
                turns.peak = worker.peak();
            }
            ensure!(
                case.ours.scores.len() == case.theirs.scores.len(),
                "the contenders have different tokens"
            );
            cases.push(case);
        }
    }
    Ok(cases)
}

/// Captum computes all steps in one batch unless it is told otherwise, which is not always the
/// fastest: the comparison is with the faster of its default and batches of ten.
fn faster_batch(theirs: &mut Worker, tokens: usize) -> Result<(String, String)> {
    let mut times = [f64::INFINITY; 2];
    for _ in 0..2 {
        for (time, batch) in times.iter_mut().zip([0, 10]) {
            *time = time.min(theirs.run(&format!("ig50 {tokens} {batch}"))?.wall);
        }
    }
    let (batch, name) = if times[0] <= times[1] { (0, "all") } else { (10, "10") };
    Ok((format!("ig50 {tokens} {batch}"), format!("IG-50 (Captum batch: {name})")))
}

fn turn(worker: &mut Worker, command: &str, repeats: usize, turns: &mut Turns) -> Result<()> {
    // The other's idle threads may still spin for a while.
    std::thread::sleep(Duration::from_millis(100));
    if repeats > 1 {
        // The other has filled the caches since.
        worker.run(command)?;
    }
    let mut samples = (0..repeats).map(|_| worker.run(command)).collect::<Result<Vec<_>>>()?;
    turns.wall.push(median(samples.iter().map(|sample| sample.wall)));
    turns.cpu.push(median(samples.iter().map(|sample| sample.cpu)));
    turns.scores = samples.pop().map(|sample| sample.scores).unwrap_or_default();
    Ok(())
}

/// Seconds from the start of a process to its end, ours and theirs in turns.
struct Processes {
    size: String,
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

fn whole_process(settings: &Settings, size: &str) -> Result<Processes> {
    // 30 words, 32 tokens.
    let text: Vec<_> = (0..30).map(|i| format!("w{}", 1000 + 7 * i)).collect();
    let text = text.join(" ");
    let default = settings.root.join("target/release/glossator");
    let program = settings.program.as_ref().unwrap_or(&default);
    let threads = settings.threads.to_string();
    let ours = || {
        let mut command = Command::new(program);
        command.args(["explain", "--model"]).arg(settings.model(size));
        command.args([&text, "--method", "gradient", "--threads", &threads]);
        command
    };
    let theirs = || {
        let mut command = Command::new(settings.python());
        command.arg(settings.root.join("tools/bench/peer_process.py"));
        command.arg(settings.model(size)).args([&text, "gradient", &threads]);
        command
    };
    let seconds = |mut command: Command| -> Result<f64> {
        let start = Instant::now();
        let output =
            command.stderr(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
        let seconds = start.elapsed().as_secs_f64();
        ensure!(output.status.success(), "{command:?} ended with {}", output.status);
        ensure!(!output.stdout.is_empty(), "{command:?} gave no answer");
        Ok(seconds)
    };
    note(&format!("{size}, whole process: {} turns each", settings.rounds))?;
    // Once each before: both find their files in memory, and an answer is checked to come.
    seconds(ours())?;
    seconds(theirs())?;
    let mut result = Processes { size: size.to_owned(), ours: Vec::new(), theirs: Vec::new() };
    for _ in 0..settings.rounds {
        result.ours.push(seconds(ours())?);
        result.theirs.push(seconds(theirs())?);
    }
    Ok(result)
}

fn report(
    settings: &Settings,
    versions: &str,
    load_before: &str,
    cases: &[Case],
    processes: &[Processes],
) -> Result<String> {
    let mut out = String::new();
    writeln!(out, "# Side by side with PyTorch and Captum\n")?;
    writeln!(out, "- {versions}; attention: {}", settings.attention)?;
    writeln!(out, "- {}, {} threads for both", processor(), settings.threads)?;
    writeln!(out, "- {}; load average {load_before} before, {} after", date(), load_average())?;
    writeln!(
        out,
        "- {} turns each, ours and theirs alternating; medians; a ratio is the median over the \
         turns of ours / theirs, with the lowest and the highest\n",
        settings.rounds
    )?;
    writeln!(
        out,
        "| model | tokens | explanation | ours, ms | theirs, ms | wall ratio | CPU ratio | ours, \
         MiB | theirs, MiB | memory ratio | scores differ by |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|---|---|")?;
    let mut apart = Vec::new();
    for case in cases {
        let difference = case.disagreement();
        let (ours, theirs) = (&case.ours, &case.theirs);
        let memory = match (ours.peak, theirs.peak) {
            (Some(a), Some(b)) => format!("{a:.0} | {b:.0} | {:.2}", a / b),
            _ => "- | - | -".to_owned(),
        };
        writeln!(
            out,
            "| {} | {} | {} | {:.1} | {:.1} | {} | {} | {memory} | {difference:.0e} |",
            case.size,
            case.tokens,
            case.what,
            median(ours.wall.iter().copied()),
            median(theirs.wall.iter().copied()),
            ratio(&ours.wall, &theirs.wall),
            ratio(&ours.cpu, &theirs.cpu),
        )?;
        // Written so that a NaN does not agree.
        if !matches!(difference.partial_cmp(&AGREEMENT), Some(std::cmp::Ordering::Less)) {
            apart.push(format!("{} {} {}", case.size, case.tokens, case.what));
        }
    }
    match apart.as_slice() {
        [] => {
            writeln!(out, "\nThe scores of all cases agree within {AGREEMENT:.0e} of the largest.")?
        }
        apart => writeln!(out, "\n**THE SCORES DO NOT AGREE**: {}", apart.join(", "))?,
    }
    writeln!(
        out,
        "\nWhole process, start to end: load the model, one gradient of 32 tokens, print.\n\n\
         | model | ours, ms | theirs, ms | times faster |\n|---|---|---|---|"
    )?;
    for case in processes {
        writeln!(
            out,
            "| {} | {:.0} | {:.0} | {} |",
            case.size,
            1e3 * median(case.ours.iter().copied()),
            1e3 * median(case.theirs.iter().copied()),
            ratio(&case.theirs, &case.ours),
        )?;
    }
    Ok(out)
}

/// The median over turns, with the lowest and highest.
pub(crate) fn ratio(a: &[f64], b: &[f64]) -> String {
    let ratios: Vec<f64> = a.iter().zip(b).map(|(a, b)| a / b).collect();
    let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let high = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{:.2} ({low:.2}-{high:.2})", median(ratios.iter().copied()))
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

pub(crate) fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}

pub(crate) fn date() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]).output();
    output.map_or_else(
        |_| "date unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// The processor, its count and the vector extension that decides most.
pub(crate) fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim())
    };
    let model = field("model name").unwrap_or("unknown processor");
    let family =
        format!("{}/{}", field("cpu family").unwrap_or("?"), field("model\t").unwrap_or("?"));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let wide = field("flags").is_some_and(|flags| flags.split(' ').any(|f| f == "avx512f"));
    let simd = if wide { "AVX-512" } else { "no AVX-512" };
    format!("{model} (family/model {family}, {cores} cores, {simd})")
}
