//! Chores of the workspace.

mod bench;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["bench", "peers", ..] => bench::peers(&args[2..]),
        _ => anyhow::bail!("cargo xtask bench peers"),
    }
}
