//! What a monitor reads: Prometheus' text format, version 0.0.4.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::jobs::Gauge;

/// Upper ends of the buckets of response times, in seconds.
const BUCKETS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Answers by route, method and status, and how long they took by route.
#[derive(Default)]
pub(crate) struct Metrics {
    answers: Mutex<Answers>,
}

#[derive(Default)]
struct Answers {
    counts: BTreeMap<(String, String, u16), u64>,
    times: BTreeMap<String, Times>,
}

#[derive(Default)]
struct Times {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: f64,
}

impl Metrics {
    /// Counts an answer. Routes are patterns of ours, never paths of clients, so that there are few.
    pub(crate) fn answered(&self, route: &str, method: &str, status: u16, time: Duration) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (route.to_owned(), method.to_owned(), status);
        *answers.counts.entry(key).or_default() += 1;
        let times = answers.times.entry(route.to_owned()).or_default();
        let seconds = time.as_secs_f64();
        for (end, count) in BUCKETS.iter().zip(&mut times.buckets) {
            *count += u64::from(seconds <= *end);
        }
        times.count += 1;
        times.sum += seconds;
    }

    /// All of it as text.
    pub(crate) fn text(&self, gauge: &Gauge) -> String {
        let mut out = String::new();
        head(&mut out, "glossator_http_requests_total", "counter", "Answers by route and status.");
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        for ((route, method, status), count) in &answers.counts {
            let _ = writeln!(
                out,
                "glossator_http_requests_total{{route=\"{route}\",method=\"{method}\",\
                 status=\"{status}\"}} {count}"
            );
        }
        let name = "glossator_http_request_seconds";
        head(&mut out, name, "histogram", "Seconds until an answer began.");
        for (route, times) in &answers.times {
            for (end, count) in BUCKETS.iter().zip(&times.buckets) {
                let _ = writeln!(out, "{name}_bucket{{route=\"{route}\",le=\"{end}\"}} {count}");
            }
            let Times { count, sum, .. } = times;
            let _ = writeln!(out, "{name}_bucket{{route=\"{route}\",le=\"+Inf\"}} {count}");
            let _ = writeln!(out, "{name}_sum{{route=\"{route}\"}} {sum}");
            let _ = writeln!(out, "{name}_count{{route=\"{route}\"}} {count}");
        }
        drop(answers);
        let counts = gauge.counts;
        let counters = [
            ("glossator_tasks_computed_total", "Results that were computed.", counts.computed),
            ("glossator_tasks_failed_total", "Computations that failed.", counts.failed),
            (
                "glossator_tasks_cancelled_total",
                "Computations nobody waited for.",
                counts.cancelled,
            ),
            ("glossator_requests_joined_total", "Requests that shared a task.", counts.joined),
            ("glossator_cache_hits_total", "Requests whose result was kept.", counts.hits),
            ("glossator_requests_refused_total", "Requests turned away as busy.", counts.refused),
            ("glossator_evaluations_total", "Forward and gradient passes.", counts.evaluations),
        ];
        for (name, help, value) in counters {
            head(&mut out, name, "counter", help);
            let _ = writeln!(out, "{name} {value}");
        }
        let gauges = [
            ("glossator_tasks_waiting", "Tasks in the queue.", gauge.waiting),
            ("glossator_tasks_running", "Tasks that are computed.", gauge.running),
            ("glossator_jobs", "Jobs that are remembered by name.", gauge.handles),
            ("glossator_cache_entries", "Results that are kept.", gauge.cached),
            ("glossator_cache_bytes", "Bytes of results that are kept.", gauge.cached_bytes),
        ];
        for (name, help, value) in gauges {
            head(&mut out, name, "gauge", help);
            let _ = writeln!(out, "{name} {value}");
        }
        if let Some(bytes) = resident() {
            let name = "process_resident_memory_bytes";
            head(&mut out, name, "gauge", "Memory of the process.");
            let _ = writeln!(out, "{name} {bytes}");
        }
        out
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Bytes of memory that the process has, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::Counts;

    #[test]
    fn answers_fall_into_buckets() {
        let metrics = Metrics::default();
        metrics.answered("/v1/explain", "POST", 200, Duration::from_millis(20));
        metrics.answered("/v1/explain", "POST", 200, Duration::from_millis(2));
        metrics.answered("other", "GET", 404, Duration::from_secs(60));
        let counts = Counts { computed: 3, ..Counts::default() };
        let (waiting, running, handles, cached, cached_bytes) = (4, 1, 2, 5, 1000);
        let gauge = Gauge { counts, waiting, running, handles, cached, cached_bytes };
        let text = metrics.text(&gauge);
        for line in [
            r#"glossator_http_requests_total{route="/v1/explain",method="POST",status="200"} 2"#,
            r#"glossator_http_request_seconds_bucket{route="/v1/explain",le="0.01"} 1"#,
            r#"glossator_http_request_seconds_bucket{route="/v1/explain",le="0.025"} 2"#,
            r#"glossator_http_request_seconds_bucket{route="other",le="30"} 0"#,
            r#"glossator_http_request_seconds_bucket{route="other",le="+Inf"} 1"#,
            "glossator_tasks_computed_total 3",
            "glossator_tasks_waiting 4",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        // Every sample belongs to a family that was announced.
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| {
                    name.strip_suffix(end).filter(|f| text.contains(&format!("# TYPE {f} ")))
                })
                .unwrap_or(name);
            assert!(text.contains(&format!("# TYPE {family} ")), "{line}");
        }
    }
}
