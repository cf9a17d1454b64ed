//! What moving a clock by hand promises.

use std::time::Duration;

use posthaste_domain::ids::OrderId;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::alarm::Alarms;
use crate::duty::{Duty, Runs};

const SWEEP: Duty = Duty {
    name: "streams.sweep",
    world: None,
    does: "forgets streams that nobody follows",
    period: Duration::from_secs(60),
    trigger: None,
    runs: Runs::Everywhere,
};

fn noon() -> Timestamp {
    Timestamp::from_timestamp(1_800_000_000, 0).expect("an instant")
}

/// Seconds after noon.
fn after_noon(at: Timestamp) -> i64 {
    (at - noon()).num_seconds()
}

/// What has come so far.
fn so_far<T>(rung: &mut UnboundedReceiver<T>) -> Vec<T> {
    std::iter::from_fn(|| rung.try_recv().ok()).collect()
}

#[test]
fn nothing_moves_by_itself_and_the_three_move_together_or_apart() {
    let manual = ManualClock::at(noon());
    let clock = manual.clock();
    let silence = clock.silence(30.0).expect("a clock");
    let (start, heard) = (clock.instant(), silence.now());
    let shown = || {
        let real = clock.instant() - start;
        (after_noon(clock.now()), after_noon(clock.wall()), real.as_secs(), (silence.now() - heard).num_seconds())
    };
    assert_eq!(shown(), (0, 0, 0, 0));
    manual.advance(Span::seconds(5));
    assert_eq!(shown(), (5, 5, 5, 5), "silence passes second by second at any speed");
    manual.advance_product(Span::seconds(7));
    assert_eq!(shown(), (12, 5, 5, 5));
    manual.advance_wall(Span::seconds(2));
    assert_eq!(shown(), (12, 7, 7, 7));
    assert_eq!(clock.real(Span::minutes(15)), Duration::from_secs(900));
}

#[test]
fn a_clock_that_is_set_back_stands_until_the_machines_has_caught_up() {
    let manual = ManualClock::at(noon());
    let clock = manual.clock();
    let start = clock.instant();
    manual.set_back(Span::seconds(10));
    assert_eq!((after_noon(clock.now()), after_noon(clock.wall())), (0, -10));
    manual.advance(Span::seconds(4));
    assert_eq!((after_noon(clock.now()), after_noon(clock.wall())), (0, -6));
    manual.advance(Span::seconds(7));
    assert_eq!((after_noon(clock.now()), after_noon(clock.wall())), (1, 1));
    assert_eq!(clock.instant() - start, Duration::from_secs(11), "real time neither stands nor runs backwards");
}

#[test]
fn ids_of_a_clock_that_stands_sort_as_they_were_made() {
    let clock = ManualClock::at(noon()).clock();
    let ids: Vec<OrderId> = (0..1000).map(|_| clock.id()).collect();
    assert!(ids.is_sorted());
    assert_ne!(ids[0], ManualClock::at(noon()).clock().id(), "and are nobody else's");
}

#[tokio::test]
async fn alarms_of_both_clocks_ring_in_order_and_each_sees_the_clock_at_its_time() {
    let manual = ManualClock::at(noon());
    let clock = manual.clock();
    let (product, silence) = (Alarms::start(clock.clone()), Alarms::start(clock.silence(1.0).expect("a clock")));
    let (sender, mut rung) = unbounded_channel();
    for (alarms, seconds) in [(&product, 30), (&silence, 20), (&product, 10), (&silence, 40), (&product, 50)] {
        let (sender, clock) = (sender.clone(), clock.clone());
        alarms.after(Span::seconds(seconds), move || {
            let _ = sender.send((seconds, after_noon(clock.now())));
        });
    }
    assert!(so_far(&mut rung).is_empty());
    manual.advance(Span::milliseconds(9_999));
    assert!(so_far(&mut rung).is_empty(), "none before its time");
    manual.advance(Span::milliseconds(30_001));
    assert_eq!(so_far(&mut rung), [(10, 10), (20, 20), (30, 30), (40, 40)]);
    assert_eq!((product.len(), silence.is_empty()), (1, true));
}

#[tokio::test]
async fn what_is_moved_apart_rings_alone() {
    let manual = ManualClock::at(noon());
    let clock = manual.clock();
    let (product, silence) = (Alarms::start(clock.clone()), Alarms::start(clock.silence(1.0).expect("a clock")));
    let (sender, mut rung) = unbounded_channel();
    for (alarms, name) in [(&product, "product"), (&silence, "silence")] {
        let sender = sender.clone();
        alarms.after(Span::seconds(10), move || {
            let _ = sender.send(name);
        });
    }
    manual.advance_wall(Span::seconds(10));
    assert_eq!(so_far(&mut rung), ["silence"]);
    manual.set_back(Span::seconds(60));
    manual.advance(Span::seconds(69));
    assert!(so_far(&mut rung).is_empty(), "product time has a minute to catch up");
    manual.advance(Span::seconds(1));
    assert_eq!(so_far(&mut rung), ["product"]);
}

