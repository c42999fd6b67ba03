//! The findings of the doctor, and their output.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::output;

/// The severity of a finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// In order.
    #[default]
    Ok,
    /// It works, but somebody should look at it.
    Warn,
    /// Something is broken or about to break.
    Fail,
}

/// The result of one check.
#[derive(Debug)]
pub struct Finding {
    check: &'static str,
    level: Level,
    text: String,
    advice: String,
    detail: Value,
}

impl Finding {
    fn new(check: &'static str, level: Level, text: String) -> Self {
        Self {
            check,
            level,
            text,
            advice: String::new(),
            detail: Value::Null,
        }
    }

    /// Creates a finding without fault.
    pub fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Level::Ok, text.into())
    }

    /// Creates a finding that somebody should look at.
    pub fn warn(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Level::Warn, text.into())
    }

    /// Creates a finding of a fault.
    pub fn fail(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Level::Fail, text.into())
    }

    /// Adds advice.
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }

    /// Adds figures for programs.
    pub fn with(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }
}

/// All findings, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Report(Vec<Finding>);

impl Report {
    /// Adds a finding.
    pub fn add(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// The worst level of all findings.
    pub fn worst(&self) -> Level {
        let levels = self.0.iter().map(|finding| finding.level);
        levels.max().unwrap_or_default()
    }

    /// The report as text, for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.0 {
            let level = match finding.level {
                Level::Ok => "OK",
                Level::Warn => "WARN",
                Level::Fail => "FAIL",
            };
            let found = output::plain(&finding.text);
            writeln!(text, "{level:<4}  {:<11}  {found}", finding.check)
                .expect("a String takes everything");
            if !finding.advice.is_empty() {
                let advice = output::plain(&finding.advice);
                writeln!(text, "{:19}{advice}", "").expect("a String takes everything");
            }
        }
        text
    }

    /// The report as one line of JSON, for programs.
    pub fn json(&self) -> String {
        let findings: Vec<Value> = self.0.iter().map(Finding::json).collect();
        let report = json!({"status": self.worst(), "findings": findings});
        format!("{report}\n")
    }
}

impl Finding {
    fn json(&self) -> Value {
        let mut value = json!({"check": self.check, "status": self.level, "text": self.text});
        if !self.advice.is_empty() {
            value["advice"] = self.advice.as_str().into();
        }
        if !self.detail.is_null() {
            value["detail"] = self.detail.clone();
        }
        value
    }
}

/// A duration in microseconds as text, for people.
pub fn time(micros: i64) -> String {
    let seconds = micros.max(0) / 1_000_000;
    match seconds {
        0..10 => format!("{:.1} s", micros.max(0) as f64 / 1e6),
        10..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A number of bytes as text, for people.
pub fn bytes(bytes: i64) -> String {
    match bytes {
        ..1_048_576 => format!("{} KiB", bytes.max(0) / 1_024),
        _ => format!("{} MiB", bytes / 1_048_576),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_as_bad_as_its_worst_finding() {
        let mut report = Report::default();
        assert_eq!(report.worst(), Level::Ok);
        report.add(Finding::warn("feed", "is \u{1b}[2Jlarge").advise("Look."));
        report.add(Finding::ok("jobs", "none waits"));

        assert_eq!(report.worst(), Level::Warn);
        assert_eq!(
            report.text(),
            "WARN  feed         is \u{fffd}[2Jlarge\n                   Look.\n\
             OK    jobs         none waits\n"
        );
        assert!(
            report.json().starts_with(r#"{"findings":[{"#),
            "{}",
            report.json()
        );
    }

    #[test]
    fn amounts_are_shown_in_fitting_units() {
        assert_eq!(time(1_500_000), "1.5 s");
        assert_eq!(time(90_000_000), "90 s");
        assert_eq!(time(3 * 86_400_000_000), "3 days");
        assert_eq!(bytes(3 << 20), "3 MiB");
    }
}
