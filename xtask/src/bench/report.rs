//! The tables of the comparison.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::Result;

use super::{AGREEMENT, Case, Processes, Settings, median};

pub(super) fn report(
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
            case.model,
            case.tokens,
            case.what,
            median(ours.wall.iter().copied()),
            median(theirs.wall.iter().copied()),
            ratio(&ours.wall, &theirs.wall),
            ratio(&ours.cpu, &theirs.cpu),
        )?;
        // Written so that a NaN does not agree.
        if !matches!(difference.partial_cmp(&AGREEMENT), Some(std::cmp::Ordering::Less)) {
            apart.push(format!("{} {} {}", case.model, case.tokens, case.what));
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
            case.model,
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
