//! `docs/nightly.md`: the last run of each stage. What was before stands in the history of the file.

use super::stages::STAGES;

const HEAD: &str = "# What runs at night

`cargo xtask nightly` runs what takes too long for every change, and writes this page: of each stage the last run.
`cargo xtask nightly --list` says what they do. A commit with a plus had changes beside it; seconds are of whatever machine
that was, with what had to be built.

| stage | date | commit | result | seconds | figure |
|---|---|---|---|---:|---|
";

/// A run of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) stage: String,
    pub(super) date: String,
    pub(super) commit: String,
    pub(super) result: String,
    pub(super) seconds: u64,
    /// The one figure to look at, or why there is none.
    pub(super) figure: String,
}

/// The rows of a page. What is no row is nobody's.
pub(super) fn read(page: &str) -> Vec<Row> {
    let row = |line: &str| {
        let cells: Vec<_> =
            line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(|cell| cell.trim().to_owned()).collect();
        let [stage, date, commit, result, seconds, figure] = <[String; 6]>::try_from(cells).ok()?;
        Some(Row { stage, date, commit, result, seconds: seconds.parse().ok()?, figure })
    };
    page.lines().filter_map(row).collect()
}

/// Puts the run in the place of an earlier one. One that could not be begun says nothing against an earlier one.
pub(super) fn note(rows: &mut Vec<Row>, mut new: Row) {
    new.figure = new.figure.replace('|', "/").lines().next().unwrap_or_default().trim().to_owned();
    let had_one = rows.iter().any(|row| row.stage == new.stage && row.result != "not run");
    if new.result == "not run" && had_one {
        return;
    }
    rows.retain(|row| row.stage != new.stage && STAGES.iter().any(|stage| stage.name == row.stage));
    rows.push(new);
    rows.sort_by_key(|row| STAGES.iter().position(|stage| stage.name == row.stage));
}

/// The page with these rows, and a line for each stage that never ran.
pub(super) fn page(rows: &[Row]) -> String {
    let line = |Row { stage, date, commit, result, seconds, figure }: &Row| {
        format!("| {stage} | {date} | {commit} | {result} | {seconds} | {figure} |\n")
    };
    let never = |name: &str| format!("| {name} | | | not run yet | | |\n");
    let of = |name: &str| rows.iter().find(|row| row.stage == name).map_or_else(|| never(name), line);
    STAGES.iter().map(|stage| of(stage.name)).fold(HEAD.to_owned(), |page, line| page + &line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(stage: &str, result: &str, figure: &str) -> Row {
        let (date, commit) = ("2026-11-30".to_owned(), "abc1234".to_owned());
        Row { stage: stage.to_owned(), date, commit, result: result.to_owned(), seconds: 7, figure: figure.to_owned() }
    }

    #[test]
    fn a_page_reads_back_with_the_last_run_of_each_stage_in_their_order() {
        let mut rows = Vec::new();
        for new in
            [row("miri", "not run", "none here"), row("storm", "FAILED", "seed 7"), row("storm", "holds", "9 orders")]
        {
            note(&mut rows, new);
        }
        assert_eq!(rows, [row("storm", "holds", "9 orders"), row("miri", "not run", "none here")]);
        let page = page(&rows);
        assert_eq!(read(&page), rows);
        assert!(page.contains("\n| load | | | not run yet | | |\n"), "{page}");
    }

    #[test]
    fn what_could_not_be_begun_hides_no_earlier_run_and_a_failure_does() {
        let mut rows = vec![row("attacks", "holds", "p99 12 ms"), row("gone", "holds", "1")];
        note(&mut rows, row("attacks", "not run", "no python3"));
        assert_eq!(rows[0].figure, "p99 12 ms");
        note(&mut rows, row("attacks", "FAILED", "a | b\nand more"));
        assert_eq!(rows, [row("attacks", "FAILED", "a / b")], "and what is no stage any more goes");
    }
}
