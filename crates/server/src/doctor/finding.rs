//! What a check comes to, and how it is shown: to people a line each, to programs as JSON.

use std::fmt::Write as _;

use serde::Serialize;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// It works, and somebody should know.
    Warning,
    /// It does not work, or must not.
    Wrong,
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at.
    check: &'static str,
    state: State,
    /// How it is.
    says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Finding {
    /// As it should be.
    pub(crate) fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, state: State::Ok, says: says.into(), mend: None }
    }

    /// It works, and somebody should know; with what to do about it.
    pub(crate) fn warning(check: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, state: State::Warning, says: says.into(), mend: Some(mend.into()) }
    }

    /// It does not work; with what to do about it.
    pub(crate) fn wrong(check: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, state: State::Wrong, says: says.into(), mend: Some(mend.into()) }
    }

    /// It does not work; what is wrong says what to do.
    pub(crate) fn failed(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, state: State::Wrong, says: says.into(), mend: None }
    }

    #[cfg(test)]
    pub(crate) fn state(&self) -> State {
        self.state
    }

    #[cfg(test)]
    pub(crate) fn check(&self) -> &'static str {
        self.check
    }
}

/// All findings of one look.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Findings {
    /// Whether nothing is wrong.
    ok: bool,
    findings: Vec<Finding>,
}

impl From<Vec<Finding>> for Findings {
    fn from(findings: Vec<Finding>) -> Self {
        Self { ok: findings.iter().all(|finding| finding.state < State::Wrong), findings }
    }
}

impl Findings {
    /// Whether nothing is wrong. Warnings are not wrong.
    pub(crate) fn is_ok(&self) -> bool {
        self.ok
    }

    /// For people.
    pub(crate) fn lines(&self) -> String {
        let width = self.findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
        let mut text = String::new();
        for Finding { check, state, says, mend } in &self.findings {
            let word = match state {
                State::Ok => "ok",
                State::Warning => "warning",
                State::Wrong => "WRONG",
            };
            let mend = mend.as_ref().map(|mend| format!("; {mend}")).unwrap_or_default();
            let _ = writeln!(text, "{word:<8} {check:<width$}  {says}{mend}");
        }
        text
    }

    /// In one sentence.
    pub(crate) fn sum(&self) -> String {
        let count = |wanted| self.findings.iter().filter(|finding| finding.state == wanted).count();
        match (count(State::Wrong), count(State::Warning)) {
            (0, 0) => "nothing is wrong".to_owned(),
            (0, warnings) => format!("nothing is wrong; {warnings} to know of"),
            (wrong, warnings) => format!("{wrong} wrong, {warnings} to know of"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_decides_and_is_one_line_with_its_mend() {
        let warned = Findings::from(vec![Finding::ok("a", "fine"), Finding::warning("bc", "odd", "look")]);
        assert!(warned.is_ok() && warned.sum() == "nothing is wrong; 1 to know of");
        assert_eq!(warned.lines(), "ok       a   fine\nwarning  bc  odd; look\n");
        let wrong = Findings::from(vec![Finding::wrong("a", "broken", "mend it"), Finding::failed("b", "gone")]);
        assert!(!wrong.is_ok());
        let json = serde_json::to_value(&wrong).unwrap();
        assert_eq!(json["ok"], false);
        assert_eq!(json["findings"][0]["state"], "wrong");
        assert_eq!(json["findings"][0]["mend"], "mend it");
        assert!(json["findings"][1].get("mend").is_none());
    }
}
