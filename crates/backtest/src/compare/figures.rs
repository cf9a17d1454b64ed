//! The figures that are compared: one list for every form of the table.

use super::{Cell, Comparison};

/// Which way a figure is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// The less the better.
    Lower,
    /// The more the better.
    Higher,
    /// Neither: it says how, not how well.
    Neither,
}

/// A column of the table.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// Its name in a CSV file.
    pub name: &'static str,
    /// Its heading, in two short lines.
    pub heading: [&'static str; 2],
    /// What it means.
    pub meaning: &'static str,
    /// Digits after the point where people read it.
    pub digits: usize,
    /// Which way it is good.
    pub better: Better,
    /// Its value on a day; none where nothing was delivered or nothing is known.
    pub of: fn(&Cell) -> Option<f64>,
}

/// All columns after the number of delivered orders.
pub const FIGURES: [Figure; 10] = [
    Figure {
        name: "click_to_door_mean",
        heading: ["click to", "door"],
        meaning: "Minutes from an order's placement to its drop at the door, mean over delivered orders.",
        digits: 2,
        better: Better::Lower,
        of: |cell| delivered(cell).then_some(cell.score.click_to_door),
    },
    Figure {
        name: "click_to_door_p90",
        heading: ["p90", ""],
        meaning: "The 90th percentile of the same: nine of ten delivered orders were at the door within it.",
        digits: 1,
        better: Better::Lower,
        of: |cell| delivered(cell).then_some(cell.score.click_to_door_p90),
    },
    Figure {
        name: "ready_to_pickup_mean",
        heading: ["ready to", "pickup"],
        meaning: "Minutes that a delivered order stood ready before a courier had it, mean.",
        digits: 2,
        better: Better::Lower,
        of: |cell| delivered(cell).then_some(cell.score.ready_to_pickup),
    },
    Figure {
        name: "ready_to_door_mean",
        heading: ["ready to", "door"],
        meaning: "Minutes from ready to the door, mean: how fresh it came.",
        digits: 2,
        better: Better::Lower,
        of: |cell| delivered(cell).then_some(cell.score.ready_to_door),
    },
    Figure {
        name: "lateness_mean",
        heading: ["late", "by"],
        meaning: "Minutes over the promised 40 from placement to door, mean over all delivered orders; an order in time \
                  counts 0.",
        digits: 2,
        better: Better::Lower,
        of: |cell| delivered(cell).then_some(cell.score.lateness),
    },
    Figure {
        name: "orders_per_driver_hour",
        heading: ["orders", "per hour"],
        meaning: "Delivered orders for each hour of a courier's shift.",
        digits: 2,
        better: Better::Higher,
        of: |cell| Some(cell.score.orders_per_driver_hour),
    },
    Figure {
        name: "cost_per_order",
        heading: ["cost per", "order"],
        meaning: "What couriers are paid (10 for an order, at least 15 for an hour of shift) for each delivered order.",
        digits: 2,
        better: Better::Lower,
        of: |cell| delivered(cell).then_some(cell.score.cost_per_order),
    },
    Figure {
        name: "excess",
        heading: ["excess", ""],
        meaning: "Minutes above what no dispatcher could have avoided, mean over the orders that could be delivered; \
                  one that was not counts 180. The fairest single figure: leaving orders undelivered does not flatter \
                  it.",
        digits: 2,
        better: Better::Lower,
        of: |cell| Some(cell.score.excess),
    },
    Figure {
        name: "orders_per_pickup",
        heading: ["bundle", ""],
        meaning: "Delivered orders for each pickup: 1 when every order is fetched alone.",
        digits: 2,
        better: Better::Neither,
        of: |cell| delivered(cell).then_some(cell.score.bundle),
    },
    Figure {
        name: "solver_cpu_seconds",
        heading: ["solver", "CPU s"],
        meaning: "Seconds of processor time that the policy's decisions took for the whole day; not known for traces \
                  that were read.",
        digits: 1,
        better: Better::Lower,
        of: |cell| cell.effort.map(|effort| effort.solving.as_secs_f64()),
    },
];

fn delivered(cell: &Cell) -> bool {
    cell.score.delivered > 0
}

impl Figure {
    /// A value as people read it.
    #[must_use]
    pub fn show(&self, value: Option<f64>) -> String {
        value.map_or_else(|| "–".to_owned(), |value| format!("{value:.*}", self.digits))
    }

    /// A contender's mean over the days on which it is known.
    #[must_use]
    pub fn mean(&self, comparison: &Comparison, contender: usize) -> Option<f64> {
        let (count, sum) = comparison
            .days_of(contender)
            .filter_map(self.of)
            .fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
        (count > 0.0).then(|| sum / count)
    }

    /// Of several values, which are the best as they are shown; none when there is nothing to choose.
    #[must_use]
    pub fn best(&self, values: &[Option<f64>]) -> Vec<bool> {
        let known = values.iter().flatten().copied();
        let best = match self.better {
            Better::Lower => known.min_by(f64::total_cmp),
            Better::Higher => known.max_by(f64::total_cmp),
            Better::Neither => None,
        };
        let shown = best.map(|best| self.show(Some(best)));
        let is_best = |value: &Option<f64>| value.is_some() && Some(self.show(*value)) == shown;
        let found: Vec<bool> = values.iter().map(is_best).collect();
        if found.iter().all(|best| *best) { vec![false; values.len()] } else { found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::sample;

    fn figure(name: &str) -> Figure {
        FIGURES.into_iter().find(|figure| figure.name == name).unwrap()
    }

    #[test]
    fn a_mean_is_over_the_days_on_which_something_is_known() {
        let comparison = sample();
        let click = figure("click_to_door_mean");
        // The second contender delivered o1 on the first day, in 17 minutes, and nothing on the second.
        assert_eq!(click.mean(&comparison, 1), Some(17.0));
        assert_eq!(figure("solver_cpu_seconds").mean(&comparison, 1), None);
        let excess: Vec<f64> = comparison.days_of(1).filter_map(figure("excess").of).collect();
        assert_eq!(figure("excess").mean(&comparison, 1), Some((excess[0] + excess[1]) / 2.0));
        assert_eq!(excess[1], 180.0);
    }

    #[test]
    fn the_best_are_those_that_read_the_same_as_the_best() {
        let click = figure("click_to_door_mean");
        assert_eq!(click.best(&[Some(3.001), Some(3.002), Some(3.1), None]), [true, true, false, false]);
        assert_eq!(figure("orders_per_driver_hour").best(&[Some(1.0), Some(2.0)]), [false, true]);
        assert_eq!(figure("orders_per_pickup").best(&[Some(1.0), Some(2.0)]), [false, false]);
        assert_eq!(click.best(&[Some(1.0), Some(1.0)]), [false, false]);
    }
}
