//! `search`: finds of a registry's search.

use api::ImageSearchResponseItem;
use term::width::ellipsis;

use super::{Kind, Row};

/// Columns of `search`.
pub const KIND: Kind = Kind {
    type_name: "*registry.searchContext",
    columns: &[
        ("Name", "NAME"),
        ("Description", "DESCRIPTION"),
        ("StarCount", "STARS"),
        ("IsOfficial", "OFFICIAL"),
    ],
};

/// The template behind `--format`.
pub fn format(text: &str) -> &str {
    match text {
        "table" | "" => "table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
        other => other,
    }
}

/// A find. Tables mark official images, JSON says so.
pub fn row(find: &ImageSearchResponseItem, truncate: bool, json: bool) -> Row {
    let description = find.description.replace(['\n', '\r'], " ");
    let official = match (json, find.is_official) {
        (true, official) => official.to_string(),
        (false, true) => "[OK]".to_owned(),
        (false, false) => String::new(),
    };
    Row::texts([
        ("Name", find.name.clone()),
        ("Description", if truncate { ellipsis(&description, 45) } else { description }),
        ("StarCount", find.star_count.to_string()),
        ("IsOfficial", official),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::{Format, render};
    use super::*;

    #[test]
    fn finds_are_listed() {
        let finds: Vec<ImageSearchResponseItem> = serde_json::from_str(
            r#"[{"star_count":10,"is_official":true,"name":"busybox","description":"Busybox\nbase image with a very long description that is over forty-five columns"},
                {"star_count":0,"is_official":false,"name":"x/y","description":""}]"#,
        )
        .unwrap();
        let rows = |json: bool| finds.iter().map(move |find| row(find, true, json));
        assert_eq!(
            render(&KIND, &Format::parse(format("")), rows(false)).unwrap(),
            "\
NAME      DESCRIPTION                                     STARS     OFFICIAL
busybox   Busybox base image with a very long descript…   10        [OK]
x/y                                                       0         
"
        );
        assert_eq!(
            render(&KIND, &Format::parse("json"), rows(true)).unwrap().lines().last().unwrap(),
            r#"{"Description":"","IsOfficial":"false","Name":"x/y","StarCount":"0"}"#
        );
    }
}
