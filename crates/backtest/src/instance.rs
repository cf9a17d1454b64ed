//! A recorded day: couriers, restaurants, orders and parameters, as the files of the public Meal Delivery
//! Routing Problem instances have them (tab separated, one header line; metres and minutes).

mod write;

use std::collections::HashMap;
use std::path::Path;

use crate::error::DayError;
use crate::plane::Point;

/// The files of a day: parameters, couriers, restaurants, orders.
pub const FILES: [&str; 4] = ["instance_parameters.txt", "couriers.txt", "restaurants.txt", "orders.txt"];

/// A courier of the day.
#[derive(Debug, Clone, PartialEq)]
pub struct CourierRow {
    /// Its name in the files.
    pub name: String,
    /// Where the courier appears.
    pub place: Point,
    /// When, in minutes of the day.
    pub on_time: f64,
    /// No pickup after.
    pub off_time: f64,
}

/// A restaurant of the day.
#[derive(Debug, Clone, PartialEq)]
pub struct RestaurantRow {
    /// Its name in the files.
    pub name: String,
    /// Where it is.
    pub place: Point,
}

/// An order of the day.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderRow {
    /// Its name in the files.
    pub name: String,
    /// The door.
    pub place: Point,
    /// When it becomes known, in minutes of the day.
    pub placement_time: f64,
    /// Index of its restaurant.
    pub restaurant: usize,
    /// When it is ready; known at placement.
    pub ready_time: f64,
}

/// What holds for the whole day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameters {
    /// Everybody's speed.
    pub meters_per_minute: f64,
    /// Minutes at a restaurant: half before the pickup, half after.
    pub pickup_service_minutes: f64,
    /// Minutes at a door: half before the drop, half after.
    pub dropoff_service_minutes: f64,
}

/// A recorded day.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// What holds for the whole day.
    pub parameters: Parameters,
    /// Who works.
    pub couriers: Vec<CourierRow>,
    /// Who cooks.
    pub restaurants: Vec<RestaurantRow>,
    /// What is ordered, by placement time.
    pub orders: Vec<OrderRow>,
}

/// A table with a header line: rows whose fields are found by name.
struct Table<'a> {
    file: &'a str,
    columns: HashMap<&'a str, usize>,
    rows: Vec<Vec<&'a str>>,
}

impl<'a> Table<'a> {
    fn parse(file: &'a str, text: &'a str) -> Result<Self, DayError> {
        let mut lines = text.lines().map(str::trim_end).filter(|l| !l.is_empty());
        let header = lines.next().ok_or_else(|| wrong(file, "has no header line"))?;
        let columns = header.split('\t').enumerate().map(|(n, name)| (name.trim(), n)).collect();
        Ok(Self { file, columns, rows: lines.map(|l| l.split('\t').collect()).collect() })
    }

