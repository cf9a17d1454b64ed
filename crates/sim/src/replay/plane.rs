//! The plane of a recorded day and the globe: near latitude 0, longitude 0, where one degree is as long both ways.

use posthaste_backtest::Point;
use serde_json::json;

/// Metres of zone around the outermost point.
const MARGIN_METERS: f64 = 500.0;

/// A GeoJSON rectangle around all points, with a margin.
#[must_use]
pub fn area_around(points: impl Iterator<Item = Point>) -> serde_json::Value {
    let (mut west, mut south, mut east, mut north) = (0.0f64, 0.0f64, 0.0f64, 0.0f64);
    for point in points {
        (west, south) = (west.min(point.x), south.min(point.y));
        (east, north) = (east.max(point.x), north.max(point.y));
    }
    let low = Point { x: west - MARGIN_METERS, y: south - MARGIN_METERS };
    let high = Point { x: east + MARGIN_METERS, y: north + MARGIN_METERS };
    let ring = [
        [low.lng(), low.lat()],
        [high.lng(), low.lat()],
        [high.lng(), high.lat()],
        [low.lng(), high.lat()],
        [low.lng(), low.lat()],
    ];
    json!({ "type": "Polygon", "coordinates": [ring] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_holds_every_point_and_closes_its_ring() {
        let points = [Point { x: 11_000.0, y: 300.0 }, Point { x: 20.0, y: 9_000.0 }];
        let area = area_around(points.into_iter());
        let ring = area["coordinates"][0].as_array().unwrap();
        assert_eq!(ring.first(), ring.last());
        let (low, high) = (&ring[0], &ring[2]);
        for point in points {
            assert!(low[0].as_f64().unwrap() < point.lng() && point.lng() < high[0].as_f64().unwrap());
            assert!(low[1].as_f64().unwrap() < point.lat() && point.lat() < high[1].as_f64().unwrap());
        }
    }
}
