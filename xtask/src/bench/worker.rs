//! A contender of the comparison: a process that answers one command a line.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A contender that waits for commands.
pub(super) struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// One explanation.
pub(super) struct Sample {
    pub(super) wall: f64,
    pub(super) cpu: f64,
    pub(super) scores: Vec<f64>,
}

impl Worker {
    pub(super) fn start(mut command: Command) -> Result<Self> {
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

    /// The line that answers a command.
    pub(super) fn ask(&mut self, command: &str) -> Result<String> {
        writeln!(self.input, "{command}")?;
        self.input.flush()?;
        self.line()
    }

    pub(super) fn run(&mut self, command: &str) -> Result<Sample> {
        let before = cpu_milliseconds(self.child.id());
        let line = self.ask(command)?;
        let cpu = cpu_milliseconds(self.child.id()) - before;
        let numbers: Vec<f64> =
            line.split(' ').map(str::parse).collect::<Result<_, _>>().context(line.clone())?;
        let (&wall, scores) = numbers.split_first().context("an empty answer")?;
        Ok(Sample { wall, cpu, scores: scores.to_vec() })
    }

    /// The most memory that was resident at once so far, in MiB.
    pub(super) fn peak(&self) -> Option<f64> {
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
