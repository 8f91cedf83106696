//! Samples and how they are shown: the median of each peer, and its ratio to Naru's.

/// One measured thing: samples in milliseconds for each peer, in the order they first came.
pub struct Row {
    name: String,
    samples: Vec<(String, Vec<f64>)>,
    notes: Vec<String>,
    bars: Vec<(f64, &'static str)>,
}

impl Row {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), samples: Vec::new(), notes: Vec::new(), bars: Vec::new() }
    }

    /// Promises that Naru's median is at most so many times that of a peer, if it is there.
    pub fn at_most(mut self, factor: f64, peer: &'static str) -> Self {
        self.bars.push((factor, peer));
        self
    }

    /// What is said about each promise that can be judged, and whether it holds.
    fn verdicts(&self) -> Vec<(String, bool)> {
        let median_of = |wanted: &str| {
            self.samples.iter().find(|(name, _)| name == wanted).map(|(_, samples)| median(samples))
        };
        let verdict = |(factor, peer): &(f64, &'static str)| {
            let ratio = median_of("naru")? / median_of(peer)?;
            let holds = ratio <= *factor;
            let word = if holds { "holds" } else { "DOES NOT HOLD" };
            Some((format!("  {ratio:.2} × {peer}, at most {factor} × is promised: {word}"), holds))
        };
        self.bars.iter().filter_map(verdict).collect()
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

/// Prints the rows; an error says which promises do not hold.
pub fn print(rows: &[Row]) -> anyhow::Result<()> {
    let mut broken = Vec::new();
    for row in rows {
        println!("{}", row.name);
        for line in row.lines() {
            println!("{line}");
        }
        for note in &row.notes {
            println!("  {note}");
        }
        for (text, holds) in row.verdicts() {
            println!("{text}");
            if !holds {
                broken.push(row.name.as_str());
            }
        }
    }
    anyhow::ensure!(broken.is_empty(), "does not hold: {}", broken.join("; "));
    Ok(())
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
    fn promises() {
        let mut row = Row::new("x").at_most(0.5, "one").at_most(0.3, "two").at_most(0.1, "absent");
        for (peer, value) in [("naru", 1.0), ("one", 2.0), ("two", 2.5)] {
            row.add(peer, value);
        }
        let holds: Vec<bool> = row.verdicts().iter().map(|(_, holds)| *holds).collect();
        assert_eq!(holds, [true, false]);
        assert!(print(&[row]).unwrap_err().to_string().contains("does not hold: x"));
    }

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
