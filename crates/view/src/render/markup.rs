//! Text as markup. Everything that comes from a document passes through here.

/// Escapes text for content and for quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// Wraps a name so that its direction of writing does not disturb the words around it.
pub(crate) fn bdi(text: &str) -> String {
    format!("<bdi>{}</bdi>", escape(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_opens_or_closes() {
        insta::assert_snapshot!(bdi("<script>alert(\"'&\")</script>"), @"<bdi>&lt;script&gt;alert(&quot;&#39;&amp;&quot;)&lt;/script&gt;</bdi>");
    }
}
