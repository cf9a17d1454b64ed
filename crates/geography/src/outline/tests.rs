//! The check against brute force, and the steps it takes.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::work::MOST_STEPS;
use crate::zone_shape::ZoneShape;

type Points = Vec<(f64, f64)>;

/// Rings by polygon, each without its repeated last point, as GeoJSON.
fn geojson(polygons: &[Vec<Points>]) -> Value {
    let closed = |ring: &Points| -> Vec<[f64; 2]> { ring.iter().chain(ring.first()).map(|(x, y)| [*x, *y]).collect() };
    let polygons: Vec<Vec<_>> = polygons.iter().map(|rings| rings.iter().map(closed).collect()).collect();
    json!({"type": "MultiPolygon", "coordinates": polygons})
}

/// A ring that goes up and down: long edges side by side.
fn comb(teeth: usize, width: f64) -> Points {
    let mut ring = Points::new();
    for tooth in 0..teeth {
        let (lat, lng) = (if tooth % 2 == 0 { 52.4 } else { 52.0 }, 13.0 + tooth as f64 * width);
        ring.extend([(lng, lat), (lng + width / 2.0, lat)]);
    }
    ring.extend([(13.0 + teeth as f64 * width, 51.9), (13.0, 51.9)]);
    ring
}

fn rectangle(west: f64, south: f64, east: f64, north: f64) -> Points {
    vec![(west, south), (east, south), (east, north), (west, north)]
}

mod brute {
    use geo::{GeoNum, Kernel, Orientation};

    use super::*;

    pub(super) fn edges(rings: &[Ring]) -> Vec<Edge> {
        rings.iter().zip(0..).flat_map(|(ring, number)| ring.edges(number)).collect()
    }

    /// Every fault of two edges.
    pub(super) fn faults(rings: &[Ring]) -> Vec<InvalidShape> {
        let edges = edges(rings);
        let pairs = edges.iter().enumerate().flat_map(|(place, one)| edges[place + 1..].iter().map(move |b| (one, b)));
        pairs.filter_map(|(one, other)| crossings::check_pair(rings, one, other).err()).collect()
    }

    /// Whether an odd number of edges is east of the point.
    pub(super) fn contain<'a>(edges: impl Iterator<Item = &'a Edge>, point: Coord) -> bool {
        let east = |edge: &Edge| {
            let side = <f64 as GeoNum>::Ker::orient2d(edge.low, edge.high, point);
            edge.low.y <= point.y && point.y < edge.high.y && side == Orientation::CounterClockwise
        };
        edges.filter(|edge| east(edge)).count() % 2 == 1
    }

    fn strictly(edges: &[Edge], point: Coord, counts: impl Fn(&Edge) -> bool) -> Option<bool> {
        let counted = || edges.iter().filter(|edge| counts(edge));
        if counted().any(|edge| edge.holds(point)) { None } else { Some(contain(counted(), point)) }
    }

    /// Whether a ring lies where it must not, when none crosses another.
    pub(super) fn is_nested_wrongly(rings: &[Ring]) -> bool {
        let edges = edges(rings);
        edges.iter().any(|edge| {
            let middle = Coord { x: (edge.low.x + edge.high.x) / 2.0, y: (edge.low.y + edge.high.y) / 2.0 };
            let outer = edge.ring - rings[edge.ring as usize].place as u32;
            [edge.low, edge.high, middle].into_iter().any(|point| {
                let among_others = strictly(&edges, point, |other| other.ring != edge.ring);
                let in_own = strictly(&edges, point, |other| other.ring == outer);
                if outer == edge.ring {
                    among_others == Some(true)
                } else {
                    among_others == Some(false) || in_own == Some(false)
                }
            })
        })
    }
}

fn any_ring() -> impl Strategy<Value = Points> {
    let at = || (0..8i32).prop_map(f64::from);
    let few = |most| prop::collection::vec((at(), at()), 3..most);
    let level = (at(), at(), 1..5i32, 1..5i32)
        .prop_map(|(x, y, width, height)| rectangle(x, y, x + f64::from(width), y + f64::from(height)));
    let small = prop_oneof![
        few(4),
        level,
        // Rings that touch in one point.
        few(4).prop_map(|mut ring| {
            ring[0] = (4.0, 4.0);
            ring
        }),
    ];
    let teeth =
        (prop::collection::vec((2..8i32, 1..8i32), 2..6), any::<bool>(), prop::option::of((at(), at(), 0..9usize)));
    let combs = teeth.prop_map(|(teeth, turned, moved)| {
        let mut ring = vec![(0.0, 0.0)];
        for ((high, low), x) in teeth.iter().zip(0i32..) {
            ring.push((f64::from(2 * x), f64::from(*high)));
            ring.push((f64::from(2 * x + 1), f64::from((*low).min(high - 1))));
        }
        ring.push((f64::from(2 * teeth.len() as i32 - 1), 0.0));
        if let Some((x, y, place)) = moved {
            let place = place % ring.len();
            ring[place] = (x, y);
        }
        if turned { ring.into_iter().map(|(x, y)| (y, x)).collect() } else { ring }
    });
    prop_oneof![3 => small, 1 => few(8), 2 => combs]
}

