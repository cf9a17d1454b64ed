//! How often people do what people do. Chances per occasion; a careful driver does less of it, a careless one more.

/// The chances of everything that goes otherwise than planned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Habits {
    /// A driver declines an offer.
    pub declines: f64,
    /// A driver does not answer an offer.
    pub ignores: f64,
    /// A driver loses signal on a leg.
    pub loses_signal: f64,
    /// A driver mistypes a code.
    pub mistypes: f64,
    /// A driver dawdles on a leg, up to twice as long.
    pub dawdles: f64,
    /// A driver's vehicle breaks down on a leg before anything is picked up.
    pub breaks_down: f64,
    /// Nobody opens the door.
    pub absent: f64,
    /// A seller confirms late.
    pub confirms_late: f64,
    /// A seller rejects.
    pub rejects: f64,
    /// A seller does not answer at all.
    pub never_answers: f64,
    /// Food is ready later than promised.
    pub late_kitchen: f64,
    /// A customer cancels before the pickup.
    pub cancels: f64,
    /// A customer follows by the socket; others look now and then.
    pub follows: f64,
    /// An order is slow, with a window.
    pub slow: f64,
    /// An order has several sellers.
    pub several_sellers: f64,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            declines: 0.08,
            ignores: 0.03,
            loses_signal: 0.06,
            mistypes: 0.05,
            dawdles: 0.10,
            breaks_down: 0.003,
            absent: 0.006,
            confirms_late: 0.12,
            rejects: 0.04,
            never_answers: 0.02,
            late_kitchen: 0.10,
            cancels: 0.015,
            follows: 0.75,
            slow: 0.18,
            several_sellers: 0.15,
        }
    }
}
