//! Zones against brute force: the map says what the polygons say, and unsound drawings are refused by name.

use std::sync::Arc;

use geo::{Contains, Coord, Intersects, LineString, MultiPolygon, Polygon};
use posthaste_domain::ids::{Id, ZoneId};
use posthaste_domain::place::Place;
use posthaste_geography::{InvalidShape, ZoneMap, ZoneShape};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

fn zone(number: u128) -> ZoneId {
    ZoneId::from_uuid(Uuid::from_u128(number))
}

fn place(lat: f64, lng: f64) -> Place {
    Place::new(lat, lng).unwrap()
}

fn read(value: &Value) -> Result<ZoneShape, InvalidShape> {
    ZoneShape::from_geojson(value)
}

fn polygon(rings: &[Vec<[f64; 2]>]) -> Value {
    json!({"type": "Polygon", "coordinates": rings})
}

fn square(south: f64, west: f64, side: f64) -> Vec<[f64; 2]> {
    let (north, east) = (south + side, west + side);
    vec![[west, south], [east, south], [east, north], [west, north], [west, south]]
}

/// A star-shaped ring: one radius for each direction, so it never crosses itself.
fn star(center: (f64, f64), radii: &[f64], scale: f64) -> Vec<[f64; 2]> {
    let mut ring: Vec<[f64; 2]> = radii
        .iter()
        .enumerate()
        .map(|(i, radius)| {
            let angle = i as f64 / radii.len() as f64 * std::f64::consts::TAU;
            [center.1 + radius * scale * angle.cos(), center.0 + radius * scale * angle.sin()]
        })
        .collect();
    ring.push(ring[0]);
    ring
}

/// What a test draws: GeoJSON, and the same for brute force.
#[derive(Debug, Clone)]
struct Drawing {
    geojson: Value,
    shape: MultiPolygon,
    center: (f64, f64),
    reach: f64,
}

impl Drawing {
    /// Whether any two of its rings touch or cross each other, as another library sees it.
    fn has_crossed_rings(&self) -> bool {
        let rings: Vec<&LineString> =
            self.shape.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors())).collect();
        rings.iter().enumerate().any(|(n, one)| rings[n + 1..].iter().any(|other| one.intersects(*other)))
    }
}

fn line(ring: &[[f64; 2]]) -> LineString {
    ring.iter().map(|[x, y]| Coord { x: *x, y: *y }).collect()
}

/// One or two stars beside each other, each with or without a hole.
fn drawing_around(center: (f64, f64), size: impl Strategy<Value = f64>) -> impl Strategy<Value = Drawing> {
    let radii = || prop::collection::vec(0.5..1.0f64, 3..24);
    let parts = prop::collection::vec((radii(), prop::option::of(prop::collection::vec(0.05..0.2f64, 3..9))), 1..3);
    (parts, size, any::<bool>()).prop_map(move |(parts, size, feature)| {
        let mut polygons = Vec::new();
        for (i, (radii, hole)) in parts.iter().enumerate() {
            let middle = (center.0, center.1 + i as f64 * 2.1 * size);
            let mut rings = vec![star(middle, radii, size)];
            rings.extend(hole.as_ref().map(|radii| star(middle, radii, size)));
            polygons.push(rings);
        }
        let shape = polygons
            .iter()
            .map(|rings| Polygon::new(line(&rings[0]), rings[1..].iter().map(|r| line(r)).collect()))
            .collect();
        let bare = json!({"type": "MultiPolygon", "coordinates": polygons});
        let geojson = if feature { json!({"type": "Feature", "properties": {}, "geometry": bare}) } else { bare };
        Drawing { geojson, shape, center, reach: size }
    })
}

fn sample(drawing: &Drawing, at: (f64, f64)) -> Option<Place> {
    let lat = drawing.center.0 + at.0 * drawing.reach * 1.3;
    let lng = drawing.center.1 + (at.1 * 2.3 + 1.0) * drawing.reach;
    Place::new(lat, lng).ok()
}

