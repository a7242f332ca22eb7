//! What a parent has made of the signals that end a program.

/// Whether the signals that end a program are set aside, as `nohup` and background jobs do; then
/// they end nothing, and there is nothing to test.
pub(crate) fn are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    // HUP, INT and TERM are 1, 2 and 15.
    u64::from_str_radix(mask.trim(), 16).unwrap() & 0x4003 != 0
}