#[tokio::test]
async fn an_alarm_that_sets_another_has_it_ring_in_the_same_movement() {
    let manual = ManualClock::at(noon());
    let clock = manual.clock();
    let alarms = Alarms::start(clock.clone());
    let (sender, mut rung) = unbounded_channel();
    let (late, again) = (sender.clone(), alarms.clone());
    alarms.after(Span::seconds(10), move || {
        let now = again.clock().now();
        again.after(Span::seconds(10), move || {
            let _ = late.send(after_noon(now) + 10);
        });
    });
    alarms.after(Span::seconds(25), move || {
        let _ = sender.send(25);
    });
    manual.advance(Span::seconds(30));
    assert_eq!(so_far(&mut rung), [20, 25]);
}

#[tokio::test]
async fn an_alarm_for_a_time_that_has_come_rings_without_a_movement() {
    let manual = ManualClock::at(noon());
    let alarms = Alarms::start(manual.clock());
    let (sender, mut rung) = unbounded_channel();
    alarms.after(Span::hours(1), || ());
    manual.advance(Span::seconds(30));
    alarms.set(noon() + Span::seconds(5), move || {
        let _ = sender.send("late");
    });
    assert_eq!(rung.recv().await, Some("late"));
    assert_eq!(alarms.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn alarms_of_many_who_move_at_once_come_in_order_and_none_is_lost() {
    let manual = ManualClock::at(noon());
    let alarms = Alarms::start(manual.clock());
    let (sender, mut rung) = unbounded_channel();
    for n in 0..1000_i64 {
        let (sender, millis) = (sender.clone(), n * 7919 % 1000);
        alarms.after(Span::milliseconds(millis), move || {
            let _ = sender.send(millis);
        });
    }
    let movers = (0..4).map(|_| {
        let manual = manual.clone();
        tokio::task::spawn_blocking(move || (0..250).for_each(|_| manual.advance(Span::milliseconds(1))))
    });
    for mover in movers.collect::<Vec<_>>() {
        mover.await.expect("moved");
    }
    let rung = so_far(&mut rung);
    assert!(rung.is_sorted() && rung.len() == 1000, "{rung:?}");
}

#[tokio::test]
async fn whoever_sleeps_wakes_when_the_time_has_come() {
    let manual = ManualClock::at(noon());
    let clock = manual.clock();
    let (sender, mut woken) = unbounded_channel();
    for seconds in [30, 10] {
        let (sender, clock) = (sender.clone(), clock.clone());
        tokio::spawn(async move {
            clock.sleep_until(noon() + Span::seconds(seconds)).await;
            let _ = sender.send(seconds);
        });
    }
    manual.advance(Span::seconds(10));
    assert_eq!(woken.recv().await, Some(10));
    manual.advance(Span::seconds(19));
    clock.sleep(Span::zero()).await;
    assert!(so_far(&mut woken).is_empty());
    manual.advance(Span::seconds(1));
    assert_eq!(woken.recv().await, Some(30));
}

#[tokio::test]
async fn a_duty_is_done_when_its_period_is_over_and_not_before() {
    let manual = ManualClock::at(noon());
    let clock = manual.clock();
    let mut times = 0;
    let task = clock.duties().every(SWEEP, move || {
        times += 1;
        std::future::ready(if times == 1 { Err("away") } else { Ok(()) })
    });
    let (done, failed) = (|| clock.duties().all()[0].done, || clock.duties().all()[0].failed);
    manual.advance(Span::seconds(59));
    manual.duties_done().await;
    assert_eq!((done(), failed()), (0, 0));
    manual.advance_product(Span::hours(1));
    manual.duties_done().await;
    assert_eq!((done(), failed()), (0, 0), "its period is real time");
    manual.advance(Span::seconds(1));
    manual.duties_done().await;
    assert_eq!((done(), failed()), (0, 1));
    manual.advance(Span::minutes(10));
    manual.duties_done().await;
    assert_eq!((done(), failed()), (1, 1), "once, however many periods have passed");
    task.abort();
    assert!(task.await.is_err());
    manual.advance(Span::minutes(10));
    manual.duties_done().await;
    assert_eq!(done(), 1, "nobody waits for a loop that has ended");
}

#[tokio::test(start_paused = true)]
async fn a_duty_that_does_not_end_is_named() {
    let manual = ManualClock::at(noon());
    let task = manual.clock().duties().every(SWEEP, std::future::pending::<Result<(), &str>>);
    manual.advance(Span::seconds(60));
    let waited = tokio::spawn(async move { manual.duties_done().await }).await;
    let said = waited.expect_err("it waits in vain").into_panic();
    assert!(said.downcast_ref::<String>().is_some_and(|said| said.contains("streams.sweep")));
    task.abort();
}
