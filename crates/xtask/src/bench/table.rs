//! Samples and how they are shown: the median of each peer, and its ratio to Naru's.

/// One measured thing: samples in milliseconds for each peer, in the order they first came.
pub struct Row {
    name: String,
    samples: Vec<(String, Vec<f64>)>,
    notes: Vec<String>,
}

impl Row {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), samples: Vec::new(), notes: Vec::new() }
    }

    pub fn add(&mut self, peer: &str, milliseconds: f64) {
        match self.samples.iter_mut().find(|(name, _)| name == peer) {
            Some((_, samples)) => samples.push(milliseconds),
            None => self.samples.push((peer.to_owned(), vec![milliseconds])),
        }
    }

    /// Something else that was measured.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    fn lines(&self) -> Vec<String> {
        let medians: Vec<(&str, f64)> =
            self.samples.iter().map(|(name, samples)| (name.as_str(), median(samples))).collect();
        let naru = medians.iter().find(|(name, _)| *name == "naru").map_or(f64::NAN, |(_, median)| *median);
        let line = |(name, median): &(&str, f64)| {
            format!("  {name:<10} {median:>9.2} ms   {:>6.2} × naru", median / naru)
        };
        medians.iter().map(line).collect()
    }
}

pub fn print(rows: &[Row]) {
    for row in rows {
        println!("{}", row.name);
        for line in row.lines() {
            println!("{line}");
        }
        for note in &row.notes {
            println!("  {note}");
        }
    }
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios() {
        let mut row = Row::new("x");
        for value in [3.0, 1.0, 2.0] {
            row.add("naru", value);
            row.add("docker", value * 10.0);
        }
        assert_eq!(
            row.lines(),
            ["  naru            2.00 ms     1.00 × naru", "  docker         20.00 ms    10.00 × naru"]
        );
    }
}
