//! A day as its four files.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use super::{FILES, Instance};
use crate::error::DayError;

/// What the public days say of themselves and no policy here is told: minutes that an order should and may take, and pay
/// for an order and for an hour.
const UNUSED: [(&str, u32); 4] = [
    ("target click-to-door", 40),
    ("maximum click-to-door", 90),
    ("pay per order", 10),
    ("guaranteed pay per hour", 15),
];

impl Instance {
    /// The texts of its files, with their names.
    #[must_use]
    pub fn texts(&self) -> [(&'static str, String); 4] {
        let [parameters, couriers, restaurants, orders] = FILES;
        [
            (parameters, self.parameters_text()),
            (couriers, self.couriers_text()),
            (restaurants, self.restaurants_text()),
            (orders, self.orders_text()),
        ]
    }

    /// Writes it into a directory, which is made. What is there already is not written over.
    pub fn write(&self, directory: &Path) -> Result<(), DayError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| DayError::File { path, source }
        };
        std::fs::create_dir_all(directory).map_err(failed(directory))?;
        for (name, text) in self.texts() {
            let path = directory.join(name);
            let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(failed(&path))?;
            file.write_all(text.as_bytes()).map_err(failed(&path))?;
        }
        Ok(())
    }

    fn parameters_text(&self) -> String {
        let p = &self.parameters;
        let mut header = "meters_per_minute\tpickup service minutes\tdropoff service minutes".to_owned();
        let mut values =
            format!("{}\t{}\t{}", p.meters_per_minute, p.pickup_service_minutes, p.dropoff_service_minutes);
        for (name, value) in UNUSED {
            // Writing to a string cannot fail.
            let _ = write!(header, "\t{name}");
            let _ = write!(values, "\t{value}");
        }
        format!("{header}\n{values}\n")
    }

    fn couriers_text(&self) -> String {
        let mut text = "courier\tx\ty\ton_time\toff_time\n".to_owned();
        for c in &self.couriers {
            let _ = writeln!(text, "{}\t{}\t{}\t{}\t{}", c.name, c.place.x, c.place.y, c.on_time, c.off_time);
        }
        text
    }

    fn restaurants_text(&self) -> String {
        let mut text = "restaurant\tx\ty\n".to_owned();
        for r in &self.restaurants {
            let _ = writeln!(text, "{}\t{}\t{}", r.name, r.place.x, r.place.y);
        }
        text
    }

    fn orders_text(&self) -> String {
        let mut text = "order\tx\ty\tplacement_time\trestaurant\tready_time\n".to_owned();
        for o in &self.orders {
            let restaurant = &self.restaurants[o.restaurant].name;
            let (x, y) = (o.place.x, o.place.y);
            let _ = writeln!(text, "{}\t{x}\t{y}\t{}\t{restaurant}\t{}", o.name, o.placement_time, o.ready_time);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use crate::instance::{Instance, tiny};

    #[test]
    fn what_is_written_reads_as_it_was_and_is_never_written_over() {
        let day = tiny();
        let [(_, parameters), (_, couriers), (_, restaurants), (_, orders)] = day.texts();
        assert_eq!(Instance::parse(&parameters, &couriers, &restaurants, &orders).unwrap(), day);
        let directory = std::env::temp_dir().join(format!("posthaste-day-{}", std::process::id()));
        day.write(&directory).unwrap();
        assert_eq!(Instance::read(&directory).unwrap(), day);
        let again = day.write(&directory).unwrap_err().to_string();
        assert!(again.contains("instance_parameters.txt") && again.contains("exists"), "{again}");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