/// Holds a hole of radius below 0.2 within triangles whose inner radius may be 0.25 at the least.
fn sound(drawing: &Drawing) -> Option<ZoneShape> {
    match read(&drawing.geojson) {
        Ok(shape) => Some(shape),
        Err(InvalidShape::RingsOverlap { .. }) => None,
        Err(other) => panic!("{other}"),
    }
}

/// A drawing that is refused because its rings overlap has rings that do, and is no case: another is drawn in its place, and
/// if too many are refused, the test fails.
fn agrees(drawing: &Drawing, points: &[(f64, f64)]) -> Result<(), TestCaseError> {
    let Some(shape) = sound(drawing) else {
        // A star of few, short rays may be crossed by its own hole. The polygons say so too.
        prop_assert!(drawing.has_crossed_rings(), "refused, though no rings of it touch");
        return Err(TestCaseError::reject("rings overlap"));
    };
    let map = ZoneMap::new([(zone(1), Arc::new(shape.clone()))]);
    for point in points.iter().filter_map(|at| sample(drawing, *at)) {
        let truth = drawing.shape.contains(&Coord { x: point.lng(), y: point.lat() });
        prop_assert_eq!(shape.contains(point), truth, "{:?}", point);
        prop_assert_eq!(map.zone_at(point), truth.then(|| zone(1)), "{:?}", point);
    }
    Ok(())
}

fn points() -> impl Strategy<Value = Vec<(f64, f64)>> {
    prop::collection::vec((-1.0..1.0f64, -1.0..1.0f64), 100..200)
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 48, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn the_map_says_what_the_polygons_of_a_city_say(
        drawing in (-70.0..70.0f64, -170.0..170.0f64).prop_flat_map(|c| drawing_around(c, 0.002..0.1f64)),
        points in points(),
    ) {
        agrees(&drawing, &points)?;
    }

    #[test]
    fn the_map_says_what_the_polygons_of_a_country_say(
        drawing in (-70.0..70.0f64, -120.0..120.0f64).prop_flat_map(|c| drawing_around(c, 1.0..12.0f64)),
        points in points(),
    ) {
        agrees(&drawing, &points)?;
    }

    #[test]
    fn overlapping_zones_resolve_to_the_smallest_whatever_the_order_of_changes(
        drawings in prop::collection::vec(drawing_around((48.2, 16.3), 0.01..0.08f64), 2..6),
        country in drawing_around((48.0, 16.0), 3.0..6.0f64),
        removed in 0..6usize, replaced in 0..6usize,
        points in points(),
    ) {
        let mut shapes: Vec<(ZoneId, Arc<ZoneShape>)> = Vec::new();
        let mut map = ZoneMap::default();
        for (drawing, number) in drawings.iter().chain([&country]).zip(1..) {
            let Some(shape) = sound(drawing) else { continue };
            let shape = Arc::new(shape);
            shapes.push((zone(number), Arc::clone(&shape)));
            map = map.with_zone(zone(number), shape);
        }
        if shapes.len() > 1 {
            let (from, to) = (removed % shapes.len(), replaced % shapes.len());
            let shape = Arc::clone(&shapes[from].1);
            shapes[to].1 = Arc::clone(&shape);
            map = map.with_zone(shapes[to].0, shape);
            let (gone, _) = shapes.remove(from);
            map = map.without_zone(gone);
        }
        let fresh = ZoneMap::new(shapes.clone());
        shapes.sort_by(|a, b| a.1.square_kilometers().total_cmp(&b.1.square_kilometers()).then(a.0.cmp(&b.0)));
        for point in points.iter().filter_map(|at| sample(&drawings[0], *at)) {
            let truth: Vec<ZoneId> = shapes.iter().filter(|(_, s)| s.contains(point)).map(|(id, _)| *id).collect();
            prop_assert_eq!(map.zone_at(point), truth.first().copied());
            prop_assert_eq!(map.zones_at(point), truth.clone());
            prop_assert_eq!(fresh.zones_at(point), truth);
        }
        prop_assert_eq!(map.len(), shapes.len());
    }

    #[test]
    fn neighbours_never_both_hold_a_place_on_their_common_edge(x in 0.0..0.05f64, y in 0.0..0.05f64, t in 0.0..1.0f64) {
        // A square cut in two from its west side to its east side; the point lies on the cut, as nearly as floats do.
        let cut = [[10.0, 45.0 + x], [10.05, 45.0 + y]];
        let south = vec![[10.0, 44.9], [10.05, 44.9], cut[1], cut[0], [10.0, 44.9]];
        let north = vec![cut[0], cut[1], [10.05, 45.1], [10.0, 45.1], cut[0]];
        let map = ZoneMap::new([(zone(1), Arc::new(read(&polygon(&[south])).unwrap())),
            (zone(2), Arc::new(read(&polygon(&[north])).unwrap()))]);
        let on_it = place(45.0 + x + (y - x) * t, 10.0 + 0.05 * t);
        if (10.0..10.05).contains(&on_it.lng()) {
            prop_assert_eq!(map.zones_at(on_it).len(), 1);
        }
    }

    #[test]
    fn any_json_is_read_or_refused_without_panic(numbers in prop::collection::vec(
        prop::collection::vec((-200.0..200.0f64, -100.0..100.0f64), 0..6), 0..4)) {
        let rings: Vec<Vec<[f64; 2]>> = numbers.iter().map(|r| r.iter().map(|(x, y)| [*x, *y]).collect()).collect();
        let _ = read(&polygon(&rings));
        let _ = read(&json!({"type": "MultiPolygon", "coordinates": [rings]}));
    }
}