/// A few rings on a small lattice, so that they touch and overlap in every way; turned, they do so nearly.
fn any_drawing() -> impl Strategy<Value = Vec<Vec<Points>>> {
    let frame = any::<bool>().prop_map(|with| with.then(|| rectangle(-1.0, -1.0, 14.0, 14.0)));
    let rings = prop::collection::vec((any_ring(), any::<bool>()), 1..5);
    (frame, rings, prop_oneof![Just(0.0), 0.0..1.6f64]).prop_map(|(frame, rings, angle)| {
        let (sine, cosine) = f64::sin_cos(angle);
        let turn = |ring: Points| -> Points {
            if angle == 0.0 {
                return ring;
            }
            ring.into_iter().map(|(x, y)| (x * cosine - y * sine, x * sine + y * cosine)).collect()
        };
        let mut polygons: Vec<Vec<Points>> = frame.into_iter().map(|ring| vec![turn(ring)]).collect();
        for (ring, is_hole) in rings {
            match polygons.last_mut().filter(|_| is_hole) {
                Some(polygon) => polygon.push(turn(ring)),
                None => polygons.push(vec![turn(ring)]),
            }
        }
        polygons
    })
}

fn agrees(polygons: &[Vec<Points>]) -> Result<bool, TestCaseError> {
    let Ok(rings) = read(&geojson(polygons)) else { return Ok(false) };
    let faults = brute::faults(&rings);
    let found = check(&rings, &Work::default());
    let kind = std::mem::discriminant::<InvalidShape>;
    match &found {
        Ok(edges) => {
            prop_assert!(faults.is_empty(), "taken, though {:?}", faults);
            prop_assert!(!brute::is_nested_wrongly(&rings), "taken, though rings lie wrong");
            for (x, y) in (-4..60).flat_map(|x| (-4..60).map(move |y| (x, y))) {
                let point = Coord { x: f64::from(x) / 4.0, y: f64::from(y) / 4.0 };
                prop_assert_eq!(edges.contain(point), brute::contain(edges.all().iter(), point), "{:?}", point);
            }
        }
        Err(error) if faults.is_empty() => {
            prop_assert!(brute::is_nested_wrongly(&rings), "refused, though nothing is wrong: {}", error);
            prop_assert!(matches!(error, InvalidShape::RingsOverlap { .. }), "{}", error);
        }
        Err(error) => {
            prop_assert!(faults.iter().any(|fault| kind(fault) == kind(error)), "{} is not among {:?}", error, faults);
        }
    }
    Ok(found.is_ok())
}
proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::with_cases(4_000) })]

    #[test]
    fn the_check_says_what_all_pairs_of_edges_say(polygons in any_drawing()) {
        agrees(&polygons)?;
    }
}

#[test]
fn rings_that_meet_in_one_point_are_taken_and_a_ring_that_comes_back_to_it_is_not() {
    let petal = |turn: f64| {
        let at = |angle: f64| (4.0 + 3.0 * f64::cos(angle), 4.0 + 3.0 * f64::sin(angle));
        vec![(4.0, 4.0), at(turn), at(turn + 0.3)]
    };
    let flower: Vec<Vec<Points>> = (0..12).map(|number| vec![petal(f64::from(number) * 0.5)]).collect();
    assert!(agrees(&flower).unwrap());
    let mut twice = flower.clone();
    twice.truncate(3);
    let both = [petal(3.0), petal(4.0)].concat();
    twice.push(vec![both]);
    assert!(!agrees(&twice).unwrap());
    let hourglass = vec![vec![vec![(0.0, 0.0), (4.0, 4.0), (8.0, 0.0), (8.0, 8.0), (4.0, 4.0), (0.0, 8.0)]]];
    assert!(!agrees(&hourglass).unwrap());
    let on_an_edge = vec![vec![vec![(0.0, 0.0), (8.0, 0.0), (8.0, 4.0), (4.0, 0.0), (0.0, 4.0)]]];
    assert!(!agrees(&on_an_edge).unwrap());
}

#[test]
fn a_ring_that_touches_itself_where_another_lies_between_is_refused() {
    let at = |angle: f64, far: f64| (4.0 + far * angle.cos(), 4.0 + far * angle.sin());
    let between = vec![vec![(4.0, 4.0), at(0.7, 1.0), at(1.0, 1.0)]];
    let pinched = vec![vec![(4.0, 4.0), at(1.5, 6.0), at(0.2, 6.0), (4.0, 4.0), at(0.5, 4.0), at(1.2, 4.0)]];
    let below = vec![vec![(4.0, 4.0), at(0.2, 1.0), at(0.4, 1.0)]];
    let on_its_edge = vec![vec![(0.0, 4.0), (8.0, 4.0), (8.0, 9.0), (4.0, 4.0), (3.0, 9.0)]];
    for drawing in [[between, pinched], [below, on_its_edge]] {
        assert!(!agrees(&drawing).unwrap());
        let refused = check(&read(&geojson(&drawing)).unwrap(), &Work::default()).unwrap_err();
        assert!(matches!(refused, InvalidShape::SelfIntersecting { polygon: 1, .. }), "{refused}");
    }
}

