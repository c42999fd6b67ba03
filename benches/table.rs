//! The table: one row per figure, ranges over the rounds, and the machine.

use std::fmt::Write as _;

/// The target of a figure.
#[derive(Clone, Copy)]
pub enum Target {
    /// At least this ratio to the yardstick.
    RatioAtLeast(f64),
    /// At most this ratio to the yardstick.
    RatioAtMost(f64),
    /// At most this value of the product.
    AtMost(f64),
    /// No target.
    None,
}

/// One line of the table.
pub struct Row {
    figure: String,
    unit: &'static str,
    product: Vec<f64>,
    yardstick_name: &'static str,
    yardstick: Vec<f64>,
    ratios: Vec<f64>,
    target: Target,
    note: String,
}

impl Row {
    /// Makes a figure of the product alone.
    pub fn new(
        figure: impl Into<String>,
        unit: &'static str,
        product: Vec<f64>,
        target: Target,
    ) -> Self {
        Self {
            figure: figure.into(),
            unit,
            product,
            yardstick_name: "",
            yardstick: Vec::new(),
            ratios: Vec::new(),
            target,
            note: String::new(),
        }
    }

    /// Adds the values of the yardstick.
    #[must_use]
    pub fn beside(mut self, name: &'static str, yardstick: Vec<f64>, ratios: Vec<f64>) -> Self {
        self.yardstick_name = name;
        self.yardstick = yardstick;
        self.ratios = ratios;
        self
    }

    /// Sets the target of this figure.
    pub fn aim(&mut self, target: Target) {
        self.target = target;
    }

    /// Adds a note with facts that a reader needs.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Makes the row of a figure that could not be measured.
    pub fn failed(figure: &str, why: &str) -> Self {
        Self::new(figure, "", Vec::new(), Target::None).note(format!("NOT MEASURED: {why}"))
    }

    fn verdict(&self) -> &'static str {
        let (values, wanted, at_least) = match self.target {
            Target::RatioAtLeast(wanted) => (&self.ratios, wanted, true),
            Target::RatioAtMost(wanted) => (&self.ratios, wanted, false),
            Target::AtMost(wanted) => (&self.product, wanted, false),
            Target::None => return "",
        };
        let reaches = |value: f64| {
            if at_least {
                value >= wanted
            } else {
                value <= wanted
            }
        };
        if values.is_empty() {
            return "not measured";
        }
        let all = values.iter().all(|value| reaches(*value));
        match (reaches(median(values)), all) {
            (true, true) => "reached",
            (true, false) => "reached, not in every round",
            (false, _) if values.iter().any(|value| reaches(*value)) => {
                "missed, reached in some rounds"
            }
            (false, _) => "missed",
        }
    }

    fn target(&self) -> String {
        match self.target {
            Target::RatioAtLeast(wanted) => format!("≥ {wanted} ×"),
            Target::RatioAtMost(wanted) => format!("≤ {wanted} ×"),
            Target::AtMost(wanted) => format!("≤ {wanted} {}", self.unit),
            Target::None => String::new(),
        }
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Returns the middle value, or 0 without values.
pub fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Returns the median and, for several values, their range.
fn range(values: &[f64]) -> String {
    let sorted = sorted(values);
    match (sorted.first(), sorted.last()) {
        (Some(low), Some(high)) if sorted.len() > 1 => format!(
            "{} [{}..{}]",
            number(median(values)),
            number(*low),
            number(*high)
        ),
        (Some(only), _) => number(*only),
        _ => String::new(),
    }
}

/// Formats a number with three significant digits.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{:.2}M", value / 1e6),
        size if size >= 1e4 => format!("{:.1}k", value / 1e3),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The machine on which the figures were measured.
pub struct Machine {
    cores: usize,
    processor: String,
    memory_gib: f64,
    load: String,
}

impl Machine {
    /// Reads the state of the machine at this moment.
    pub fn now() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo");
        let processor = processor
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let memory = read("/proc/meminfo");
        let kib: f64 = memory
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next())
            .and_then(|kib| kib.parse().ok())
            .unwrap_or_default();
        let load = read("/proc/loadavg");
        Self {
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            processor: processor.map_or_else(String::new, |(_, name)| name.to_owned()),
            memory_gib: kib / 1024.0 / 1024.0,
            load: load.split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}

/// Prints the table as Markdown.
pub fn print(rows: &[Row], before: &Machine, after: &Machine) {
    println!(
        "| Figure | Unit | Clientela | Yardstick | Ratio | Target | |\n\
         | --- | --- | --- | --- | --- | --- | --- |"
    );
    let mut notes = String::new();
    for row in rows {
        let yardstick = if row.yardstick.is_empty() {
            String::new()
        } else {
            format!("{}: {}", row.yardstick_name, range(&row.yardstick))
        };
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            row.figure,
            row.unit,
            range(&row.product),
            yardstick,
            range(&row.ratios),
            row.target(),
            row.verdict(),
        );
        if !row.note.is_empty() {
            let _ = writeln!(notes, "- {}: {}", row.figure, row.note);
        }
    }
    println!("\n{notes}");
    println!(
        "Median [lowest..highest] of {} rounds, product and yardstick in turns; ratios are of each \
         round.\nMachine: {} cores, {}, {:.0} GiB; load average {} before and {} after. Load \
         and servers share the cores.",
        crate::bench::ROUNDS,
        before.cores,
        before.processor,
        before.memory_gib,
        before.load,
        after.load,
    );
}
