//! What single positions come to, and a driver on a known way with a phone of every kind.

mod phone;
mod way;

use super::*;

const KEPT_FOR: Span = Span::days(30);

fn start() -> Timestamp {
    Timestamp::from_timestamp(1_777_777_777, 0).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    start() + Span::seconds(seconds)
}

fn place(lat: f64, lng: f64) -> Place {
    Place::new(lat, lng).unwrap()
}

fn report(lat: f64, at: impl Into<Option<Timestamp>>) -> Report {
    Report::new(place(lat, 13.4), at.into(), Measures::default())
}

fn accurate(lat: f64, at: Timestamp, meters: f32) -> Report {
    let accuracy_meters = Some(meters);
    Report::new(place(lat, 13.4), Some(at), Measures { accuracy_meters, ..Measures::default() })
}

impl Whereabouts {
    /// Positions that come together.
    fn batch(&mut self, now: Timestamp, reports: &[Report]) -> Vec<Taken> {
        let delivery = self.begin(reports, now, KEPT_FOR);
        reports.iter().map(|report| self.take(&delivery, report)).collect()
    }

    fn alone(&mut self, now: Timestamp, report: Report) -> Taken {
        self.batch(now, &[report])[0]
    }

    /// Where the driver is believed to be, and at what instant.
    fn known(&self) -> (Place, Timestamp) {
        let known = self.believed.expect("somewhere");
        (known.place, instant(known.at))
    }

    fn lat(&self) -> f64 {
        self.known().0.lat()
    }
}

fn believed(at: Timestamp, corrected: bool) -> Taken {
    Taken::Believed { at, measured: at, corrected }
}

fn is_believed(taken: Taken) -> bool {
    matches!(taken, Taken::Believed { .. })
}

#[test]
fn a_position_without_a_fix_is_never_believed() {
    let mut driver = Whereabouts::default();
    for _ in 0..10 {
        let nowhere = Report::new(place(0.0, 0.0), Some(at(0)), Measures::default());
        assert_eq!(driver.alone(at(0), nowhere), Taken::LeftOut(Reason::NoFix));
        let near = Report::new(place(0.01, -0.02), None, Measures::default());
        assert_eq!(driver.alone(at(0), near), Taken::LeftOut(Reason::NoFix));
    }
    assert_eq!(driver.believed, None);
    let equator = Report::new(place(0.0, 36.8), Some(at(1)), Measures::default());
    assert!(is_believed(driver.alone(at(1), equator)), "people live on the equator");
}

#[test]
fn the_time_of_a_position_without_a_fix_teaches_nothing() {
    let mut driver = Whereabouts::default();
    assert!(is_believed(driver.alone(at(0), report(52.5, at(0)))));
    let nowhere = Report::new(place(0.0, 0.0), Some(at(50 * 365 * 86_400)), Measures::default());
    driver.alone(at(1), nowhere);
    assert_eq!(driver.alone(at(2), report(52.501, at(2))), believed(at(2), false));
}

#[test]
fn measures_that_say_nothing_cost_only_themselves() {
    let measured = |heading, speed, accuracy| {
        let (heading_degrees, speed_meters_per_second, accuracy_meters) = (Some(heading), Some(speed), Some(accuracy));
        let measures = Measures { heading_degrees, speed_meters_per_second, accuracy_meters };
        let report = Report::new(place(42.1, 21.8), None, measures);
        (report.heading_degrees, report.speed_meters_per_second, report.accuracy_meters)
    };
    assert_eq!(measured(-1.0, -1.0, -1.0), (None, None, None));
    assert_eq!(measured(361.0, 1e9, 0.0), (None, None, None));
    assert_eq!(measured(f32::NAN, f32::INFINITY, f32::NAN), (None, None, None));
    assert_eq!(measured(360.0, 0.0, 8.0), (Some(0.0), Some(0.0), Some(8.0)));
    assert_eq!(measured(84.0, 5.5, 2e3), (Some(84.0), Some(5.5), Some(2e3)));
}

#[test]
fn a_slow_clock_moves_its_driver_at_once_after_a_place_that_was_said() {
    for behind in [20, 45, 600, 5 * 3600, 1024 * 7 * 86_400, 56 * 365 * 86_400] {
        let mut driver = Whereabouts::default();
        driver.said(place(52.5, 13.4), at(0));
        for n in 1..5 {
            let lat = 52.5 + 0.001 * n as f64;
            let taken = driver.alone(at(n), report(lat, at(n - behind)));
            let Taken::Believed { at: counts_as, corrected, .. } = taken else { panic!("{behind}: {taken:?}") };
            assert_eq!((counts_as > at(0), driver.lat()), (true, lat), "{behind}");
            assert_eq!(corrected, behind > 30, "{behind}");
        }
        // What it collects in batches only, too.
        let mut driver = Whereabouts::default();
        driver.said(place(52.5, 13.4), at(0));
        for n in 1..5 {
            let lat = 52.5 + 0.001 * n as f64;
            let batch = [report(lat - 0.0005, at(n * 10 - behind - 5)), report(lat, at(n * 10 - behind))];
            let taken = driver.batch(at(n * 10), &batch);
            assert!(is_believed(taken[1]) && driver.lat() == lat, "{behind}: {taken:?}");
        }
    }
}