    fn text(&self, row: &[&'a str], column: &str) -> Result<&'a str, DayError> {
        let index = self.columns.get(column).ok_or_else(|| wrong(self.file, format!("has no column {column:?}")))?;
        row.get(*index).copied().ok_or_else(|| wrong(self.file, format!("a line has no {column}: {row:?}")))
    }

    fn number(&self, row: &[&'a str], column: &str) -> Result<f64, DayError> {
        let text = self.text(row, column)?;
        let number = text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
        number.ok_or_else(|| wrong(self.file, format!("{column} is no number: {text:?}")))
    }

    fn point(&self, row: &[&'a str]) -> Result<Point, DayError> {
        Ok(Point { x: self.number(row, "x")?, y: self.number(row, "y")? })
    }
}

fn wrong(file: &str, problem: impl Into<String>) -> DayError {
    DayError::Instance { file: file.to_owned(), problem: problem.into() }
}

impl Instance {
    /// Reads the day in a directory.
    pub fn read(directory: &Path) -> Result<Self, DayError> {
        let read = |name: &str| {
            let path = directory.join(name);
            std::fs::read_to_string(&path).map_err(|source| DayError::File { path, source })
        };
        let [parameters, couriers, restaurants, orders] = FILES;
        let parsed = Self::parse(&read(parameters)?, &read(couriers)?, &read(restaurants)?, &read(orders)?);
        parsed.map_err(|error| error.within(directory))
    }

    /// Reads the day from the texts of its four files.
    pub fn parse(parameters: &str, couriers: &str, restaurants: &str, orders: &str) -> Result<Self, DayError> {
        let restaurants = parse_restaurants(restaurants)?;
        Ok(Self {
            parameters: parse_parameters(parameters)?,
            couriers: parse_couriers(couriers)?,
            orders: parse_orders(orders, &restaurants)?,
            restaurants,
        })
    }
}

fn parse_parameters(text: &str) -> Result<Parameters, DayError> {
    let table = Table::parse("instance_parameters.txt", text)?;
    let row = table.rows.first().ok_or_else(|| wrong(table.file, "has no line of values"))?;
    let parameters = Parameters {
        meters_per_minute: table.number(row, "meters_per_minute")?,
        pickup_service_minutes: table.number(row, "pickup service minutes")?,
        dropoff_service_minutes: table.number(row, "dropoff service minutes")?,
    };
    if parameters.meters_per_minute <= 0.0 {
        return Err(wrong(table.file, "meters_per_minute must be positive"));
    }
    Ok(parameters)
}

fn parse_couriers(text: &str) -> Result<Vec<CourierRow>, DayError> {
    let table = Table::parse("couriers.txt", text)?;
    let courier = |row: &Vec<&str>| {
        Ok(CourierRow {
            name: table.text(row, "courier")?.to_owned(),
            place: table.point(row)?,
            on_time: table.number(row, "on_time")?,
            off_time: table.number(row, "off_time")?,
        })
    };
    table.rows.iter().map(courier).collect()
}

fn parse_restaurants(text: &str) -> Result<Vec<RestaurantRow>, DayError> {
    let table = Table::parse("restaurants.txt", text)?;
    let restaurant = |row: &Vec<&str>| {
        Ok(RestaurantRow { name: table.text(row, "restaurant")?.to_owned(), place: table.point(row)? })
    };
    table.rows.iter().map(restaurant).collect()
}

fn parse_orders(text: &str, restaurants: &[RestaurantRow]) -> Result<Vec<OrderRow>, DayError> {
    let table = Table::parse("orders.txt", text)?;
    let index: HashMap<&str, usize> = restaurants.iter().enumerate().map(|(n, r)| (r.name.as_str(), n)).collect();
    let order = |row: &Vec<&str>| {
        let restaurant = table.text(row, "restaurant")?;
        Ok(OrderRow {
            name: table.text(row, "order")?.to_owned(),
            place: table.point(row)?,
            placement_time: table.number(row, "placement_time")?,
            restaurant: *index
                .get(restaurant)
                .ok_or_else(|| wrong(table.file, format!("no restaurant {restaurant:?}")))?,
            ready_time: table.number(row, "ready_time")?,
        })
    };
    let mut orders = table.rows.iter().map(order).collect::<Result<Vec<_>, DayError>>()?;
    orders.sort_by(|a, b| a.placement_time.total_cmp(&b.placement_time));
    Ok(orders)
}

/// A day of two couriers, two restaurants and three orders, made up for tests, here and in the crates that play days.
#[doc(hidden)]
#[must_use]
pub fn tiny() -> Instance {
    Instance::parse(
        "meters_per_minute\tpickup service minutes\tdropoff service minutes\n300\t4\t4\n",
        "courier\tx\ty\ton_time\toff_time\nc1\t0\t0\t0\t60\nc2\t900\t0\t10\t90\n",
        "restaurant\tx\ty\nr1\t600\t0\nr2\t0\t800\n",
        "order\tx\ty\tplacement_time\trestaurant\tready_time\n\
         o2\t600\t600\t12\tr2\t20\no1\t0\t100\t5\tr1\t15\no3\t900\t900\t12\tr1\t25\n",
    )
    .expect("the texts are well formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_and_its_orders_come_by_placement() {
        let day = tiny();
        assert_eq!(day.orders.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["o1", "o2", "o3"]);
        assert_eq!((day.orders[1].restaurant, day.orders[1].ready_time), (1, 20.0));
        assert_eq!(day.couriers[1].place, Point { x: 900.0, y: 0.0 });
    }

    #[test]
    fn what_does_not_read_is_named_with_its_file() {
        let couriers = "courier\tx\ty\ton_time\toff_time\nc1\t0\tnorth\t0\t60\n";
        let error = parse_couriers(couriers).unwrap_err().to_string();
        assert!(error.contains("couriers.txt") && error.contains("north"), "{error}");
        let orders = "order\tx\ty\tplacement_time\trestaurant\tready_time\no1\t0\t0\t1\tr9\t2\n";
        assert!(parse_orders(orders, &[]).unwrap_err().to_string().contains("r9"));
        assert!(parse_restaurants("restaurant\tx\nr1\t0\n").unwrap_err().to_string().contains("\"y\""));
    }
}
