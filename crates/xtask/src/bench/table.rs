//! Samples and how they are shown: the median of each peer, and its ratio to Naru's.

/// One measured thing: samples for each peer, in the order they first came; in milliseconds unless it says otherwise.
pub struct Row {
    name: String,
    unit: &'static str,
    samples: Vec<(String, Vec<f64>)>,
    notes: Vec<String>,
    bars: Vec<Bar>,
}

/// What is promised of Naru's median.
enum Bar {
    AtMost(f64, &'static str),
    AtLeast(f64, &'static str),
    Within(f64),
}

impl Row {
    pub fn new(name: &str) -> Self {
        Self::of(name, "ms")
    }

    /// Something that is not measured in milliseconds.
    pub fn of(name: &str, unit: &'static str) -> Self {
        Self { name: name.to_owned(), unit, samples: Vec::new(), notes: Vec::new(), bars: Vec::new() }
    }

    /// Promises that Naru's median is at most so many times that of a peer, if it is there.
    pub fn at_most(mut self, factor: f64, peer: &'static str) -> Self {
        self.bars.push(Bar::AtMost(factor, peer));
        self
    }

    /// Promises that Naru's median is at least so many times that of a peer, if it is there.
    pub fn at_least(mut self, factor: f64, peer: &'static str) -> Self {
        self.bars.push(Bar::AtLeast(factor, peer));
        self
    }

    /// Promises that Naru's median is no more than this.
    pub fn within(mut self, limit: f64) -> Self {
        self.bars.push(Bar::Within(limit));
        self
    }

    pub fn median_of(&self, peer: &str) -> Option<f64> {
        self.samples.iter().find(|(name, _)| name == peer).map(|(_, samples)| median(samples))
    }

    /// What is said about each promise that can be judged, and whether it holds.
    fn verdicts(&self) -> Vec<(String, bool)> {
        let verdict = |bar: &Bar| {
            let naru = self.median_of("naru")?;
            let (said, promised, holds) = match bar {
                Bar::AtMost(factor, peer) => {
                    let ratio = naru / self.median_of(peer)?;
                    (format!("{ratio:.2} × {peer}"), format!("at most {factor} ×"), ratio <= *factor)
                }
                Bar::AtLeast(factor, peer) => {
                    let ratio = naru / self.median_of(peer)?;
                    (format!("{ratio:.2} × {peer}"), format!("at least {factor} ×"), ratio >= *factor)
                }
                Bar::Within(limit) => {
                    let unit = self.unit;
                    (format!("{naru:.2} {unit}"), format!("at most {limit} {unit}"), naru <= *limit)
                }
            };
            let word = if holds { "holds" } else { "DOES NOT HOLD" };
            Some((format!("  {said}, {promised} is promised: {word}"), holds))
        };
        self.bars.iter().filter_map(verdict).collect()
    }

    pub fn add(&mut self, peer: &str, value: f64) {
        match self.samples.iter_mut().find(|(name, _)| name == peer) {
            Some((_, samples)) => samples.push(value),
            None => self.samples.push((peer.to_owned(), vec![value])),
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
            format!("  {name:<10} {median:>9.2} {}   {:>6.2} × naru", self.unit, median / naru)
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

pub fn median(samples: &[f64]) -> f64 {
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
    fn promises_of_more_and_of_no_more() {
        let mut row =
            Row::of("x", "Gbit/s").at_least(0.98, "one").at_least(5.0, "two").within(10.0).within(9.0);
        for (peer, value) in [("naru", 10.0), ("one", 10.1), ("two", 2.5)] {
            row.add(peer, value);
        }
        let holds: Vec<bool> = row.verdicts().iter().map(|(_, holds)| *holds).collect();
        assert_eq!(holds, [true, false, true, false]);
        assert_eq!(row.lines()[0], "  naru           10.00 Gbit/s     1.00 × naru");
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
