//! A driver on a way that is known, and what their phone makes of it: as logs of real devices show it.

use super::*;

/// A generator of numbers, so that a case is the same every time.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to below 1.
    pub(super) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn up_to(&mut self, most: i64) -> i64 {
        (self.share() * (most + 1) as f64) as i64
    }

    fn happens(&mut self, share: f64) -> bool {
        self.share() < share
    }
}

/// Seconds that a shift takes.
pub(super) const SHIFT: i64 = 3_600;

/// Where the driver is in every second: they ride, turn, and stand.
pub(super) fn way(dice: &mut Dice) -> Vec<Place> {
    let (mut lat, mut lng) = (48.0 + dice.share(), 11.0 + dice.share());
    let (mut speed, mut heading) = (0.0, 0.0_f64);
    (0..=SHIFT)
        .map(|second| {
            if second % 60 == 0 {
                speed = if dice.happens(0.3) { 0.0 } else { 15.0 * dice.share() };
                heading = std::f64::consts::TAU * dice.share();
            }
            lat += speed * heading.cos() / 111_195.0;
            lng += speed * heading.sin() / (111_195.0 * lat.to_radians().cos());
            place(lat, lng)
        })
        .collect()
}

/// What is odd about a phone.
#[derive(Debug, Clone)]
pub(super) struct Phone {
    /// What its clock is behind by, in seconds, until it is set; and from then on.
    pub(super) behind: (i64, i64),
    /// When it is set.
    pub(super) set_at: i64,
    /// It says whole seconds.
    pub(super) whole_seconds: bool,
    /// So many positions in each second that has any.
    pub(super) in_a_second: i64,
    /// Seconds between them.
    pub(super) pause: i64,
    /// Shares of positions: without a fix, of the network alone, of somewhere else.
    pub(super) without_fix: f64,
    pub(super) coarse: f64,
    pub(super) elsewhere: f64,
    /// A tunnel, from and to; what was collected there comes as one batch, or one by one.
    pub(super) tunnel: (i64, i64),
    pub(super) as_batch: bool,
}

/// A position with what is true about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) report: Report,
    /// When it was measured in truth, in seconds of the shift.
    pub(super) measured: i64,
    /// Whether it is what a good phone says.
    pub(super) is_good: bool,
}

/// What arrives together, in milliseconds of the shift.
pub(super) struct Arrival {
    pub(super) at_millis: i64,
    pub(super) sent: Vec<Sent>,
}

impl Phone {
    /// What arrives during a shift.
    pub(super) fn arrivals(&self, way: &[Place], dice: &mut Dice) -> Vec<Arrival> {
        let (mut arrivals, mut collected) = (Vec::new(), Vec::new());
        let mut last_odd = 0;
        for second in (0..=SHIFT).step_by(self.pause as usize) {
            for n in 0..self.in_a_second {
                let mut sent = self.measure(way[second as usize], second, n, dice);
                // Two mistakes in a row that agree would be believed, and rightly so.
                if sent.is_good || second - last_odd < 4 * self.pause {
                    sent = if sent.is_good { sent } else { self.good(way[second as usize], second, n, dice) };
                } else {
                    last_odd = second;
                }
                if (self.tunnel.0..self.tunnel.1).contains(&second) {
                    collected.push(sent);
                } else {
                    let at_millis = second * 1000 + n * 300 + 50 + dice.up_to(800);
                    arrivals.push(Arrival { at_millis, sent: vec![sent] });
                }
            }
        }
        let out = self.tunnel.1 * 1000 + 100;
        if self.as_batch {
            // In any order.
            for n in (1..collected.len()).rev() {
                collected.swap(n, dice.up_to(n as i64) as usize);
            }
            collected.sort_by_key(|sent| sent.report.at);
            arrivals.extend(collected.chunks(50).map(|part| Arrival { at_millis: out, sent: part.to_vec() }));
        } else {
            let one_by_one = collected.iter().enumerate();
            let at = |n: usize| out + n as i64 * 20;
            arrivals.extend(one_by_one.map(|(n, sent)| Arrival { at_millis: at(n), sent: vec![*sent] }));
        }
        arrivals.sort_by_key(|arrival| arrival.at_millis);
        arrivals
    }

    fn clock(&self, second: i64, n: i64) -> Timestamp {
        let behind = if second < self.set_at { self.behind.0 } else { self.behind.1 };
        let millis = if self.whole_seconds { 0 } else { n * 300 };
        at(second - behind) + Span::milliseconds(millis)
    }

    fn good(&self, truth: Place, second: i64, n: i64, dice: &mut Dice) -> Sent {
        let accuracy = [None, Some(-1.0), Some(0.0), Some(8.0), Some(30.0)][dice.up_to(4) as usize];
        let unknown = dice.happens(0.5).then_some(-1.0);
        let measures =
            Measures { accuracy_meters: accuracy, heading_degrees: unknown, speed_meters_per_second: unknown };
        let report = Report::new(off(truth, 20.0, dice), Some(self.clock(second, n)), measures);
        Sent { report, measured: second, is_good: true }
    }

    fn measure(&self, truth: Place, second: i64, n: i64, dice: &mut Dice) -> Sent {
        let good = self.good(truth, second, n, dice);
        let odd = |report| Sent { report, measured: second, is_good: false };
        if dice.happens(self.without_fix) {
            // Receivers without a fix have no date either.
            let when = [Some(at(-40 * 365 * 86_400)), Some(at(60 * 365 * 86_400)), good.report.at, None];
            return odd(Report { place: place(0.0, 0.0), at: when[dice.up_to(3) as usize], ..good.report });
        }
        if dice.happens(self.coarse) {
            let radius = 300.0 + 2_700.0 * dice.share();
            let (place, accuracy_meters) = (off(truth, radius, dice), Some(radius as f32));
            return odd(Report { place, accuracy_meters, ..good.report });
        }
        if dice.happens(self.elsewhere) {
            return odd(Report { place: place(truth.lat() - 10.0 * dice.share() - 1.0, truth.lng()), ..good.report });
        }
        good
    }
}

/// A place at most so many metres away.
fn off(from: Place, meters: f64, dice: &mut Dice) -> Place {
    let (far, turn) = (meters * dice.share(), std::f64::consts::TAU * dice.share());
    let lat = from.lat() + far * turn.cos() / 111_195.0;
    place(lat, from.lng() + far * turn.sin() / (111_195.0 * from.lat().to_radians().cos()))
}