#[test]
fn a_hole_is_not_in_the_zone_and_an_island_in_it_is() {
    let island = [square(48.04, 16.04, 0.02)];
    let lake = [square(48.0, 16.0, 0.1), square(48.02, 16.02, 0.06)];
    let shape = read(&json!({"type": "MultiPolygon", "coordinates": [lake, island]})).unwrap();
    let map = ZoneMap::new([(zone(1), Arc::new(shape))]);
    assert_eq!(map.zone_at(place(48.01, 16.01)), Some(zone(1)));
    assert_eq!(map.zone_at(place(48.03, 16.03)), None);
    assert_eq!(map.zone_at(place(48.05, 16.05)), Some(zone(1)));
    assert_eq!(map.zone_at(place(48.2, 16.05)), None);
}

#[test]
fn a_shape_knows_its_area_its_bounds_and_its_drawing() {
    let drawing = polygon(&[square(0.0, 0.0, 0.1), square(0.02, 0.02, 0.05)]);
    let shape = read(&drawing).unwrap();
    let expected = (0.01 - 0.0025) * 111.195f64.powi(2);
    assert!((shape.square_kilometers() / expected - 1.0).abs() < 5e-3);
    assert_eq!(shape.bounds().north, 0.1);
    assert_eq!(shape.geojson(), &drawing);
    assert_eq!(shape.resolution(), 9);
}

#[test]
fn a_country_takes_coarser_cells_than_a_city_and_not_many_more() {
    let country = read(&polygon(&[square(45.0, 10.0, 5.0)])).unwrap();
    assert!(country.resolution() < 9);
    assert!(country.cell_count() < 100_000, "{}", country.cell_count());
}

#[test]
fn shapes_that_reach_the_antimeridian_are_refused() {
    for ring in [
        vec![[179.0, 0.0], [-179.0, 0.0], [-179.0, 1.0], [179.0, 1.0], [179.0, 0.0]],
        vec![[179.0, 0.0], [181.0, 0.0], [181.0, 1.0], [179.0, 1.0], [179.0, 0.0]],
        vec![[179.0, 0.0], [180.0, 0.0], [180.0, 1.0], [179.0, 1.0], [179.0, 0.0]],
        vec![[-180.0, 0.0], [-179.0, 0.0], [-179.0, 1.0], [-180.0, 1.0], [-180.0, 0.0]],
    ] {
        let refused = read(&polygon(&[ring])).unwrap_err();
        assert!(matches!(refused, InvalidShape::CrossesAntimeridian { polygon: 0, ring: 0, .. }), "{refused}");
    }
}