#[test]
fn what_a_slow_clock_collected_in_a_tunnel_lies_in_the_past() {
    let mut driver = Whereabouts::default();
    driver.alone(at(0), report(52.5, at(-600)));
    let batch: Vec<_> = (1..=5).map(|n| report(52.5 + 0.001 * n as f64, at(n * 60 - 600))).collect();
    let taken = driver.batch(at(400), &batch);
    for (n, taken) in (1..=5).zip(taken) {
        assert_eq!(taken, believed(at(n * 60), true));
    }
    // Older ones that come later are for the track.
    let late = driver.batch(at(401), &[report(52.5, at(30 - 600)), report(52.5, at(31 - 600))]);
    assert_eq!(late, [Taken::Kept { at: at(30) }, Taken::Kept { at: at(31) }]);
}

#[test]
fn a_clock_that_is_ahead_counts_as_now() {
    let mut driver = Whereabouts::default();
    driver.said(place(52.5, 13.4), at(0));
    for ahead in [10, 5 * 3600, 40 * 365 * 86_400] {
        let mut driver = driver;
        for n in 1..5 {
            let lat = 52.5 + 0.001 * n as f64;
            let taken = driver.alone(at(n), report(lat, at(n + ahead)));
            assert_eq!(taken, believed(at(n), ahead > 30), "{ahead}");
        }
    }
}

#[test]
fn a_clock_that_is_set_holds_its_driver_for_three_positions_at_most() {
    for (before, after) in [(0, 600), (600, 0), (0, -18_000), (-18_000, 0), (0, 1024 * 7 * 86_400), (600, 1200)] {
        let mut driver = Whereabouts::default();
        for n in 0..10 {
            driver.alone(at(n), report(52.5, at(n - before)));
        }
        for n in 10..20 {
            let lat = 52.5 + 0.001 * n as f64;
            let taken = driver.alone(at(n), report(lat, at(n - after)));
            assert!(is_believed(taken) || n < 12, "{before} to {after}: {n} {taken:?}");
        }
        let Taken::Believed { at: counts_as, .. } = driver.alone(at(30), report(52.52, at(30 - after))) else {
            panic!("{before} to {after}")
        };
        assert_eq!(counts_as, at(30), "{before} to {after}: the clock is known again");
    }
}

#[test]
fn a_clock_that_does_not_keep_pace_counts_as_now() {
    // Milliseconds that were taken for seconds.
    let mut driver = Whereabouts::default();
    for n in 0..500 {
        let device = Timestamp::from_timestamp_millis(1_777_777_777 + n).unwrap();
        let taken = driver.alone(at(n), report(52.5 + 0.0001 * n as f64, device));
        let Taken::Believed { at: counts_as, corrected: true, .. } = taken else { panic!("{n}: {taken:?}") };
        assert!((at(n) - counts_as).num_seconds() <= 31, "{n}: {counts_as}");
    }
}

#[test]
fn a_clock_that_jumps_back_and_forth_holds_nobody() {
    for other in [600, -600, -18_000, 1024 * 7 * 86_400] {
        let mut driver = Whereabouts::default();
        let mut last_believed = 0;
        for n in 0..60 {
            let lat = 52.5 + 0.0001 * n as f64;
            let behind = if n % 2 == 0 { 0 } else { other };
            if is_believed(driver.alone(at(n), report(lat, at(n - behind)))) {
                last_believed = n;
            }
            assert!(n - last_believed <= 2, "{other}: nothing since {last_believed}");
        }
    }
}

#[test]
fn one_odd_time_among_many_is_left_out_alone() {
    for odd in [50 * 365 * 86_400, -56 * 365 * 86_400, 18_000] {
        let mut driver = Whereabouts::default();
        driver.alone(at(0), report(52.5, at(0)));
        let mut batch: Vec<_> = (1..50).map(|n| report(52.5 + 0.0001 * n as f64, at(n))).collect();
        batch.push(report(52.6, at(odd)));
        batch.sort_by_key(|report| report.at);
        let left_out = driver.batch(at(60), &batch).into_iter().filter(|taken| !is_believed(*taken));
        let reason = if odd > 0 { Reason::OddTime } else { Reason::TooOld };
        assert_eq!(left_out.collect::<Vec<_>>(), [Taken::LeftOut(reason)], "{odd}");
        assert_eq!(driver.known(), (place(52.5049, 13.4), at(49)));
    }
}

#[test]
fn of_several_at_one_time_the_last_that_came_counts_and_a_repetition_changes_nothing() {
    let mut driver = Whereabouts::default();
    driver.alone(at(0), report(52.5, at(0)));
    assert!(is_believed(driver.alone(at(0), report(52.501, at(0)))));
    assert!(is_believed(driver.alone(at(1), report(52.502, at(0)))));
    assert_eq!(driver.lat(), 52.502);
    assert_eq!(driver.alone(at(1), report(52.502, at(0))), Taken::LeftOut(Reason::Repeated));
    assert_eq!(driver.alone(at(2), report(52.503, at(-1))), Taken::Kept { at: at(-1) });
}

