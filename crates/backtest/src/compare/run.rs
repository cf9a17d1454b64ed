//! Plays and scores every day of every contender, several at the same time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use posthaste_matching::routed::{Budget, Second};

use super::{Cell, Comparison, Contender, Effort, Source};
use crate::error::DayError;
use crate::instance::Instance;
use crate::score::score;
use crate::simulate::simulate;
use crate::trace::{self, TraceRow};

/// How to compare.
#[derive(Debug, Clone)]
pub struct Options {
    /// Work for a pass of a policy that searches.
    pub budget: Budget,
    /// Days played at the same time.
    pub threads: usize,
    /// Where to write the traces of simulated days: `POLICY/DAY.csv`.
    pub traces: Option<PathBuf>,
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The day.
    pub day: &'a str,
    /// The contender.
    pub contender: &'a str,
    /// The minute of the day that it has come to.
    pub minute: Second,
    /// Orders delivered so far.
    pub delivered: usize,
    /// Orders of the day.
    pub orders: usize,
    /// Days of contenders that are finished, and how many there are.
    pub finished: (usize, usize),
}

/// The name of a day: that of its directory.
#[must_use]
pub fn name_of(directory: &Path) -> String {
    let whole = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy().into_owned()
}

/// Reads the days, lets every contender play each, and scores them.
pub fn run(
    directories: &[PathBuf],
    contenders: &[Contender],
    options: &Options,
    progress: &(dyn Fn(Step<'_>) + Sync),
) -> Result<Comparison, DayError> {
    let names: Vec<String> = directories.iter().map(|directory| name_of(directory)).collect();
    let days = directories.iter().map(|directory| Instance::read(directory)).collect::<Result<Vec<_>, _>>()?;
    let jobs = days.len() * contenders.len();
    let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Mutex<Vec<Option<Result<Cell, DayError>>>> = Mutex::new((0..jobs).map(|_| None).collect());
    let work = || {
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= jobs {
                return;
            }
            let (day, contender) = (job / contenders.len(), job % contenders.len());
            let (instance, contender, name) = (&days[day], &contenders[contender], names[day].as_str());
            let step = |minute, delivered| {
                let finished = (finished.load(Ordering::Relaxed), jobs);
                let orders = instance.orders.len();
                progress(Step { day: name, contender: &contender.name, minute, delivered, orders, finished });
            };
            let result = play(instance, name, contender, options, &step);
            if result.is_err() {
                // What is left would be for nothing.
                next.store(jobs, Ordering::Relaxed);
            }
            results.lock().unwrap_or_else(PoisonError::into_inner)[job] = Some(result);
            finished.fetch_add(1, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.threads.clamp(1, jobs.max(1)) {
            scope.spawn(work);
        }
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Where one failed, those after it were not played; the failure is what comes out.
    let cells = results.into_iter().flatten().collect::<Result<Vec<Cell>, DayError>>()?;
    let cells = cells.chunks(contenders.len().max(1)).map(<[Cell]>::to_vec).collect();
    Ok(Comparison { days: names, contenders: contenders.iter().map(|c| c.name.clone()).collect(), cells })
}

fn play(
    day: &Instance,
    name: &str,
    contender: &Contender,
    options: &Options,
    step: &dyn Fn(Second, usize),
) -> Result<Cell, DayError> {
    match &contender.source {
        Source::Simulated(named) => {
            let outcome =
                simulate(day, &mut *named.for_day(day, options.budget), &mut |minute, done| step(minute, done));
            if let Some(directory) = &options.traces {
                write(&directory.join(&contender.name), name, &outcome.rows)?;
            }
            let effort = Effort { solving: outcome.solving, passes: outcome.passes, slowest: outcome.slowest };
            Ok(cell(day, &outcome.rows, Some(effort)))
        }
        Source::Traces(directory) => Ok(cell(day, &trace::read(&file(directory, name), day)?, None)),
    }
}

fn file(directory: &Path, day: &str) -> PathBuf {
    directory.join(format!("{day}.csv"))
}

fn write(directory: &Path, day: &str, rows: &[TraceRow]) -> Result<(), DayError> {
    let path = file(directory, day);
    std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::write(&path, trace::csv(rows)))
        .map_err(|source| DayError::File { path, source })
}

/// A scored trace.
#[must_use]
pub fn cell(day: &Instance, rows: &[TraceRow], effort: Option<Effort>) -> Cell {
    let placed: std::collections::HashMap<&str, f64> =
        day.orders.iter().map(|o| (o.name.as_str(), o.placement_time)).collect();
    let click = |row: &TraceRow| placed.get(row.order.as_str()).map(|placed| row.delivered_at - placed);
    let mut click_to_door: Vec<f64> = rows.iter().filter_map(click).collect();
    click_to_door.sort_by(f64::total_cmp);
    Cell { score: score(day, rows), click_to_door, effort }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with days, gone after the test.
    struct Days(PathBuf);

    impl Days {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("posthaste-compare-{test}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn day(&self, name: &str, orders: &str) -> PathBuf {
            let path = self.0.join(name);
            std::fs::create_dir_all(&path).unwrap();
            let parameters = "meters_per_minute\tpickup service minutes\tdropoff service minutes\n300\t4\t4\n";
            let couriers = "courier\tx\ty\ton_time\toff_time\nc1\t0\t0\t0\t60\nc2\t900\t0\t10\t90\n";
            for (file, text) in [
                ("instance_parameters.txt", parameters),
                ("couriers.txt", couriers),
                ("restaurants.txt", "restaurant\tx\ty\nr1\t600\t0\n"),
                ("orders.txt", &format!("order\tx\ty\tplacement_time\trestaurant\tready_time\n{orders}")),
            ] {
                std::fs::write(path.join(file), text).unwrap();
            }
            path
        }
    }

    impl Drop for Days {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn simulated(name: &str) -> Contender {
        Contender { name: name.to_owned(), source: Source::Simulated(name.parse().unwrap()) }
    }

    fn options(traces: Option<PathBuf>) -> Options {
        Options { budget: Budget { rounds: 20, ..Budget::default() }, threads: 2, traces }
    }

    #[test]
    fn days_and_policies_come_out_in_the_order_given_and_written_traces_score_the_same() {
        let days = Days::new("order");
        let directories = [
            days.day("b", "o1\t600\t900\t5\tr1\t15\no2\t600\t600\t6\tr1\t15\n"),
            days.day("a", "o1\t600\t900\t5\tr1\t15\n"),
        ];
        let traces = days.0.join("traces");
        let contenders = [simulated("least_busy"), simulated("routed+interleave")];
        let steps = Mutex::new(Vec::new());
        let progress = |step: Step<'_>| steps.lock().unwrap().push(step.finished.1);
        let played = run(&directories, &contenders, &options(Some(traces.clone())), &progress).unwrap();
        assert_eq!(played.days, ["b", "a"]);
        assert_eq!(played.contenders, ["least_busy", "routed+interleave"]);
        let orders: Vec<Vec<usize>> =
            played.cells.iter().map(|day| day.iter().map(|cell| cell.score.delivered).collect()).collect();
        assert_eq!(orders, [[2, 2], [1, 1]]);
        assert!(played.cells[0][0].effort.is_some_and(|effort| effort.passes > 0));

        let read = Contender { name: "again".to_owned(), source: Source::Traces(traces.join("least_busy")) };
        let again = run(&directories, &[read], &options(None), &|_| {}).unwrap();
        for (day, cells) in again.cells.iter().enumerate() {
            assert_eq!(cells[0].score, played.cells[day][0].score);
            assert_eq!(cells[0].effort, None);
        }
    }

    #[test]
    fn a_day_that_cannot_be_read_names_its_file() {
        let days = Days::new("unreadable");
        let good = days.day("good", "o1\t600\t900\t5\tr1\t15\n");
        let bad = days.day("bad", "o1\t600\tnorth\t5\tr1\t15\n");
        let failed = |directories: &[PathBuf], contender: Contender| {
            run(directories, &[contender], &options(None), &|_| {}).unwrap_err().to_string()
        };
        let error = failed(&[good.clone(), bad.clone()], simulated("least_busy"));
        assert!(error.contains(&bad.join("orders.txt").display().to_string()) && error.contains("north"), "{error}");
        std::fs::remove_file(bad.join("orders.txt")).unwrap();
        let error = failed(std::slice::from_ref(&bad), simulated("least_busy"));
        assert!(error.contains(&bad.join("orders.txt").display().to_string()), "{error}");
        let missing = Contender { name: "x".to_owned(), source: Source::Traces(days.0.clone()) };
        let error = failed(std::slice::from_ref(&good), missing);
        assert!(error.contains(&days.0.join("good.csv").display().to_string()), "{error}");
    }
}
