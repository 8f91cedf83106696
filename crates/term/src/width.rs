//! How many columns text takes, and cutting it to fit.

/// Columns of a character: 2 for East Asian wide and full-width ones, else 1 (as docker counts: combining marks too).
pub fn of_char(c: char) -> usize {
    // Ranges of Unicode's EastAsianWidth.txt with class W or F, joined where only unassigned code points lie between.
    const WIDE: &[(u32, u32)] = &[
        (0x1100, 0x115f),
        (0x231a, 0x231b),
        (0x2329, 0x232a),
        (0x23e9, 0x23ec),
        (0x23f0, 0x23f0),
        (0x23f3, 0x23f3),
        (0x25fd, 0x25fe),
        (0x2614, 0x2615),
        (0x2648, 0x2653),
        (0x267f, 0x267f),
        (0x2693, 0x2693),
        (0x26a1, 0x26a1),
        (0x26aa, 0x26ab),
        (0x26bd, 0x26be),
        (0x26c4, 0x26c5),
        (0x26ce, 0x26ce),
        (0x26d4, 0x26d4),
        (0x26ea, 0x26ea),
        (0x26f2, 0x26f3),
        (0x26f5, 0x26f5),
        (0x26fa, 0x26fa),
        (0x26fd, 0x26fd),
        (0x2705, 0x2705),
        (0x270a, 0x270b),
        (0x2728, 0x2728),
        (0x274c, 0x274c),
        (0x274e, 0x274e),
        (0x2753, 0x2755),
        (0x2757, 0x2757),
        (0x2795, 0x2797),
        (0x27b0, 0x27b0),
        (0x27bf, 0x27bf),
        (0x2b1b, 0x2b1c),
        (0x2b50, 0x2b50),
        (0x2b55, 0x2b55),
        (0x2e80, 0x303e),
        (0x3041, 0x33ff),
        (0x3400, 0x4dbf),
        (0x4e00, 0xa4cf),
        (0xa960, 0xa97f),
        (0xac00, 0xd7a3),
        (0xf900, 0xfaff),
        (0xfe10, 0xfe19),
        (0xfe30, 0xfe6f),
        (0xff01, 0xff60),
        (0xffe0, 0xffe6),
        (0x16fe0, 0x18cff),
        (0x1b000, 0x1b2ff),
        (0x1f004, 0x1f004),
        (0x1f0cf, 0x1f0cf),
        (0x1f18e, 0x1f18e),
        (0x1f191, 0x1f19a),
        (0x1f200, 0x1f320),
        (0x1f32d, 0x1f335),
        (0x1f337, 0x1f37c),
        (0x1f37e, 0x1f393),
        (0x1f3a0, 0x1f3ca),
        (0x1f3cf, 0x1f3d3),
        (0x1f3e0, 0x1f3f0),
        (0x1f3f4, 0x1f3f4),
        (0x1f3f8, 0x1f43e),
        (0x1f440, 0x1f440),
        (0x1f442, 0x1f4fc),
        (0x1f4ff, 0x1f53d),
        (0x1f54b, 0x1f54e),
        (0x1f550, 0x1f567),
        (0x1f57a, 0x1f57a),
        (0x1f595, 0x1f596),
        (0x1f5a4, 0x1f5a4),
        (0x1f5fb, 0x1f64f),
        (0x1f680, 0x1f6c5),
        (0x1f6cc, 0x1f6cc),
        (0x1f6d0, 0x1f6d2),
        (0x1f6d5, 0x1f6d7),
        (0x1f6eb, 0x1f6ec),
        (0x1f6f4, 0x1f6fc),
        (0x1f7e0, 0x1f7eb),
        (0x1f90c, 0x1f93a),
        (0x1f93c, 0x1f945),
        (0x1f947, 0x1f9ff),
        (0x1fa70, 0x1faff),
        (0x20000, 0x3fffd),
    ];
    let code = c as u32;
    if code < 0x1100 {
        return 1;
    }
    let inside = WIDE.binary_search_by(|(first, last)| match () {
        () if *last < code => std::cmp::Ordering::Less,
        () if *first > code => std::cmp::Ordering::Greater,
        () => std::cmp::Ordering::Equal,
    });
    if inside.is_ok() { 2 } else { 1 }
}

/// Columns of a text.
pub fn of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(of_char).sum() }
}

/// At most `columns` columns, the last one `…` if something was cut.
pub fn ellipsis(text: &str, columns: usize) -> String {
    if columns == 0 {
        return String::new();
    }
    if of(text) <= columns {
        return text.to_owned();
    }
    if columns == 1 {
        return text.chars().take(1).collect();
    }
    let mut width = 0;
    let kept = text.chars().take_while(|c| {
        width += of_char(*c);
        width < columns
    });
    kept.chain(['…']).collect()
}

/// The first `bytes` bytes (docker's template function counts bytes), whole characters only.
pub fn truncate(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_to_columns() {
        for (text, columns, expected) in [
            ("hello", 5, "hello"),
            ("hello world", 5, "hell…"),
            ("hello", 1, "h"),
            ("hello", 0, ""),
            ("나루터에서", 10, "나루터에서"),
            ("나루터에서", 6, "나루…"),
            ("나루터에서", 5, "나루…"),
            ("héllo", 4, "hél…"),
        ] {
            assert_eq!(ellipsis(text, columns), expected, "{text} {columns}");
        }
    }

    #[test]
    fn ranges_are_sorted_so_that_search_works() {
        assert_eq!(of("나루 container"), 14);
        assert_eq!(of("\u{1f680}"), 2);
        assert_eq!(truncate("나루", 4), "나");
    }
}