#[test]
fn a_jump_that_nobody_can_drive_is_believed_when_the_device_insists() {
    let mut driver = Whereabouts::default();
    driver.alone(at(0), report(52.5, at(0)));
    // One that comes back.
    assert_eq!(driver.alone(at(1), report(48.0, at(1))), Taken::LeftOut(Reason::Jump));
    assert!(is_believed(driver.alone(at(2), report(52.5001, at(2)))));
    // One that is sent again and again is said once.
    for n in 3..9 {
        assert_eq!(driver.alone(at(n), report(48.0, at(3))), Taken::LeftOut(Reason::Jump));
    }
    assert!(is_believed(driver.alone(at(9), report(52.5002, at(9)))));
    // After a flight.
    assert_eq!(driver.alone(at(10), report(48.0, at(10))), Taken::LeftOut(Reason::Jump));
    assert_eq!(driver.alone(at(11), report(48.0001, at(11))), Taken::LeftOut(Reason::Jump));
    assert!(is_believed(driver.alone(at(12), report(48.0002, at(12)))));
    // And by car.
    assert!(is_believed(driver.alone(at(12 + 5 * 3600), report(52.5, at(12 + 5 * 3600)))));
}

#[test]
fn a_place_that_was_said_wrongly_gives_way_to_what_is_measured() {
    let mut driver = Whereabouts::default();
    driver.said(place(52.8, 13.4), at(0));
    assert!(is_believed(driver.alone(at(1), report(52.5, at(1)))), "in the same city at once");
    driver.said(place(13.4, 52.5), at(2));
    assert!(!is_believed(driver.alone(at(3), report(52.5, at(3)))));
    assert!(!is_believed(driver.alone(at(4), report(52.5001, at(4)))));
    assert!(is_believed(driver.alone(at(5), report(52.5002, at(5)))), "farther away when the device insists");
}

#[test]
fn a_coarse_position_replaces_a_finer_one_only_after_some_time() {
    let mut driver = Whereabouts::default();
    driver.alone(at(0), accurate(52.5, at(0), 10.0));
    assert_eq!(driver.alone(at(5), accurate(52.51, at(5), 2_000.0)), Taken::LeftOut(Reason::Coarse));
    assert!(is_believed(driver.alone(at(6), accurate(52.501, at(6), 80.0))), "fine enough");
    assert_eq!(driver.alone(at(60), accurate(52.51, at(60), 2_000.0)), Taken::LeftOut(Reason::Coarse));
    assert!(is_believed(driver.alone(at(150), accurate(52.51, at(150), 2_000.0))));
    assert!(is_believed(driver.alone(at(151), accurate(52.511, at(151), 2_000.0))), "no worse than the last");
    // Marks of "unknown" do not hold anybody for hours.
    driver.alone(at(200), accurate(52.5, at(200), 10.0));
    assert!(is_believed(driver.alone(at(600), accurate(52.51, at(600), 1e9))));
    // Who has nothing else is seen.
    assert!(is_believed(Whereabouts::default().alone(at(0), accurate(52.5, at(0), 1e9))));
}

#[test]
fn what_is_older_than_tracks_are_kept_is_left_out_and_said() {
    let mut driver = Whereabouts::default();
    driver.alone(at(0), report(52.5, at(0)));
    assert_eq!(
        driver.batch(at(1), &[report(52.4, at(-31 * 86_400)), report(52.5, at(1))])[0],
        Taken::LeftOut(Reason::TooOld)
    );
}

#[test]
fn instants_that_no_calendar_holds_are_no_harm() {
    for odd in [Timestamp::MIN_UTC, Timestamp::MAX_UTC] {
        let mut driver = Whereabouts::default();
        assert_eq!(driver.alone(at(0), report(52.5, odd)), believed(at(0), true));
        assert!(is_believed(driver.alone(at(1), report(52.5001, at(1)))));
        driver.batch(at(2), &[report(52.5, odd), report(52.5, Timestamp::MIN_UTC), report(52.5002, at(2))]);
        assert!((driver.lat() - 52.5002).abs() < 1e-9 && driver.known().1 <= at(3));
    }
}

#[test]
fn what_is_believed_has_rising_instants() {
    let mut driver = Whereabouts::default();
    let mut last = driver.said(place(52.5, 13.4), at(0));
    for n in 0..40 {
        let taken = driver.alone(at(0), report(52.5 + 0.0001 * f64::from(n), None));
        let Taken::Believed { at, .. } = taken else { panic!("{taken:?}") };
        assert!(at > last);
        last = at;
    }
}

#[test]
fn who_was_known_before_a_restart_goes_on() {
    let mut driver = Whereabouts::recalled(place(52.5, 13.4), at(0));
    assert!(is_believed(driver.alone(at(60), report(52.501, at(60 - 600)))));
    assert_eq!(driver.known(), (place(52.501, 13.4), at(60)));
}

#[test]
fn it_is_small() {
    assert!(size_of::<Whereabouts>() <= 256, "{} bytes for each driver", size_of::<Whereabouts>());
}
