//! One line of comma-separated fields, quoted where they hold commas (RFC 4180), as `--mount`, `--network` and `--gpus` take.

/// The fields of a line.
pub fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (field, after) = unquote(quoted).ok_or("extraneous or missing \" in quoted-field")?;
                if !after.is_empty() && !after.starts_with(',') {
                    return Err("extraneous or missing \" in quoted-field".to_owned());
                }
                (field, after)
            }
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                if rest[..end].contains('"') {
                    return Err("bare \" in non-quoted-field".to_owned());
                }
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Ok(fields),
        }
    }
}

/// Up to the closing quote; two quotes are one.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Some((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fields;

    #[test]
    fn quotes_hold_commas() {
        assert_eq!(fields("a,b=c").unwrap(), ["a", "b=c"]);
        assert_eq!(fields(r#""a,b",c"#).unwrap(), ["a,b", "c"]);
        assert_eq!(fields(r#""a""b""#).unwrap(), ["a\"b"]);
        assert_eq!(fields("").unwrap(), [""]);
        assert!(fields(r#"a"b"#).is_err());
        assert!(fields(r#""a"#).is_err());
        assert!(fields(r#""a"b"#).is_err());
    }
}