/// Edges, and the steps that the check of them takes.
fn steps_of_check(rings: &[Ring]) -> (f64, f64) {
    let work = Work::default();
    let edges = check(rings, &work).unwrap();
    (edges.all().len() as f64, work.steps() as f64)
}

#[test]
fn the_check_of_a_comb_takes_few_steps_for_each_edge() {
    for teeth in [1_000, 4_000, 10_000] {
        for turned in [false, true] {
            let points = comb(teeth, 1e-4).into_iter().map(|(x, y)| if turned { (y, x) } else { (x, y) });
            let ring = Ring { points: points.map(|(x, y)| Coord { x, y }).collect(), polygon: 0, place: 0 };
            let (edges, steps) = steps_of_check(&[ring]);
            assert!(steps <= 16.0 * edges * edges.log2(), "{teeth} teeth, {edges} edges: {steps} steps");
        }
    }
}

/// Slits side by side.
fn slits(count: usize) -> Vec<Points> {
    let slit = |number: usize| {
        let x = 13.0 + number as f64 * 1e-4;
        vec![(x, 52.0), (x + 5e-5, 52.0), (x, 52.4)]
    };
    (0..count).map(slit).collect()
}

fn drawings_of_many_rings(rings: usize) -> [Vec<Vec<Points>>; 4] {
    let holes = [vec![rectangle(12.9, 51.9, 15.0, 52.5)], slits(rings)].concat();
    let apart = slits(rings).into_iter().map(|slit| vec![slit]).collect();
    let frame = |number: usize| {
        let inset = |by: f64| rectangle(13.0 + by, 52.0 + by, 13.2 - by, 52.2 - by);
        vec![inset(number as f64 * 2e-5), inset(number as f64 * 2e-5 + 1e-5)]
    };
    let nested = (0..rings / 2).map(frame).collect();
    let ray = |number: usize| {
        let at = |part: f64| {
            let angle = (number as f64 + part) / rings as f64 * std::f64::consts::TAU;
            (13.0 + 0.1 * angle.cos(), 52.0 + 0.1 * angle.sin())
        };
        vec![vec![(13.0, 52.0), at(0.0), at(0.5)]]
    };
    [vec![holes], apart, nested, (0..rings).map(ray).collect()]
}

#[test]
fn the_check_of_many_rings_against_each_other_takes_few_steps_for_each_edge() {
    for count in [300, 1_200, 3_900] {
        for (drawing, what) in drawings_of_many_rings(count).iter().zip(["holes", "apart", "nested", "touching"]) {
            let rings = read(&geojson(drawing)).unwrap();
            let (edges, steps) = steps_of_check(&rings);
            assert!(steps <= 6.0 * edges * edges.log2().powi(2), "{what}, {edges} edges: {steps} steps");
        }
    }
}

#[test]
fn cutting_a_shape_takes_few_steps_for_each_edge_and_each_cell() {
    for teeth in [1_000, 4_000, 9_990] {
        let near_the_pole = comb(teeth, 1e-3).into_iter().map(|(x, y)| (x, y + 37.59));
        let turned = comb(teeth, 1e-5).into_iter().map(|(x, y)| (y, x));
        let small = comb(teeth, 1e-6).into_iter().map(|(x, y)| (x, 52.0 + (y - 52.0) / 100.0));
        for ring in [comb(teeth, 1e-4), turned.collect(), near_the_pole.collect(), small.collect()] {
            let drawing = geojson(&[vec![ring]]);
            let rings = read(&drawing).unwrap();
            let (edges, checking) = steps_of_check(&rings);
            let work = Work::default();
            let cells = ZoneShape::read(&drawing, &work).unwrap().cell_count() as f64;
            let cutting = work.steps() as f64 - checking;
            assert!(cutting <= 250.0 * edges + 50.0 * cells, "{edges} edges, {cells} cells: {cutting} steps");
            assert!(work.steps() < MOST_STEPS / 4, "{}", work.steps());
        }
    }
}

#[test]
fn a_shape_that_takes_too_much_work_is_refused_in_so_many_words() {
    let work = Work::default();
    work.add(usize::try_from(MOST_STEPS).unwrap());
    let refused = ZoneShape::read(&geojson(&[vec![comb(3, 0.1)]]), &work).unwrap_err();
    assert_eq!(refused, InvalidShape::TooIntricate { most: MOST_STEPS });
    assert!(refused.to_string().contains("too intricate") && refused.to_string().contains("simplify it"), "{refused}");
}