#[test]
fn rings_that_are_open_or_too_short_are_refused() {
    let mut open = square(0.0, 0.0, 1.0);
    open[4] = [0.1, 0.1];
    assert_eq!(read(&polygon(&[open])).unwrap_err(), InvalidShape::NotClosed { polygon: 0, ring: 0 });
    let short = vec![[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]];
    assert_eq!(read(&polygon(&[short])).unwrap_err(), InvalidShape::TooFewPoints { polygon: 0, ring: 0 });
    let same = vec![[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0]];
    assert_eq!(read(&polygon(&[same])).unwrap_err(), InvalidShape::TooFewPoints { polygon: 0, ring: 0 });
    assert_eq!(read(&polygon(&[])).unwrap_err(), InvalidShape::Empty);
    assert_eq!(read(&json!({"type": "MultiPolygon", "coordinates": []})).unwrap_err(), InvalidShape::Empty);
}

#[test]
fn positions_that_are_not_coordinates_are_refused_by_number() {
    let mut ring = square(0.0, 0.0, 1.0);
    ring[2] = [1.0, 91.0];
    let expected = InvalidShape::BadCoordinate { polygon: 0, ring: 0, position: 2 };
    assert_eq!(read(&polygon(&[ring])).unwrap_err(), expected);
    let text = json!({"type": "Polygon", "coordinates": [["a", "b", "c", "d"]]});
    assert!(matches!(read(&text).unwrap_err(), InvalidShape::BadCoordinate { position: 0, .. }));
    let point = json!({"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}});
    assert_eq!(read(&point).unwrap_err(), InvalidShape::NotAPolygon { found: "Point".into() });
}

#[test]
fn rings_that_cross_or_touch_themselves_are_refused() {
    let bow_tie = vec![[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]];
    let spike = vec![[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]];
    let eight = vec![[0.0, 0.0], [1.0, 1.0], [2.0, 0.0], [2.0, 2.0], [1.0, 1.0], [0.0, 2.0], [0.0, 0.0]];
    let flat = vec![[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [0.0, 0.0]];
    for ring in [bow_tie, spike, eight, flat] {
        let refused = read(&polygon(&[ring])).unwrap_err();
        assert!(matches!(refused, InvalidShape::SelfIntersecting { .. }), "{refused}");
    }
}

#[test]
fn rings_that_overlap_are_refused_and_rings_that_meet_in_a_point_are_not() {
    let outer = square(0.0, 0.0, 1.0);
    let cases = [
        polygon(&[outer.clone(), square(0.5, 0.5, 1.0)]),
        polygon(&[outer.clone(), square(2.0, 2.0, 1.0)]),
        polygon(&[outer.clone(), square(0.1, 0.1, 0.5), square(0.2, 0.2, 0.1)]),
        json!({"type": "MultiPolygon", "coordinates": [[outer], [square(0.2, 0.2, 0.1)]]}),
        json!({"type": "MultiPolygon", "coordinates": [[outer], [square(0.0, 0.0, 1.0)]]}),
        json!({"type": "MultiPolygon", "coordinates": [[outer], [square(2.0, 2.0, 1.0), square(0.2, 0.2, 0.1)]]}),
    ];
    for case in cases {
        let refused = read(&case).unwrap_err();
        assert!(matches!(refused, InvalidShape::RingsOverlap { .. }), "{refused}");
    }
    assert!(read(&json!({"type": "MultiPolygon", "coordinates": [[outer], [square(1.0, 1.0, 1.0)]]})).is_ok());
    let touching = vec![[0.5, 0.0], [0.7, 0.3], [0.3, 0.3], [0.5, 0.0]];
    assert!(read(&polygon(&[outer, touching])).is_ok());
}

#[test]
fn shapes_beyond_the_limits_are_refused() {
    let half_the_globe = polygon(&[square(-60.0, -150.0, 120.0)]);
    assert!(matches!(read(&half_the_globe).unwrap_err(), InvalidShape::TooLarge { .. }));
    let dense = star((10.0, 10.0), &vec![1.0; 20_001], 1.0);
    assert!(matches!(read(&polygon(&[dense])).unwrap_err(), InvalidShape::TooManyVertices { .. }));
}
