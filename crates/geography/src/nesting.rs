//! Whether rings lie in each other as they should, when it is known that none crosses another.

use geo::Coord;

use crate::edges::{Edge, Edges, upwards};
use crate::outline::Ring;
use crate::work::Work;
use crate::zone_shape::InvalidShape;

/// Rings that can be asked about points.
struct Borders<'a> {
    edges: &'a Edges,
    /// Vertices from south to north, and their rings.
    vertices: Vec<(Coord, u32)>,
    /// Level edges from south to north, and from west to east on one parallel.
    level: Vec<Edge>,
    work: &'a Work,
}

impl<'a> Borders<'a> {
    fn new(edges: &'a Edges, rings: &[Ring], work: &'a Work) -> Self {
        let of_ring =
            |(ring, number): (&Ring, u32)| ring.points.iter().map(move |at| (*at, number)).collect::<Vec<_>>();
        let mut vertices: Vec<(Coord, u32)> = rings.iter().zip(0u32..).flat_map(of_ring).collect();
        vertices.sort_by(|a, b| {
            work.add(1);
            upwards(a.0, b.0)
        });
        let mut level: Vec<Edge> = edges.all().iter().filter(|edge| edge.low.y == edge.high.y).copied().collect();
        level.sort_by(|a, b| upwards(a.low, b.low));
        Self { edges, vertices, level, work }
    }

    /// Whether the point lies on another ring than the given one. On no ring is a point twice.
    fn another_holds(&self, point: Coord, ring: u32) -> bool {
        let first = self.vertices.partition_point(|(at, _)| {
            self.work.add(1);
            upwards(*at, point).is_lt()
        });
        let here = self.vertices[first..].iter().take(2).take_while(|(at, _)| *at == point);
        let before = self.level.partition_point(|edge| {
            self.work.add(1);
            upwards(edge.low, point).is_le()
        });
        let level = before.checked_sub(1).map(|place| &self.level[place]);
        here.into_iter().any(|(_, other)| *other != ring)
            || level.is_some_and(|edge| edge.ring != ring && edge.holds(point))
            || self.edges.pass(point, ring, self.work)
    }

    fn contain(&self, point: Coord) -> bool {
        self.edges.contain_counted(point, self.work)
    }
}

/// Outer borders lie outside everything else, holes inside their own polygon and outside its other holes.
///
/// Asked of every vertex and of the middle of every edge; of a point that lies on another ring nothing follows.
pub(crate) fn check(rings: &[Ring], edges: &Edges, work: &Work) -> Result<(), InvalidShape> {
    let alone: Vec<Edges> =
        rings.iter().zip(0u32..).map(|(ring, number)| Edges::new(ring.edges(number).collect(), work)).collect();
    let all = Borders::new(edges, rings, work);
    for (ring, number) in rings.iter().zip(0u32..) {
        let (own, outer) = (&alone[number as usize], &alone[number as usize - ring.place]);
        for edge in own.all() {
            let middle = Coord { x: (edge.low.x + edge.high.x) / 2.0, y: (edge.low.y + edge.high.y) / 2.0 };
            for point in [edge.low, edge.high, middle] {
                if all.another_holds(point, number) {
                    continue;
                }
                let among_others = all.contain(point) != own.contain_counted(point, work);
                let wrong =
                    if ring.is_hole() { !among_others || !outer.contain_counted(point, work) } else { among_others };
                if wrong {
                    return Err(InvalidShape::RingsOverlap { lat: point.y, lng: point.x });
                }
            }
            work.check()?;
        }
    }
    Ok(())
}
