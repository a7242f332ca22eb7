//! Tests of the wire format and the renderers, through the public interface alone.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail as the test does")]

mod any;
mod attack;
mod csv;
mod html;
mod pictures;
mod property;
mod sample;
mod svg;
mod tasks;
mod terminal;
mod wire;

/// What a page shows where no script runs: the page without its script and without the data for it.
fn without_scripts(page: &str) -> String {
    let mut parts = page.split("<script type=\"");
    let mut shown = parts.next().unwrap().to_owned();
    for part in parts {
        let (script, after) = part.split_once("</script>").unwrap();
        // Data ends where it should: nothing in it could be a tag.
        assert!(!script.starts_with("application/json") || !script.contains('<'), "{script}");
        shown += after;
    }
    shown
}
