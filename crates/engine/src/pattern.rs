//! Patterns of `name=` and `id=` filters: a part of the name, with `^`, `$`, `.` and `*` as in regular expressions (moby takes
//! whole regular expressions; these four are what people write). Pure.

/// Whether `pattern` is found in `text`.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    match pattern.strip_prefix(&['^']) {
        Some(rest) => here(rest, &text),
        None => (0..=text.len()).any(|start| here(&pattern, &text[start..])),
    }
}

/// One character of a pattern and what follows it.
fn first(pattern: &[char]) -> Option<(Option<char>, &[char])> {
    match pattern {
        [] => None,
        ['\\', literal, rest @ ..] => Some((Some(*literal), rest)),
        ['.', rest @ ..] => Some((None, rest)),
        [literal, rest @ ..] => Some((Some(*literal), rest)),
    }
}

fn here(pattern: &[char], text: &[char]) -> bool {
    if pattern == ['$'] {
        return text.is_empty();
    }
    let Some((wanted, rest)) = first(pattern) else { return true };
    let fits = |c: &char| wanted.is_none_or(|wanted| wanted == *c);
    if let Some(rest) = rest.strip_prefix(&['*']) {
        let most = text.iter().take_while(|c| fits(c)).count();
        return (0..=most).any(|count| here(rest, &text[count..]));
    }
    matches!(text, [c, after @ ..] if fits(c) && here(rest, after))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_part_or_an_anchored_pattern() {
        for (pattern, text, found) in [
            ("web", "my-web-1", true),
            ("^web", "my-web-1", false),
            ("^web$", "web", true),
            ("web$", "web-1", false),
            ("w.b", "web", true),
            ("^my.*1$", "my-web-1", true),
            ("^my.*2$", "my-web-1", false),
            ("a\\.b", "a.b", true),
            ("a\\.b", "axb", false),
            ("", "anything", true),
            ("$", "x", true),
            ("*", "x", false),
            ("^/web$", "/web", true),
        ] {
            assert_eq!(matches(pattern, text), found, "{pattern:?} in {text:?}");
        }
    }
}
