//! `history`: the steps that made an image.

use api::ImageHistoryResponseItem;
use term::size::human_with_precision;
use term::width::ellipsis;

use super::{Clock, Kind, Row, short_id};

/// Columns of `history`.
pub const KIND: Kind = Kind {
    type_name: "*image.historyContext",
    columns: &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("Size", "SIZE"),
        ("Comment", "COMMENT"),
    ],
};

/// The template behind `--format`, with `--quiet` and `--human`.
pub fn format(text: &str, quiet: bool, human: bool) -> &str {
    match (text, quiet, human) {
        ("table" | "", true, _) => "{{.ID}}",
        ("table" | "", false, true) => {
            "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
        }
        ("table" | "", false, false) => {
            "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
        }
        (other, ..) => other,
    }
}

/// A step.
pub fn row(step: &ImageHistoryResponseItem, human: bool, truncate: bool, clock: &Clock) -> Row {
    let at = term::time::rfc3339(step.created, &clock.zone);
    let since = match human {
        true if step.created <= 0 => "N/A".to_owned(),
        true => clock.ago(step.created),
        false => at.clone(),
    };
    let command = step.created_by.replace('\t', " ");
    Row::texts([
        ("ID", if truncate { short_id(&step.id) } else { &step.id }.to_owned()),
        ("CreatedSince", since),
        ("CreatedAt", at),
        ("CreatedBy", if truncate { ellipsis(&command, 45) } else { command }),
        ("Size", if human { human_with_precision(step.size as f64, 3) } else { step.size.to_string() }),
        ("Comment", step.comment.clone()),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::tests::clock;
    use super::super::{Format, render};
    use super::*;

    const STEPS: &str = r#"[
        {"Comment":"","Created":0,"CreatedBy":"/bin/sh -c #(nop)\tCMD [\"sh\"] with more than forty-five characters in it","Id":"<missing>","Size":0,"Tags":null},
        {"Comment":"c","Created":1795521000,"CreatedBy":"x","Id":"sha256:c9df5f223ac75a42cc7c4d17a8803dff24f46a2b38b92865452c3d52d4d21448","Size":1234567,"Tags":["a"]}
    ]"#;

    fn history(quiet: bool, human: bool, truncate: bool) -> String {
        let steps: Vec<ImageHistoryResponseItem> = serde_json::from_str(STEPS).unwrap();
        let rows = steps.iter().map(|step| row(step, human, truncate, &clock()));
        render(&KIND, &Format::parse(format("", quiet, human)), rows).unwrap()
    }

    #[test]
    fn steps_are_listed() {
        assert_eq!(
            history(false, true, true),
            "\
IMAGE          CREATED          CREATED BY                                      SIZE      COMMENT
<missing>      N/A              /bin/sh -c #(nop) CMD [\"sh\"] with more than …   0B        
c9df5f223ac7   10 minutes ago   x                                               1.23MB    c
"
        );
        assert_eq!(history(true, true, true), "<missing>\nc9df5f223ac7\n");
        let exact = history(false, false, false);
        assert!(exact.contains("2026-11-24T11:50:00Z   x "), "{exact}");
        assert!(exact.contains("   1234567   c\n"), "{exact}");
    }
}
