//! `system df`: what takes space, and what of it nothing uses.

use api::SystemDataUsageResponse;
use term::size::human;

use super::{Kind, Row};

/// Columns of `system df`.
pub const KIND: Kind = Kind {
    type_name: "*formatter.diskUsageImagesContext",
    columns: &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ],
};

/// The template behind `--format`.
pub fn format(text: &str) -> &str {
    match text {
        "raw" => {
            "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\nreclaimable: {{.Reclaimable}}\n"
        }
        "table" | "" => "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
        other => other,
    }
}

/// What one kind of object takes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    total: usize,
    active: usize,
    /// Bytes.
    size: i64,
    /// Bytes that nothing uses.
    reclaimable: i64,
}

/// A line for each kind of object.
pub fn rows(usage: &SystemDataUsageResponse) -> Vec<Row> {
    vec![
        row("Images", &images(usage), true),
        row("Containers", &containers(usage), true),
        row("Local Volumes", &volumes(usage), true),
        row("Build Cache", &build_cache(usage), false),
    ]
}

fn row(name: &str, sum: &Sum, percent: bool) -> Row {
    let mut reclaimable = human(sum.reclaimable as f64);
    if percent && sum.size > 0 {
        reclaimable = format!("{reclaimable} ({}%)", sum.reclaimable.saturating_mul(100) / sum.size);
    }
    Row::texts([
        ("Type", name.to_owned()),
        ("TotalCount", sum.total.to_string()),
        ("Active", sum.active.to_string()),
        ("Size", human(sum.size as f64)),
        ("Reclaimable", reclaimable),
    ])
}

fn images(usage: &SystemDataUsageResponse) -> Sum {
    let images = usage.images.as_deref().unwrap_or_default();
    let known =
        images.iter().filter(|image| image.containers != 0 && image.size != -1 && image.shared_size != -1);
    let used: i64 = known.map(|image| image.size - image.shared_size).sum();
    Sum {
        total: images.len(),
        active: images.iter().filter(|image| image.containers > 0).count(),
        size: usage.layers_size,
        reclaimable: usage.layers_size - used,
    }
}

fn containers(usage: &SystemDataUsageResponse) -> Sum {
    let containers = usage.containers.as_deref().unwrap_or_default();
    let mut sum = Sum { total: containers.len(), ..Sum::default() };
    for container in containers {
        sum.size += container.size_rw;
        match ["running", "paused", "restarting"].iter().any(|state| container.state.contains(state)) {
            true => sum.active += 1,
            false => sum.reclaimable += container.size_rw,
        }
    }
    sum
}

fn volumes(usage: &SystemDataUsageResponse) -> Sum {
    let volumes = usage.volumes.as_deref().unwrap_or_default();
    let mut sum = Sum { total: volumes.len(), ..Sum::default() };
    for usage in volumes.iter().filter_map(|volume| volume.usage_data.as_ref()) {
        sum.active += usize::from(usage.ref_count > 0);
        if usage.size != -1 {
            sum.size += usage.size;
            sum.reclaimable += if usage.ref_count == 0 { usage.size } else { 0 };
        }
    }
    sum
}

/// What of the build cache is its own.
pub fn build_cache_size(usage: &SystemDataUsageResponse) -> String {
    human(build_cache(usage).size as f64)
}

fn build_cache(usage: &SystemDataUsageResponse) -> Sum {
    let records = usage.build_cache.as_deref().unwrap_or_default();
    let mut sum = Sum { total: records.len(), ..Sum::default() };
    for record in records {
        sum.active += usize::from(record.in_use);
        if !record.shared {
            sum.size += record.size;
            sum.reclaimable += if record.in_use { 0 } else { record.size };
        }
    }
    sum
}

#[cfg(test)]
pub mod tests {
    use super::super::{Format, render};
    use super::*;

    /// Something of every kind.
    pub fn usage() -> SystemDataUsageResponse {
        serde_json::from_str(include_str!("usage_tests.json")).unwrap()
    }

    #[test]
    fn sums() {
        let df = |text| render(&KIND, &Format::parse(format(text)), rows(&usage())).unwrap();
        assert_eq!(
            df(""),
            "\
TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE
Images          2         1         123.5MB   121.5MB (98%)
Containers      2         1         4kB       3kB (75%)
Local Volumes   3         1         20kB      15kB (75%)
Build Cache     3         2         19kB      12kB
"
        );
        assert!(
            df("raw").starts_with(
                "type: Images\ntotal: 2\nactive: 1\nsize: 123.5MB\nreclaimable: 121.5MB (98%)\n\n"
            )
        );
        let empty =
            render(&KIND, &Format::parse(format("")), rows(&SystemDataUsageResponse::default())).unwrap();
        assert!(empty.contains("Images          0         0         0B        0B\n"), "{empty}");
    }
}
